/**
 * What the host may call (lib/engine/engine.ts is its only caller). One instance a thread, all over one shared memory.
 */
import { attachLayout, FLUSH_AT, FLUSHED_VERSION, VERSION_COUNTER } from './layout'
import { flushVersion, now, observeVersion, setNow } from './clock'
import { chunkAt, fillAt, fillLength, firstChunk, removeReader, startFill } from './chunked'
import { HEADER, itemAt } from './item'
import { free } from './slab'
import { describeFill } from './turn'

export { runRequests as run, runFinish as finish } from './machine'
export {
  collect, currentEpoch, handOver, heldMark, install, installAbsent, listKeys, peek, pointOf, prepare, renew, routeOf,
  sweepTombstones
} from './handoff'
export { addAhead, lookAtAll } from './ahead'
export { isMoverBusy, moveSlice, reassign } from './page-mover'
export { mustShrink, putReleased, setPageLimit, takeSurplus } from './pages'
export { findFreeSlot, switchTo } from './route'
export { ownerOfRequest, ownersOfKeys } from './forward'
export { mergeGet, splitGet } from './split-get'
export { setExecutesGuarded } from './keys'
export { noteText } from './log'
export { clearPrefixes, lockPrefixes, unlockPrefixes } from './prefixes'
export { juggle } from './eviction'
export { beginCrawl, crawl, endCrawl } from './crawler'
export { cachedump, dump } from './dump'
export { bucketCount, grow, wantGrowth } from './table'
export { setNow, observeVersion as observe, flushVersion as flush }

export function attach(thread: u32): void {
  attachLayout(thread)
}

export function time(): u32 {
  return now
}

/** The connection of a value that was being received is gone. */
export function abandon(handle: u32): void {
  free(handle)
}

export function flushed(): u64 {
  return load<u64>(FLUSHED_VERSION)
}

/**
 * The chunk behind this one of a chained item that the caller reads, 0: the first. Where its bytes lie goes to the turn
 * block. 0: there are no more.
 */
export function nextPiece(handle: u32, chunk: u32): u32 {
  const next = chunk ? chunkAt(chunk).next : firstChunk(handle)
  if (next) describeFill(next + HEADER, chunkAt(next).used, handle)
  return next
}

/** How many bytes of an item that is being filled fit at `offset` in one piece; where goes to the turn block. */
export function pieceAt(handle: u32, offset: u32): u32 {
  startFill(handle, offset, itemAt(handle).bytes + 2)
  describeFill(fillAt, fillLength, handle)
  return fillLength
}

/** The caller reads it no more. */
export function release(handle: u32): void {
  removeReader(handle)
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
