/**
 * The page mover: empties a page of one class, chunk by chunk, and gives it to another class or to the global pool. Its
 * state lies in shared memory; whichever thread has the time works off a slice of it, one at a time. Nobody waits for it:
 * it holds a key's stripe and a class's lock for the length of one chunk, and passes by what another thread holds.
 *
 *   idle -> wanted -> running: the page is the class's `moving`, whose free and freed chunks nobody gets any more
 *     a chunk is   FREE    -> off its list                                               \
 *                  an item, or a piece of one -> dead: freed; else copied to a spare     |-> MOVED
 *                    chunk of its class (rescued); else evicted                          /
 *                  held by somebody -> busy: looked at again in the next pass
 *   no chunk busy -> the page goes; too many passes -> the page stays, its chunks are free
 */
import { isExpired, isFlushed } from './clock'
import { chunkAt, firstChunk, isChained, readersOf } from './chunked'
import { noteEviction } from './eviction'
import { classCount, CONTROL, evictions, PAGE_LOCK, PAGES_CUT } from './layout'
import { lock, tryLock, unlock } from './locks'
import { ACTIVE, CHAIN_HEAD, CHUNK, copy, FREE, HEADER, Item, itemAt, LINKED, MOVED, sizeOf, TOMBSTONE } from './item'
import { classAt, COLD, listOf, replaceInList, SlabClass } from './lru'
import { givePage, isPageOf, pageAddress, pageOf, pool } from './pages'
import { enterTurn, leaveTurn } from './route'
import { claim, cutPage, discard, evictChunk, push, setMoving, take, unfree } from './slab'
import { count, RECLAIMED } from './stats'
import { remove, replace, stripeOf } from './table'

// The state, words of the control block. Written under MOVE_LOCK, or by the thread that has it.
const MOVE_LOCK: u32 = CONTROL + 1024
const STATE: u32 = CONTROL + 1028
const SOURCE: u32 = CONTROL + 1032
/** A class, or POOL. */
const TARGET: u32 = CONTROL + 1036
const PAGE: u32 = CONTROL + 1040
const AT: u32 = CONTROL + 1044
const END: u32 = CONTROL + 1048
const BUSY: u32 = CONTROL + 1052
const PASSES: u32 = CONTROL + 1056
/** The page that went last, and the class that was last picked: the next ones are looked for behind them. */
const LAST_PAGE: u32 = CONTROL + 1060
const LAST_PICKED: u32 = CONTROL + 1064

// Figures, 64 bits each, in the order of MOVER_FIGURES in lib/engine/pages.ts.
const FIGURES: u32 = CONTROL + 1088
const SLABS_MOVED: u32 = 0
const RESCUES: u32 = 1
const CHUNK_RESCUES: u32 = 2
// 3 is memcached's slab_reassign_inline_reclaim, which does not happen here.
const BUSY_ITEMS: u32 = 4
const BUSY_DELETES: u32 = 5
const BUSY_NOMEM: u32 = 6
const EVICTIONS_NOMEM: u32 = 7
const LAST_BUSY: u32 = 8

const IDLE: u32 = 0
const WANTED: u32 = 1
const RUNNING: u32 = 2

/** The global pool is memcached's class 0; classes count from 0 here. */
const POOL: u32 = 0xffffffff

// Answers of `reassign`; the host has memcached's words in this order.
const OK: u32 = 0
const IS_BUSY: u32 = 1
const BAD_CLASS: u32 = 2
const NO_SPARE: u32 = 3
const SAME: u32 = 4

// Answers of `moveSlice`.
/** Nothing to do. */
const REST: u32 = 0
const MORE: u32 = 1
/** Everything left is held by somebody: go on a little later. */
const WAIT: u32 = 2

// What was in the way last (slab_reassign_last_busy_status).
const HELD: u32 = 1
const FILLING: u32 = 2
const READ: u32 = 3
const NO_MEMORY: u32 = 4

/** After so many passes an item that somebody reads leaves the table, and after so many the page stays where it is. */
const PASSES_PATIENT: u32 = 100
const PASSES_MAX: u32 = 1000

/** Budget of a slice in looks at a chunk; what is copied counts by its bytes. */
const BYTES_PER_LOOK: u32 = 1024

function note(figure: u32): void {
  const address = FIGURES + (figure << 3)
  store<u64>(address, load<u64>(address) + 1)
}

/** Asks for a page of memcached's class `source` (-1: of any) for class `target`, 0 being the global pool. */
export function reassign(source: i32, target: i32): u32 {
  lock(MOVE_LOCK)
  const answer = load<u32>(STATE) != IDLE ? IS_BUSY : want(source, target)
  unlock(MOVE_LOCK)
  return answer
}

