/**
 * Replies, appended to this thread's tx. `noreply` is the present request's: it silences every `reply`, errors included
 * (PROTOCOL D3).
 */
import { tx, txEnd } from './layout'
import { copy } from './item'

/** Where the next byte goes. */
export let out: u32 = 0
export let noreply: bool = false

/** Every reply but a VALUE fits in this; the loop makes sure that it is there. */
export const REPLY_MAX: u32 = 1024

export function startReplies(length: u32): void {
  out = tx + length
}
export function repliesLength(): u32 {
  return out - tx
}
export function rollBack(to: u32): void {
  out = to
}
// @ts-ignore: decorator
@inline
export function advance(bytes: u32): void {
  out += bytes
}
export function setNoreply(value: bool): void {
  noreply = value
}
/** Is there room for this many bytes and the END behind them? */
// @ts-ignore: decorator
@inline
export function hasRoom(bytes: u32): bool {
  return out + bytes + 64 <= txEnd
}

/** One whole reply line, without its \r\n. */
export function reply(text: string): void {
  if (noreply) return
  put(text)
  store<u16>(out, 0x0a0d)
  out += 2
}

export function put(text: string): void {
  const length = <u32>text.length
  const from = changetype<usize>(text)
  for (let i: u32 = 0; i < length; i++) store<u8>(out + i, load<u8>(from + (i << 1)))
  out += length
}

export function putBytes(from: u32, length: u32): void {
  copy(out, from, length)
  out += length
}

// @ts-ignore: decorator
@inline
export function putByte(byte: u8): void {
  store<u8>(out++, byte)
}

export function putNumber(value: u64): void {
  out += writeNumber(out, value)
}

/** Decimal text of a number; its length. */
export function writeNumber(to: u32, value: u64): u32 {
  if (value < 10) {
    store<u8>(to, <u8>value + 48)
    return 1
  }
  const length = digits(value)
  let at = to + length
  while (value > 0xffffffff) {
    const rest = value / 10
    store<u8>(--at, <u8>(value - rest * 10) + 48)
    value = rest
  }
  let small = <u32>value
  do {
    const rest = small / 10
    store<u8>(--at, <u8>(small - rest * 10) + 48)
    small = rest
  } while (small)
  return length
}

export function digits(value: u64): u32 {
  let length: u32 = 1
  let limit: u64 = 10
  while (value >= limit) {
    length++
    if (length == 20) break
    limit *= 10
  }
  return length
}
