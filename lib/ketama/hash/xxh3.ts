/**
 * XXH3 with 64 bits, seed 0 (xxHash 0.8, "XXH3_64bits"), low half: points and keys of memcached's own proxy. Written with
 * BigInt, line by line after its specification; a few microseconds a key.
 */
const MASK = (1n << 64n) - 1n
const P32_1 = 0x9e3779b1n
const P32_2 = 0x85ebca77n
const P32_3 = 0xc2b2ae3dn
const P64_1 = 0x9e3779b185ebca87n
const P64_2 = 0xc2b2ae3d27d4eb4fn
const P64_3 = 0x165667b19e3779f9n
const P64_4 = 0x85ebca77c2b2ae63n
const P64_5 = 0x27d4eb2f165667c5n

const SECRET_HEX =
  'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221' +
  'b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8' +
  'fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb17' +
  '0ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e'
const SECRET = new DataView(new ArrayBuffer(192))
for (let i = 0; i < 192; i++) SECRET.setUint8(i, Number.parseInt(SECRET_HEX.slice(2 * i, 2 * i + 2), 16))

const secret = (at: number): bigint => SECRET.getBigUint64(at, true)
const rotate = (word: bigint, by: bigint): bigint => ((word << by) | (word >> (64n - by))) & MASK
const fold = (a: bigint, b: bigint): bigint => ((a * b) & MASK) ^ ((a * b) >> 64n)

/** The low 32 bits. */
export function xxh3Low(bytes: Uint8Array, length: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  return Number(xxh3(view, length) & 0xffffffffn)
}

function xxh3(text: DataView, length: number): bigint {
  if (length === 0) return avalanche64(secret(56) ^ secret(64))
  if (length <= 3) return upTo3(text, length)
  if (length <= 8) return upTo8(text, length)
  if (length <= 16) return upTo16(text, length)
  if (length <= 128) return upTo128(text, length)
  return length <= 240 ? upTo240(text, length) : long(text, length)
}

function upTo3(text: DataView, length: number): bigint {
  const [first, middle, last] = [text.getUint8(0), text.getUint8(length >> 1), text.getUint8(length - 1)]
  const combined = ((first << 16) | (middle << 24) | last | (length << 8)) >>> 0
  return avalanche64(BigInt(combined) ^ BigInt((SECRET.getUint32(0, true) ^ SECRET.getUint32(4, true)) >>> 0))
}

function upTo8(text: DataView, length: number): bigint {
  const both = BigInt(text.getUint32(length - 4, true)) + (BigInt(text.getUint32(0, true)) << 32n)
  let hash = both ^ secret(8) ^ secret(16)
  hash ^= rotate(hash, 49n) ^ rotate(hash, 24n)
  hash = (hash * 0x9fb21c651e98df25n) & MASK
  hash ^= (hash >> 35n) + BigInt(length)
  hash = (hash * 0x9fb21c651e98df25n) & MASK
  return hash ^ (hash >> 28n)
}

function upTo16(text: DataView, length: number): bigint {
  const low = text.getBigUint64(0, true) ^ secret(24) ^ secret(32)
  const high = text.getBigUint64(length - 8, true) ^ secret(40) ^ secret(48)
  swap.setBigUint64(0, low, true)
  return avalanche(BigInt(length) + swap.getBigUint64(0, false) + high + fold(low, high))
}
const swap = new DataView(new ArrayBuffer(8))

function mix(text: DataView, at: number, key: number): bigint {
  return fold(text.getBigUint64(at, true) ^ secret(key), text.getBigUint64(at + 8, true) ^ secret(key + 8))
}

function upTo128(text: DataView, length: number): bigint {
  let sum = BigInt(length) * P64_1
  for (let pair = (length - 1) >> 5; pair >= 0; pair--) {
    sum += mix(text, 16 * pair, 32 * pair) + mix(text, length - 16 * (pair + 1), 32 * pair + 16)
  }
  return avalanche(sum)
}

function upTo240(text: DataView, length: number): bigint {
  let sum = BigInt(length) * P64_1
  for (let i = 0; i < 8; i++) sum += mix(text, 16 * i, 16 * i)
  sum = avalanche(sum)
  for (let i = 8; i < length >> 4; i++) sum += mix(text, 16 * i, 16 * (i - 8) + 3)
  return avalanche(sum + mix(text, length - 16, 136 - 17))
}

const STRIPES_A_BLOCK = 16

function long(text: DataView, length: number): bigint {
  const sums = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
  const stripes = (length - 1) >> 6
  for (let stripe = 0; stripe < stripes; stripe++) {
    accumulate(sums, text, stripe * 64, 8 * (stripe % STRIPES_A_BLOCK))
    if (stripe % STRIPES_A_BLOCK === STRIPES_A_BLOCK - 1) scramble(sums)
  }
  accumulate(sums, text, length - 64, 192 - 64 - 7)
  let hash = BigInt(length) * P64_1
  for (let i = 0; i < 4; i++) {
    hash += fold(sums[2 * i]! ^ secret(11 + 16 * i), sums[2 * i + 1]! ^ secret(11 + 16 * i + 8))
  }
  return avalanche(hash)
}

function accumulate(sums: bigint[], text: DataView, at: number, key: number): void {
  for (let i = 0; i < 8; i++) {
    const value = text.getBigUint64(at + 8 * i, true)
    const keyed = value ^ secret(key + 8 * i)
    sums[i ^ 1] = (sums[i ^ 1]! + value) & MASK
    sums[i] = (sums[i]! + (keyed & 0xffffffffn) * (keyed >> 32n)) & MASK
  }
}

function scramble(sums: bigint[]): void {
  for (let i = 0; i < 8; i++) {
    const sum = sums[i]! ^ (sums[i]! >> 47n) ^ secret(128 + 8 * i)
    sums[i] = (sum * P32_1) & MASK
  }
}

function avalanche(sum: bigint): bigint {
  let hash = sum & MASK
  hash ^= hash >> 37n
  hash = (hash * 0x165667919e3779f9n) & MASK
  return hash ^ (hash >> 32n)
}

/** The finish of XXH64, used for the shortest texts. */
function avalanche64(sum: bigint): bigint {
  let hash = sum & MASK
  hash = ((hash ^ (hash >> 33n)) * P64_2) & MASK
  hash = ((hash ^ (hash >> 29n)) * P64_3) & MASK
  return hash ^ (hash >> 32n)
}
