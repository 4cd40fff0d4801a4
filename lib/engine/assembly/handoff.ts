/**
 * The store's side of handoff (DESIGN 8; lib/engine/contract.ts has the sentences). Called by the control thread, under
 * the same locks as every request. Records are written to and read from this thread's scratch.
 *
 * A chained value goes from its chunks into the record, and from the record into its chunks, by the host: then scratch has
 * the record's start up to the key, and behind that at once the cas unique.
 *
 * Record: 0 format (1)   1 bits   2 keyLength   3 unused   4 flags (u32)   8 version (u64)
 *        16 seconds to live (u32)   20 bytes (u32)   24 key, value, cas unique (u64) if it has its own
 */
import { keyArea, locks, scratch, scratchEnd, stripeMask, turn } from './layout'
import { lock, unlock } from './locks'
import {
  ACTIVE, casOf, CHAINED, copy, FETCHED, Item, itemAt, KEY_BINARY, keyOf, OWN_CAS, STALE, TOKEN_SENT, TOMBSTONE
} from './item'
import { addReader, readValue, writeEnd, writeValue } from './chunked'
import { bucketAt, bucketCount } from './table'
import { close, dropHeld, giveCas, held, lockKey, putAs, putTombstone } from './keys'
import { isExpired, isFlushed, now, observeVersion } from './clock'
import { arcAt, arcOf, arcOwner, arcSettled, arcTenure, currentSlot, enterTurn, leaveTurn, slotEpoch, slotSelf } from './route'
import { allocate, discard, free } from './slab'
import { describeFill } from './turn'
import { md5Word0 } from './md5'
import { FLUSHED_VERSION } from './layout'

const RECORD_HEADER: u32 = 24
const FORMAT: u8 = 1
const RECORD_FETCHED: u8 = 1
const RECORD_ACTIVE: u8 = 2
const RECORD_TOMBSTONE: u8 = 4
const RECORD_EXPIRES: u8 = 8
const RECORD_STALE: u8 = 16
const RECORD_TOKEN_SENT: u8 = 32
const RECORD_KEY_BINARY: u8 = 64
const RECORD_OWN_CAS: u8 = 128

// Outcomes of install; the host has the words in this order.
const INSTALLED: u32 = 0
const KEPT: u32 = 1
const EXPIRED: u32 = 2
const NO_MEMORY: u32 = 3

function isDead(item: Item): bool {
  return !(item.bits & TOMBSTONE) && (isExpired(item) || isFlushed(item))
}

function recordSize(item: Item): u32 {
  return RECORD_HEADER + <u32>item.keyLength + (item.bits & TOMBSTONE ? 0 : item.bytes + (item.bits & OWN_CAS ? 8 : 0))
}

/** Does its value have to be read by the host? */
function isLarge(item: Item): bool {
  return (item.bits & (CHAINED | TOMBSTONE)) == CHAINED
}

function writeRecord(address: u32, to: u32): void {
  const item = itemAt(address)
  let bits: u8 = 0
  if (item.bits & FETCHED) bits |= RECORD_FETCHED
  if (item.bits & ACTIVE) bits |= RECORD_ACTIVE
  if (item.exptime) bits |= RECORD_EXPIRES
  if (item.bits & STALE) bits |= RECORD_STALE
  if (item.bits & TOKEN_SENT) bits |= RECORD_TOKEN_SENT
  if (item.bits & KEY_BINARY) bits |= RECORD_KEY_BINARY
  if (item.bits & OWN_CAS) bits |= RECORD_OWN_CAS
  const tombstone = (item.bits & TOMBSTONE) != 0
  if (tombstone) bits = RECORD_TOMBSTONE
  store<u8>(to, FORMAT)
  store<u8>(to, bits, 1)
  store<u8>(to, item.keyLength, 2)
  store<u8>(to, 0, 3)
  store<u32>(to, item.flags, 4)
  store<u64>(to, item.version, 8)
  store<u32>(to, item.exptime ? item.exptime - now : 0, 16)
  store<u32>(to, tombstone ? 0 : item.bytes, 20)
  copy(to + RECORD_HEADER, keyOf(address), item.keyLength)
  if (tombstone) return
  const value = to + RECORD_HEADER + item.keyLength
  const length = isLarge(item) ? 0 : item.bytes
  readValue(address, value, length)
  if (bits & RECORD_OWN_CAS) store<u64>(value + length, casOf(address))
}

