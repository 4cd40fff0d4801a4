/**
 * From servers to sorted points, and the search among them.
 *
 *   values   ascending       | 12 | 90 | 90 | 400 | ...      Uint32Array
 *   owners   of each value   |  2 |  0 |  1 |   2 | ...      Uint16Array, index of the server
 *
 * Invariant: the first of several equal values is the one that owns the position (see Ties in rules.ts).
 */
import { RingError } from './errors.js'
import { SLOT_WIDTH, SLOTS } from './key-hashes.js'
import type { DialectRules } from './rules.js'
import type { RingServer } from './server.js'

export interface Points {
  /** Ascending 32-bit positions. */
  readonly values: Uint32Array
  /** owners[i]: index of the server of values[i]. */
  readonly owners: Uint16Array
}

/** 16,777,216 points are 100 MB and a second; weights that ask for more are a mistake. */
export const POINTS_MAX = 2 ** 24

/** Throws BAD_POINTS if there would be more than POINTS_MAX. */
export function buildPoints(servers: readonly RingServer[], rules: DialectRules, perServer: number): Points {
  if (servers.length === 1 && rules.single === 'no hashing') {
    return { values: Uint32Array.of(0xffffffff), owners: Uint16Array.of(0) }
  }
  const { layout, place } = rules
  const labels = servers.map(server => rules.label(server))
  const counts = hashCounts(servers, rules, perServer)
  const total = counts.reduce((sum, count) => sum + count, 0) * layout.perHash
  const raw = new Uint32Array(total)
  const packed = new Float64Array(total) // position * 65536 + rank: sorts by position, then by who wins a tie
  const ranked = ranks(rules, labels)
  let at = 0
  servers.forEach((server, owner) => {
    const end = at + counts[owner]! * layout.perHash
    layout.write(raw, at, counts[owner]!, labels[owner]!, server)
    for (; at < end; at++) packed[at] = (place ? place(raw[at]!) : raw[at]!) * 65536 + ranked[owner]!
  })
  packed.sort()
  const points = unpack(packed, ranked)
  if (rules.ties === 'later') return withoutLosers(points)
  if (rules.ties === 'later twice') giveToWinners(points)
  return rules.kind === 'slots' ? slots(points) : points
}

/** How many texts each server has hashed. */
export function hashCounts(servers: readonly RingServer[], rules: DialectRules, perServer: number): number[] {
  let total = 0
  for (const server of servers) total += server.weight ?? 1
  const counts = servers.map(({ weight = 1 }) =>
    rules.count(weight, total, servers.length, perServer, rules.layout.perHash),
  )
  const points = counts.reduce((sum, count) => sum + count, 0) * rules.layout.perHash
  if (points > POINTS_MAX) {
    throw new RingError('BAD_POINTS', `these weights ask for ${points} points: at most ${POINTS_MAX}`)
  }
  return counts
}

/** rank[server]: the lower one wins a tie. */
function ranks({ ties }: DialectRules, labels: readonly string[]): Uint16Array {
  const order = labels.map((_, server) => server)
  if (ties === 'later' || ties === 'later twice') order.reverse()
  if (ties === 'label') order.sort((a, b) => byLabel(labels[a]!, labels[b]!) || a - b)
  const rank = new Uint16Array(labels.length)
  order.forEach((server, place) => {
    rank[server] = place
  })
  return rank
}

/** Shorter first, then by bytes. */
function byLabel(a: string, b: string): number {
  const [left, right] = [encoder.encode(a), encoder.encode(b)]
  if (left.length !== right.length) return left.length - right.length
  const at = left.findIndex((byte, i) => byte !== right[i])
  return at < 0 ? 0 : left[at]! - right[at]!
}
const encoder = new TextEncoder()

function unpack(packed: Float64Array, ranked: Uint16Array): Points {
  const server = new Uint16Array(ranked.length)
  ranked.forEach((rank, owner) => {
    server[rank] = owner
  })
  const values = new Uint32Array(packed.length)
  const owners = new Uint16Array(packed.length)
  for (let i = 0; i < packed.length; i++) {
    const both = packed[i]!
    values[i] = both / 65536 // cut to a whole number
    owners[i] = server[both % 65536]!
  }
  return { values, owners }
}

function withoutLosers({ values, owners }: Points): Points {
  const isFirst = (_: number, i: number) => i === 0 || values[i] !== values[i - 1]
  return { owners: owners.filter(isFirst), values: values.filter(isFirst) }
}

function giveToWinners({ values, owners }: Points): void {
  for (let i = 1; i < values.length; i++) if (values[i] === values[i - 1]) owners[i] = owners[i - 1]!
}

/** pecl memcache: slot s belongs to the first point at or after s * floor(2^32 / 1024); it becomes the s-th arc. */
function slots(points: Points): Points {
  const owners = new Uint16Array(SLOTS)
  for (let slot = 0; slot < SLOTS; slot++) owners[slot] = points.owners[search(points.values, slot * 4194303)]!
  return { owners, values: Uint32Array.from(owners, (_, slot) => (slot + 1) * SLOT_WIDTH - 1) }
}

/** Index of the first point >= hash; past the end, the first point of the ring. */
export function search(values: Uint32Array, hash: number): number {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! < hash) low = middle + 1
    else high = middle
  }
  return low === values.length ? 0 : low
}
