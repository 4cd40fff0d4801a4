/**
 * Pages of 1 MiB: which class each belongs to, which lie in the global pool, and how many there may be (-m, changed by
 * cache_memlimit). Every function here runs under PAGE_LOCK, but for those that say otherwise.
 *
 *   never used -> a class <-> the global pool -> released (its memory is the system's again) -> a class
 *
 * A word a page: the class it belongs to, counted from 1; on one of the two lists the next page of the list.
 */
import {
  PAGE_LIMIT, PAGE_LOCK, pages, PAGES_CUT, pagesMax, PAGES_USED, pageSize, pageTable, POOL_COUNT, POOL_HEAD, RELEASED_HEAD,
  SHRINKING
} from './layout'
import { lock, unlock } from './locks'

const LISTED: u32 = 0x80000000

function entryOf(page: u32): u32 {
  return pageTable + (page << 2)
}

export function pageAddress(page: u32): u32 {
  return pages + page * pageSize
}

export function pageOf(address: u32): u32 {
  return (address - pages) / pageSize
}

export function isPageOf(page: u32, index: u32): bool {
  return load<u32>(entryOf(page)) == index + 1
}

export function givePage(page: u32, index: u32): void {
  store<u32>(entryOf(page), index + 1)
}

function push(head: u32, page: u32): void {
  store<u32>(entryOf(page), LISTED | load<u32>(head))
  store<u32>(head, page + 1)
}

/** 0: the list is empty; else the page counted from 1. */
function pop(head: u32): u32 {
  const first = load<u32>(head)
  if (first) store<u32>(head, load<u32>(entryOf(first - 1)) & ~LISTED)
  return first
}

/** Address of a page for this class, or 0. `beyond`: -m does not count. */
export function takePage(index: u32, beyond: bool): u32 {
  let first = pop(POOL_HEAD)
  if (first) store<u32>(POOL_COUNT, load<u32>(POOL_COUNT) - 1)
  else {
    const used = load<u32>(PAGES_USED)
    if (used >= load<u32>(PAGE_LIMIT) && !beyond) return 0
    first = pop(RELEASED_HEAD)
    if (!first) {
      const cut = load<u32>(PAGES_CUT)
      if (cut >= pagesMax) return 0
      store<u32>(PAGES_CUT, cut + 1)
      first = cut + 1
    }
    store<u32>(PAGES_USED, used + 1)
  }
  givePage(first - 1, index)
  return pageAddress(first - 1)
}

export function pool(page: u32): void {
  push(POOL_HEAD, page)
  store<u32>(POOL_COUNT, load<u32>(POOL_COUNT) + 1)
}

/** Address of a page of the pool that is too many for the limit and is now nobody's, or 0. Takes PAGE_LOCK. */
export function takeSurplus(): u32 {
  lock(PAGE_LOCK)
  const used = load<u32>(PAGES_USED)
  let first: u32 = 0
  if (used > load<u32>(PAGE_LIMIT)) {
    first = pop(POOL_HEAD)
    if (first) {
      store<u32>(POOL_COUNT, load<u32>(POOL_COUNT) - 1)
      store<u32>(PAGES_USED, used - 1)
    }
  }
  unlock(PAGE_LOCK)
  return first ? pageAddress(first - 1) : 0
}

/** The memory of a surplus page went back to the system: from now on it may be used again. Takes PAGE_LOCK. */
export function putReleased(address: u32): void {
  lock(PAGE_LOCK)
  push(RELEASED_HEAD, pageOf(address))
  unlock(PAGE_LOCK)
}

/** Are there more pages than a lower limit allows? Takes PAGE_LOCK. */
export function mustShrink(): bool {
  lock(PAGE_LOCK)
  if (load<u32>(PAGES_USED) <= load<u32>(PAGE_LIMIT)) store<u32>(SHRINKING, 0)
  const must = load<u32>(SHRINKING) != 0
  unlock(PAGE_LOCK)
  return must
}

/** False: that much was not laid out. Takes PAGE_LOCK. */
export function setPageLimit(limit: u32): bool {
  if (limit > pagesMax) return false
  lock(PAGE_LOCK)
  // Pages that classes took beyond the limit, their first ones, are not asked back for its own sake.
  if (limit < load<u32>(PAGE_LIMIT)) store<u32>(SHRINKING, 1)
  store<u32>(PAGE_LIMIT, limit)
  unlock(PAGE_LOCK)
  return true
}
