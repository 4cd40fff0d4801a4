/**
 * Chunks: where the memory of an item comes from and goes to. A class takes from its free list, then from its newest
 * page, then a new page; when -m is used up it makes room at the tails of its own lists (eviction.ts). Whole items
 * only, for now: the page mover and chained chunks are to come.
 */
import { classCount, PAGE_LOCK, pageLimit, pages, PAGES_USED, pageSize, pagesMax } from './layout'
import { lock, unlock } from './locks'
import { FREE, Item, itemAt, sizeOf, TOMBSTONE } from './item'
import { addFigure, classAt, firstList, linkHead, listResized, MEM_REQUESTED, OUT_OF_MEMORY, SlabClass, unlinkList } from './lru'
import { makeRoom } from './eviction'
import { BYTES, countBy, CURR_ITEMS, TOMBSTONES } from './stats'

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
  if (!address) address = makeRoom(index)
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

/** Puts a filled item on the list of its class where it begins; the caller puts it in the hash table. */
export function enlist(address: u32): void {
  const guard = changetype<u32>(classAt(itemAt(address).slabClass))
  lock(guard)
  linkHead(address, firstList(itemAt(address)))
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
  listResized(item, by)
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
