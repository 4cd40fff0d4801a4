/**
 * Who knows a key when the actor before is away (DESIGN 8, "Authority moves only by being handed over", rule 3, and
 * "Informed and blind"). Pure questions to the picture.
 */
import type { Generations, Tenure } from './generations.js'

export interface Instead {
  node: number
  /** The generation in which the absent node should have taken from `node`, and the one before it. */
  generation: number
  before: number
}

/**
 * The node from which the absent source of `tenure` should have taken: if it was there all through the source's tenure and
 * still holds the key, it never handed it over and is the authority. Null: nobody can be asked.
 */
export function askInstead(generations: Generations, arc: number, { source, before }: Tenure): Instead | null {
  if (source === null) return null
  const theirs = generations.tenure(source, before, arc)
  if (theirs.source === null) return null
  // The source may have begun without it, blind, and may have written since (case 12).
  if (generations.wasAway(theirs.source, theirs.start, before, 'some')) return null
  if (generations.isAwayNow(theirs.source)) return null
  // That one may have been blind itself when it was asked, and know the key only since then, while the source has written.
  const wasAway = (node: number) => generations.wasAway(node, theirs.start, before, 'some')
  if (generations.heldBackBy(theirs.source, theirs.before, arc, wasAway) !== null) return null
  return { node: theirs.source, generation: theirs.start, before: theirs.before }
}

/**
 * May `self`, in its tenure that reaches `epoch`, have written a key of the arc while somebody who might know it was away, and have no record
 * of that, because one of the logs that `isLossy` names lacks something?
 */
export function mayHaveLost(
  generations: Generations,
  self: number,
  epoch: number,
  arc: number,
  isLossy: (home: number) => boolean,
): boolean {
  const { start } = generations.tenure(self, epoch, arc)
  const wasAway = (node: number) => isLossy(node) && generations.wasAway(node, start, epoch, 'some')
  return generations.heldBackBy(self, epoch, arc, wasAway) !== null
}

/**
 * `self`, the actor of `epoch`, stood in for `taker` all through its tenure and never could ask it: the epoch as of which
 * only `taker` itself knows what `self` does not. Null: it was not so.
 */
export function isKeptForTaker(
  generations: Generations,
  taker: number,
  self: number,
  epoch: number,
  arc: number,
): number | null {
  const { start, source, before } = generations.tenure(self, epoch, arc)
  return source === taker && generations.wasAway(taker, start, epoch, 'every') ? before : null
}
