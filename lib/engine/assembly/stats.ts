/**
 * Counters of this thread: plain 64-bit words that only their thread writes and anybody may sum. A counter may be
 * negative in one thread (an item stored by one and deleted by another); the sum is right.
 * Append only, in the order of ENGINE_COUNTERS in lib/engine/figures.ts.
 */
import { classCounters, counters } from './layout'
import { Item, LIST_MASK, LIST_SHIFT } from './item'

export const CMD_GET: u32 = 0
export const CMD_SET: u32 = 1
export const CMD_FLUSH: u32 = 2
export const CMD_TOUCH: u32 = 3
export const CMD_META: u32 = 4
export const GET_HITS: u32 = 5
export const GET_MISSES: u32 = 6
export const GET_EXPIRED: u32 = 7
export const GET_FLUSHED: u32 = 8
export const DELETE_MISSES: u32 = 9
export const DELETE_HITS: u32 = 10
export const INCR_MISSES: u32 = 11
export const INCR_HITS: u32 = 12
export const DECR_MISSES: u32 = 13
export const DECR_HITS: u32 = 14
export const CAS_MISSES: u32 = 15
export const CAS_HITS: u32 = 16
export const CAS_BADVAL: u32 = 17
export const TOUCH_HITS: u32 = 18
export const TOUCH_MISSES: u32 = 19
export const STORE_TOO_LARGE: u32 = 20
export const STORE_NO_MEMORY: u32 = 21
export const BYTES: u32 = 22
export const CURR_ITEMS: u32 = 23
export const TOTAL_ITEMS: u32 = 24
export const EVICTIONS: u32 = 25
export const RECLAIMED: u32 = 26
export const EXPIRED_UNFETCHED: u32 = 27
export const EVICTED_UNFETCHED: u32 = 28
export const EVICTED_ACTIVE: u32 = 29
export const TOMBSTONES: u32 = 30
export const LRU_BUMPS_DROPPED: u32 = 31

export function count(counter: u32): void {
  const address = counters + (counter << 3)
  store<u64>(address, load<u64>(address) + 1)
}

export function countBy(counter: u32, by: i64): void {
  const address = counters + (counter << 3)
  store<i64>(address, load<i64>(address) + by)
}

// Hits are counted where the item lies: by slab class, reads by list as well (`stats slabs`, `stats items`). Their sums are
// what `stats` says. In the order of CLASS_COUNTERS in lib/engine/figures.ts.
const AT_HITS: u32 = 0
export const AT_SET: u32 = 4
export const AT_DELETE: u32 = 5
export const AT_INCR: u32 = 6
export const AT_DECR: u32 = 7
export const AT_CAS_HIT: u32 = 8
export const AT_CAS_BAD: u32 = 9
export const AT_TOUCH: u32 = 10

// @ts-ignore: decorator
@inline
export function countAt(item: Item, counter: u32): void {
  const address = classCounters + (<u32>item.slabClass << 7) + (counter << 3)
  store<u64>(address, load<u64>(address) + 1)
}

/** A read found this item. */
// @ts-ignore: decorator
@inline
export function countHit(item: Item): void {
  countAt(item, AT_HITS + ((<u32>(item.bits & LIST_MASK)) >> LIST_SHIFT))
}
