/**
 * Chunks: where the memory of an item comes from and goes to. A class takes from its free list, then from its newest
 * page, then a new page; when -m is used up it makes room at the tails of its own lists (evict below). Whole items
 * only, for now: the page mover and chained chunks are to come.
 */
import { classCount, evictions, PAGE_LOCK, pageLimit, pages, PAGES_USED, pageSize, pagesMax } from './layout'
import { lock, tryLock, unlock } from './locks'
import { ACTIVE, FETCHED, FREE, Item, itemAt, sizeOf, TOMBSTONE } from './item'
import {
  addFigure, CLASS_EVICTED_ACTIVE, CLASS_EVICTED_UNFETCHED, CLASS_EXPIRED_UNFETCHED, CLASS_RECLAIMED, classAt, COLD, DIRECT_RECLAIMS,
  EVICTED, EVICTED_NONZERO, EVICTED_TIME, HOT, linkHead, listCount, listTail, MEM_REQUESTED, MOVES_TO_COLD, MOVES_TO_WARM,
  MOVES_WITHIN, OUT_OF_MEMORY, setFigure, SlabClass, unlinkList, WARM
} from './lru'
import { remove, stripeOf } from './table'
import { isExpired, isFlushed, now } from './clock'
import {
  BYTES, count, countBy, CURR_ITEMS, EVICTED_ACTIVE, EVICTED_UNFETCHED, EVICTIONS, EXPIRED_UNFETCHED, RECLAIMED,
  TOMBSTONES
} from './stats'

/** Items looked at for one allocation at most; the last quarter spares nobody. */
const STEPS_MAX: u32 = 64
const STEPS_FORCED: u32 = 48
/** Items at a tail that are passed by because another thread holds their key. */
const BUSY_MAX: u32 = 8
// PROTOCOL D15: shares of HOT and WARM.
const HOT_PERCENT: u32 = 20
const WARM_PERCENT: u32 = 40

/**
 * Smallest class whose chunks hold `size` bytes. The host made the last class a whole page, which holds every size D2
 * allows.
 */
export function classFor(size: u32): u32 {
  let low: u32 = 0
  let high: u32 = classCount - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (classAt(middle).chunkSize < size) low = middle + 1
    else high = middle
  }
  return low
}

/** A chunk for an item of `size` bytes, or 0. May evict; may be called under one stripe lock. */
export function allocate(size: u32): u32 {
  const index = classFor(size)
  const slabs = classAt(index)
  if (slabs.chunkSize < size) return 0
  const guard = changetype<u32>(slabs)
  lock(guard)
  let address = take(slabs)
  if (!address && addPage(slabs)) address = take(slabs)
  if (!address && evictions) {
    address = makeRoom(index)
    if (address) addFigure(index, DIRECT_RECLAIMS, 1)
  }
  if (!address) addFigure(index, OUT_OF_MEMORY, 1)
  unlock(guard)
  if (address) {
    const item = itemAt(address)
    item.slabClass = <u8>index
    item.bits = 0
  }
  return address
}

/** Gives back a chunk that is in no list. */
export function free(address: u32): void {
  const slabs = classAt(itemAt(address).slabClass)
  const guard = changetype<u32>(slabs)
  lock(guard)
  push(slabs, address)
  unlock(guard)
}

/** Puts a filled item on its class's HOT list; the caller puts it in the hash table. */
export function enlist(address: u32): void {
  const guard = changetype<u32>(classAt(itemAt(address).slabClass))
  lock(guard)
  linkHead(address, HOT)
  addFigure(itemAt(address).slabClass, MEM_REQUESTED, sizeOf(address))
  unlock(guard)
}

/** Takes an item that is out of the hash table off its list and frees it. */
export function discard(address: u32): void {
  const size = sizeOf(address)
  uncount(itemAt(address))
  const slabs = classAt(itemAt(address).slabClass)
  const guard = changetype<u32>(slabs)
  lock(guard)
  addFigure(itemAt(address).slabClass, MEM_REQUESTED, -<i64>size)
  unlinkList(address)
  push(slabs, address)
  unlock(guard)
}

/** A linked item became so many bytes larger, in its place. */
export function resized(item: Item, by: i64): void {
  const guard = changetype<u32>(classAt(item.slabClass))
  lock(guard)
  addFigure(item.slabClass, MEM_REQUESTED, by)
  unlock(guard)
}

/** Out of the figures. */
export function uncount(item: Item): void {
  if (item.bits & TOMBSTONE) {
    countBy(TOMBSTONES, -1)
    return
  }
  countBy(CURR_ITEMS, -1)
  countBy(BYTES, -<i64>sizeOf(changetype<u32>(item)))
}

function take(slabs: SlabClass): u32 {
  const free = slabs.freeHead
  if (free) {
    slabs.freeHead = itemAt(free).hashNext
    slabs.freeCount--
    return free
  }
  const next = slabs.carve
  if (next == slabs.carveEnd) return 0
  slabs.carve = next + slabs.chunkSize
  return next
}

