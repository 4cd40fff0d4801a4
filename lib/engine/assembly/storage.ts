/**
 * set, add, replace, append, prepend, cas (PROTOCOL D2, D3). The value goes straight into its new item: from the input
 * when it is all there, else the host receives the rest into the item and calls `finish`.
 */
import { casEnabled, itemSizeMax, scratch } from './layout'
import { casOf, CHAINED, copy, Item, itemAt, keyOf, valueOf } from './item'
import { copyValue, endsRight, fillAt, fillLength, nextFill, startFill, writeValue } from './chunked'
import { close, deletedAgain, forget, found, open, openUnseen, put, refresh } from './keys'
import {
  MUTATIONS, noteStore, STORE_EXISTS, STORE_NO_MEMORY as NO_MEMORY, STORE_NOT_FOUND, STORE_NOT_STORED, STORE_STORED,
  STORE_TOO_LARGE as TOO_LARGE, watched
} from './log'
import { countByPrefix, SET as PREFIX_SET } from './prefixes'
import { allocate, free } from './slab'
import { expiresAt } from './clock'
import { noreply, reply, setNoreply, writeNumber } from './reply'
import { currentSlot } from './route'
import { AT_CAS_BAD, AT_CAS_HIT, AT_SET, CAS_MISSES, count, countAt, STORE_NO_MEMORY, STORE_TOO_LARGE } from './stats'
import {
  lastIsNoreply, number, parseInt32, parseLooseSigned, parseLooseUnsigned, parseUnsigned, token, tokenCount, tokenize,
  tokenLength
} from './tokens'
import { describeFill, describeRequest, DONE, limit, moveTo, refuse, setResume, SWALLOW, swallow, VALUE } from './turn'
import { KEY_MAX } from './retrieval'
import { commitMeta, readLine } from './meta-store'
import { key as metaKey } from './meta-flags'

export const SET: u32 = 0
export const ADD: u32 = 1
export const REPLACE: u32 = 2
export const APPEND: u32 = 3
export const PREPEND: u32 = 4
export const CAS: u32 = 5
export const NOREPLY: u32 = 256
/** The item is filled for an `ms`: its line says what is to be done (meta-store.ts). */
export const META: u32 = 512
export const BYTES_MAX: u64 = 2147483645

export function storeCommand(verb: u32, line: u32, end: u32, next: u32): u32 {
  tokenize(line, end)
  if (tokenCount < 5 || !parseInt32(token(4), tokenLength(4)) || number > BYTES_MAX) {
    // The data is not swallowed: nobody can know how long it is.
    reply('CLIENT_ERROR bad command line format')
    moveTo(next)
    return DONE
  }
  const bytes = <u32>number
  setNoreply(lastIsNoreply())
  const key = token(1)
  const keyLength = tokenLength(1)
  if (keyLength > KEY_MAX || !parseLooseUnsigned(token(2), tokenLength(2))) return badLine(next, bytes)
  const flags = <u32>number
  if (!parseLooseSigned(token(3), tokenLength(3))) return badLine(next, bytes)
  const exptime = <i32>number
  let casUnique: u64 = 0
  if (verb == CAS) {
    if (!parseUnsigned(token(5), tokenLength(5), u64.MAX_VALUE)) return badLine(next, bytes)
    casUnique = number
  }
  const tooLarge = !sizeAllowed(keyLength, flags, bytes)
  if (currentSlot()) {
    // The route is asked before the value is read; it is asked again when the item is linked.
    if (!openUnseen(key, keyLength, false)) return refuseStorage(line, next, bytes, tooLarge, key, keyLength)
    close()
  }
  countByPrefix(key, keyLength, PREFIX_SET)
  const address = tooLarge ? 0 : allocate(keyLength, bytes, 0)
  if (!address) return dropValue(verb, line, next, bytes, tooLarge, key, keyLength)
  const item = itemAt(address)
  countAt(item, AT_SET)
  item.flags = flags
  item.exptime = expiresAt(exptime)
  item.bytes = bytes
  item.version = casUnique
  item.time = <u32>exptime
  item.lruNext = verb | (noreply ? NOREPLY : 0)
  copy(keyOf(address), key, keyLength)
  return receive(address, line, next, bytes + 2)
}

/** PROTOCOL D2: memcached's own sizes decide what is too large, not those of our header. */
export function sizeAllowed(keyLength: u32, flags: u32, bytes: u32): bool {
  return shownSize(keyLength, flags, bytes) <= <u64>itemSizeMax
}

