/**
 * uhashring without options: not ketama. Points and keys are whole md5s, 128-bit big-endian numbers; the owner is the
 * first point strictly after the key. The ring shows their first 32 bits; a key is looked up by all of them.
 */
import { md5 } from './hash/md5.js'
import { hashCounts, type Points, search } from './points.js'
import type { DialectRules } from './rules.js'
import type { RingServer } from './server.js'

export interface WidePoints extends Points {
  /** Four words a point, the most significant first. */
  readonly words: Uint32Array
}

/** The md5 as four big-endian words. */
function wideHash(text: string | Uint8Array, words: Uint32Array, at: number): void {
  const digest = md5(text)
  for (let i = 0; i < 4; i++) {
    const word = digest[i]!
    words[at + i] = (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
  }
}

const compare = (a: Uint32Array, i: number, b: Uint32Array, j: number): number => {
  for (let word = 0; word < 4; word++) if (a[i + word] !== b[j + word]) return a[i + word]! - b[j + word]!
  return 0
}

export function buildWide(servers: readonly RingServer[], rules: DialectRules, perServer: number): WidePoints {
  // Its points are made one a hash, whatever the layout of the row says.
  const counts = hashCounts(servers, { ...rules, layout: { ...rules.layout, perHash: 1 } }, perServer)
  const total = counts.reduce((sum, count) => sum + count, 0)
  const made = new Uint32Array(total * 4)
  const owner = new Uint16Array(total)
  let at = 0
  servers.forEach((server, index) => {
    const label = rules.label(server)
    for (let i = 0; i < counts[index]!; i++, at++) {
      wideHash(`${label}-${i}`, made, at * 4)
      owner[at] = index
    }
  })
  const order = Uint32Array.from(owner.keys()).sort(
    (a, b) => compare(made, a * 4, made, b * 4) || owner[b]! - owner[a]!,
  )
  return {
    values: Uint32Array.from(order, point => made[point * 4]!),
    owners: Uint16Array.from(order, point => owner[point]!),
    words: Uint32Array.from({ length: total * 4 }, (_, i) => made[order[i >> 2]! * 4 + (i & 3)]!),
  }
}

/** The first 32 bits of a key's hash. */
export function wideKey(key: string | Uint8Array): number {
  wideHash(key, asked, 0)
  return asked[0]!
}
const asked = new Uint32Array(4)

/** Index of the server that owns the key. */
export function wideOwner({ values, owners, words }: WidePoints, key: string | Uint8Array): number {
  const hash = wideKey(key)
  let point = search(values, hash)
  if (values[point]! < hash) return owners[0]!
  while (point < values.length && values[point] === hash && compare(words, point * 4, asked, 0) <= 0) point++
  return owners[point % values.length]!
}
