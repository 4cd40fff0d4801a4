/**
 * Tokens of a command line and the numbers in them (PROTOCOL D1, D5, D6). Only the space separates tokens.
 */
import { tokens } from './layout'

/** Tokens beyond are ignored, as in memcached. */
const TOKENS_MAX: u32 = 24
const SPACE: u8 = 32

/** The first four bytes of the lines that most requests are. */
export const GET_: u32 = 0x20746567 // "get "
export const SET_: u32 = 0x20746573 // "set "

export let tokenCount: u32 = 0
/** What the last successful parse gave. */
export let number: u64 = 0

/** The lowest bit set is in the first byte of the word that is zero (the classic trick); 0: no byte is zero. */
// @ts-ignore: decorator
@inline
function zeroBytes(word: u64): u64 {
  return (word - 0x0101010101010101) & ~word & 0x8080808080808080
}

/** Address of the first \n in [from, to), or 0. */
export function findNewline(from: u32, to: u32): u32 {
  let at = from
  while (at + 8 <= to) {
    const zeros = zeroBytes(load<u64>(at) ^ 0x0a0a0a0a0a0a0a0a)
    if (zeros) return at + <u32>(ctz(zeros) >> 3)
    at += 8
  }
  while (at < to) {
    if (load<u8>(at) == 10) return at
    at++
  }
  return 0
}

/** The first space at or after `from`, or `end`. Reads up to 7 bytes behind `end` and ignores them. */
// @ts-ignore: decorator
@inline
export function endOfToken(from: u32, end: u32): u32 {
  let at = from
  while (at < end) {
    const zeros = zeroBytes(load<u64>(at) ^ 0x2020202020202020)
    if (zeros) return min(at + <u32>(ctz(zeros) >> 3), end)
    at += 8
  }
  return end
}

export function tokenize(from: u32, to: u32): void {
  let at = from
  tokenCount = 0
  while (tokenCount < TOKENS_MAX) {
    while (at < to && load<u8>(at) == SPACE) at++
    if (at == to) return
    const start = at
    at = endOfToken(at, to)
    store<u32>(tokens + (tokenCount << 3), start)
    store<u32>(tokens + (tokenCount << 3), at - start, 4)
    tokenCount++
  }
}

export function token(index: u32): u32 {
  return load<u32>(tokens + (index << 3))
}

export function tokenLength(index: u32): u32 {
  return index < tokenCount ? load<u32>(tokens + (index << 3), 4) : 0
}

/** Are these bytes this (ASCII) word? */
export function isWord(at: u32, length: u32, word: string): bool {
  if (<u32>word.length != length) return false
  const text = changetype<usize>(word)
  for (let i: u32 = 0; i < length; i++) {
    if (load<u8>(at + i) != load<u8>(text + (i << 1))) return false
  }
  return true
}

export function lastIsNoreply(): bool {
  const last = tokenCount - 1
  return isWord(token(last), tokenLength(last), 'noreply')
}

/** Digits only, at most `max`. */
export function parseUnsigned(at: u32, length: u32, max: u64): bool {
  if (length == 0 || length > 22) return false
  let sum: u64 = 0
  for (let i: u32 = 0; i < length; i++) {
    const digit = <u32>load<u8>(at + i) - 48
    if (digit > 9) return false
    if (sum > (max - digit) / 10) return false
    sum = sum * 10 + digit
  }
  number = sum
  return true
}

/** -?[0-9]* in int32, as memcached's own tokenizer takes it: a lone minus is 0. */
export function parseInt32(at: u32, length: u32): bool {
  if (length == 0 || length > 11) return false
  const negative = load<u8>(at) == 45
  let sum: i64 = 0
  for (let i: u32 = negative ? 1 : 0; i < length; i++) {
    const digit = <u32>load<u8>(at + i) - 48
    if (digit > 9) return false
    sum = sum * 10 + <i64>digit
  }
  if (negative) sum = -sum
  if (sum < -2147483648 || sum > 2147483647) return false
  number = <u64>sum
  return true
}

let negative: bool = false

/**
 * What C's strtol takes: white space, a sign, digits, and then nothing, white space or NUL. `number` is the magnitude.
 */
function parseLoose(at: u32, length: u32): bool {
  let i: u32 = 0
  while (i < length && isWhite(load<u8>(at + i))) i++
  negative = false
  if (i < length) {
    const sign = load<u8>(at + i)
    if (sign == 45 || sign == 43) {
      negative = sign == 45
      i++
    }
  }
  const first = i
  let sum: u64 = 0
  while (i < length) {
    const digit = <u32>load<u8>(at + i) - 48
    if (digit > 9) break
    if (sum > (u64.MAX_VALUE - digit) / 10) return false
    sum = sum * 10 + digit
    i++
  }
  if (i == first) return false
  if (i < length && load<u8>(at + i) != 0 && !isWhite(load<u8>(at + i))) return false
  number = sum
  return true
}

// @ts-ignore: decorator
@inline
function isWhite(byte: u8): bool {
  return byte == 32 || (byte >= 9 && byte <= 13)
}

/** As safe_strtoull: flags and stored numbers. A minus is refused only when it shows. */
export function parseLooseUnsigned(at: u32, length: u32): bool {
  if (!parseLoose(at, length)) return false
  if (negative) number = 0 - number
  return !(negative && <i64>number < 0)
}

/** As safe_strtol: exptime of storage commands. */
export function parseLooseSigned(at: u32, length: u32): bool {
  if (!parseLoose(at, length)) return false
  if (number > <u64>i64.MAX_VALUE) return false
  if (negative) number = 0 - number
  return true
}
