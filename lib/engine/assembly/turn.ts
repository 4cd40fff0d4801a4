/**
 * What a turn tells the host: words of this thread's turn block, in the order of `Turn` in lib/engine/contract.ts, and
 * the place in the input where it stands. The Stop numbers are contract.ts's; append only.
 */
import { turn } from './layout'
import { noreply } from './reply'
import { epoch, FORWARD, GUARD, owner, verdict } from './keys'

export const DONE: u32 = 0
export const VALUE: u32 = 1
export const FULL: u32 = 2
export const SLOW: u32 = 3
export const FORWARDED: u32 = 4
export const TAKEN: u32 = 5
export const MULTI: u32 = 6
export const CLOSE: u32 = 7
export const PIECES: u32 = 8
export const GUARDED: u32 = 9

// What `resume` asks of the next run: nothing; swallow n bytes; go on at byte n of the line that comes first.
export const FRESH: u32 = 0
export const SWALLOW: u32 = 1
export const AT_KEY: u32 = 2

/** First byte of the input that is not done with, and the end of the input. */
export let position: u32 = 0
export let limit: u32 = 0

export function setInput(from: u32, to: u32): void {
  position = from
  limit = to
}
// @ts-ignore: decorator
@inline
export function moveTo(at: u32): void {
  position = at
}

export function setResume(kind: u32, value: u32): void {
  store<u32>(turn, kind, 12)
  store<u32>(turn, value, 16)
}

/** A word for the host: the close that follows is an error. */
export function setRefused(): void {
  store<u32>(turn, 1, 92)
}

export function endTurn(stop: u32, consumed: u32, txLength: u32): u32 {
  store<u32>(turn, stop)
  store<u32>(turn, consumed, 4)
  store<u32>(turn, txLength, 8)
  return stop
}

/**
 * A storage command is done with but for its value: the next `bytes` bytes are thrown away, in this run and later ones.
 */
export function swallow(from: u32, bytes: u32): void {
  const here = min(limit - from, bytes)
  position = from + here
  if (bytes > here) setResume(SWALLOW, bytes - here)
}

export function describeRequest(offset: u32, length: u32, lineLength: u32): void {
  store<u32>(turn, offset, 20)
  store<u32>(turn, length, 24)
  store<u32>(turn, lineLength, 28)
  store<u32>(turn, noreply ? 1 : 0, 44)
  store<u32>(turn, epoch, 48)
}

/** `open` refused a key: the request goes back to the host, unexecuted. */
export function refuse(key: u32, keyLength: u32): u32 {
  store<u32>(turn, key, 32)
  store<u32>(turn, keyLength, 36)
  store<u32>(turn, owner, 40)
  store<u32>(turn, epoch, 48)
  if (verdict == FORWARD) return FORWARDED
  return verdict == GUARD ? GUARDED : TAKEN
}

export function describeFill(offset: u32, length: u32, handle: u32): void {
  store<u32>(turn, offset, 52)
  store<u32>(turn, length, 56)
  store<u32>(turn, handle, 60)
}
