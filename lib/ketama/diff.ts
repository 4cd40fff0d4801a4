/** The arcs that change owner between two rings, merged where neighbours change alike: one walk over both lists of points. */
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
export function diffRings(before: Side, after: Side): Arc[] {
  const [old, now] = [before.points(), after.points()]
  const sameAs = matchServers(before.servers, after.servers)
  const arcs: Arc[] = []
  let [i, j] = [0, 0]
  let from = Math.max(old.values.at(-1)!, now.values.at(-1)!)
  while (i < old.values.length || j < now.values.length) {
    const left = i < old.values.length ? old.values[i]! : CIRCLE
    const right = j < now.values.length ? now.values[j]! : CIRCLE
    const to = Math.min(left, right)
    const oldOwner = old.owners[left === CIRCLE ? 0 : i]!
    const newOwner = now.owners[right === CIRCLE ? 0 : j]!
    if (sameAs[newOwner] !== oldOwner) {
      add(arcs, from, to, before.servers[oldOwner]!, after.servers[newOwner]!)
    }
    while (i < old.values.length && old.values[i] === to) i++
    while (j < now.values.length && now.values[j] === to) j++
    from = to
  }
  return arcs
}

function add(arcs: Arc[], from: number, to: number, before: RingServer, after: RingServer): void {
  const share = (from < to ? to - from : to - from + CIRCLE) / CIRCLE
  const last = arcs.length > 0 ? arcs[arcs.length - 1]! : null
  if (last !== null && last.to === from && last.before === before && last.after === after) {
    last.to = to
    last.share += share
  } else arcs.push({ from, to, before, after, share })
}
