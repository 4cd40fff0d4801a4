/** How much of the circle each server owns, beside what it should. */
import type { Points } from './points.js'
import type { DialectRules } from './rules.js'
import type { RingServer } from './server.js'

export interface Share<Server extends RingServer = RingServer> {
  server: Server
  points: number
  /** Part of the circle, 0..1: the share of evenly hashed keys that the server gets. */
  share: number
  /** What its weight asks for, 0..1; equal parts in a dialect without weights. */
  ideal: number
}

const CIRCLE = 2 ** 32

export function spreadOf<Server extends RingServer>(
  servers: readonly Server[],
  { values, owners }: Points,
  rules: DialectRules,
): Share<Server>[] {
  const points = new Uint32Array(servers.length)
  const lengths = new Float64Array(servers.length)
  let from = values.at(-1)! - CIRCLE
  for (let i = 0; i < values.length; i++) {
    points[owners[i]!]!++
    lengths[owners[i]!]! += values[i]! - from
    from = values[i]!
  }
  const weightOf = (server: RingServer) => (rules.weighted ? (server.weight ?? 1) : 1)
  const total = servers.reduce((sum, server) => sum + weightOf(server), 0)
  return servers.map((server, index) => ({
    server,
    points: points[index]!,
    share: lengths[index]! / CIRCLE,
    ideal: weightOf(server) / total,
  }))
}
