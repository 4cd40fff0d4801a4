/**
 * A queue of short byte strings from one thread to another, in memory that both see. One thread writes, one reads; neither
 * ever waits, and who wakes whom is not its business. It may not know what the bytes mean.
 *
 *   bytes:  ... | length u16 | bytes | length u16 | bytes | ...      around and around; `written` and `read` only grow
 *                ^ read                              ^ written
 */
import { strict as assert } from 'node:assert'

/** What both threads must have of a ring. */
export interface RingMemory {
  words: Int32Array
  bytes: Uint8Array
}

/** Word of `RingMemory.words`: bytes ever written and ever read, as 32 bits that wrap. */
const WRITTEN = 0
const READ = 1
const WORDS = 2
/** A power of two. Longer rings take more in a turn before the slow way is taken. */
const RING_BYTES = 1 << 16
const MASK = RING_BYTES - 1
const HEAD_BYTES = 2

/** Longest entry. */
export const ENTRY_BYTES_MAX = 1024

export function createRing(): RingMemory {
  return {
    words: new Int32Array(new SharedArrayBuffer(4 * WORDS)),
    bytes: new Uint8Array(new SharedArrayBuffer(RING_BYTES)),
  }
}

/** Appends `length` bytes of `source`. False: there is no room. For one thread only. */
export function pushEntry({ words, bytes }: RingMemory, source: Uint8Array, length: number): boolean {
  assert(length > 0 && length <= ENTRY_BYTES_MAX, 'an entry is short, and not nothing')
  const written = Atomics.load(words, WRITTEN)
  const used = (written - Atomics.load(words, READ)) | 0
  if (used + HEAD_BYTES + length > RING_BYTES) return false
  bytes[written & MASK] = length
  bytes[(written + 1) & MASK] = length >>> 8
  const at = written + HEAD_BYTES
  for (let i = 0; i < length; i++) bytes[(at + i) & MASK] = source[i]!
  Atomics.store(words, WRITTEN, (at + length) | 0)
  return true
}

/** Takes out the first entry; its length, or 0: there is none. For one thread only. */
export function popEntry({ words, bytes }: RingMemory, target: Uint8Array): number {
  const read = Atomics.load(words, READ)
  if (read === Atomics.load(words, WRITTEN)) return 0
  const length = bytes[read & MASK]! | (bytes[(read + 1) & MASK]! << 8)
  const at = read + HEAD_BYTES
  for (let i = 0; i < length; i++) target[i] = bytes[(at + i) & MASK]!
  Atomics.store(words, READ, (at + length) | 0)
  return length
}
