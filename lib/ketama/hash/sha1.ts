/** sha1 (FIPS 180-4), first word only: points of two dialects. Not for secrets. */
const schedule = new Int32Array(80)
const padded = { bytes: new Uint8Array(128) }

const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by))

/** The first 4 bytes of the digest as a big-endian unsigned number. */
export function sha1Word(bytes: Uint8Array, length: number): number {
  const blocks = (length + 9 + 63) >>> 6
  if (padded.bytes.length < blocks * 64) padded.bytes = new Uint8Array(blocks * 128)
  const message = padded.bytes.fill(0)
  message.set(length === bytes.length ? bytes : bytes.subarray(0, length))
  message[length] = 0x80
  const view = new DataView(message.buffer)
  view.setUint32(blocks * 64 - 8, Math.floor(length / 2 ** 29))
  view.setUint32(blocks * 64 - 4, length << 3)

  let [h0, h1, h2, h3, h4] = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476, 0xc3d2e1f0 | 0]
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < 16; i++) schedule[i] = view.getInt32(block * 64 + i * 4)
    for (let i = 16; i < 80; i++) {
      schedule[i] = rotate(schedule[i - 3]! ^ schedule[i - 8]! ^ schedule[i - 14]! ^ schedule[i - 16]!, 1)
    }
    let [a, b, c, d, e] = [h0, h1, h2, h3, h4]
    for (let i = 0; i < 80; i++) {
      const next = (rotate(a, 5) + choice(i, b, c, d) + e + schedule[i]!) | 0
      e = d
      d = c
      c = rotate(b, 30)
      b = a
      a = next
    }
    h0 = (h0 + a) | 0
    h1 = (h1 + b) | 0
    h2 = (h2 + c) | 0
    h3 = (h3 + d) | 0
    h4 = (h4 + e) | 0
  }
  return h0 >>> 0
}

/** FIPS 180-4, 4.1.1 and 4.2.1: the function of a round and its constant. */
function choice(round: number, b: number, c: number, d: number): number {
  if (round < 20) return ((b & c) | (~b & d)) + 0x5a827999
  if (round < 40) return (b ^ c ^ d) + 0x6ed9eba1
  if (round < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
  return (b ^ c ^ d) + 0xca62c1d6
}
