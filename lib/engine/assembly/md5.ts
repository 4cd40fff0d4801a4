/**
 * Word 0 (little endian) of the md5 of a key: its position on the ring. RFC 1321; keys are at most 250 bytes, so five
 * blocks.
 */
import { md5Block } from './layout'
import { copy } from './item'

// @ts-ignore: decorator
@lazy
export const SINES: usize = memory.data<u32>([
  0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
  0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
  0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
  0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
  0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
  0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
  0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
  0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391
])

/** State after the blocks so far. */
let a0: u32 = 0
let b0: u32 = 0
let c0: u32 = 0
let d0: u32 = 0

export function md5Word0(key: u32, length: u32): u32 {
  a0 = 0x67452301
  b0 = 0xefcdab89
  c0 = 0x98badcfe
  d0 = 0x10325476
  const blocks = (length + 8) / 64 + 1
  const total = blocks << 6
  copy(md5Block, key, length)
  memory.fill(md5Block + length, 0, total - length)
  store<u8>(md5Block + length, 0x80)
  store<u32>(md5Block + total - 8, length << 3)
  for (let block: u32 = 0; block < blocks; block++) transform(md5Block + (block << 6))
  return a0
}

// @ts-ignore: decorator
@inline
function step(mix: u32, a: u32, b: u32, word: u32, index: u32, shift: u32): u32 {
  return b + rotl<u32>(a + mix + word + load<u32>(SINES + (index << 2)), shift)
}

/** Four steps a turn of each loop: the shifts repeat after four. */
function transform(block: u32): void {
  let a = a0
  let b = b0
  let c = c0
  let d = d0
  for (let i: u32 = 0; i < 16; i += 4) {
    a = step((b & c) | (~b & d), a, b, load<u32>(block + (i << 2)), i, 7)
    d = step((a & b) | (~a & c), d, a, load<u32>(block + (i << 2), 4), i + 1, 12)
    c = step((d & a) | (~d & b), c, d, load<u32>(block + (i << 2), 8), i + 2, 17)
    b = step((c & d) | (~c & a), b, c, load<u32>(block + (i << 2), 12), i + 3, 22)
  }
  for (let i: u32 = 16; i < 32; i += 4) {
    a = step((b & d) | (c & ~d), a, b, word(block, 5 * i + 1), i, 5)
    d = step((a & c) | (b & ~c), d, a, word(block, 5 * i + 6), i + 1, 9)
    c = step((d & b) | (a & ~b), c, d, word(block, 5 * i + 11), i + 2, 14)
    b = step((c & a) | (d & ~a), b, c, word(block, 5 * i + 16), i + 3, 20)
  }
  for (let i: u32 = 32; i < 48; i += 4) {
    a = step(b ^ c ^ d, a, b, word(block, 3 * i + 5), i, 4)
    d = step(a ^ b ^ c, d, a, word(block, 3 * i + 8), i + 1, 11)
    c = step(d ^ a ^ b, c, d, word(block, 3 * i + 11), i + 2, 16)
    b = step(c ^ d ^ a, b, c, word(block, 3 * i + 14), i + 3, 23)
  }
  for (let i: u32 = 48; i < 64; i += 4) {
    a = step(c ^ (b | ~d), a, b, word(block, 7 * i), i, 6)
    d = step(b ^ (a | ~c), d, a, word(block, 7 * i + 7), i + 1, 10)
    c = step(a ^ (d | ~b), c, d, word(block, 7 * i + 14), i + 2, 15)
    b = step(d ^ (c | ~a), b, c, word(block, 7 * i + 21), i + 3, 21)
  }
  a0 += a
  b0 += b
  c0 += c
  d0 += d
}

// @ts-ignore: decorator
@inline
function word(block: u32, index: u32): u32 {
  return load<u32>(block + ((index & 15) << 2))
}
