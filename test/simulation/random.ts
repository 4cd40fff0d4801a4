/** Randomness that a seed decides alone. */

/** Numbers from 0 to 1, excluding 1. */
export function mulberry(seed: number): () => number {
  let s = seed >>> 0
  return () => {
    s = (s + 0x6d2b79f5) >>> 0
    let t = s
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/**
 * A generator of its own for one event of a history, so that leaving out another one does not change what this one does:
 * that is what makes a failing history shrink.
 */
export function drawnFor(seed: number, what: number, when: number): () => number {
  let mixed = seed >>> 0
  for (const part of [what, when]) {
    mixed = Math.imul(mixed ^ (part + 0x9e3779b9), 0x85ebca6b)
    mixed ^= mixed >>> 13
  }
  return mulberry(mixed)
}
