/**
 * What the host may call (lib/engine/engine.ts is its only caller). One instance a thread, all over one shared memory.
 */
import { attachLayout, FLUSH_AT, FLUSHED_VERSION, VERSION_COUNTER } from './layout'
import { flushVersion, observeVersion, setNow } from './clock'
import { free } from './slab'

export { runRequests as run, runFinish as finish } from './machine'
export {
  collect, currentEpoch, handOver, heldMark, install, installAbsent, listKeys, peek, pointOf, renew, routeOf, sweepTombstones
} from './handoff'
export { findFreeSlot, switchTo } from './route'
export { juggle } from './eviction'
export { beginCrawl, crawl, endCrawl } from './crawler'
export { cachedump, dump } from './dump'
export { bucketCount, grow, wantGrowth } from './table'
export { setNow, observeVersion as observe, flushVersion as flush }

export function attach(thread: u32): void {
  attachLayout(thread)
}

/** The connection of a value that was being received is gone. */
export function abandon(handle: u32): void {
  free(handle)
}

export function flushed(): u64 {
  return load<u64>(FLUSHED_VERSION)
}
export function version(): u64 {
  return atomic.load<u64>(VERSION_COUNTER)
}

export function flushPendingAt(): u32 {
  return atomic.load<u32>(FLUSH_AT)
}

export function flushAt(seconds: u32): void {
  atomic.store<u32>(FLUSH_AT, seconds)
}
