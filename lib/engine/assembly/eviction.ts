/**
 * What goes when memory is full: the tails of a class's lists are looked at, and each item there is freed when dead,
 * moved when it should be elsewhere, or evicted. Every function here runs under the class's lock.
 */
import { now, isExpired, isFlushed } from './clock'
import { tryLock, unlock } from './locks'
import { ACTIVE, CHAINED, FETCHED, Item, itemAt, sizeOf, TOMBSTONE } from './item'
import { releaseChain } from './chunked'
import {
  addFigure, classAt, CLASS_EVICTED_ACTIVE, CLASS_EVICTED_UNFETCHED, CLASS_EXPIRED_UNFETCHED, CLASS_RECLAIMED, COLD, EVICTED,
  EVICTED_NONZERO, EVICTED_TIME, HOT, linkHead, listCount, listTail, MEM_REQUESTED, MOVES_TO_COLD, MOVES_TO_WARM, MOVES_WITHIN,
  setFigure, unlinkList, WARM
} from './lru'
import { remove, stripeOf } from './table'
import { take, uncount } from './slab'
import { count, EVICTED_ACTIVE, EVICTED_UNFETCHED, EVICTIONS, EXPIRED_UNFETCHED, RECLAIMED } from './stats'

/** Items looked at for one allocation at most; the last quarter spares nobody. */
const STEPS_MAX: u32 = 64
const STEPS_FORCED: u32 = 48
/** Items at a tail that are passed by because another thread holds their key. */
const BUSY_MAX: u32 = 8
// PROTOCOL D15: shares of HOT and WARM.
const HOT_PERCENT: u32 = 20
const WARM_PERCENT: u32 = 40

/** A chunk of this class from the tail of a list, or 0: HOT and WARM flow to COLD, COLD's idle tail goes. */
export function makeRoom(index: u32): u32 {
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
      const chained = (item.bits & CHAINED) != 0
      const freed = settle(address, item, list, forced)
      unlock(stripe)
      // A chain gives several chunks, or, while somebody reads it, none.
      return !freed ? 0 : chained ? take(classAt(index)) : address
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

export function noteEviction(item: Item): void {
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
  if (item.bits & CHAINED) releaseChain(address, item.slabClass)
  else item.bits = 0
}
