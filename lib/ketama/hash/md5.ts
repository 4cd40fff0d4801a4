/**
 * md5 (RFC 1321) of short texts, for points and keys: nothing is allocated, and nothing of Node is needed, so that a ring
 * also works in a browser. Not for secrets. The answer stays in one shared array until the next call.
 */
import { scratch, utf8 } from './utf8.js'

/** The 16 words of the block at hand, and the state: words 0..3 of the digest, little endian, signed. */
const block = new Int32Array(16)
const state = new Int32Array(4)

/** Word 0 of the digest as an unsigned 32-bit number: the position of a key in most dialects. */
export function md5Word(text: string | Uint8Array): number {
  return md5(text)[0]! >>> 0
}

/** The four words of the digest, little endian, as signed 32-bit numbers; valid until the next call. */
export function md5(text: string | Uint8Array): Int32Array {
  if (typeof text !== 'string') return md5Bytes(text, text.length)
  return md5Ascii(text) ? state : md5Scratch(text)
}

function md5Scratch(text: string): Int32Array {
  const length = utf8(text)
  return md5Bytes(scratch.bytes, length)
}

/** False, and no digest, if the text is not ASCII. Four characters are one word. */
function md5Ascii(text: string): boolean {
  const length = text.length
  let at = 0
  let word = 0
  let seen = 0
  start()
  for (; at + 4 <= length; at += 4) {
    const c0 = text.charCodeAt(at)
    const c1 = text.charCodeAt(at + 1)
    const c2 = text.charCodeAt(at + 2)
    const c3 = text.charCodeAt(at + 3)
    seen |= c0 | c1 | c2 | c3
    block[word++] = c0 | (c1 << 8) | (c2 << 16) | (c3 << 24)
    if (word === 16) {
      compress()
      word = 0
    }
  }
  let tail = 0
  let shift = 0
  for (; at < length; at++, shift += 8) {
    const code = text.charCodeAt(at)
    seen |= code
    tail |= code << shift
  }
  if (seen > 127) return false
  finish(word, tail | (0x80 << shift), length)
  return true
}

function md5Bytes(bytes: Uint8Array, length: number): Int32Array {
  let at = 0
  let word = 0
  start()
  for (; at + 4 <= length; at += 4) {
    block[word++] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    if (word === 16) {
      compress()
      word = 0
    }
  }
  let tail = 0
  let shift = 0
  for (; at < length; at++, shift += 8) tail |= bytes[at]! << shift
  finish(word, tail | (0x80 << shift), length)
  return state
}

function start(): void {
  state[0] = 0x67452301
  state[1] = 0xefcdab89
  state[2] = 0x98badcfe
  state[3] = 0x10325476
}

/** RFC 1321, 3.1 and 3.2: a one bit, zeros, the length in bits. */
function finish(words: number, tail: number, length: number): void {
  let word = words
  block[word++] = tail
  if (word > 14) {
    while (word < 16) block[word++] = 0
    compress()
    word = 0
  }
  while (word < 14) block[word++] = 0
  block[14] = length << 3
  block[15] = length >>> 29
  compress()
}

