/**
 * What the tails of a class's lists are looked at for: an item there is freed when dead, moved when it should be
 * elsewhere, or evicted. By whoever finds memory full (makeRoom), and by the maintainer before that (juggle).
 */
import { now, isExpired, isFlushed } from './clock'
import { evictions, HOT_FACTOR, HOT_PERCENT, WARM_FACTOR, WARM_PERCENT } from './layout'
import { lock, tryLock, unlock } from './locks'
import { ACTIVE, CHAINED, FETCHED, Item, itemAt, sizeOf, TOMBSTONE } from './item'
import { releaseChain } from './chunked'
import {
  addFigure, classAt, CLASS_EVICTED_ACTIVE, CLASS_EVICTED_UNFETCHED, CLASS_EXPIRED_UNFETCHED, CLASS_RECLAIMED, COLD,
  DIRECT_RECLAIMS, EVICTED, EVICTED_NONZERO, EVICTED_TIME, HOT, isSegmented, listBytes, listTail, LRUTAIL_REFLOCKED,
  MEM_REQUESTED, moveTo, MOVES_TO_COLD, MOVES_TO_WARM, MOVES_WITHIN, setFigure, TEMP, unlinkList, WARM
} from './lru'
import { EVICTIONS as EVICTIONS_STREAM, noteEvicted, watched } from './log'
import { remove, stripeOf } from './table'
import { free, take, uncount } from './slab'
import { count, EVICTED_ACTIVE, EVICTED_UNFETCHED, EVICTIONS, EXPIRED_UNFETCHED, RECLAIMED } from './stats'

/** Items looked at for one allocation at most; the last ones spare nobody, however active. Fewer without evictions. */
const STEPS_MAX: u32 = 256
const STEPS_FORCED: u32 = 240
const STEPS_MAX_KEPT: u32 = 10
/** Items of a list that one visit of the maintainer looks at. */
const JUGGLES_MAX: u32 = 500
/** Items at a tail that are passed by because another thread holds their key. */
const BUSY_MAX: u32 = 8

// What `pull` did, or the chunk that became free.
const NOTHING: u32 = 0
const MOVED: u32 = 1
/** A chain went: its chunks are on the free lists, or will be when nobody reads it any more. */
const UNCHAINED: u32 = 2

/** The chunk of what lies dead at the end of COLD, or 0. Runs under the class's lock. */
export function reclaimTail(index: u32): u32 {
  const pulled = pull(index, COLD, false, 0, 0)
  return pulled > UNCHAINED ? pulled : 0
}

/**
 * A chunk of this class from the tail of a list, or 0: COLD's tail goes, and is filled from HOT, at last from WARM. TEMP
 * gives what has expired. Runs under the class's lock.
 */
export function makeRoom(index: u32): u32 {
  const steps = evictions ? STEPS_MAX : STEPS_MAX_KEPT
  for (let step: u32 = 0; step < steps; step++) {
    const forced = evictions && step >= STEPS_FORCED
    let pulled = pull(index, COLD, evictions, 0, 0)
    if (pulled == NOTHING) pulled = pull(index, HOT, forced, 0, -1)
    if (pulled == NOTHING) pulled = pull(index, WARM, forced, 0, -1)
    if (pulled == NOTHING) pulled = pull(index, TEMP, false, 0, 0)
    if (pulled == UNCHAINED) {
      pulled = take(classAt(index))
      if (!pulled) continue
    }
    if (pulled > MOVED) {
      addFigure(index, DIRECT_RECLAIMS, step + 1)
      return pulled
    }
    if (pulled == NOTHING) break
  }
  return 0
}

/** The maintainer's visit: dead tails are freed, HOT and WARM keep to their shares and ages. How many items it dealt with. */
export function juggle(index: u32): u32 {
  let dealt: u32 = 0
  while (dealt < JUGGLES_MAX && visit(index, TEMP, 0, 0)) dealt++
  let hotAge: i64 = -1
  let warmAge: i64 = -1
  let bytes: u64 = 0
  if (isSegmented()) {
    const guard = changetype<u32>(classAt(index))
    lock(guard)
    const tail = listTail(index, COLD)
    const age = tail ? <f64>(<i64>now - <i64>itemAt(tail).time) : 0
    bytes = <u64>listBytes(index, HOT) + listBytes(index, WARM) + listBytes(index, COLD)
    unlock(guard)
    hotAge = <i64>(age * load<f64>(HOT_FACTOR))
    warmAge = <i64>(age * load<f64>(WARM_FACTOR))
  }
  const hotBytes = bytes * load<u32>(HOT_PERCENT) / 100
  const warmBytes = bytes * load<u32>(WARM_PERCENT) / 100
  for (let step: u32 = 0; step < JUGGLES_MAX; step++) {
    const more =
      <u32>(visit(index, HOT, hotBytes, hotAge) || visit(index, WARM, warmBytes, warmAge)) + <u32>visit(index, COLD, 0, 0)
    if (!more) break
    dealt += more
  }
  return dealt
}

