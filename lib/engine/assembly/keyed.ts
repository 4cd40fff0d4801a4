/** delete, touch, incr, decr: one key, one line (PROTOCOL D3, D6). */
import { bump, close, deletedAgain, forget, found, open, put, rewritten } from './keys'
import { CHAINED, copy, itemAt, keyOf, valueOf } from './item'
import { fillValue, writeEnd, writeValue } from './chunked'
import { DELETIONS, noteDeleted, watched } from './log'
import { countByPrefix, DEL } from './prefixes'
import { allocate } from './slab'
import { expiresAt } from './clock'
import { noreply, advance, out, reply, setNoreply, writeNumber } from './reply'
import {
  AT_DECR, AT_DELETE, AT_INCR, AT_TOUCH, CMD_TOUCH, count, countAt, DECR_MISSES, DELETE_MISSES, INCR_MISSES, TOUCH_MISSES
} from './stats'
import {
  lastIsNoreply, number, parseInt32, parseLooseUnsigned, parseUnsigned, token, tokenCount, tokenize, tokenLength
} from './tokens'
import { describeRequest, DONE, moveTo, refuse } from './turn'
import { KEY_MAX } from './retrieval'

/** Tokenizes, finds noreply, checks the key. False: answered. */
function begin(line: u32, end: u32, tokensMin: u32): bool {
  tokenize(line, end)
  if (tokenCount >= tokensMin) {
    setNoreply(lastIsNoreply())
    if (tokenLength(1) <= KEY_MAX) return true
  }
  reply('CLIENT_ERROR bad command line format')
  return false
}

function notOurs(line: u32, next: u32): u32 {
  describeRequest(line, next - line, next - line)
  return refuse(token(1), tokenLength(1))
}

export function deleteCommand(line: u32, end: u32, next: u32): u32 {
  if (begin(line, end, 2)) {
    if (!open(token(1), tokenLength(1))) return notOurs(line, next)
    countByPrefix(token(1), tokenLength(1), DEL)
    if (found) {
      countAt(itemAt(found), AT_DELETE)
      if (watched(DELETIONS)) noteDeleted(found, false)
      forget(true)
      close()
      reply('DELETED')
    } else {
      deletedAgain()
      close()
      count(DELETE_MISSES)
      reply('NOT_FOUND')
    }
  }
  moveTo(next)
  return DONE
}

export function touchCommand(line: u32, end: u32, next: u32): u32 {
  if (begin(line, end, 3)) {
    if (!parseInt32(token(2), tokenLength(2))) reply('CLIENT_ERROR invalid exptime argument')
    else {
      const expires = expiresAt(<i32>number)
      if (!open(token(1), tokenLength(1))) return notOurs(line, next)
      const hit = found != 0
      if (hit) {
        itemAt(found).exptime = expires
        bump(itemAt(found))
        countAt(itemAt(found), AT_TOUCH)
      }
      close()
      count(CMD_TOUCH)
      if (!hit) count(TOUCH_MISSES)
      reply(hit ? 'TOUCHED' : 'NOT_FOUND')
    }
  }
  moveTo(next)
  return DONE
}

export function arithmeticCommand(increment: bool, line: u32, end: u32, next: u32): u32 {
  if (begin(line, end, 3)) {
    if (!parseUnsigned(token(2), tokenLength(2), u64.MAX_VALUE)) reply('CLIENT_ERROR invalid numeric delta argument')
    else {
      const delta = number
      if (!open(token(1), tokenLength(1))) return notOurs(line, next)
      if (found) change(increment, delta)
      else {
        count(increment ? INCR_MISSES : DECR_MISSES)
        reply('NOT_FOUND')
      }
      close()
    }
  }
  moveTo(next)
  return DONE
}

function change(increment: bool, delta: u64): void {
  // The text is made in tx: it is the reply as well.
  const text = out
  const outcome = addDelta(increment, delta, text, false)
  if (outcome == NOT_A_NUMBER) reply('CLIENT_ERROR cannot increment or decrement non-numeric value')
  else if (outcome == NO_MEMORY) reply('SERVER_ERROR out of memory')
  else if (!noreply) {
    store<u16>(text + sumLength, 0x0a0d)
    advance(sumLength + 2)
  }
}

export const ADDED: u32 = 0
export const NOT_A_NUMBER: u32 = 1
export const NO_MEMORY: u32 = 2
/** Of the text that `addDelta` wrote. */
export let sumLength: u32 = 0

/** PROTOCOL D6, on the found item. Writes the sum to `text`. `anew`: into a new item with 8 bytes behind its value. */
export function addDelta(increment: bool, delta: u64, text: u32, anew: bool): u32 {
  const item = itemAt(found)
  if (!item.bytes || item.bits & CHAINED || !parseLooseUnsigned(valueOf(found), item.bytes)) return NOT_A_NUMBER
  countAt(item, increment ? AT_INCR : AT_DECR)
  const length = writeNumber(text, increment ? number + delta : number > delta ? number - delta : 0)
  sumLength = length
  if (anew || length > item.bytes) return replaceValue(text, length, anew ? 8 : 0) ? ADDED : NO_MEMORY
  copy(valueOf(found), text, length)
  memory.fill(valueOf(found) + length, 32, item.bytes - length)
  rewritten()
  return ADDED
}

/** A new item of the number's length, or of the old one's if that is longer; flags and exptime stay. */
function replaceValue(text: u32, textLength: u32, spare: u32): bool {
  const old = itemAt(found)
  const length = max(textLength, old.bytes)
  const address = allocate(old.keyLength, length, spare)
  if (!address) return false
  const fresh = itemAt(address)
  fresh.flags = old.flags
  fresh.exptime = old.exptime
  fresh.bytes = length
  copy(keyOf(address), keyOf(found), old.keyLength)
  writeValue(address, 0, text, textLength)
  fillValue(address, textLength, 32, length - textLength)
  writeEnd(address)
  put(address)
  return true
}
