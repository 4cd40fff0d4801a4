/**
 * Locks: one i32 each, 0 free, 1 taken, 2 taken and somebody sleeps. Held for the length of one operation on one key.
 * Order, to which everybody keeps: a key's stripe -> a slab class -> the pages. Out of that order only `tryLock`.
 */

const SPINS: i32 = 200
/** A sleeper looks again after this long, whatever happened to its wake-up. */
const SLEEP_NS: i64 = 1_000_000

export function lock(address: u32): void {
  if (atomic.cmpxchg<i32>(address, 0, 1) != 0) lockSlowly(address)
}

function lockSlowly(address: u32): void {
  for (let spin = 0; spin < SPINS; spin++) {
    if (atomic.load<i32>(address) == 0 && atomic.cmpxchg<i32>(address, 0, 1) == 0) return
  }
  while (atomic.xchg<i32>(address, 2) != 0) atomic.wait<i32>(address, 2, SLEEP_NS)
}

export function tryLock(address: u32): bool {
  return atomic.cmpxchg<i32>(address, 0, 1) == 0
}

export function unlock(address: u32): void {
  if (atomic.xchg<i32>(address, 0) == 2) atomic.notify(address, 1)
}