function want(source: i32, target: i32): u32 {
  if (source == target) return SAME
  const last = <i32>classCount
  const from = source == -1 ? pickAny(target) : source
  if (from < 0 || from > last || target < 0 || target > last) return BAD_CLASS
  if (from == 0 || classAt(<u32>from - 1).pages < 2) return NO_SPARE
  store<u32>(SOURCE, <u32>from - 1)
  store<u32>(TARGET, target ? <u32>target - 1 : POOL)
  atomic.store<u32>(STATE, WANTED)
  return OK
}

/** The next class in turn that has a page to spare; -1: there is none. */
function pickAny(but: i32): i32 {
  const last = load<u32>(LAST_PICKED)
  for (let step: u32 = 1; step <= classCount; step++) {
    const index = (last + step) % classCount
    if (<i32>index + 1 == but || classAt(index).pages < 2) continue
    store<u32>(LAST_PICKED, index)
    return <i32>index + 1
  }
  return -1
}

export function isMoverBusy(): bool {
  return atomic.load<u32>(STATE) != IDLE
}

/** Works for about `budget` looks. One thread at a time: to others there is nothing to do. */
export function moveSlice(budget: u32): u32 {
  if (atomic.load<u32>(STATE) == IDLE || !tryLock(MOVE_LOCK)) return REST
  enterTurn()
  const outcome = work(<i32>budget)
  leaveTurn()
  unlock(MOVE_LOCK)
  return outcome
}

function work(budget: i32): u32 {
  const index = load<u32>(SOURCE)
  const slabs = classAt(index)
  if (load<u32>(STATE) == WANTED && !begin(index, slabs)) {
    atomic.store<u32>(STATE, IDLE)
    return REST
  }
  const end = load<u32>(END)
  let at = load<u32>(AT)
  while (at < end && budget > 0) {
    budget -= <i32>visit(at, index, slabs)
    at += slabs.chunkSize
  }
  store<u32>(AT, at)
  if (at < end) return MORE
  if (!load<u32>(BUSY)) {
    finish(slabs)
    return REST
  }
  store<u32>(BUSY, 0)
  store<u32>(AT, load<u32>(PAGE))
  store<u32>(PASSES, load<u32>(PASSES) + 1)
  if (load<u32>(PASSES) < PASSES_MAX) return WAIT
  giveUp(slabs)
  return REST
}

/** Chooses a page and closes it. */
function begin(index: u32, slabs: SlabClass): bool {
  const page = choose(index)
  const guard = changetype<u32>(slabs)
  lock(guard)
  if (!page || slabs.pages < 2) {
    unlock(guard)
    return false
  }
  let end = page + slabs.chunksPerPage * slabs.chunkSize
  if (slabs.carveEnd == end) {
    // Its newest page: what was never cut need not be looked at.
    end = slabs.carve
    slabs.carve = slabs.carveEnd
  }
  setMoving(slabs, page)
  unlock(guard)
  store<u32>(PAGE, page)
  store<u32>(AT, page)
  store<u32>(END, end)
  store<u32>(BUSY, 0)
  store<u32>(PASSES, 0)
  atomic.store<u32>(STATE, RUNNING)
  return true
}

function choose(index: u32): u32 {
  const cut = load<u32>(PAGES_CUT)
  const last = load<u32>(LAST_PAGE)
  for (let step: u32 = 1; step <= cut; step++) {
    const page = (last + step) % cut
    if (!isPageOf(page, index)) continue
    store<u32>(LAST_PAGE, page)
    return pageAddress(page)
  }
  return 0
}

function finish(slabs: SlabClass): void {
  const page = load<u32>(PAGE)
  const target = load<u32>(TARGET)
  const guard = changetype<u32>(slabs)
  lock(guard)
  setMoving(slabs, 0)
  slabs.pages--
  unlock(guard)
  lock(PAGE_LOCK)
  if (target == POOL) pool(pageOf(page))
  else givePage(pageOf(page), target)
  unlock(PAGE_LOCK)
  if (target != POOL) {
    const to = classAt(target)
    lock(changetype<u32>(to))
    cutPage(to, page)
    unlock(changetype<u32>(to))
  }
  note(SLABS_MOVED)
  atomic.store<u32>(STATE, IDLE)
}

/** The page stays: what was cleared of it is free, and what was never cut as well. */
function giveUp(slabs: SlabClass): void {
  const page = load<u32>(PAGE)
  const cut = load<u32>(END)
  const end = page + slabs.chunksPerPage * slabs.chunkSize
  const guard = changetype<u32>(slabs)
  lock(guard)
  setMoving(slabs, 0)
  for (let at = page; at < end; at += slabs.chunkSize) {
    if (at >= cut || itemAt(at).bits & MOVED) push(slabs, at)
  }
  unlock(guard)
  atomic.store<u32>(STATE, IDLE)
}

