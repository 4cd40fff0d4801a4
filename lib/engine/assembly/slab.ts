/**
 * Chunks: where the memory of an item comes from and goes to. A class takes from its free list, then from its newest
 * page, then a new page (pages.ts); when -m is used up it makes room at the tails of its own lists (eviction.ts). What
 * fits in no chunk becomes a chain of them (chunked.ts). The chunks of a page that is being moved (page-mover.ts) are
 * given to nobody.
 */
import { classCount, PAGE_LOCK, pageSize } from './layout'
import { lock, unlock } from './locks'
import { FREE, HEADER, Item, itemAt, MOVED, sizeOf, TOMBSTONE } from './item'
import {
  addFigure, classAt, firstList, isSegmented, linkHead, listResized, MEM_REQUESTED, OUT_OF_MEMORY, SlabClass, unlinkList
} from './lru'
import { allocateChain, dropChain, freeChain, isChained } from './chunked'
import { makeRoom, reclaimTail } from './eviction'
import { takePage } from './pages'
import { BYTES, countBy, CURR_ITEMS, TOMBSTONES } from './stats'

/** No class is locked. */
const NONE: u32 = 0xffffffff

/** Smallest class whose chunks hold `size` bytes; the largest one when none does. */
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

/**
 * Memory for an item of this key and value, with `spare` bytes behind the value, or 0; its keyLength is set. May evict;
 * may be called under one stripe lock.
 */
export function allocate(keyLength: u32, bytes: u32, spare: u32): u32 {
  const size = HEADER + keyLength + bytes + 2 + spare
  const index = classFor(size)
  if (classAt(index).chunkSize < size) return allocateChain(keyLength, bytes)
  const address = allocateChunk(index)
  if (address) itemAt(address).keyLength = <u8>keyLength
  return address
}

/** A chunk of this class that is nobody else's, or 0. May evict. */
export function allocateChunk(index: u32): u32 {
  const slabs = classAt(index)
  const guard = changetype<u32>(slabs)
  lock(guard)
  // One list a class and nobody who visits it: what died at its end is used before anything new, as in memcached.
  let address = isSegmented() ? 0 : reclaimTail(index)
  if (address && isMoving(slabs, address)) {
    itemAt(address).bits = MOVED
    address = 0
  }
  if (!address) address = take(slabs)
  if (!address && addPage(slabs, index)) address = take(slabs)
  if (!address) address = evictChunk(slabs, index)
  if (address) claim(address, index)
  else addFigure(index, OUT_OF_MEMORY, 1)
  unlock(guard)
  return address
}

/** The chunk is not FREE any more, and of which class it is: what the page mover looks at, under the class's lock. */
export function claim(address: u32, index: u32): void {
  const item = itemAt(address)
  item.slabClass = <u8>index
  item.bits = 0
}

/** A chunk from the tails of the class's lists, or 0. Under the class's lock. */
export function evictChunk(slabs: SlabClass, index: u32): u32 {
  let address = makeRoom(index)
  while (address && isMoving(slabs, address)) {
    itemAt(address).bits = MOVED
    address = makeRoom(index)
  }
  return address
}

/** Gives back an item that is in no list and not in the table. */
export function free(address: u32): void {
  if (isChained(address)) freeChain(address, NONE)
  else freeChunk(address, itemAt(address).slabClass)
}

export function freeChunk(address: u32, index: u32): void {
  const slabs = classAt(index)
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
  const chained = isChained(address)
  if (!chained) push(slabs, address)
  unlock(guard)
  if (chained) dropChain(address)
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

/** From the free list or the newest page. Under the class's lock. */
export function take(slabs: SlabClass): u32 {
  let free = slabs.freeHead
  while (free) {
    slabs.freeHead = itemAt(free).hashNext
    slabs.freeCount--
    if (!isMoving(slabs, free)) return free
    itemAt(free).bits = MOVED
    free = slabs.freeHead
  }
  const next = slabs.carve
  if (next == slabs.carveEnd) return 0
  slabs.carve = next + slabs.chunkSize
  return next
}

/** Under the class's lock. */
export function push(slabs: SlabClass, address: u32): void {
  const item = itemAt(address)
  if (isMoving(slabs, address)) {
    item.bits = MOVED
    return
  }
  item.bits = FREE
  item.lruPrev = 0
  item.hashNext = slabs.freeHead
  if (slabs.freeHead) itemAt(slabs.freeHead).lruPrev = address
  slabs.freeHead = address
  slabs.freeCount++
}

/** Takes a FREE chunk off its list, under the class's lock. The first one's lruPrev says nothing. */
export function unfree(slabs: SlabClass, address: u32): void {
  const item = itemAt(address)
  if (slabs.freeHead == address) slabs.freeHead = item.hashNext
  else itemAt(item.lruPrev).hashNext = item.hashNext
  if (item.hashNext) itemAt(item.hashNext).lruPrev = item.lruPrev
  slabs.freeCount--
}

const MOVING: u32 = 252

/** The page of this class that is being moved; 0: none. */
export function setMoving(slabs: SlabClass, page: u32): void {
  store<u32>(changetype<u32>(slabs), page, MOVING)
}

// @ts-ignore: decorator
@inline
export function isMoving(slabs: SlabClass, address: u32): bool {
  const page = load<u32>(changetype<u32>(slabs), MOVING)
  return page != 0 && address - page < pageSize
}

/** Beyond -m a class gets one page if it has none, as in memcached: otherwise it could store nothing at all. */
function addPage(slabs: SlabClass, index: u32): bool {
  lock(PAGE_LOCK)
  const page = takePage(index, slabs.pages == 0)
  unlock(PAGE_LOCK)
  if (!page) return false
  cutPage(slabs, page)
  return true
}

/** A page becomes this class's newest. What is left of the one before goes on the free list. Under the class's lock. */
export function cutPage(slabs: SlabClass, page: u32): void {
  while (slabs.carve != slabs.carveEnd) {
    push(slabs, slabs.carve)
    slabs.carve += slabs.chunkSize
  }
  slabs.carve = page
  slabs.carveEnd = page + slabs.chunksPerPage * slabs.chunkSize
  slabs.pages++
}
