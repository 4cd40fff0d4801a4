/**
 * mg, md, ma, me (PROTOCOL D8). Flags act left to right while the reply is written; what the reply says of the item is
 * how it was before this command touched its place in the lists.
 */
import { casEnabled, scratch } from './layout'
import { ACTIVE, casOf, copy, FETCHED, Item, itemAt, KEY_BINARY, keyOf, STALE, TOKEN_SENT, valueOf } from './item'
import { addReader, copyValue, isChained, writeEnd, writeValue } from './chunked'
import { bump, close, deletedAgain, forget, found, giveCas, open, openUnseen, put, rewritten, show } from './keys'
import { DELETIONS, noteDeleted, watched } from './log'
import { allocate } from './slab'
import { now } from './clock'
import { hasRoom, put as say, putByte, putBytes, putNumber, reply, REPLY_MAX, writeNumber } from './reply'
import { shownSize } from './storage'
import {
  AT_DELETE, AT_TOUCH, CMD_GET, CMD_META, CMD_TOUCH, count, countAt, countHit, DECR_MISSES, DELETE_MISSES, GET_MISSES, INCR_MISSES
} from './stats'
import { token, tokenCount, tokenize, tokenLength } from './tokens'
import { describeFill, describeRequest, DONE, FULL, moveTo, PIECES, refuse } from './turn'
import { putRun } from './retrieval'
import { addDelta, NO_MEMORY, NOT_A_NUMBER, sumLength } from './keyed'
import {
  assignsCas, casAssigned, casWanted, comparesCas, delta, dropsValue, expires, FINE, initial, invalidates, isBinary, isUnprintable, key,
  keyLength, mode, noBump, parseFlags, problemText, putFlag, putItemKey, putKey, putNumberFlag, putOpaque, putTtl, quiet,
  recacheBelow, setsTtl, vivifies, vivifyExpires, wantsValue
} from './meta-flags'

const FLAGS_AT: u32 = 2

/** Reads the line. False: answered. */
function begin(line: u32, end: u32): bool {
  tokenize(line, end)
  const problem = parseFlags(FLAGS_AT)
  if (problem == FINE) return true
  reply(problemText(problem))
  return false
}

function done(next: u32): u32 {
  moveTo(next)
  return DONE
}

function notOurs(line: u32, next: u32): u32 {
  describeRequest(line, next - line, next - line)
  return refuse(key, keyLength)
}

/** A new, empty item in the opened key's place; 0: no memory. */
function putEmpty(size: u32, exptime: u32): u32 {
  const address = allocate(keyLength, size, assignsCas ? 8 : 0)
  if (!address) return 0
  const item = itemAt(address)
  item.flags = 0
  item.exptime = exptime
  item.bytes = size
  copy(keyOf(address), key, keyLength)
  writeEnd(address)
  return address
}

function link(address: u32): void {
  put(address)
  // memcached marks no key here; it is marked only where its reply could not be read otherwise.
  if (isBinary && isUnprintable()) itemAt(address).bits |= KEY_BINARY
  if (assignsCas) giveCas(address, casAssigned)
}

// --- mg

export function metaGet(line: u32, end: u32, next: u32): u32 {
  if (!begin(line, end)) return done(next)
  // A win is not worth remembering: whoever lost the memory of it lets another reader win.
  if (!openUnseen(key, keyLength, !vivifies && !setsTtl)) return notOurs(line, next)
  let isNew = false
  if (!found) show()
  if (!found && vivifies) {
    const address = putEmpty(0, 0)
    if (address) {
      link(address)
      isNew = true
    }
  }
  if (!found) {
    close()
    count(CMD_GET)
    count(GET_MISSES)
    if (!quiet) {
      say('EN')
      echoes()
    }
    return done(next)
  }
  const item = itemAt(found)
  const sendsValue = wantsValue && !(comparesCas && casOf(found) == casWanted)
  const chained = sendsValue && isChained(found)
  if (sendsValue && !chained && !hasRoom(item.bytes + REPLY_MAX)) {
    close()
    return FULL
  }
  if (!isNew) show()
  if (sendsValue) {
    say('VA ')
    putNumber(item.bytes)
  } else say('HD')
  const won = describe(item, isNew)
  marks(item, won)
  putByte(13)
  putByte(10)
  if (sendsValue && !chained) putRun(valueOf(found), item.bytes + 2)
  if (setsTtl) countAt(item, AT_TOUCH)
  else countHit(item)
  if (!noBump) bump(item)
  if (chained) {
    addReader(found)
    describeFill(0, 0, found)
  }
  close()
  count(CMD_GET)
  if (setsTtl) count(CMD_TOUCH)
  done(next)
  return chained ? PIECES : DONE
}