/** One pull under the class's lock, for nobody's allocation: a chunk goes back. */
function visit(index: u32, list: u32, bytesMax: u64, ageMax: i64): bool {
  if (!listTail(index, list)) return false
  const guard = changetype<u32>(classAt(index))
  lock(guard)
  const pulled = pull(index, list, false, bytesMax, ageMax)
  unlock(guard)
  if (pulled > UNCHAINED) free(pulled)
  return pulled != NOTHING
}

/**
 * Deals with the last item of a list that no other thread works on: freed when dead; HOT and WARM beyond their bytes or
 * age, in seconds, move it; COLD looks whether it is active. Evicted at once when that is wanted. The chunk, if one became
 * free.
 */
function pull(index: u32, list: u32, evicts: bool, bytesMax: u64, ageMax: i64): u32 {
  let address = listTail(index, list)
  for (let busy: u32 = 0; address && busy < BUSY_MAX; busy++) {
    const item = itemAt(address)
    const stripe = stripeOf(item.hash)
    if (tryLock(stripe)) {
      const outcome = settle(address, item, list, evicts, bytesMax, ageMax)
      unlock(stripe)
      return outcome
    }
    addFigure(index, LRUTAIL_REFLOCKED, 1)
    address = item.lruPrev
  }
  return NOTHING
}

function settle(address: u32, item: Item, list: u32, evicts: bool, bytesMax: u64, ageMax: i64): u32 {
  const tombstone = (item.bits & TOMBSTONE) != 0
  if (!tombstone && (isExpired(item) || isFlushed(item))) return reclaim(address, item)
  if (list == TEMP) return NOTHING
  if (evicts) {
    if (!tombstone) {
      noteEviction(item)
      if (watched(EVICTIONS_STREAM)) noteEvicted(address)
    }
    return drop(address, item) ? address : UNCHAINED
  }
  if (list == COLD) {
    if (!(item.bits & ACTIVE) || !isSegmented()) return NOTHING
    return rescue(address, item, MOVES_TO_WARM)
  }
  if (item.bits & ACTIVE) return rescue(address, item, list == WARM ? MOVES_WITHIN : MOVES_TO_WARM)
  if (<u64>listBytes(item.slabClass, list) <= bytesMax && <i64>now - <i64>item.time <= ageMax) return NOTHING
  addFigure(item.slabClass, MOVES_TO_COLD, 1)
  moveTo(address, COLD)
  return MOVED
}

function reclaim(address: u32, item: Item): u32 {
  count(RECLAIMED)
  addFigure(item.slabClass, CLASS_RECLAIMED, 1)
  noteUnfetched(item)
  return drop(address, item) ? address : UNCHAINED
}

/** A dead item that was never read. */
export function noteUnfetched(item: Item): void {
  if (item.bits & FETCHED) return
  count(EXPIRED_UNFETCHED)
  addFigure(item.slabClass, CLASS_EXPIRED_UNFETCHED, 1)
}

function rescue(address: u32, item: Item, figure: u32): u32 {
  item.bits &= ~ACTIVE
  addFigure(item.slabClass, figure, 1)
  moveTo(address, WARM)
  return MOVED
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

/**
 * Under the key's lock and the class's: out of the table, the list and the figures. True: the chunk is the caller's. A
 * chain is given back here.
 */
export function drop(address: u32, item: Item): bool {
  addFigure(item.slabClass, MEM_REQUESTED, -<i64>sizeOf(address))
  uncount(item)
  remove(address)
  unlinkList(address)
  if (item.bits & CHAINED) {
    releaseChain(address, item.slabClass)
    return false
  }
  item.bits = 0
  return true
}
