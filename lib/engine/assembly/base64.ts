/** Base64 of keys, RFC 4648 with padding, as the meta commands' `b` flag takes and echoes it (PROTOCOL D8). */

/** Value of a digit, or 64 and more. */
function digit(byte: u8): u32 {
  if (byte >= 65 && byte <= 90) return byte - 65
  if (byte >= 97 && byte <= 122) return byte - 71
  if (byte >= 48 && byte <= 57) return byte + 4
  return byte == 43 ? 62 : byte == 47 ? 63 : 64
}

/** Length of what was decoded to `to`; 0: this is no base64. */
export function decodeBase64(from: u32, length: u32, to: u32): u32 {
  if (!length || length & 3) return 0
  let written: u32 = 0
  for (let i: u32 = 0; i < length; i += 4) {
    const isLast = i + 4 == length
    const third = load<u8>(from + i + 2)
    const fourth = load<u8>(from + i + 3)
    const padding: u32 = isLast && fourth == 61 ? (third == 61 ? 2 : 1) : 0
    const a = digit(load<u8>(from + i))
    const b = digit(load<u8>(from + i + 1))
    const c = padding == 2 ? 0 : digit(third)
    const d = padding ? 0 : digit(fourth)
    if ((a | b | c | d) > 63) return 0
    const bits = (a << 18) | (b << 12) | (c << 6) | d
    store<u8>(to + written, <u8>(bits >> 16))
    if (padding < 2) store<u8>(to + written, <u8>(bits >> 8), 1)
    if (padding < 1) store<u8>(to + written, <u8>bits, 2)
    written += 3 - padding
  }
  return written
}

function letter(value: u32): u8 {
  if (value < 26) return <u8>(value + 65)
  if (value < 52) return <u8>(value + 71)
  if (value < 62) return <u8>(value - 4)
  return value == 62 ? 43 : 47
}

/** Length of the text. */
export function encodeBase64(from: u32, length: u32, to: u32): u32 {
  let written: u32 = 0
  for (let i: u32 = 0; i < length; i += 3) {
    const left = length - i
    const b = left > 1 ? <u32>load<u8>(from + i + 1) : 0
    const c = left > 2 ? <u32>load<u8>(from + i + 2) : 0
    const bits = (<u32>load<u8>(from + i) << 16) | (b << 8) | c
    store<u8>(to + written, letter(bits >> 18))
    store<u8>(to + written, letter((bits >> 12) & 63), 1)
    store<u8>(to + written, left > 1 ? letter((bits >> 6) & 63) : 61, 2)
    store<u8>(to + written, left > 2 ? letter(bits & 63) : 61, 3)
    written += 4
  }
  return written
}
