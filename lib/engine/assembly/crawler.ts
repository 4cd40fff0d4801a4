/**
 * A crawl of one LRU list, from its tail to its head: what is dead is freed, the rest is counted by how long it will live.
 * One crawl at a time, by the control thread; its place in the list is kept by lru.ts while others change it.
 *
 *   what it found (u32): 0 seen   4 without exptime   8 reclaimed   12 of no minute below   16 + 4m expires in minute m, 0..59
 */
import { isExpired, isFlushed, now } from './clock'
import { CRAWLED } from './layout'
import { lock, tryLock, unlock } from './locks'
import { Item, itemAt, TOMBSTONE } from './item'
import { addFigure, classAt, crawlAt, CRAWLER_ITEMS_CHECKED, CRAWLER_RECLAIMED, listTail, setCrawlAt } from './lru'
import { drop, noteUnfetched } from './eviction'
import { stripeOf } from './table'
import { free } from './slab'

const SEEN: u32 = CRAWLED
const WITHOUT_EXPTIME: u32 = CRAWLED + 4
const RECLAIMED_HERE: u32 = CRAWLED + 8
const LATER: u32 = CRAWLED + 12
const MINUTES: u32 = CRAWLED + 16
const MINUTES_MAX: u32 = 60
const CRAWLED_BYTES: u32 = 16 + MINUTES_MAX * 4

export function beginCrawl(index: u32, list: u32): void {
  memory.fill(CRAWLED, 0, CRAWLED_BYTES)
  const guard = changetype<u32>(classAt(index))
  lock(guard)
  setCrawlAt(index, listTail(index, list))
  unlock(guard)
}

/** Goes on for so many items. False: the head of the list was passed. */
export function crawl(index: u32, steps: u32): bool {
  const guard = changetype<u32>(classAt(index))
  while (steps--) {
    lock(guard)
    const address = crawlAt(index)
    if (!address) {
      unlock(guard)
      return false
    }
    const isOurs = look(index, address, itemAt(address))
    unlock(guard)
    if (isOurs) free(address)
  }
  return true
}

/** Not every crawl comes to its list's head. */
export function endCrawl(index: u32): void {
  const guard = changetype<u32>(classAt(index))
  lock(guard)
  setCrawlAt(index, 0)
  unlock(guard)
}

/** True: the item was dead, and its chunk is to be freed. */
function look(index: u32, address: u32, item: Item): bool {
  setCrawlAt(index, item.lruPrev)
  const stripe = stripeOf(item.hash)
  // Somebody works on it: it is not forgotten.
  if (!tryLock(stripe)) return false
  addFigure(index, CRAWLER_ITEMS_CHECKED, 1)
  const flushed = isFlushed(item)
  let isOurs = false
  if (!(item.bits & TOMBSTONE) && (flushed || isExpired(item))) {
    addFigure(index, CRAWLER_RECLAIMED, 1)
    add(RECLAIMED_HERE)
    if (!flushed) noteUnfetched(item)
    isOurs = drop(address, item)
  } else note(item)
  unlock(stripe)
  return isOurs
}

function note(item: Item): void {
  add(SEEN)
  if (!item.exptime) {
    add(WITHOUT_EXPTIME)
    return
  }
  const minute = (item.exptime - now) / 60
  add(minute < MINUTES_MAX ? MINUTES + (minute << 2) : LATER)
}

function add(word: u32): void {
  store<u32>(word, load<u32>(word) + 1)
}
