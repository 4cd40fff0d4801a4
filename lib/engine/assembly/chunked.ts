/**
 * Values that fit in no chunk: a chain of chunks. The item's own chunk, of a small class, holds header and key and the
 * head of the chain; the others hold the value and its \r\n, all but the last of them in chunks of the largest class.
 *
 *   item:  header key | first readers cas        chunk:  0 next   4 prev   8 head   36 used   41 slabClass   42 bits
 *                          \-> chunk -> chunk -> chunk         48 bytes of the value
 *
 * A chain is made whole before anything is received into it. Who sends a value straight from its chunks counts as a reader
 * (under the key's stripe lock): the item may leave the table meanwhile, its chunks go when the last reader is done.
 * Everything here works on values in one piece as well, so that callers need not ask.
 */
import { classCount } from './layout'
import { lock, unlock } from './locks'
import {
  CHAIN_HEAD, CHAIN_READERS, CHAINED, CHUNK, copy, HEADER, Item, itemAt, LINKED, valueOf
} from './item'
import { classAt } from './lru'
import { allocateChunk, classFor, freeChunk, push } from './slab'
import { stripeOf } from './table'

const NO_CLASS: u32 = 0xffffffff

@unmanaged
export class Chunk {
  next: u32
  prev: u32
  /** The item. */
  head: u32
  spare0: u32
  spare1: u64
  spare2: u64
  spare3: u32
  used: u32
  spare4: u8
  slabClass: u8
  bits: u16
}

// @ts-ignore: decorator
@inline
export function chunkAt(address: u32): Chunk {
  return changetype<Chunk>(address)
}

// @ts-ignore: decorator
@inline
export function isChained(address: u32): bool {
  return (itemAt(address).bits & CHAINED) != 0
}

export function firstChunk(address: u32): u32 {
  return load<u32>(valueOf(address))
}

export function readersOf(address: u32): u32 {
  return load<u32>(valueOf(address), CHAIN_READERS)
}

/** The class of a chained item's own chunk; its `slabClass` is the one of its list. */
export function headClass(item: Item): u32 {
  return classFor(HEADER + <u32>item.keyLength + CHAIN_HEAD)
}

/** What a chain needs in chunks beyond the size of the item is not counted. 0: not all chunks could be had, none is kept. */
export function allocateChain(keyLength: u32, bytes: u32): u32 {
  const address = allocateChunk(classFor(HEADER + keyLength + CHAIN_HEAD))
  if (!address) return 0
  const item = itemAt(address)
  const largest = classCount - 1
  item.keyLength = <u8>keyLength
  item.slabClass = <u8>largest
  item.bits = CHAINED
  store<u32>(valueOf(address), 0)
  store<u32>(valueOf(address), 0, CHAIN_READERS)
  const room = classAt(largest).chunkSize - HEADER
  let last: u32 = 0
  let left = bytes + 2
  while (left) {
    const used = min(left, room)
    const fitting = classFor(HEADER + used)
    let at = allocateChunk(fitting)
    // A small class may have nothing to give where the largest one has.
    if (!at && fitting != largest) at = allocateChunk(largest)
    if (!at) {
      freeChain(address, NO_CLASS)
      return 0
    }
    const chunk = chunkAt(at)
    chunk.next = 0
    chunk.prev = last
    chunk.head = address
    chunk.used = used
    chunk.bits = CHUNK
    if (last) chunkAt(last).next = at
    else store<u32>(valueOf(address), at)
    last = at
    left -= used
  }
  return address
}

/**
 * Gives back all chunks of an item that is in no list and not in the table. `held`: the class whose lock the caller holds.
 * The item's own chunk goes last, so that a chunk's `head` is never a chunk of somebody else.
 */
export function freeChain(address: u32, held: u32): void {
  let at = firstChunk(address)
  const own = headClass(itemAt(address))
  while (at) {
    const next = chunkAt(at).next
    giveBack(at, chunkAt(at).slabClass, held)
    at = next
  }
  giveBack(address, own, held)
}

function giveBack(address: u32, index: u32, held: u32): void {
  if (index == held) push(classAt(index), address)
  else freeChunk(address, index)
}

/** The item left the table and the lists, under its stripe lock. False: a reader frees it later. */
export function releaseChain(address: u32, held: u32): bool {
  if (readersOf(address)) {
    itemAt(address).bits = CHAINED
    return false
  }
  freeChain(address, held)
  return true
}

/** For all but eviction, which holds the lock of the class: nothing is held. */
export function dropChain(address: u32): void {
  releaseChain(address, NO_CLASS)
}

// --- readers

