/**
 * Who is the authority for a key (DESIGN 7, 8). The table lies in one of several slots; the current slot is one word in
 * shared memory, read after the key's lock was taken. A slot is written again only when no thread can still read it:
 * each thread counts its turns, odd while it is inside one.
 *
 *   slot:  0 epoch   4 self   8 count   12 unsettled (any arc of ours)   16 guarded (any arc of ours)
 *         64 per thread: its turn counter when this slot went out of force
 *          points[] tenures[] (u32)  owners[] (u16)  settled[] (u8), each of `routePointsMax`
 */
import {
  CURRENT_ROUTE, routePointsMax, routes, routeSlots, routeStride, threads, turnCounter, turnCounterOf
} from './layout'
import { md5Word0 } from './md5'

const RETIRED: u32 = 64

export function slotEpoch(slot: u32): u32 {
  return slot ? load<u32>(slot) : 0
}
export function slotSelf(slot: u32): u32 {
  return load<u32>(slot, 4)
}
export function slotUnsettled(slot: u32): bool {
  return slot != 0 && load<u32>(slot, 12) != 0
}

export function slotGuarded(slot: u32): bool {
  return load<u32>(slot, 16) != 0
}

function points(slot: u32): u32 {
  return slot + RETIRED + ((threads + 15) & ~15) * 4
}
export function arcTenure(slot: u32, arc: u32): u32 {
  return load<u32>(points(slot) + (routePointsMax << 2) + (arc << 2))
}
export function arcOwner(slot: u32, arc: u32): u32 {
  return <u32>load<u16>(points(slot) + (routePointsMax << 3) + (arc << 1))
}
export function arcSettled(slot: u32, arc: u32): bool {
  return load<u8>(points(slot) + routePointsMax * 10 + arc) == 1
}

/** Somebody who is away would have to be asked, or a log may hold what is older: DESIGN 8, "Informed and blind". */
export function arcGuarded(slot: u32, arc: u32): bool {
  return load<u8>(points(slot) + routePointsMax * 10 + arc) == 2
}

/** Arc of a point: the first entry at or after it, the first of all when there is none. */
export function arcAt(slot: u32, point: u32): u32 {
  // Keys are anywhere: a branch that depends on what is found would be guessed wrong every second time.
  const all = points(slot)
  const count = load<u32>(slot, 8)
  let at = all
  for (let left = count; left > 1; ) {
    const half = left >> 1
    at += (half << 2) & (0 - <u32>(load<u32>(at + (half << 2) - 4) < point))
    left -= half
  }
  const arc = ((at - all) >> 2) + <u32>(load<u32>(at) < point)
  return arc == count ? 0 : arc
}

export function arcOf(slot: u32, key: u32, length: u32): u32 {
  return arcAt(slot, md5Word0(key, length))
}

export function currentSlot(): u32 {
  return atomic.load<u32>(CURRENT_ROUTE)
}

export function enterTurn(): void {
  atomic.store<u32>(turnCounter, load<u32>(turnCounter) + 1)
}
export function leaveTurn(): void {
  atomic.store<u32>(turnCounter, load<u32>(turnCounter) + 1)
}

/** A slot that no thread can be reading, or 0. */
export function findFreeSlot(): u32 {
  const current = currentSlot()
  for (let index: u32 = 0; index < routeSlots; index++) {
    const slot = routes + index * routeStride
    if (slot != current && isQuiet(slot)) return slot
  }
  return 0
}

function isQuiet(slot: u32): bool {
  for (let thread: u32 = 0; thread < threads; thread++) {
    const then = load<u32>(slot + RETIRED + (thread << 2))
    if (then & 1 && atomic.load<u32>(turnCounterOf(thread)) == then) return false
  }
  return true
}

/** Puts a written slot in force; 0: a node alone. */
export function switchTo(slot: u32): void {
  const before = currentSlot()
  atomic.store<u32>(CURRENT_ROUTE, slot)
  if (!before || before == slot) return
  for (let thread: u32 = 0; thread < threads; thread++) {
    store<u32>(before + RETIRED + (thread << 2), atomic.load<u32>(turnCounterOf(thread)))
  }
}
