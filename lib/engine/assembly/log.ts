/**
 * What watchers see (PROTOCOL D11), written down while it happens: each thread appends entries to a ring of its own, and
 * the host reads them all (lib/engine/log-reader.ts). Nobody waits: an entry that does not fit is dropped and counted.
 *
 *   ring:   0 written (bytes, ever)   4 read (bytes, ever)   8 dropped (entries, ever)   64 entries ...
 *   entry:  0 size   4 type   5 status   6 command   7 slab class   8 number (8)   16 ttl   20 la   24 bytes
 *          28 connection   32 seconds   36 microseconds   40 stream   44 length of the text   48 key or other text
 *
 * Sizes are multiples of 8; an entry is in one piece, so the ring's end may be skipped: an entry of type SKIP.
 */
import { LOG_NUMBER, LOG_STREAMS, log, logSize, turn } from './layout'
import { copy, FETCHED, Item, keyOf } from './item'
import { now } from './clock'

// Bits of LOG_STREAMS, in the order of STREAMS in lib/engine/log-reader.ts.
export const FETCHERS: u32 = 1
export const MUTATIONS: u32 = 2
export const EVICTIONS: u32 = 4
export const CONNEVENTS: u32 = 8
export const DELETIONS: u32 = 16
/** Not a stream: figures by prefix are wanted (prefixes.ts). */
export const BY_PREFIX: u32 = 1 << 16

// Types of entries.
const ITEM_GET: u8 = 1
const ITEM_STORE: u8 = 2
const EVICTION: u8 = 3
const DELETED: u8 = 4
const TEXT: u8 = 5
const SKIP: u8 = 255

// Status of ITEM_GET.
export const GET_NOT_FOUND: u8 = 0
export const GET_FOUND: u8 = 1
export const GET_FLUSHED: u8 = 2
export const GET_EXPIRED: u8 = 3
// Status of ITEM_STORE.
export const STORE_NOT_STORED: u8 = 0
export const STORE_STORED: u8 = 1
export const STORE_EXISTS: u8 = 2
export const STORE_NOT_FOUND: u8 = 3
export const STORE_TOO_LARGE: u8 = 4
export const STORE_NO_MEMORY: u8 = 5

const ENTRY: u32 = 48
const RING: u32 = 64
/** In the turn block: what the host said of the present connection and of the second. */
const MICROSECONDS: u32 = 21 << 2
const CONNECTION: u32 = 22 << 2

/** The streams that somebody wants: the one look that every operation pays. */
// @ts-ignore: decorator
@inline
export function watched(streams: u32): bool {
  return (load<u32>(LOG_STREAMS) & streams) != 0
}

/** An entry with its text, its other fields 0; 0: dropped. `publish` makes it visible. */
function append(stream: u32, type: u8, text: u32, length: u32): u32 {
  const written = load<u32>(log)
  const size = (ENTRY + length + 7) & ~7
  const at = written & (logSize - 1)
  const toEnd = logSize - at
  const needed = size <= toEnd ? size : toEnd + size
  if (needed > logSize - (written - atomic.load<u32>(log, 4))) {
    store<u32>(log, load<u32>(log, 8) + 1, 8)
    return 0
  }
  let entry = log + RING + at
  if (size > toEnd) {
    store<u32>(entry, toEnd)
    store<u8>(entry, SKIP, 4)
    entry = log + RING
    // Not seen before `publish`.
    store<u32>(log, written + toEnd, 12)
  } else store<u32>(log, written, 12)
  memory.fill(entry, 0, ENTRY)
  store<u32>(entry, size)
  store<u8>(entry, type, 4)
  store<u64>(entry, atomic.add<u64>(LOG_NUMBER, 1) + 1, 8)
  store<u32>(entry, load<u32>(turn, CONNECTION), 28)
  store<u32>(entry, now, 32)
  store<u32>(entry, load<u32>(turn, MICROSECONDS), 36)
  store<u32>(entry, stream, 40)
  store<u32>(entry, length, 44)
  copy(entry + ENTRY, text, length)
  return entry
}

function publish(entry: u32): void {
  atomic.store<u32>(log, load<u32>(log, 12) + load<u32>(entry))
}

/** A command looked for a key; `item` is 0 where there is none (any more). */
export function noteGet(key: u32, length: u32, status: u8, item: u32): void {
  const entry = append(FETCHERS, ITEM_GET, key, length)
  if (!entry) return
  store<u8>(entry, status, 5)
  if (item) {
    store<u8>(entry, changetype<Item>(item).slabClass + 1, 7)
    store<u32>(entry, changetype<Item>(item).bytes, 24)
  }
  publish(entry)
}

/** `verb` is storage.ts's; `exptime` the second at which the item goes, or 0. */
export function noteStore(key: u32, length: u32, status: u8, verb: u32, exptime: u32, bytes: u32, slabClass: u8): void {
  const entry = append(MUTATIONS, ITEM_STORE, key, length)
  if (!entry) return
  store<u8>(entry, status, 5)
  store<u8>(entry, <u8>verb, 6)
  store<u8>(entry, slabClass, 7)
  store<i32>(entry, exptime ? exptime - now : 0, 16)
  store<u32>(entry, bytes, 24)
  publish(entry)
}

export function noteDeleted(address: u32, isMeta: bool): void {
  const item = changetype<Item>(address)
  const entry = append(DELETIONS, DELETED, keyOf(address), item.keyLength)
  if (!entry) return
  store<u8>(entry, isMeta ? 1 : 0, 6)
  store<u8>(entry, item.slabClass + 1, 7)
  store<u32>(entry, item.bytes, 24)
  publish(entry)
}

export function noteEvicted(address: u32): void {
  const item = changetype<Item>(address)
  const entry = append(EVICTIONS, EVICTION, keyOf(address), item.keyLength)
  if (!entry) return
  store<u8>(entry, item.bits & FETCHED ? 1 : 0, 5)
  store<u8>(entry, item.slabClass + 1, 7)
  store<i32>(entry, item.exptime ? item.exptime - now : -1, 16)
  store<i32>(entry, now - item.time, 20)
  store<u32>(entry, item.bytes, 24)
  publish(entry)
}

/** The host's own words about something that the engine does not see. */
export function noteText(stream: u32, text: u32, length: u32): void {
  const entry = append(stream, TEXT, text, length)
  if (entry) publish(entry)
}