/** Under the stripe lock. */
export function addReader(address: u32): void {
  store<u32>(valueOf(address), readersOf(address) + 1, CHAIN_READERS)
}

/** Takes the stripe lock. */
export function removeReader(address: u32): void {
  const stripe = stripeOf(itemAt(address).hash)
  lock(stripe)
  const left = readersOf(address) - 1
  store<u32>(valueOf(address), left, CHAIN_READERS)
  if (!left && !(itemAt(address).bits & LINKED)) freeChain(address, NO_CLASS)
  unlock(stripe)
}

// --- values, wherever they lie

/** The piece that `seek` stands at: its first byte not yet passed, how many are left, and their chunk. */
let cursor: u32 = 0
let cursorLeft: u32 = 0
let cursorChunk: u32 = 0

function seek(address: u32, offset: u32): void {
  if (!isChained(address)) {
    cursor = valueOf(address) + offset
    cursorLeft = 0x7fffffff
    return
  }
  cursorChunk = firstChunk(address)
  while (offset >= chunkAt(cursorChunk).used && chunkAt(cursorChunk).next) {
    offset -= chunkAt(cursorChunk).used
    cursorChunk = chunkAt(cursorChunk).next
  }
  cursor = cursorChunk + HEADER + offset
  cursorLeft = chunkAt(cursorChunk).used - offset
}

function nextPiece(): void {
  cursorChunk = chunkAt(cursorChunk).next
  cursor = cursorChunk + HEADER
  cursorLeft = chunkAt(cursorChunk).used
}

/** Bytes from elsewhere into the value at `offset`. */
export function writeValue(address: u32, offset: u32, from: u32, length: u32): void {
  if (!isChained(address)) {
    copy(valueOf(address) + offset, from, length)
    return
  }
  seek(address, offset)
  while (length) {
    if (!cursorLeft) nextPiece()
    const size = min(length, cursorLeft)
    copy(cursor, from, size)
    cursor += size
    cursorLeft -= size
    from += size
    length -= size
  }
}

export function fillValue(address: u32, offset: u32, byte: u8, length: u32): void {
  seek(address, offset)
  while (length) {
    if (!cursorLeft) nextPiece()
    const size = min(length, cursorLeft)
    memory.fill(cursor, byte, size)
    cursor += size
    cursorLeft -= size
    length -= size
  }
}

/** The \r\n behind the value. */
export function writeEnd(address: u32): void {
  const bytes = itemAt(address).bytes
  fillValue(address, bytes, 13, 1)
  fillValue(address, bytes + 1, 10, 1)
}

/** Is the value followed by \r\n? */
export function endsRight(address: u32): bool {
  const bytes = itemAt(address).bytes
  if (!isChained(address)) return load<u16>(valueOf(address) + bytes) == 0x0a0d
  seek(address, bytes)
  if (load<u8>(cursor) != 13) return false
  seek(address, bytes + 1)
  return load<u8>(cursor) == 10
}

/** The first `length` bytes of one value to `offset` of another. */
export function copyValue(to: u32, offset: u32, from: u32, length: u32): void {
  if (!isChained(from)) {
    writeValue(to, offset, valueOf(from), length)
    return
  }
  let piece = firstChunk(from)
  while (length) {
    const size = min(length, chunkAt(piece).used)
    // The position in `to` is looked for once a piece of `from`, all but the last of which are large.
    writeValue(to, offset, piece + HEADER, size)
    offset += size
    length -= size
    piece = chunkAt(piece).next
  }
}

/** The value, or its first `length` bytes, in one piece. */
export function readValue(from: u32, to: u32, length: u32): void {
  if (!isChained(from)) {
    copy(to, valueOf(from), length)
    return
  }
  let piece = firstChunk(from)
  while (length) {
    const size = min(length, chunkAt(piece).used)
    copy(to, piece + HEADER, size)
    to += size
    length -= size
    piece = chunkAt(piece).next
  }
}

// --- receiving piece by piece

/** Where the byte at `offset` goes, and how many more fit there. */
export let fillAt: u32 = 0
export let fillLength: u32 = 0

export function startFill(address: u32, offset: u32, size: u32): void {
  seek(address, offset)
  if (!isChained(address)) cursorLeft = size - offset
  else itemAt(address).lruPrev = cursorChunk
  fillAt = cursor
  fillLength = cursorLeft
}

/** The next piece. False: the value is complete. */
export function nextFill(address: u32): bool {
  if (!isChained(address)) return false
  const next = chunkAt(itemAt(address).lruPrev).next
  if (!next) return false
  itemAt(address).lruPrev = next
  fillAt = next + HEADER
  fillLength = chunkAt(next).used
  return true
}
