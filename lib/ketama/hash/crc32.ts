/** CRC-32 as zlib has it (polynomial 0xedb88320, reflected). */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

/** `from`: the CRC of what came before, to continue it. */
export function crc32(bytes: Uint8Array, length: number, from = 0): number {
  let crc = ~from
  for (let i = 0; i < length; i++) crc = TABLE[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8)
  return ~crc >>> 0
}
