/** The arcs that change owner between two rings, merged where neighbours change alike: one walk over both lists of points. */
import { lazyArray } from './lazy-array.js'
import type { Points } from './points.js'
import { matchServers, type RingServer } from './server.js'

export interface Arc {
  /** Positions from < hash <= to; an arc with from >= to wraps around 0 (from === to: the whole circle). */
  from: number
  to: number
  before: RingServer
  after: RingServer
  /** Part of the circle, 0..1. */
  share: number
}

/** The same arcs as columns, for rings of many servers: `before` and `after` are indexes of the servers of each ring. */
export interface ArcColumns {
  readonly from: Uint32Array
  readonly to: Uint32Array
  readonly before: Uint16Array
  readonly after: Uint16Array
}

export interface Side {
  readonly servers: readonly RingServer[]
  points(): Points
}

const CIRCLE = 2 ** 32

/**
 *   before   ......B......B.......C....
 *   after    ......B...D..........C....      the next point of either list ends a piece; its owners are the owners of
 *                      ^^^^                  the first points at or after it, the wrapped first ones past the last
 */
export function diffColumns(before: Side, after: Side): ArcColumns {
  const [old, now] = [before.points(), after.points()]
  const [oldEnd, newEnd] = [old.values.length, now.values.length]
  const sameAs = matchServers(before.servers, after.servers)
  const from = new Uint32Array(oldEnd + newEnd)
  const to = new Uint32Array(oldEnd + newEnd)
  const oldOwners = new Uint16Array(oldEnd + newEnd)
  const newOwners = new Uint16Array(oldEnd + newEnd)
  let [count, i, j] = [0, 0, 0]
  let start = Math.max(old.values[oldEnd - 1]!, now.values[newEnd - 1]!)
  while (i < oldEnd || j < newEnd) {
    const end = Math.min(i < oldEnd ? old.values[i]! : CIRCLE, j < newEnd ? now.values[j]! : CIRCLE)
    const oldOwner = old.owners[i < oldEnd ? i : 0]!
    const newOwner = now.owners[j < newEnd ? j : 0]!
    if (sameAs[newOwner] !== oldOwner) {
      const last = count - 1
      if (count > 0 && to[last] === start && oldOwners[last] === oldOwner && newOwners[last] === newOwner)
        to[last] = end
      else {
        from[count] = start
        to[count] = end
        oldOwners[count] = oldOwner
        newOwners[count] = newOwner
        count++
      }
    }
    while (i < oldEnd && old.values[i] === end) i++
    while (j < newEnd && now.values[j] === end) j++
    start = end
  }
  const cut = { from: from.subarray(0, count), to: to.subarray(0, count) }
  return { ...cut, before: oldOwners.subarray(0, count), after: newOwners.subarray(0, count) }
}

/** Part of the circle of (from, to], 0..1. */
export const arcShare = (from: number, to: number): number => (from < to ? to - from : to - from + CIRCLE) / CIRCLE

/** Up to so many arcs (a server more beside thousands makes fewer) are plain objects at once, which takes a few milliseconds. */
const PLAIN_MAX = 20_000

export function diffArcs(before: Side, after: Side): Arc[] {
  const columns = diffColumns(before, after)
  const { length } = columns.to
  const arc = (index: number): Arc => {
    const from = columns.from[index]!
    const to = columns.to[index]!
    const old = before.servers[columns.before[index]!]!
    const now = after.servers[columns.after[index]!]!
    return { from, to, before: old, after: now, share: arcShare(from, to) }
  }
  return length > PLAIN_MAX ? lazyArray(length, arc) : Array.from({ length }, (_, index) => arc(index))
}
