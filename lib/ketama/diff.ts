/** The arcs that change owner between two rings, merged where neighbours change alike. */
import type { RingServer } from './dialects.js'
import type { Ring } from './ring.js'

export interface Arc {
  /** Positions from < hash <= to; an arc with from >= to wraps around 0 (from === to: the whole circle). */
  from: number
  to: number
  before: RingServer
  after: RingServer
  /** Part of the circle, 0..1. */
  share: number
}

const CIRCLE = 2 ** 32
const sameServer = (a: RingServer, b: RingServer): boolean => a.host === b.host && a.port === b.port

export function diffRings(before: Ring, after: Ring): Arc[] {
  const ends = Uint32Array.from(new Set([...before.points().values, ...after.points().values])).sort()
  const arcs: Arc[] = []
  let from = ends.at(-1)!
  for (const to of ends) {
    const old = before.servers[before.indexAt(to)]!
    const now = after.servers[after.indexAt(to)]!
    if (!sameServer(old, now)) {
      const length = from < to ? to - from : to - from + CIRCLE
      const last = arcs.at(-1)
      if (last && last.to === from && sameServer(last.before, old) && sameServer(last.after, now)) {
        last.to = to
        last.share += length / CIRCLE
      } else arcs.push({ from, to, before: old, after: now, share: length / CIRCLE })
    }
    from = to
  }
  return arcs
}
