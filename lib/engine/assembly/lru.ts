/**
 * A slab class: its lock, its chunks, and its LRU lists HOT, WARM, COLD and TEMP. Every function here runs under the
 * class's lock.
 *
 *   new items -> HOT -- idle --> COLD -> evicted
 *                 \-- active --> WARM -- idle --> COLD, and an active item of COLD goes to WARM
 *   new items of a short life -> TEMP, until they expire
 *
 * Flat: new items -> COLD, and to its head again when they are read, once a minute at most.
 */
import { classes, SEGMENTED, TEMPORARY_TTL } from './layout'
import { Item, itemAt, LIST_MASK, LIST_SHIFT, sizeOf } from './item'
import { now } from './clock'

export const HOT: u32 = 0
export const WARM: u32 = 1
export const COLD: u32 = 2
export const TEMP: u32 = 3

@unmanaged
export class SlabClass {
  lock: i32
  chunkSize: u32
  chunksPerPage: u32
  freeHead: u32
  freeCount: u32
  /** The newest page is cut up as chunks are needed: what was never used is never touched. */
  carve: u32
  carveEnd: u32
  pages: u32
}

// Behind the lists: figures of the class, 64 bits each, kept under its lock. In the order of CLASS_FIGURES in lib/engine/figures.ts.
const FIGURES: u32 = 96
export const MEM_REQUESTED: u32 = 0
export const EVICTED: u32 = 1
export const EVICTED_NONZERO: u32 = 2
export const EVICTED_TIME: u32 = 3
export const OUT_OF_MEMORY: u32 = 4
export const CLASS_RECLAIMED: u32 = 5
export const CLASS_EXPIRED_UNFETCHED: u32 = 6
export const CLASS_EVICTED_UNFETCHED: u32 = 7
export const CLASS_EVICTED_ACTIVE: u32 = 8
export const MOVES_TO_COLD: u32 = 9
export const MOVES_TO_WARM: u32 = 10
export const MOVES_WITHIN: u32 = 11
export const DIRECT_RECLAIMS: u32 = 12
export const CRAWLER_RECLAIMED: u32 = 13
export const CRAWLER_ITEMS_CHECKED: u32 = 14
export const LRUTAIL_REFLOCKED: u32 = 15

export function addFigure(index: u32, figure: u32, by: i64): void {
  const address = classes + (index << CLASS_STRIDE_SHIFT) + FIGURES + (figure << 3)
  store<i64>(address, load<i64>(address) + by)
}

export function setFigure(index: u32, figure: u32, value: u64): void {
  store<u64>(classes + (index << CLASS_STRIDE_SHIFT) + FIGURES + (figure << 3), value)
}

const CLASS_STRIDE_SHIFT: u32 = 8
/** Four lists of (head, tail, count, bytes) follow the fields. */
const LISTS: u32 = 32
/** Behind the figures: the item at which a crawl of one of the lists goes on, towards the head; 0: none. */
const CRAWL_AT: u32 = 224

// @ts-ignore: decorator
@inline
export function classAt(index: u32): SlabClass {
  return changetype<SlabClass>(classes + (index << CLASS_STRIDE_SHIFT))
}

// @ts-ignore: decorator
@inline
function listAt(index: u32, list: u32): u32 {
  return classes + (index << CLASS_STRIDE_SHIFT) + LISTS + (list << 4)
}

export function listTail(index: u32, list: u32): u32 {
  return load<u32>(listAt(index, list), 4)
}

export function listHead(index: u32, list: u32): u32 {
  return load<u32>(listAt(index, list))
}

export function listCount(index: u32, list: u32): u32 {
  return load<u32>(listAt(index, list), 8)
}

export function listBytes(index: u32, list: u32): u32 {
  return load<u32>(listAt(index, list), 12)
}

/** A linked item became so many bytes larger, in its place. */
export function listResized(item: Item, by: i64): void {
  const at = listAt(item.slabClass, listOf(item))
  store<u32>(at, load<u32>(at, 12) + <u32>by, 12)
}

/** Where a crawl stands. An item that leaves its list hands the place on to its neighbour. */
export function crawlAt(index: u32): u32 {
  return load<u32>(classes + (index << CLASS_STRIDE_SHIFT), CRAWL_AT)
}

export function setCrawlAt(index: u32, address: u32): void {
  store<u32>(classes + (index << CLASS_STRIDE_SHIFT), address, CRAWL_AT)
}

export function isSegmented(): bool {
  return load<u32>(SEGMENTED) != 0
}

/** The list that a new item begins in. */
export function firstList(item: Item): u32 {
  const ttl = load<i32>(TEMPORARY_TTL)
  if (ttl >= 0 && item.exptime > now && item.exptime - now <= <u32>ttl) return TEMP
  return isSegmented() ? HOT : COLD
}

// @ts-ignore: decorator
@inline
export function listOf(item: Item): u32 {
  return <u32>(item.bits & LIST_MASK) >> LIST_SHIFT
}

export function linkHead(address: u32, list: u32): void {
  const item = itemAt(address)
  const at = listAt(item.slabClass, list)
  const head = load<u32>(at)
  item.bits = (item.bits & ~LIST_MASK) | <u16>(list << LIST_SHIFT)
  item.lruPrev = 0
  item.lruNext = head
  if (head) itemAt(head).lruPrev = address
  else store<u32>(at, address, 4)
  store<u32>(at, address)
  store<u32>(at, load<u32>(at, 8) + 1, 8)
  store<u32>(at, load<u32>(at, 12) + sizeOf(address), 12)
}

export function unlinkList(address: u32): void {
  const item = itemAt(address)
  const at = listAt(item.slabClass, listOf(item))
  if (item.lruPrev) itemAt(item.lruPrev).lruNext = item.lruNext
  else store<u32>(at, item.lruNext)
  if (item.lruNext) itemAt(item.lruNext).lruPrev = item.lruPrev
  else store<u32>(at, item.lruPrev, 4)
  store<u32>(at, load<u32>(at, 8) - 1, 8)
  store<u32>(at, load<u32>(at, 12) - sizeOf(address), 12)
  if (crawlAt(item.slabClass) == address) setCrawlAt(item.slabClass, item.lruPrev)
}

export function moveTo(address: u32, list: u32): void {
  unlinkList(address)
  linkHead(address, list)
}

/** The item at `to` is a copy of the linked one at `from` and takes its place in the list; a crawl goes on at it. */
export function replaceInList(from: u32, to: u32): void {
  const item = itemAt(to)
  const at = listAt(item.slabClass, listOf(item))
  if (item.lruPrev) itemAt(item.lruPrev).lruNext = to
  else store<u32>(at, to)
  if (item.lruNext) itemAt(item.lruNext).lruPrev = to
  else store<u32>(at, to, 4)
  if (crawlAt(item.slabClass) == from) setCrawlAt(item.slabClass, to)
}
