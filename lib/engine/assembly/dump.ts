/**
 * What is there, told to the host in parts: metadump, mgdump, sizes by a walk over the hash table, cachedump by the list.
 * Everything goes to this thread's scratch. Dead items, tombstones and keys that live at other nodes are not shown.
 *
 * A walk goes by the buckets of the table as it was when the walk began, and visits with each what it was split into
 * since: an item that is there all the time is met exactly once, however the table grows.
 */
import { casEnabled, classCount, scratch, scratchEnd, turn } from './layout'
import { casOf, FETCHED, Item, itemAt, KEY_BINARY, keyOf, TOMBSTONE } from './item'
import { lock, unlock } from './locks'
import { advance, out, put, putByte, putNumber, rollBack } from './reply'
import { arcOf, arcOwner, arcSettled, arcTenure, currentSlot, enterTurn, leaveTurn, slotEpoch, slotSelf } from './route'
import { bucketAt, bucketCount, splitStride, stripeOf } from './table'
import { classAt, COLD, listHead } from './lru'
import { isExpired, isFlushed } from './clock'
import { encodeBase64 } from './base64'
import { shownSize } from './storage'

// What is written of each item.
const METADUMP: u32 = 0
const MGDUMP: u32 = 1

/** Bytes after which a part ends, with the bucket it is in; items and buckets looked at for it at most. */
const PART_BYTES: u32 = 49152
const PART_ITEMS: u32 = 2048
const PART_BUCKETS: u32 = 16384
/** No line is longer: a key of 250 bytes, each as %XX, and numbers. */
const LINE_MAX: u32 = 1024
/** PROTOCOL D2 */
const CACHEDUMP_BYTES: u32 = 2097152

/**
 * The next part, from the bucket `cursor` of the `buckets` there were at the beginning; the one to go on at. Bit i of
 * `classes`: items of class i are wanted. A bucket of more lines than scratch holds is shown as far as that.
 */
export function dump(kind: u32, classes: u64, buckets: u32, cursor: u32): u32 {
  enterTurn()
  rollBack(scratch)
  const slot = currentSlot()
  const last = min(buckets, cursor + PART_BUCKETS)
  let items: u32 = 0
  while (cursor < last && items < PART_ITEMS && out - scratch < PART_BYTES) {
    const start = out
    const stripe = stripeOf(cursor)
    const stride = splitStride(cursor, buckets)
    let isFull = false
    lock(stripe)
    const end = bucketCount()
    for (let bucket = cursor; bucket < end; bucket += stride) {
      let address = load<u32>(bucketAt(bucket))
      for (; address; address = itemAt(address).hashNext) {
        const item = itemAt(address)
        items++
        if (!((classes >> item.slabClass) & 1) || !isShown(slot, address, item)) continue
        if (out + LINE_MAX > scratchEnd) isFull = true
        else write(kind, address, item)
      }
    }
    unlock(stripe)
    if (isFull && start != scratch) {
      rollBack(start)
      break
    }
    cursor++
  }
  leaveTurn()
  store<u32>(turn, out - scratch, 80)
  return cursor
}

function write(kind: u32, address: u32, item: Item): void {
  if (kind == METADUMP) writeMeta(address, item)
  else if (kind == MGDUMP) writeMg(address, item)
  else {
    store<u32>(out, sizeOfItem(item))
    advance(4)
  }
}

function sizeOfItem(item: Item): u32 {
  return <u32>shownSize(item.keyLength, item.flags, item.bytes)
}

/** PROTOCOL D10: one line an item, its times absolute. */
function writeMeta(address: u32, item: Item): void {
  put('key=')
  putEncoded(keyOf(address), item.keyLength)
  put(' exp=')
  if (item.exptime) putNumber(item.exptime)
  else put('-1')
  put(' la=')
  putNumber(item.time)
  put(' cas=')
  putNumber(casEnabled ? casOf(address) : 0)
  put(item.bits & FETCHED ? ' fetch=yes cls=' : ' fetch=no cls=')
  putNumber(<u32>item.slabClass + 1)
  put(' size=')
  putNumber(sizeOfItem(item))
  put(' flags=')
  putNumber(item.flags)
  putByte(10)
}

function writeMg(address: u32, item: Item): void {
  put('mg ')
  if (item.bits & KEY_BINARY) {
    advance(encodeBase64(keyOf(address), item.keyLength, out))
    put(' b')
  } else putKeyBytes(address, item)
  put('\r\n')
}

function putKeyBytes(address: u32, item: Item): void {
  const key = keyOf(address)
  for (let i: u32 = 0; i < <u32>item.keyLength; i++) putByte(load<u8>(key + i))
}

/** As in a URI: letters, digits and - . _ ~ stay as they are. */
function putEncoded(from: u32, length: u32): void {
  for (let i: u32 = 0; i < length; i++) {
    const byte = load<u8>(from + i)
    if (isPlain(byte)) putByte(byte)
    else {
      putByte(37)
      putByte(hexDigit(byte >> 4))
      putByte(hexDigit(byte & 15))
    }
  }
}

function isPlain(byte: u8): bool {
  if ((byte >= 97 && byte <= 122) || (byte >= 65 && byte <= 90) || (byte >= 48 && byte <= 57)) return true
  return byte == 45 || byte == 46 || byte == 95 || byte == 126
}

function hexDigit(value: u8): u8 {
  return value < 10 ? value + 48 : value + 55
}

function isShown(slot: u32, address: u32, item: Item): bool {
  return !isExpired(item) && !isFlushed(item) && isOwn(slot, address, item)
}

/** Would a command on this key find this item? */
function isOwn(slot: u32, address: u32, item: Item): bool {
  if (item.bits & TOMBSTONE) return false
  if (!slot || item.mark == slotEpoch(slot)) return true
  const arc = arcOf(slot, keyOf(address), item.keyLength)
  return arcOwner(slot, arc) == slotSelf(slot) && (arcSettled(slot, arc) || item.mark >= arcTenure(slot, arc))
}

/** COLD of one class from its head, so many items at most (0: no limit), dead ones too, as memcached does. The bytes written. */
export function cachedump(index: u32, limit: u32): u32 {
  rollBack(scratch)
  if (index >= classCount) return 0
  enterTurn()
  const slot = currentSlot()
  const room = min(scratchEnd, scratch + CACHEDUMP_BYTES)
  let shown: u32 = 0
  const guard = changetype<u32>(classAt(index))
  lock(guard)
  let address = listHead(index, COLD)
  for (; address && (!limit || shown < limit) && out + LINE_MAX <= room; address = itemAt(address).lruNext) {
    const item = itemAt(address)
    // memcached shows no key that came as base64.
    if (item.bits & KEY_BINARY || !isOwn(slot, address, item)) continue
    shown++
    put('ITEM ')
    putKeyBytes(address, item)
    put(' [')
    putNumber(item.bytes)
    put(' b; ')
    putNumber(item.exptime)
    put(' s]\r\n')
  }
  unlock(guard)
  leaveTurn()
  return out - scratch
}