/** The flags of a hit, in their order. True: this client should fill the item anew. */
function describe(item: Item, isNew: bool): bool {
  let won = isNew
  for (let i = FLAGS_AT; i < tokenCount; i++) {
    switch (load<u8>(token(i))) {
      case 84: // T
        item.exptime = expires
        break
      case 78: // N
        if (isNew) item.exptime = vivifyExpires
        break
      case 82: // R
        if (!(item.bits & TOKEN_SENT) && !isNew && item.exptime && item.exptime < recacheBelow) won = true
        break
      case 99: // c
        putNumberFlag(99, casEnabled ? casOf(found) : 0)
        break
      case 102: // f
        putNumberFlag(102, item.flags)
        break
      case 104: // h
        putNumberFlag(104, item.bits & FETCHED ? 1 : 0)
        break
      case 107: // k
        putFlag(107)
        putItemKey(found)
        if (item.bits & KEY_BINARY) putFlag(98)
        break
      case 108: // l
        putNumberFlag(108, now - item.time)
        break
      case 79: // O
        putOpaque(i)
        break
      case 115: // s
        putNumberFlag(115, item.bytes)
        break
      case 116: // t
        putTtl(item, now)
        break
    }
  }
  return won
}

/** Z, X and W (PROTOCOL D8, "Stale / recache"). */
function marks(item: Item, won: bool): void {
  const isOut = (item.bits & TOKEN_SENT) != 0
  if (isOut) putFlag(90)
  if (item.bits & STALE) {
    putFlag(88)
    if (!isOut) won = true
  }
  if (!won) return
  putFlag(87)
  item.bits |= TOKEN_SENT
}

/** Opaque and key, and the end of the line. */
function echoes(): void {
  for (let i = FLAGS_AT; i < tokenCount; i++) {
    const letter = load<u8>(token(i))
    if (letter == 79) putOpaque(i)
    else if (letter == 107) putKey()
  }
  putByte(13)
  putByte(10)
}

// --- md

export function metaDelete(line: u32, end: u32, next: u32): u32 {
  if (!begin(line, end)) return done(next)
  if (!open(key, keyLength)) return notOurs(line, next)
  if (!found) {
    deletedAgain()
    count(DELETE_MISSES)
    say('NF')
    echoes()
  } else if (comparesCas && casOf(found) != casWanted) {
    count(DELETE_MISSES)
    say('EX')
    echoes()
  } else {
    countAt(itemAt(found), AT_DELETE)
    if (watched(DELETIONS)) noteDeleted(found, true)
    const kept = !dropsValue || dropValue()
    if (kept && invalidates) invalidate()
    else if (kept && !dropsValue) forget(true)
    if (!kept || !quiet) {
      say(kept ? 'HD' : 'NS')
      echoes()
    }
  }
  close()
  return done(next)
}

/** x: the item stays, without value, flags and (but for T) time to live. */
function dropValue(): bool {
  const address = putEmpty(0, setsTtl ? expires : 0)
  if (address) link(address)
  return address != 0
}

/** I: stale, and the next reader may win. */
function invalidate(): void {
  if (!dropsValue) {
    if (assignsCas && isChained(found)) {
      rewritten()
      giveCas(found, casAssigned)
    } else if (assignsCas) {
      if (!copyWithCas()) return
    } else rewritten()
  }
  const item = itemAt(found)
  if (setsTtl) item.exptime = expires
  item.bits = (item.bits & ~TOKEN_SENT) | STALE
}