function push(slabs: SlabClass, address: u32): void {
  const item = itemAt(address)
  item.bits = FREE
  item.hashNext = slabs.freeHead
  slabs.freeHead = address
  slabs.freeCount++
}

/** Beyond -m a class gets one page if it has none, as in memcached: otherwise it could store nothing at all. */
function addPage(slabs: SlabClass): bool {
  // Chunks larger than a page get a run of pages each.
  const run = (slabs.chunkSize + pageSize - 1) / pageSize
  lock(PAGE_LOCK)
  const used = load<u32>(PAGES_USED)
  const granted = used + run <= pagesMax && (used + run <= pageLimit || slabs.pages == 0)
  if (granted) store<u32>(PAGES_USED, used + run)
  unlock(PAGE_LOCK)
  if (!granted) return false
  slabs.carve = pages + used * pageSize
  slabs.carveEnd = slabs.carve + slabs.chunksPerPage * slabs.chunkSize
  slabs.pages++
  return true
}

/** A chunk of this class from the tail of a list, or 0: HOT and WARM flow to COLD, COLD's idle tail goes. */
function makeRoom(index: u32): u32 {
  for (let step: u32 = 0; step < STEPS_MAX; step++) {
    const forced = step >= STEPS_FORCED
    const hot = listCount(index, HOT)
    const warm = listCount(index, WARM)
    const cold = listCount(index, COLD)
    const all = hot + warm + cold
    if (!all) return 0
    let chunk: u32 = 0
    if (hot && <u64>hot * 100 > <u64>all * HOT_PERCENT) chunk = pull(index, HOT, false)
    if (!chunk && warm && <u64>warm * 100 > <u64>all * WARM_PERCENT) chunk = pull(index, WARM, forced)
    if (!chunk && listCount(index, COLD)) chunk = pull(index, COLD, forced)
    if (!chunk && forced && step == STEPS_MAX - 1) {
      chunk = pull(index, HOT, true)
      if (!chunk) chunk = pull(index, WARM, true)
    }
    if (chunk) return chunk
  }
  return 0
}

/**
 * Deals with the last item of a list that no other thread works on: freed when dead, moved when it should be elsewhere,
 * evicted from COLD, or from anywhere when `forced`. The chunk, if it became free.
 */
function pull(index: u32, list: u32, forced: bool): u32 {
  let address = listTail(index, list)
  for (let busy: u32 = 0; address && busy < BUSY_MAX; busy++) {
    const item = itemAt(address)
    const stripe = stripeOf(item.hash)
    if (tryLock(stripe)) {
      const freed = settle(address, item, list, forced)
      unlock(stripe)
      return freed ? address : 0
    }
    address = item.lruPrev
  }
  return 0
}

function settle(address: u32, item: Item, list: u32, forced: bool): bool {
  const bits = item.bits
  const tombstone = (bits & TOMBSTONE) != 0
  if (!tombstone && (isExpired(item) || isFlushed(item))) {
    count(RECLAIMED)
    addFigure(item.slabClass, CLASS_RECLAIMED, 1)
    if (!(bits & FETCHED)) {
      count(EXPIRED_UNFETCHED)
      addFigure(item.slabClass, CLASS_EXPIRED_UNFETCHED, 1)
    }
    drop(address, item)
    return true
  }
  if (!forced) {
    if (bits & ACTIVE) {
      item.bits = bits & ~ACTIVE
      addFigure(item.slabClass, list == WARM ? MOVES_WITHIN : MOVES_TO_WARM, 1)
      move(address, WARM)
      return false
    }
    if (list != COLD) {
      addFigure(item.slabClass, MOVES_TO_COLD, 1)
      move(address, COLD)
      return false
    }
  }
  if (!tombstone) {
    noteEviction(item)
  }
  drop(address, item)
  return true
}

function noteEviction(item: Item): void {
  const index = item.slabClass
  count(EVICTIONS)
  addFigure(index, EVICTED, 1)
  setFigure(index, EVICTED_TIME, now - item.time)
  if (item.exptime) addFigure(index, EVICTED_NONZERO, 1)
  if (!(item.bits & FETCHED)) {
    count(EVICTED_UNFETCHED)
    addFigure(index, CLASS_EVICTED_UNFETCHED, 1)
  }
  if (item.bits & ACTIVE) {
    count(EVICTED_ACTIVE)
    addFigure(index, CLASS_EVICTED_ACTIVE, 1)
  }
}

function move(address: u32, list: u32): void {
  unlinkList(address)
  linkHead(address, list)
}

function drop(address: u32, item: Item): void {
  addFigure(item.slabClass, MEM_REQUESTED, -<i64>sizeOf(address))
  uncount(item)
  remove(address)
  unlinkList(address)
  item.bits = 0
}