/**
 * Of what is dead by time or by a flush: that it is gone, which must be known where an older copy may still be. Of a large
 * value the record's start, and the turn's handle: its item, which now has a reader.
 */
function recordOfHeld(): u32 {
  const item = itemAt(held)
  const size = recordSize(item)
  writeRecord(held, scratch)
  if (!isDead(item)) {
    if (isLarge(item)) keepForReading(held)
    return size
  }
  store<u8>(scratch, RECORD_TOMBSTONE, 1)
  store<u32>(scratch, 0, 4)
  store<u32>(scratch, 0, 16)
  store<u32>(scratch, 0, 20)
  return RECORD_HEADER + <u32>item.keyLength
}

/**
 * Length of the record, which is in scratch; 0: nothing such is held. The key is in the key area. The turn's handle: the
 * item whose value must still be read, then released; 0: the record is whole.
 */
export function handOver(length: u32, before: u32): u32 {
  enterTurn()
  describeFill(0, 0, 0)
  lockKey(keyArea, length)
  let size: u32 = 0
  if (held && itemAt(held).mark < before) {
    size = recordOfHeld()
    dropHeld()
  }
  close()
  leaveTurn()
  return size
}

/** As handOver, of anything that is held, and it stays. */
export function peek(length: u32): u32 {
  enterTurn()
  describeFill(0, 0, 0)
  lockKey(keyArea, length)
  let size: u32 = 0
  if (held) size = recordOfHeld()
  close()
  leaveTurn()
  return size
}

/** What is held with a mark >= `oldest` counts as of `mark` from now on. */
export function renew(length: u32, oldest: u32, mark: u32): bool {
  enterTurn()
  lockKey(keyArea, length)
  const good = held != 0 && itemAt(held).mark >= oldest
  if (good && itemAt(held).mark < mark) itemAt(held).mark = mark
  close()
  leaveTurn()
  return good
}

function keepForReading(address: u32): void {
  addReader(address)
  describeFill(0, 0, address)
}

/** An unlinked item for the record whose start is in scratch: the host fills its chunks, then installs it. 0: no memory. */
export function prepare(): u32 {
  const address = allocate(load<u8>(scratch, 2), load<u32>(scratch, 20), load<u8>(scratch, 1) & RECORD_OWN_CAS ? 8 : 0)
  if (address) itemAt(address).bytes = load<u32>(scratch, 20)
  return address
}

/** The record is in scratch. `prepared`: its start alone, and this item has the value, or is 0 where there was no memory. */
export function install(mark: u32, isPrepared: bool, prepared: u32): u32 {
  enterTurn()
  const version = load<u64>(scratch, 8)
  const bits = load<u8>(scratch, 1)
  observeVersion(version)
  lockKey(scratch + RECORD_HEADER, load<u8>(scratch, 2))
  const outcome = installLocked(version, bits, mark, isPrepared, prepared)
  close()
  if (prepared && held != prepared) free(prepared)
  leaveTurn()
  return outcome
}