/** The found item again, with the cas unique that the client gives. Without memory for it the key is gone. */
function copyWithCas(): bool {
  const old = itemAt(found)
  const address = putEmpty(old.bytes, old.exptime)
  if (!address) {
    forget(true)
    return false
  }
  itemAt(address).flags = old.flags
  copyValue(address, 0, found, old.bytes)
  const bits = old.bits & (FETCHED | ACTIVE | KEY_BINARY)
  link(address)
  itemAt(address).bits |= bits
  return true
}

// --- ma

export function metaArithmetic(line: u32, end: u32, next: u32): u32 {
  tokenize(line, end)
  const problem = parseFlags(FLAGS_AT)
  if (problem != FINE || !isMode()) {
    const isFormat = tokenCount < 2 || tokenLength(1) > 250
    if (isFormat || problem == FINE) reply(isFormat ? problemText(problem) : 'CLIENT_ERROR invalid mode for ma M token')
    else reply('CLIENT_ERROR invalid or duplicate flag')
    return done(next)
  }
  if (!open(key, keyLength)) return notOurs(line, next)
  const increment = mode != 68 && mode != 100 && mode != 45
  if (found) changeFound(increment)
  else if (vivifies) vivify()
  else {
    count(increment ? INCR_MISSES : DECR_MISSES)
    say('NF')
    echoes()
  }
  close()
  return done(next)
}

/** I i + D d - or none. */
function isMode(): bool {
  return !mode || mode == 73 || mode == 105 || mode == 43 || mode == 68 || mode == 100 || mode == 45
}

function changeFound(increment: bool): void {
  // An empty value is refused before the cas is looked at, any other that is no number after it.
  if (itemAt(found).bytes && comparesCas && casWanted && casOf(found) != casWanted) {
    say('EX')
    echoes()
    return
  }
  const outcome = addDelta(increment, delta, scratch, assignsCas)
  if (outcome == NOT_A_NUMBER) reply('CLIENT_ERROR cannot increment or decrement non-numeric value')
  else if (outcome == NO_MEMORY) reply('SERVER_ERROR out of memory')
  else {
    if (assignsCas) giveCas(found, casAssigned)
    answerNumber(sumLength, false, quiet)
  }
}

function vivify(): void {
  const length = writeNumber(scratch, initial)
  const address = putEmpty(length, 0)
  if (!address) {
    reply('SERVER_ERROR Out of memory allocating new item')
    return
  }
  writeValue(address, 0, scratch, length)
  link(address)
  answerNumber(length, true, false)
}

/** The number's text is in scratch. T acts also when nothing is said. */
function answerNumber(length: u32, isNew: bool, silent: bool): void {
  const item = itemAt(found)
  if (silent) {
    if (setsTtl) item.exptime = expires
    return
  }
  if (wantsValue) {
    say('VA ')
    putNumber(length)
  } else say('HD')
  for (let i = FLAGS_AT; i < tokenCount; i++) {
    switch (load<u8>(token(i))) {
      case 84: // T
        item.exptime = expires
        break
      case 78: // N
        if (isNew) item.exptime = vivifyExpires
        break
      case 99: // c
        putNumberFlag(99, casEnabled ? casOf(found) : 0)
        break
      case 116: // t
        putTtl(item, now)
        break
      case 79: // O
        putOpaque(i)
        break
      case 107: // k
        putKey()
        break
    }
  }
  putByte(13)
  putByte(10)
  if (!wantsValue) return
  putBytes(scratch, length)
  putByte(13)
  putByte(10)
}

// --- me

export function metaDebug(line: u32, end: u32, next: u32): u32 {
  if (!begin(line, end)) return done(next)
  if (!open(key, keyLength)) return notOurs(line, next)
  count(CMD_META)
  if (!found) say('EN')
  else {
    const item = itemAt(found)
    say('ME ')
    putItemKey(found)
    say(' exp=')
    if (item.exptime) putNumber(item.exptime - now)
    else say('-1')
    say(' la=')
    putNumber(now - item.time)
    say(' cas=')
    putNumber(casEnabled ? casOf(found) : 0)
    say(item.bits & FETCHED ? ' fetch=yes' : ' fetch=no')
    say(' cls=')
    putNumber(item.slabClass + 1)
    say(' size=')
    putNumber(shownSize(item.keyLength, item.flags, item.bytes))
  }
  close()
  putByte(13)
  putByte(10)
  return done(next)
}
