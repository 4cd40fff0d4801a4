/** Numbers that a seed decides: the same seed draws the same keys, values and order of requests. */

/** mulberry32: 0 <= number < 1. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** 32 bits of three integers, well mixed. */
export function mix(a: number, b: number, c: number): number {
  let hash = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b)
  for (const part of [b, c]) {
    hash = Math.imul(hash ^ part ^ (hash >>> 15), 0xc2b2ae35)
    hash ^= hash >>> 13
    hash = Math.imul(hash, 0x27d4eb2f)
  }
  return (hash ^ (hash >>> 16)) >>> 0
}