/** RFC 1321, 3.4; in each sum the newest word comes last, so that the rest need not wait for it. */
function compress(): void {
  const m0 = block[0]!
  const m1 = block[1]!
  const m2 = block[2]!
  const m3 = block[3]!
  const m4 = block[4]!
  const m5 = block[5]!
  const m6 = block[6]!
  const m7 = block[7]!
  const m8 = block[8]!
  const m9 = block[9]!
  const m10 = block[10]!
  const m11 = block[11]!
  const m12 = block[12]!
  const m13 = block[13]!
  const m14 = block[14]!
  const m15 = block[15]!
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  a = (a + m0 + 0xd76aa478 + (d ^ (b & (c ^ d)))) | 0
  a = (((a << 7) | (a >>> 25)) + b) | 0
  d = (d + m1 + 0xe8c7b756 + (c ^ (a & (b ^ c)))) | 0
  d = (((d << 12) | (d >>> 20)) + a) | 0
  c = (c + m2 + 0x242070db + (b ^ (d & (a ^ b)))) | 0
  c = (((c << 17) | (c >>> 15)) + d) | 0
  b = (b + m3 + 0xc1bdceee + (a ^ (c & (d ^ a)))) | 0
  b = (((b << 22) | (b >>> 10)) + c) | 0
  a = (a + m4 + 0xf57c0faf + (d ^ (b & (c ^ d)))) | 0
  a = (((a << 7) | (a >>> 25)) + b) | 0
  d = (d + m5 + 0x4787c62a + (c ^ (a & (b ^ c)))) | 0
  d = (((d << 12) | (d >>> 20)) + a) | 0
  c = (c + m6 + 0xa8304613 + (b ^ (d & (a ^ b)))) | 0
  c = (((c << 17) | (c >>> 15)) + d) | 0
  b = (b + m7 + 0xfd469501 + (a ^ (c & (d ^ a)))) | 0
  b = (((b << 22) | (b >>> 10)) + c) | 0
  a = (a + m8 + 0x698098d8 + (d ^ (b & (c ^ d)))) | 0
  a = (((a << 7) | (a >>> 25)) + b) | 0
  d = (d + m9 + 0x8b44f7af + (c ^ (a & (b ^ c)))) | 0
  d = (((d << 12) | (d >>> 20)) + a) | 0
  c = (c + m10 + 0xffff5bb1 + (b ^ (d & (a ^ b)))) | 0
  c = (((c << 17) | (c >>> 15)) + d) | 0
  b = (b + m11 + 0x895cd7be + (a ^ (c & (d ^ a)))) | 0
  b = (((b << 22) | (b >>> 10)) + c) | 0
  a = (a + m12 + 0x6b901122 + (d ^ (b & (c ^ d)))) | 0
  a = (((a << 7) | (a >>> 25)) + b) | 0
  d = (d + m13 + 0xfd987193 + (c ^ (a & (b ^ c)))) | 0
  d = (((d << 12) | (d >>> 20)) + a) | 0
  c = (c + m14 + 0xa679438e + (b ^ (d & (a ^ b)))) | 0
  c = (((c << 17) | (c >>> 15)) + d) | 0
  b = (b + m15 + 0x49b40821 + (a ^ (c & (d ^ a)))) | 0
  b = (((b << 22) | (b >>> 10)) + c) | 0
  a = (a + m1 + 0xf61e2562 + (~d & c) + (d & b)) | 0
  a = (((a << 5) | (a >>> 27)) + b) | 0
  d = (d + m6 + 0xc040b340 + (~c & b) + (c & a)) | 0
  d = (((d << 9) | (d >>> 23)) + a) | 0
  c = (c + m11 + 0x265e5a51 + (~b & a) + (b & d)) | 0
  c = (((c << 14) | (c >>> 18)) + d) | 0
  b = (b + m0 + 0xe9b6c7aa + (~a & d) + (a & c)) | 0
  b = (((b << 20) | (b >>> 12)) + c) | 0
  a = (a + m5 + 0xd62f105d + (~d & c) + (d & b)) | 0
  a = (((a << 5) | (a >>> 27)) + b) | 0
  d = (d + m10 + 0x02441453 + (~c & b) + (c & a)) | 0
  d = (((d << 9) | (d >>> 23)) + a) | 0
  c = (c + m15 + 0xd8a1e681 + (~b & a) + (b & d)) | 0
  c = (((c << 14) | (c >>> 18)) + d) | 0
  b = (b + m4 + 0xe7d3fbc8 + (~a & d) + (a & c)) | 0
  b = (((b << 20) | (b >>> 12)) + c) | 0
  a = (a + m9 + 0x21e1cde6 + (~d & c) + (d & b)) | 0
  a = (((a << 5) | (a >>> 27)) + b) | 0
  d = (d + m14 + 0xc33707d6 + (~c & b) + (c & a)) | 0
  d = (((d << 9) | (d >>> 23)) + a) | 0
  c = (c + m3 + 0xf4d50d87 + (~b & a) + (b & d)) | 0
  c = (((c << 14) | (c >>> 18)) + d) | 0
  b = (b + m8 + 0x455a14ed + (~a & d) + (a & c)) | 0
  b = (((b << 20) | (b >>> 12)) + c) | 0
  a = (a + m13 + 0xa9e3e905 + (~d & c) + (d & b)) | 0
  a = (((a << 5) | (a >>> 27)) + b) | 0
  d = (d + m2 + 0xfcefa3f8 + (~c & b) + (c & a)) | 0
  d = (((d << 9) | (d >>> 23)) + a) | 0
  c = (c + m7 + 0x676f02d9 + (~b & a) + (b & d)) | 0
  c = (((c << 14) | (c >>> 18)) + d) | 0
  b = (b + m12 + 0x8d2a4c8a + (~a & d) + (a & c)) | 0
  b = (((b << 20) | (b >>> 12)) + c) | 0
  a = (a + m5 + 0xfffa3942 + (c ^ d ^ b)) | 0
  a = (((a << 4) | (a >>> 28)) + b) | 0
  d = (d + m8 + 0x8771f681 + (b ^ c ^ a)) | 0
  d = (((d << 11) | (d >>> 21)) + a) | 0
  c = (c + m11 + 0x6d9d6122 + (a ^ b ^ d)) | 0
  c = (((c << 16) | (c >>> 16)) + d) | 0
  b = (b + m14 + 0xfde5380c + (d ^ a ^ c)) | 0
  b = (((b << 23) | (b >>> 9)) + c) | 0
  a = (a + m1 + 0xa4beea44 + (c ^ d ^ b)) | 0
  a = (((a << 4) | (a >>> 28)) + b) | 0
  d = (d + m4 + 0x4bdecfa9 + (b ^ c ^ a)) | 0
  d = (((d << 11) | (d >>> 21)) + a) | 0
  c = (c + m7 + 0xf6bb4b60 + (a ^ b ^ d)) | 0
  c = (((c << 16) | (c >>> 16)) + d) | 0
  b = (b + m10 + 0xbebfbc70 + (d ^ a ^ c)) | 0
  b = (((b << 23) | (b >>> 9)) + c) | 0
  a = (a + m13 + 0x289b7ec6 + (c ^ d ^ b)) | 0
  a = (((a << 4) | (a >>> 28)) + b) | 0
  d = (d + m0 + 0xeaa127fa + (b ^ c ^ a)) | 0
  d = (((d << 11) | (d >>> 21)) + a) | 0
  c = (c + m3 + 0xd4ef3085 + (a ^ b ^ d)) | 0
  c = (((c << 16) | (c >>> 16)) + d) | 0
  b = (b + m6 + 0x04881d05 + (d ^ a ^ c)) | 0
  b = (((b << 23) | (b >>> 9)) + c) | 0
  a = (a + m9 + 0xd9d4d039 + (c ^ d ^ b)) | 0
  a = (((a << 4) | (a >>> 28)) + b) | 0
  d = (d + m12 + 0xe6db99e5 + (b ^ c ^ a)) | 0
  d = (((d << 11) | (d >>> 21)) + a) | 0
  c = (c + m15 + 0x1fa27cf8 + (a ^ b ^ d)) | 0
  c = (((c << 16) | (c >>> 16)) + d) | 0
  b = (b + m2 + 0xc4ac5665 + (d ^ a ^ c)) | 0
  b = (((b << 23) | (b >>> 9)) + c) | 0
  a = (a + m0 + 0xf4292244 + (c ^ (~d | b))) | 0
  a = (((a << 6) | (a >>> 26)) + b) | 0
  d = (d + m7 + 0x432aff97 + (b ^ (~c | a))) | 0
  d = (((d << 10) | (d >>> 22)) + a) | 0
  c = (c + m14 + 0xab9423a7 + (a ^ (~b | d))) | 0
  c = (((c << 15) | (c >>> 17)) + d) | 0
  b = (b + m5 + 0xfc93a039 + (d ^ (~a | c))) | 0
  b = (((b << 21) | (b >>> 11)) + c) | 0
  a = (a + m12 + 0x655b59c3 + (c ^ (~d | b))) | 0
  a = (((a << 6) | (a >>> 26)) + b) | 0
  d = (d + m3 + 0x8f0ccc92 + (b ^ (~c | a))) | 0
  d = (((d << 10) | (d >>> 22)) + a) | 0
  c = (c + m10 + 0xffeff47d + (a ^ (~b | d))) | 0
  c = (((c << 15) | (c >>> 17)) + d) | 0
  b = (b + m1 + 0x85845dd1 + (d ^ (~a | c))) | 0
  b = (((b << 21) | (b >>> 11)) + c) | 0
  a = (a + m8 + 0x6fa87e4f + (c ^ (~d | b))) | 0
  a = (((a << 6) | (a >>> 26)) + b) | 0
  d = (d + m15 + 0xfe2ce6e0 + (b ^ (~c | a))) | 0
  d = (((d << 10) | (d >>> 22)) + a) | 0
  c = (c + m6 + 0xa3014314 + (a ^ (~b | d))) | 0
  c = (((c << 15) | (c >>> 17)) + d) | 0
  b = (b + m13 + 0x4e0811a1 + (d ^ (~a | c))) | 0
  b = (((b << 21) | (b >>> 11)) + c) | 0
  a = (a + m4 + 0xf7537e82 + (c ^ (~d | b))) | 0
  a = (((a << 6) | (a >>> 26)) + b) | 0
  d = (d + m11 + 0xbd3af235 + (b ^ (~c | a))) | 0
  d = (((d << 10) | (d >>> 22)) + a) | 0
  c = (c + m2 + 0x2ad7d2bb + (a ^ (~b | d))) | 0
  c = (((c << 15) | (c >>> 17)) + d) | 0
  b = (b + m9 + 0xeb86d391 + (d ^ (~a | c))) | 0
  b = (((b << 21) | (b >>> 11)) + c) | 0
  state[0] = (state[0]! + a) | 0
  state[1] = (state[1]! + b) | 0
  state[2] = (state[2]! + c) | 0
  state[3] = (state[3]! + d) | 0
}
