/**
 * One key, opened and closed: every operation on a key happens between `open` and `close`, under its stripe lock, after
 * the route was looked at (the authority rule of lib/engine/contract.ts). Nobody else reads CURRENT_ROUTE for a
 * decision.
 */
import {
  ACTIVE, CHAINED, copy, FETCHED, hashOf, Item, itemAt, keyOf, LINKED, OWN_CAS, ownCasAt, sizeOf, TOMBSTONE
} from './item'
import { lock, tryLock, unlock } from './locks'
import { find, insert, removeFound, stripeOf } from './table'
import {
  arcGuarded, arcOf, arcOwner, arcSettled, arcTenure, currentSlot, slotEpoch, slotGuarded, slotSelf, slotUnsettled
} from './route'
import { isExpired, isFlushed, now, tick } from './clock'
import { allocate, discard, enlist, resized, uncount } from './slab'
import {
  BYTES, count, countBy, CURR_ITEMS, EXPIRED_UNFETCHED, GET_EXPIRED, GET_FLUSHED, LRU_BUMPS_DROPPED, TOMBSTONES, TOTAL_ITEMS
} from './stats'
import { addFigure, classAt, COLD, isSegmented, listOf, moveTo, MOVES_TO_WARM, WARM } from './lru'
import {
  FETCHERS, GET_EXPIRED as GET_EXPIRED_STATUS, GET_FLUSHED as GET_FLUSHED_STATUS, GET_FOUND, GET_NOT_FOUND, noteGet, watched
} from './log'

export const GO: u32 = 0
export const FORWARD: u32 = 1
export const TAKE: u32 = 2
export const GUARD: u32 = 3

/** Why `open` refused, and where the key lives then. */
export let verdict: u32 = GO
export let owner: u32 = 0
/** Epoch of the table that decided. */
export let epoch: u32 = 0
/** What is in the key's place: a live item or a tombstone; 0: nothing. */
export let held: u32 = 0
/** The live item; 0: the key is absent. */
export let found: u32 = 0
/**
 * This thread executes a request of a guarded arc: it has acquired the key. What is held of an earlier tenure stays put aside,
 * as if it were not there, until a write takes its place.
 */
let executesGuarded: bool = false
/** Such a request has the key open. */
let isGuarded: bool = false
/** Why there is none, for watchers. */
let absence: u8 = GET_NOT_FOUND

let key: u32 = 0
let keyLength: u32 = 0
let hash: u32 = 0
let stripe: u32 = 0
let slot: u32 = 0

/** Chunks up to this size stay as they are when they become a tombstone. */
const TOMBSTONE_CHUNK_MAX: u32 = 512
/** memcached's interval between two moves of an item in a flat list. */
const UPDATE_SECONDS: u32 = 60

/**
 * True: this node is the authority, the key is locked and `found` tells; `close` it. False: `verdict` says why, nothing
 * is locked.
 */
export function open(at: u32, length: u32): bool {
  if (!openUnseen(at, length, false)) return false
  show()
  return true
}

/** What `open` found, for watchers. */
export function show(): void {
  if (watched(FETCHERS)) noteGet(key, keyLength, found ? GET_FOUND : absence, found)
}

/**
 * `open` for a command that may yet have to begin again: it calls `show` itself, once. `reads`: nothing will be changed but
 * what the lists and watchers know.
 */
export function openUnseen(at: u32, length: u32, reads: bool): bool {
  lockKey(at, length)
  if (slot && !isOurs(reads)) {
    unlock(stripe)
    return false
  }
  found = 0
  absence = GET_NOT_FOUND
  if (held && !isPutAside()) {
    const item = itemAt(held)
    if (item.bits & TOMBSTONE) {
      if (!slotUnsettled(slot)) dropHeld()
    } else if (isExpired(item)) {
      count(GET_EXPIRED)
      if (!(item.bits & FETCHED)) count(EXPIRED_UNFETCHED)
      absence = GET_EXPIRED_STATUS
      forget(false)
    } else if (isFlushed(item)) {
      count(GET_FLUSHED)
      absence = GET_FLUSHED_STATUS
      forget(false)
    } else found = held
  }
  return true
}

/** Without a look at the route: for handoff, which deals with what is not (or not yet) ours. `found` is not set. */
export function lockKey(at: u32, length: u32): void {
  key = at
  keyLength = length
  hash = hashOf(at, length)
  stripe = stripeOf(hash)
  lock(stripe)
  slot = currentSlot()
  epoch = slotEpoch(slot)
  held = find(at, length, hash)
}

export function close(): void {
  unlock(stripe)
}

/** For the control thread: from now on, or no more. */
export function setExecutesGuarded(now: bool): void {
  executesGuarded = now
  isGuarded = false
}

function isPutAside(): bool {
  return isGuarded && itemAt(held).mark < arcTenure(slot, arcOf(slot, key, keyLength))
}

/** DESIGN 8: the mark in the item or one look at the arc's state decides. */
function isOurs(reads: bool): bool {
  verdict = GO
  isGuarded = false
  if (held && itemAt(held).mark == epoch && !slotGuarded(slot)) return true
  const arc = arcOf(slot, key, keyLength)
  owner = arcOwner(slot, arc)
  if (owner != slotSelf(slot)) {
    verdict = FORWARD
    return false
  }
  const isInformed = held != 0 && itemAt(held).mark >= arcTenure(slot, arc)
  if (arcGuarded(slot, arc)) {
    isGuarded = executesGuarded
    if (isGuarded || (reads && isInformed)) return true
    verdict = GUARD
    return false
  }
  if (!arcSettled(slot, arc) && !isInformed) {
    verdict = TAKE
    return false
  }
  if (held) itemAt(held).mark = epoch
  return true
}