function busy(reason: u32): u32 {
  store<u32>(BUSY, load<u32>(BUSY) + 1)
  note(BUSY_ITEMS)
  store<u64>(FIGURES + (LAST_BUSY << 3), reason)
  return 1
}

/** One chunk of the page. How many looks it took. */
function visit(at: u32, index: u32, slabs: SlabClass): u32 {
  const guard = changetype<u32>(slabs)
  lock(guard)
  const bits = itemAt(at).bits
  if (bits & (MOVED | FREE)) {
    if (bits & FREE) {
      unfree(slabs, at)
      itemAt(at).bits = MOVED
    }
    unlock(guard)
    return 1
  }
  // While a piece is one, its item is there: chains are freed from the far end.
  const owner = bits & CHUNK ? chunkAt(at).head : at
  const item = itemAt(owner)
  if (!(item.bits & LINKED)) {
    unlock(guard)
    return busy(FILLING)
  }
  const stripe = stripeOf(item.hash)
  if (!tryLock(stripe)) {
    unlock(guard)
    return busy(HELD)
  }
  const linked = (item.bits & LINKED) != 0
  unlock(guard)
  const looks = linked ? clear(at, owner, index, slabs) : busy(HELD)
  unlock(stripe)
  return looks
}

/** The item's stripe is held: nobody else changes it. */
function clear(at: u32, owner: u32, index: u32, slabs: SlabClass): u32 {
  const item = itemAt(owner)
  const chained = isChained(owner)
  if (chained && readersOf(owner)) {
    if (load<u32>(PASSES) >= PASSES_PATIENT) {
      note(BUSY_DELETES)
      drop(owner)
    }
    return busy(READ)
  }
  if (!(item.bits & TOMBSTONE) && (isExpired(item) || isFlushed(item))) {
    count(RECLAIMED)
    drop(owner)
    return 1
  }
  const spare = spareChunk(item, index, slabs)
  if (!spare) {
    if (!evictions) {
      note(BUSY_NOMEM)
      return busy(NO_MEMORY)
    }
    note(EVICTIONS_NOMEM)
    if (!(item.bits & TOMBSTONE)) {
      const lists = changetype<u32>(classAt(item.slabClass))
      lock(lists)
      noteEviction(item)
      unlock(lists)
    }
    drop(owner)
    return 1
  }
  if (at != owner) return movePiece(at, spare, slabs)
  return moveItem(at, spare, slabs)
}

/** The chunks of the page that this frees are MOVED by that. */
function drop(address: u32): void {
  remove(address)
  discard(address)
}

/** A chunk for what is in the page: a free one; for what would not go soon anyway also that of a colder item. */
function spareChunk(item: Item, index: u32, slabs: SlabClass): u32 {
  const guard = changetype<u32>(slabs)
  lock(guard)
  let spare = take(slabs)
  if (!spare && evictions && (listOf(item) != COLD || item.bits & ACTIVE)) {
    spare = evictChunk(slabs, index)
    if (spare) note(EVICTIONS_NOMEM)
  }
  if (spare) claim(spare, index)
  unlock(guard)
  return spare
}

function markMoved(at: u32, slabs: SlabClass): void {
  const guard = changetype<u32>(slabs)
  lock(guard)
  itemAt(at).bits = MOVED
  unlock(guard)
}

function movePiece(at: u32, to: u32, slabs: SlabClass): u32 {
  const from = chunkAt(at)
  const size = HEADER + from.used
  copy(to, at, size)
  if (from.prev) chunkAt(from.prev).next = to
  else setFirst(from.head, to)
  if (from.next) chunkAt(from.next).prev = to
  markMoved(at, slabs)
  note(CHUNK_RESCUES)
  return 1 + size / BYTES_PER_LOOK
}

function setFirst(owner: u32, chunk: u32): void {
  store<u32>(owner + HEADER + <u32>itemAt(owner).keyLength, chunk)
}

function moveItem(at: u32, to: u32, slabs: SlabClass): u32 {
  const chained = isChained(at)
  const size = chained ? HEADER + <u32>itemAt(at).keyLength + CHAIN_HEAD : sizeOf(at)
  const lists = changetype<u32>(classAt(itemAt(at).slabClass))
  lock(lists)
  copy(to, at, size)
  replaceInList(at, to)
  unlock(lists)
  replace(at, to)
  if (chained) for (let chunk = firstChunk(to); chunk; chunk = chunkAt(chunk).next) chunkAt(chunk).head = to
  markMoved(at, slabs)
  note(RESCUES)
  return 1 + size / BYTES_PER_LOOK
}