/** What memcached calls an item's size. */
export function shownSize(keyLength: u32, flags: u32, bytes: u32): u64 {
  return <u64>48 + (casEnabled ? 8 : 0) + keyLength + 1 + (flags ? 4 : 0) + <u64>bytes + 2
}

function badLine(next: u32, bytes: u32): u32 {
  reply('CLIENT_ERROR bad command line format')
  swallow(next, bytes + 2)
  return DONE
}

/** PROTOCOL D3: a set that failed deletes the old value. */
export function dropValue(verb: u32, line: u32, next: u32, bytes: u32, tooLarge: bool, key: u32, keyLength: u32): u32 {
  if (verb == SET) {
    if (!open(key, keyLength)) {
      // The key moved since it was looked at.
      return refuseStorage(line, next, bytes, tooLarge, key, keyLength)
    }
    if (found) forget(true)
    else deletedAgain()
    close()
  }
  count(tooLarge ? STORE_TOO_LARGE : STORE_NO_MEMORY)
  if (watched(MUTATIONS)) noteStore(key, keyLength, tooLarge ? TOO_LARGE : NO_MEMORY, verb, 0, bytes, 0)
  if (tooLarge) reply('SERVER_ERROR object too large for cache')
  else reply('SERVER_ERROR out of memory storing object')
  swallow(next, bytes + 2)
  return DONE
}

/**
 * The request goes back to the host. A value that is too large travels nowhere: then the request is the line alone,
 * which is enough for the authority to refuse it and delete the old value, and `resume` swallows the value here.
 */
export function refuseStorage(line: u32, next: u32, bytes: u32, tooLarge: bool, key: u32, keyLength: u32): u32 {
  const lineLength = next - line
  describeRequest(line, tooLarge ? lineLength : lineLength + bytes + 2, lineLength)
  if (tooLarge) setResume(SWALLOW, bytes + 2)
  return refuse(key, keyLength)
}

export function receive(address: u32, line: u32, next: u32, size: u32): u32 {
  const here = limit - next
  if (here < size) {
    writeValue(address, 0, next, here)
    moveTo(limit)
    // An ms needs its line again when the value is complete; the host keeps it.
    const lineLength = itemAt(address).lruNext & META ? next - line : 0
    describeRequest(line, lineLength, lineLength)
    startFill(address, here, size)
    describeFill(fillAt, fillLength, address)
    return VALUE
  }
  writeValue(address, 0, next, size)
  const item = itemAt(address)
  if (!commit(address)) {
    describeRequest(line, next - line + size, next - line)
    const stop = refuse(item.lruNext & META ? metaKey : token(1), item.keyLength)
    free(address)
    return stop
  }
  moveTo(next + size)
  return DONE
}

/**
 * What was to be received is in its place: the next piece of the value is asked for, or it is complete. As a turn of its
 * own: on refusal the request is rebuilt in scratch, without the value when that is a chain: then the host reads it and
 * gives it back. The line of an `ms` is in scratch already.
 */
export function finishValue(address: u32, lineLength: u32): u32 {
  if (nextFill(address)) {
    describeRequest(scratch, 0, 0)
    describeFill(fillAt, fillLength, address)
    return VALUE
  }
  const isMeta = (itemAt(address).lruNext & META) != 0
  setNoreply((itemAt(address).lruNext & NOREPLY) != 0)
  if (isMeta) readLine(scratch, lineLength)
  if (commit(address)) return DONE
  const stop = isMeta ? rebuildMeta(address, lineLength) : rebuild(address)
  const chained = (itemAt(address).bits & CHAINED) != 0
  describeFill(0, 0, chained ? address : 0)
  if (!chained) free(address)
  return stop
}

/**
 * Applies the command whose item is filled, and frees what it does not keep. False: the key is not ours; nothing was
 * done.
 */
function commit(address: u32): bool {
  const item = itemAt(address)
  if (item.lruNext & META) return commitMeta(address)
  if (!endsRight(address)) {
    reply('CLIENT_ERROR bad data chunk')
    free(address)
    return true
  }
  const verb = item.lruNext & 255
  if (!open(keyOf(address), item.keyLength)) return false
  let kept = false
  let status = STORE_STORED
  if (verb == SET || (verb == ADD && !found) || (verb == REPLACE && found)) kept = keep(address)
  else if (verb == CAS) {
    status = compareAndSet(address, item)
    kept = status == STORE_STORED
  }
  else if ((verb == APPEND || verb == PREPEND) && found && join(item, address, verb == PREPEND)) reply('STORED')
  else {
    if (verb == ADD) refresh(itemAt(found))
    status = STORE_NOT_STORED
    reply('NOT_STORED')
  }
  // What is there now: of append and prepend not what was sent, but all of it.
  if (watched(MUTATIONS)) noteItem(status == STORE_STORED ? found : address, status, verb)
  close()
  if (!kept) free(address)
  return true
}

