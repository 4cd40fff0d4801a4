/**
 * Makes a failing history small: fewer nodes, fewer steps, fewer kinds of faults, fewer keys, fewer disturbances, fewer requests, as
 * long as it still fails in some way. Every event draws its own numbers (random.ts), so most of them can go without a change
 * to the others. Bounded by a number of histories.
 */
import { type Cut, FAULTS, type FaultName, type History, type HistoryOptions } from './handoff.js'

export interface Shrunk {
  options: HistoryOptions
  history: History
  /** Histories that were run. */
  tried: number
}

type Play = (options: HistoryOptions) => History

/** `play` with `options` must fail. Never takes more than `limit` histories. */
export function shrink(play: Play, options: HistoryOptions, limit = 400): Shrunk {
  const cut: Cut = { calm: new Set(), silent: new Set(), keys: new Set(), fewerNodes: false }
  let best = { ...options, cut }
  let history = play(best)
  let tried = 1
  const attempt = (change: Partial<HistoryOptions>): boolean => {
    if (tried >= limit) return false
    tried++
    const next = { ...best, ...change, cut: { ...best.cut, ...change.cut } }
    const result = play(next)
    if (result.violations.length === 0) return false
    best = next
    history = result
    return true
  }
  const attemptCut = (change: Partial<Cut>) => attempt({ cut: { ...best.cut, ...change } })

  attempt({ steps: Math.min(best.steps ?? Number.POSITIVE_INFINITY, history.steps) })
  attemptCut({ fewerNodes: true })
  for (const fault of FAULTS) {
    const without: FaultName[] = [...(best.without ?? []), fault]
    attempt({ without })
  }
  const keys = [...new Set(history.requested.map(({ key }) => key))]
  leaveOut(keys, left => attemptCut({ keys: new Set([...best.cut.keys, ...left]) }))
  leaveOut(history.disturbed, left => attemptCut({ calm: new Set([...best.cut.calm, ...left]) }))
  const requested = history.requested.map(({ step }) => step)
  leaveOut(requested, left => attemptCut({ silent: new Set([...best.cut.silent, ...left]) }))
  leaveOut(history.disturbed, left => attemptCut({ calm: new Set([...best.cut.calm, ...left]) }))
  return { options: best, history, tried }
}

/** Parts of the list, large ones first, each for good when `without` says that it can go. */
function leaveOut<T>(list: readonly T[], without: (part: readonly T[]) => boolean): void {
  let left = [...list]
  for (
    let size = Math.ceil(left.length / 2);
    size >= 1 && left.length > 0;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < left.length; ) {
      const part = left.slice(at, at + size)
      if (without(part)) left = [...left.slice(0, at), ...left.slice(at + size)]
      else at += size
    }
  }
}