function installLocked(version: u64, bits: u8, mark: u32, isPrepared: bool, prepared: u32): u32 {
  if (version <= load<u64>(FLUSHED_VERSION)) return EXPIRED
  if (held && itemAt(held).mark >= mark && itemAt(held).version >= version) return KEPT
  if (bits & RECORD_TOMBSTONE) return putTombstone(version, mark) ? INSTALLED : NO_MEMORY
  const toLive = load<u32>(scratch, 16)
  if (bits & RECORD_EXPIRES && !toLive) return EXPIRED
  const keyLength = <u32>load<u8>(scratch, 2)
  const bytes = load<u32>(scratch, 20)
  const ownCas = (bits & RECORD_OWN_CAS) != 0
  const address = isPrepared ? prepared : allocate(keyLength, bytes, ownCas ? 8 : 0)
  if (!address) {
    // What is held is older than the record: it must not be read any more.
    if (held) dropHeld()
    return NO_MEMORY
  }
  const item = itemAt(address)
  item.flags = load<u32>(scratch, 4)
  item.exptime = bits & RECORD_EXPIRES ? now + toLive : 0
  item.bytes = bytes
  copy(keyOf(address), scratch + RECORD_HEADER, keyLength)
  const value = scratch + RECORD_HEADER + keyLength
  if (!isPrepared) writeValue(address, 0, value, bytes)
  writeEnd(address)
  putAs(address, version, mark)
  if (bits & RECORD_FETCHED) item.bits |= FETCHED
  if (bits & RECORD_ACTIVE) item.bits |= ACTIVE
  if (bits & RECORD_STALE) item.bits |= STALE
  if (bits & RECORD_TOKEN_SENT) item.bits |= TOKEN_SENT
  if (bits & RECORD_KEY_BINARY) item.bits |= KEY_BINARY
  if (ownCas) giveCas(address, load<u64>(isPrepared ? value : value + bytes))
  return INSTALLED
}

export function installAbsent(length: u32, mark: u32): bool {
  enterTurn()
  lockKey(keyArea, length)
  const done = held && itemAt(held).mark >= mark ? true : putTombstone(0, mark)
  close()
  leaveTurn()
  return done
}

/** -1: nothing. Dead items count: `open` lets them decide as well. */
export function heldMark(length: u32): i64 {
  enterTurn()
  lockKey(keyArea, length)
  const mark = held ? <i64>itemAt(held).mark : -1
  close()
  leaveTurn()
  return mark
}

export function currentEpoch(): u32 {
  enterTurn()
  const epoch = slotEpoch(currentSlot())
  leaveTurn()
  return epoch
}

export function pointOf(length: u32): u32 {
  return md5Word0(keyArea, length)
}

/** Writes point, owner, settled, tenure to the turn block. */
export function routeOf(length: u32): void {
  const point = md5Word0(keyArea, length)
  enterTurn()
  const slot = currentSlot()
  const arc = slot ? arcAt(slot, point) : 0
  store<u32>(turn, point, 64)
  store<u32>(turn, slot ? arcOwner(slot, arc) : 0, 68)
  store<u32>(turn, !slot || arcSettled(slot, arc) ? 1 : 0, 72)
  store<u32>(turn, slot ? arcTenure(slot, arc) : 0, 76)
  leaveTurn()
}

// --- walks over the hash table. They answer with the bucket to go on at, which at the end is the number of buckets. An empty
// bucket is passed without its lock: what is put there meanwhile could as well have been put there after the walk. When the
// table grows under a walk, items move to higher buckets alone, behind the last one there was: none is missed, and some are
// met twice.

/** Items looked at by one walk at most, up to the end of their bucket: their md5 is what costs. */
const VISITS_MAX: u32 = 512

function stripeOfBucket(bucket: u32): u32 {
  return locks + ((bucket & stripeMask) << 2)
}

function endWalk(cursor: u32, written: u32): u32 {
  leaveTurn()
  store<u32>(turn, written, 80)
  return cursor
}

/**
 * A large item comes alone: its record's start is in scratch, and the turn's handle is the item, to be read and released.
 */