function keep(address: u32): bool {
  put(address)
  reply('STORED')
  return true
}

/** Under the key's lock, kept or not. */
export function noteItem(address: u32, status: u8, verb: u32): void {
  const item = itemAt(address)
  noteStore(keyOf(address), item.keyLength, status, verb, item.exptime, item.bytes, item.slabClass + 1)
}

function compareAndSet(address: u32, item: Item): u8 {
  if (!found) {
    count(CAS_MISSES)
    reply('NOT_FOUND')
    return STORE_NOT_FOUND
  }
  if (casEnabled && item.version != 0 && item.version == casOf(found)) {
    countAt(itemAt(found), AT_CAS_HIT)
    keep(address)
    return STORE_STORED
  }
  countAt(itemAt(found), AT_CAS_BAD)
  reply('EXISTS')
  return STORE_EXISTS
}

/** append, prepend: a new item of both values, with the old one's flags and exptime. */
function join(item: Item, address: u32, before: bool): bool {
  return joinWith(item, address, before, 0) != 0
}

/** The new item, with `spare` bytes behind its value; 0: it could not be made. */
export function joinWith(item: Item, address: u32, before: bool, spare: u32): u32 {
  const old = itemAt(found)
  const bytes = old.bytes + item.bytes
  if (!sizeAllowed(item.keyLength, old.flags, bytes)) return 0
  const joined = allocate(item.keyLength, bytes, spare)
  if (!joined) return 0
  const fresh = itemAt(joined)
  fresh.flags = old.flags
  fresh.exptime = old.exptime
  fresh.bytes = bytes
  copy(keyOf(joined), keyOf(address), item.keyLength)
  const first = before ? address : found
  const second = before ? found : address
  copyValue(joined, 0, first, itemAt(first).bytes)
  copyValue(joined, itemAt(first).bytes, second, itemAt(second).bytes + 2)
  put(joined)
  return joined
}

/** The request as it was sent, in scratch: the key moved while its value was being received. */
function rebuild(address: u32): u32 {
  const item = itemAt(address)
  const verb = item.lruNext & 255
  let at = scratch
  at = writeText(at, verbText(verb))
  const key = at
  copy(at, keyOf(address), item.keyLength)
  at = writeText(at + item.keyLength, ' ')
  at = writeText(at + writeNumber(at, item.flags), ' ')
  const exptime = <i32>item.time
  if (exptime < 0) at = writeText(at, '-')
  at = writeText(at + writeNumber(at, exptime < 0 ? <u64>(-<i64>exptime) : <u64>exptime), ' ')
  at += writeNumber(at, item.bytes)
  if (verb == CAS) {
    at = writeText(at, ' ')
    at += writeNumber(at, item.version)
  }
  if (noreply) at = writeText(at, ' noreply')
  at = writeText(at, '\r\n')
  const lineLength = at - scratch
  if (!(item.bits & CHAINED)) copy(at, valueOf(address), item.bytes + 2)
  describeRequest(scratch, lineLength + item.bytes + 2, lineLength)
  return refuse(key, item.keyLength)
}

function rebuildMeta(address: u32, lineLength: u32): u32 {
  const item = itemAt(address)
  const bytes = item.bytes
  if (!(item.bits & CHAINED)) copy(scratch + lineLength, valueOf(address), bytes + 2)
  describeRequest(scratch, lineLength + bytes + 2, lineLength)
  return refuse(metaKey, item.keyLength)
}

function verbText(verb: u32): string {
  if (verb == SET) return 'set '
  if (verb == ADD) return 'add '
  if (verb == REPLACE) return 'replace '
  if (verb == APPEND) return 'append '
  return verb == PREPEND ? 'prepend ' : 'cas '
}

function writeText(to: u32, text: string): u32 {
  const from = changetype<usize>(text)
  const length = <u32>text.length
  for (let i: u32 = 0; i < length; i++) store<u8>(to + i, load<u8>(from + (i << 1)))
  return to + length
}
