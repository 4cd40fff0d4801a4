/**
 * Time and versions. The seconds are what the host last said; there is no clock here. A version is (epoch, counter) in
 * 20 + 44 bits, a Lamport clock shared by all threads (DESIGN 1): alone, epoch is 0 and it counts 1, 2, 3 like
 * memcached's cas.
 */
import { CLOCK_SHIFT, CLOCK_STOPPED, FLUSH_AT, FLUSHED_VERSION, STARTED_AT, VERSION_COUNTER } from './layout'
import { Item } from './item'

const EPOCH_SHIFT: u64 = 44
/** PROTOCOL D5: up to 30 days is a time from now, more is a date. */
const RELATIVE_MAX: i32 = 2592000

export let now: u32 = 0

export function setNow(told: u32): void {
  const stopped = load<u32>(CLOCK_STOPPED)
  const seconds = (stopped ? stopped : told) + load<u32>(CLOCK_SHIFT)
  now = seconds
  atomic.cmpxchg<u32>(STARTED_AT, 0, seconds)
  const flushAt = atomic.load<u32>(FLUSH_AT)
  if (flushAt != 0 && seconds >= flushAt && atomic.cmpxchg<u32>(FLUSH_AT, flushAt, 0) == flushAt) {
    flushVersion(atomic.load<u64>(VERSION_COUNTER))
  }
}

/** memcached's debugtime: `by` seconds from now on all clocks are told too early. */
export function moveClock(by: i32): void {
  atomic.add<u32>(CLOCK_SHIFT, <u32>by)
  now += <u32>by
}

export function stopClock(stopped: bool): void {
  atomic.store<u32>(CLOCK_STOPPED, stopped ? now - load<u32>(CLOCK_SHIFT) : 0)
}

/** PROTOCOL D5. 0: never; 1: dead already. */
export function expiresAt(exptime: i32): u32 {
  if (exptime == 0) return 0
  if (exptime < 0) return 1
  if (exptime > RELATIVE_MAX) return <u32>exptime <= load<u32>(STARTED_AT) ? 1 : <u32>exptime
  return now + <u32>exptime
}

// @ts-ignore: decorator
@inline
export function isExpired(item: Item): bool {
  return item.exptime != 0 && item.exptime <= now
}

// @ts-ignore: decorator
@inline
export function isFlushed(item: Item): bool {
  return item.version <= load<u64>(FLUSHED_VERSION)
}

/** The version of a write at this epoch: above every version this node has seen. */
export function tick(epoch: u32): u64 {
  const least = (<u64>epoch) << EPOCH_SHIFT
  let seen = atomic.load<u64>(VERSION_COUNTER)
  while (true) {
    const next = (seen > least ? seen : least) + 1
    const before = atomic.cmpxchg<u64>(VERSION_COUNTER, seen, next)
    if (before == seen) return next
    seen = before
  }
}

export function observeVersion(version: u64): void {
  raise(VERSION_COUNTER, version)
}

/** Everything up to this version is dead, also what arrives later (DESIGN 8); the next write here is above it. */
export function flushVersion(version: u64): void {
  raise(VERSION_COUNTER, version)
  raise(FLUSHED_VERSION, version)
}

function raise(address: u32, version: u64): void {
  let seen = atomic.load<u64>(address)
  while (seen < version) {
    const before = atomic.cmpxchg<u64>(address, seen, version)
    if (before == seen) return
    seen = before
  }
}