export function collect(owner: u32, before: u32, hotOnly: bool, cursor: u32, buckets: u32, bytesMax: u32): u32 {
  enterTurn()
  describeFill(0, 0, 0)
  const last = min(bucketCount(), cursor + buckets)
  let to = scratch
  let visits: u32 = 0
  for (let bucket = cursor; bucket < last; bucket++) {
    if (!load<u32>(bucketAt(bucket))) continue
    if (visits >= VISITS_MAX) return endWalk(bucket, to - scratch)
    const stripe = stripeOfBucket(bucket)
    lock(stripe)
    const slot = currentSlot()
    let link = bucketAt(bucket)
    while (load<u32>(link)) {
      const address = load<u32>(link)
      const item = itemAt(address)
      visits++
      const wanted =
        slot != 0 &&
        item.mark < before &&
        (!hotOnly || (item.bits & (FETCHED | TOMBSTONE)) == FETCHED) &&
        arcOwner(slot, arcOf(slot, keyOf(address), item.keyLength)) == owner
      if (!wanted) {
        link = address
        continue
      }
      if (!isDead(item)) {
        const large = isLarge(item)
        const size = recordSize(item)
        if (to != scratch && (large || to - scratch + size > bytesMax || size > scratchEnd - to)) {
          unlock(stripe)
          return endWalk(bucket, to - scratch)
        }
        writeRecord(address, to)
        if (large) {
          keepForReading(address)
          store<u32>(link, item.hashNext)
          discard(address)
          unlock(stripe)
          return endWalk(bucket, size)
        }
        to += size
      }
      store<u32>(link, item.hashNext)
      discard(address)
    }
    unlock(stripe)
    if (to - scratch >= bytesMax) return endWalk(bucket + 1, to - scratch)
  }
  return endWalk(last, to - scratch)
}

/** Writes (mark u32, keyLength u8, key) for each. */
export function listKeys(before: u32, cursor: u32, buckets: u32): u32 {
  enterTurn()
  const last = min(bucketCount(), cursor + buckets)
  let to = scratch
  let visits: u32 = 0
  for (let bucket = cursor; bucket < last; bucket++) {
    if (!load<u32>(bucketAt(bucket))) continue
    if (visits >= VISITS_MAX) return endWalk(bucket, to - scratch)
    const stripe = stripeOfBucket(bucket)
    const start = to
    lock(stripe)
    let address = load<u32>(bucketAt(bucket))
    while (address) {
      const item = itemAt(address)
      visits++
      if (item.mark < before) {
        if (scratchEnd - to < 5 + 256) {
          unlock(stripe)
          // A whole bucket more does not fit: it comes with the next call, unless it is the first.
          return start == scratch ? endWalk(bucket + 1, to - scratch) : endWalk(bucket, start - scratch)
        }
        store<u32>(to, item.mark)
        store<u8>(to, item.keyLength, 4)
        copy(to + 5, keyOf(address), item.keyLength)
        to += 5 + <u32>item.keyLength
      }
      address = item.hashNext
    }
    unlock(stripe)
  }
  return endWalk(last, to - scratch)
}

/** Tombstones of settled arcs; and, when `foreign`, whatever other nodes own. */
export function sweepTombstones(cursor: u32, buckets: u32, foreign: bool): u32 {
  enterTurn()
  const last = min(bucketCount(), cursor + buckets)
  for (let bucket = cursor; bucket < last; bucket++) {
    if (!load<u32>(bucketAt(bucket))) continue
    const stripe = stripeOfBucket(bucket)
    lock(stripe)
    const slot = currentSlot()
    let link = bucketAt(bucket)
    while (load<u32>(link)) {
      const address = load<u32>(link)
      const item = itemAt(address)
      const tombstone = (item.bits & TOMBSTONE) != 0
      let useless = tombstone && !slot
      if (slot && (tombstone || foreign)) {
        const arc = arcOf(slot, keyOf(address), item.keyLength)
        useless = (tombstone && arcSettled(slot, arc)) || (foreign && arcOwner(slot, arc) != slotSelf(slot))
      }
      if (useless) {
        store<u32>(link, item.hashNext)
        discard(address)
      } else link = address
    }
    unlock(stripe)
  }
  return endWalk(last, 0)
}
