/**
 * Locks: one i32 each, 0 free, 1 taken, 2 taken and somebody sleeps. Held for the length of one operation on one key.
 * Order, to which everybody keeps: a key's stripe -> a slab class -> the pages. Out of that order only `tryLock`.
 */

const SPINS: i32 = 200

/**
 * Until the word at `address` is not 2 or somebody wakes us, a millisecond at most. The host does it (lib/engine/arena.ts)
 * and not `memory.atomic.wait32`: the baseline compiler of V8 11.3 (Node 20) keeps the address of that instruction as 8
 * bytes in a place of 4 and so clears the last local of the function that waits, whichever that is.
 */
// @ts-ignore: decorator
@external('host', 'sleep')
declare function sleep(address: u32): void

export function lock(address: u32): void {
  if (atomic.cmpxchg<i32>(address, 0, 1) != 0) lockSlowly(address)
}

function lockSlowly(address: u32): void {
  for (let spin = 0; spin < SPINS; spin++) {
    if (atomic.load<i32>(address) == 0 && atomic.cmpxchg<i32>(address, 0, 1) == 0) return
  }
  while (atomic.xchg<i32>(address, 2) != 0) sleep(address)
}

export function tryLock(address: u32): bool {
  return atomic.cmpxchg<i32>(address, 0, 1) == 0
}

export function unlock(address: u32): void {
  if (atomic.xchg<i32>(address, 0) == 2) atomic.notify(address, 1)
}
