/** From servers to sorted points. Invariant: values ascend; among equal values the earlier server comes first. */
import { createHash } from 'node:crypto'
import type { DialectRules, RingServer } from './dialects.js'

export interface Points {
  /** Ascending 32-bit positions. */
  readonly values: Uint32Array
  /** owners[i]: index of the server of values[i]. */
  readonly owners: Uint16Array
}

/** md5 word 0, little endian: the position of a key. */
export function md5Point(key: string | Uint8Array): number {
  return createHash('md5').update(key).digest().readUInt32LE(0)
}

export function buildPoints(servers: readonly RingServer[], rules: DialectRules, perServer: number): Points {
  if (servers.length === 1 && rules.single === 'no hashing') {
    return { values: Uint32Array.of(0xffffffff), owners: Uint16Array.of(0) }
  }
  let total = 0
  for (const server of servers) total += server.weight ?? 1
  const packed: number[] = [] // value * 65536 + owner: sorts by value, then by place in the list
  servers.forEach((server, owner) => {
    const label = rules.label(server)
    const digests = rules.digests(server.weight ?? 1, total, servers.length, perServer)
    for (let i = 0; i < digests; i++) {
      const digest = createHash('md5').update(`${label}-${i}`).digest()
      for (let word = 0; word < 16; word += 4) packed.push(digest.readUInt32LE(word) * 65536 + owner)
    }
  })
  const sorted = Float64Array.from(packed).sort()
  return {
    values: Uint32Array.from(sorted, both => Math.floor(both / 65536)),
    owners: Uint16Array.from(sorted, both => both % 65536),
  }
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
