/**
 * Word 0 (little endian) of the md5 of four keys at once, one in each lane of a vector; for the many keys of one get. What a step of md5
 * costs is waiting for the step before, so four cost hardly more than one (md5.ts, which has RFC 1321's numbers and keys of any length).
 *
 *   md5Block:  word 0 of each lane | word 1 of each lane | ... | word 15      and then the results, one a lane
 */
import { md5Block } from './layout'
import { SINES } from './md5'

/** With the bit behind the key and its length a block is full. */
export const LANE_KEY_MAX: u32 = 55
const RESULTS: u32 = 256

/** Lane 0 to 3 gets this key. */
// @ts-ignore: decorator
@inline
export function putLane(lane: u32, key: u32, length: u32): void {
  const words = md5Block + (lane << 2)
  const end = words + ((length & ~3) << 2)
  const tail = (length & 3) << 3
  let at = words
  for (; at < end; at += 16) {
    store<u32>(at, load<u32>(key))
    key += 4
  }
  store<u32>(at, (load<u32>(key) & ((1 << tail) - 1)) | (0x80 << tail))
  for (at += 16; at < words + 256; at += 16) store<u32>(at, 0)
  store<u32>(words, length << 3, 14 << 4)
}

export function laneResult(lane: u32): u32 {
  return load<u32>(md5Block + RESULTS + (lane << 2))
}

// @ts-ignore: decorator
@inline
function step(mix: v128, a: v128, b: v128, word: u32, index: u32, shift: u32): v128 {
  const known = i32x4.add(a, i32x4.add(v128.load(md5Block + ((word & 15) << 4)), v128.load_splat<u32>(SINES + (index << 2))))
  const sum = i32x4.add(known, mix)
  return i32x4.add(b, v128.or(i32x4.shl(sum, shift), i32x4.shr_u(sum, 32 - shift)))
}

// @ts-ignore: decorator
@inline
function mixF(b: v128, c: v128, d: v128): v128 {
  return v128.xor(d, v128.and(b, v128.xor(c, d)))
}

// @ts-ignore: decorator
@inline
function mixH(b: v128, c: v128, d: v128): v128 {
  return v128.xor(b, v128.xor(c, d))
}

// @ts-ignore: decorator
@inline
function mixI(b: v128, c: v128, d: v128): v128 {
  return v128.xor(c, v128.or(b, v128.not(d)))
}

/** Hashes what the lanes have; keys that were not put there anew are hashed again. */
export function hashLanes(): void {
  let a = i32x4.splat(0x67452301)
  let b = i32x4.splat(0xefcdab89)
  let c = i32x4.splat(0x98badcfe)
  let d = i32x4.splat(0x10325476)
  for (let i: u32 = 0; i < 16; i += 4) {
    a = step(mixF(b, c, d), a, b, i, i, 7)
    d = step(mixF(a, b, c), d, a, i + 1, i + 1, 12)
    c = step(mixF(d, a, b), c, d, i + 2, i + 2, 17)
    b = step(mixF(c, d, a), b, c, i + 3, i + 3, 22)
  }
  for (let i: u32 = 16; i < 32; i += 4) {
    a = step(mixF(d, b, c), a, b, 5 * i + 1, i, 5)
    d = step(mixF(c, a, b), d, a, 5 * i + 6, i + 1, 9)
    c = step(mixF(b, d, a), c, d, 5 * i + 11, i + 2, 14)
    b = step(mixF(a, c, d), b, c, 5 * i + 16, i + 3, 20)
  }
  for (let i: u32 = 32; i < 48; i += 4) {
    a = step(mixH(b, c, d), a, b, 3 * i + 5, i, 4)
    d = step(mixH(a, b, c), d, a, 3 * i + 8, i + 1, 11)
    c = step(mixH(d, a, b), c, d, 3 * i + 11, i + 2, 16)
    b = step(mixH(c, d, a), b, c, 3 * i + 14, i + 3, 23)
  }
  for (let i: u32 = 48; i < 64; i += 4) {
    a = step(mixI(b, c, d), a, b, 7 * i, i, 6)
    d = step(mixI(a, b, c), d, a, 7 * i + 7, i + 1, 10)
    c = step(mixI(d, a, b), c, d, 7 * i + 14, i + 2, 15)
    b = step(mixI(c, d, a), b, c, 7 * i + 21, i + 3, 21)
  }
  v128.store(md5Block + RESULTS, i32x4.add(a, i32x4.splat(0x67452301)))
}
