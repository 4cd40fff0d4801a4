/**
 * `stats detail`: figures by the part of a key before the delimiter (PROTOCOL D9). One table for all threads under one
 * lock, used only while somebody wants it. Keys without the delimiter are not counted; when the table is full, nor are
 * new prefixes.
 *
 *   area:  1024 buckets (the newest entry of each) | entries ...
 *   entry: 0 next   4 length   8 get   16 hit   24 set   32 del (64 bits each)   40 prefix
 */
import { PREFIX_DELIMITER, PREFIX_END, PREFIX_LOCK, prefixArea } from './layout'
import { copy, hashOf, sameBytes } from './item'
import { lock, unlock } from './locks'
import { BY_PREFIX, watched } from './log'

export const GET: u32 = 8
export const HIT: u32 = 16
export const SET: u32 = 24
export const DEL: u32 = 32

const BUCKETS: u32 = 1024
const ENTRY: u32 = 40
/** lib/engine/layout.ts has the same number. */
const AREA_BYTES: u32 = 4 << 20

// @ts-ignore: decorator
@inline
export function countByPrefix(key: u32, length: u32, figure: u32): void {
  if (watched(BY_PREFIX)) add(key, length, figure)
}

/** A hit is a get as well. */
function add(key: u32, length: u32, figure: u32): void {
  const delimiter = load<u8>(PREFIX_DELIMITER)
  let size: u32 = 0
  while (size < length && load<u8>(key + size) != delimiter) size++
  if (size == length) return
  lock(PREFIX_LOCK)
  const entry = entryOf(key, size)
  if (entry) {
    store<u64>(entry + figure, load<u64>(entry + figure) + 1)
    if (figure == HIT) store<u64>(entry + GET, load<u64>(entry + GET) + 1)
  }
  unlock(PREFIX_LOCK)
}

function entryOf(prefix: u32, length: u32): u32 {
  const bucket = prefixArea + ((hashOf(prefix, length) & (BUCKETS - 1)) << 2)
  let entry = load<u32>(bucket)
  while (entry) {
    if (load<u32>(entry, 4) == length && sameBytes(entry + ENTRY, prefix, length)) return entry
    entry = load<u32>(entry)
  }
  entry = prefixArea + (load<u32>(PREFIX_END) || BUCKETS << 2)
  // `sameBytes` reads up to 7 bytes behind a prefix.
  const end = entry + ((ENTRY + length + 15) & ~7)
  if (end > prefixArea + AREA_BYTES) return 0
  store<u32>(PREFIX_END, end - prefixArea)
  memory.fill(entry, 0, ENTRY)
  store<u32>(entry, load<u32>(bucket))
  store<u32>(entry, length, 4)
  copy(entry + ENTRY, prefix, length)
  store<u32>(bucket, entry)
  return entry
}

/** The table is the caller's alone until `unlockPrefixes`; its end. */
export function lockPrefixes(): u32 {
  lock(PREFIX_LOCK)
  return prefixArea + (load<u32>(PREFIX_END) || BUCKETS << 2)
}

export function unlockPrefixes(): void {
  unlock(PREFIX_LOCK)
}

export function clearPrefixes(): void {
  lock(PREFIX_LOCK)
  memory.fill(prefixArea, 0, BUCKETS << 2)
  store<u32>(PREFIX_END, BUCKETS << 2)
  unlock(PREFIX_LOCK)
}