/** The key is gone, by a deletion (`written`) or by time. Its absence is remembered while its arc is unsettled. */
export function forget(written: bool): void {
  if (slotUnsettled(slot) && !arcSettled(slot, arcOf(slot, key, keyLength))) bury(written)
  else dropHeld()
  found = 0
}

/**
 * A deletion met an absence. A remembered one is remembered as of now; in a guarded arc any is, since somebody who is away may
 * still know the key.
 */
export function deletedAgain(): void {
  if (isGuarded) putTombstone(tick(epoch), epoch)
  else if (held) itemAt(held).version = tick(epoch)
}

/** Nothing is in the key's place any more. */
export function dropHeld(): void {
  removeFound(held)
  discard(held)
  held = 0
}

/** Turns the held item into a tombstone, in a small chunk when there is one. */
function bury(written: bool): void {
  const version = written ? tick(epoch) : itemAt(held).version
  if (classAt(itemAt(held).slabClass).chunkSize > TOMBSTONE_CHUNK_MAX) {
    const small = makeTombstone(key, keyLength, hash)
    if (small) {
      dropHeld()
      linkTombstone(small, version, epoch)
      return
    }
  }
  const item = itemAt(held)
  uncount(item)
  const before = sizeOf(held)
  item.bits = (item.bits & ~OWN_CAS) | TOMBSTONE
  // A chain keeps its value until it is dropped: somebody may be reading it.
  if (!(item.bits & CHAINED)) item.bytes = 0
  resized(item, <i64>sizeOf(held) - before)
  item.exptime = 0
  item.mark = epoch
  item.version = version
  countBy(TOMBSTONES, 1)
}

/** Replaces whatever is held by a tombstone with this version and mark. False: no memory, and nothing is held. */
export function putTombstone(version: u64, mark: u32): bool {
  const address = makeTombstone(key, keyLength, hash)
  if (held) dropHeld()
  if (!address) return false
  linkTombstone(address, version, mark)
  return true
}

function makeTombstone(at: u32, length: u32, keyHash: u32): u32 {
  const address = allocate(length, 0, 0)
  if (!address) return 0
  const item = itemAt(address)
  item.bytes = 0
  item.flags = 0
  item.exptime = 0
  item.hash = keyHash
  copy(keyOf(address), at, length)
  return address
}

function linkTombstone(address: u32, version: u64, mark: u32): void {
  const item = itemAt(address)
  item.version = version
  item.mark = mark
  item.time = now
  item.bits = LINKED | TOMBSTONE
  countBy(TOMBSTONES, 1)
  insert(address)
  enlist(address)
  held = address
}

/** A filled item takes the opened key's place, as a write of this epoch. */
export function put(address: u32): void {
  putAs(address, tick(epoch), epoch)
}

export function putAs(address: u32, version: u64, mark: u32): void {
  if (held) dropHeld()
  const item = itemAt(address)
  item.hash = hash
  item.version = version
  item.mark = mark
  item.time = now
  item.bits = (item.bits & CHAINED) | LINKED
  countBy(CURR_ITEMS, 1)
  countBy(BYTES, <i64>sizeOf(address))
  count(TOTAL_ITEMS)
  insert(address)
  enlist(address)
  held = address
  found = address
}

/** A linked item whose chunk has 8 bytes to spare behind the value shows this cas unique. */
export function giveCas(address: u32, cas: u64): void {
  const item = itemAt(address)
  item.bits |= OWN_CAS
  countBy(BYTES, 8)
  resized(item, 8)
  store<u64>(ownCasAt(address), cas)
}

/** The found item was written in place. */
export function rewritten(): void {
  const item = itemAt(found)
  if (item.bits & OWN_CAS) {
    item.bits &= ~OWN_CAS
    countBy(BYTES, -8)
    resized(item, -8)
  }
  item.version = tick(epoch)
  item.time = now
}

/** PROTOCOL D3: an `add` that found the item keeps it from growing old, without counting as a read. */
export function refresh(item: Item): void {
  if (!isSegmented()) refreshFlat(item)
  else if (item.bits & ACTIVE && listOf(item) == COLD) warm(item)
  else item.time = now
}

/**
 * The found item was read: first FETCHED, then ACTIVE, which is when it counts as accessed; the lists notice later. Most
 * reads find that it is ACTIVE already.
 */
// @ts-ignore: decorator
@inline
export function bump(item: Item): void {
  if (!(item.bits & ACTIVE)) bumpNow(item)
}

function bumpNow(item: Item): void {
  const bits = item.bits
  item.bits = bits | FETCHED
  if (!isSegmented()) refreshFlat(item)
  else if (bits & FETCHED) {
    if (listOf(item) == COLD) warm(item)
    else {
      item.bits = bits | ACTIVE
      item.time = now
    }
  }
}

/** From COLD to WARM at once. When others work on the class the next read does it. */
function warm(item: Item): void {
  const guard = changetype<u32>(classAt(item.slabClass))
  if (!tryLock(guard)) {
    count(LRU_BUMPS_DROPPED)
    return
  }
  item.bits &= ~ACTIVE
  item.time = now
  addFigure(item.slabClass, MOVES_TO_WARM, 1)
  moveTo(changetype<u32>(item), WARM)
  unlock(guard)
}

/** To the head of its list, once a minute at most. */
function refreshFlat(item: Item): void {
  if (item.time + UPDATE_SECONDS >= now) return
  item.time = now
  const guard = changetype<u32>(classAt(item.slabClass))
  lock(guard)
  moveTo(changetype<u32>(item), listOf(item))
  unlock(guard)
}
