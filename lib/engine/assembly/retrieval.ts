/**
 * get, gets, gat, gats (PROTOCOL D3). The whole line is looked at before its first VALUE is written; a line whose
 * values do not fit in tx goes on in a later run at the key where it stopped. A chained value never goes through tx: after
 * its VALUE line the host sends it from where it lies, then the line goes on behind its key.
 */
import { KEYS_AHEAD, lookAheadForMark, lookAheadInLine, seenUntil } from './ahead'
import { casEnabled } from './layout'
import { bump, close, found, openUnseen, show } from './keys'
import { countByPrefix, GET, HIT } from './prefixes'
import { casOf, itemAt, keyOf, valueOf } from './item'
import { addReader, isChained } from './chunked'
import { hasRoom, out, putByte, putNumber, reply, advance, rollBack } from './reply'
import { currentSlot, slotEpoch, slotGuarded } from './route'
import { AT_TOUCH, CMD_GET, CMD_TOUCH, count, countAt, countHit, GET_MISSES, TOUCH_MISSES } from './stats'
import { expiresAt } from './clock'
import { endOfToken, number, parseInt32 } from './tokens'
import { AT_KEY, describeFill, describeRequest, DONE, FULL, moveTo, MULTI, PIECES, refuse, setResume } from './turn'

export const KEY_MAX: u32 = 250
const SPACE: u8 = 32
/** "VALUE ", flags, bytes, cas unique, spaces and line ends, END. */
const FRAME_MAX: u32 = 96

// What `lookOver` says.
const OURS: u32 = 0
const ELSEWHERE: u32 = 1
const TOO_LONG: u32 = 2

/** The token found last by `nextToken`. */
let start: u32 = 0
let length: u32 = 0

/** The token at or after `from`; false at the end of the line. */
// @ts-ignore: decorator
@inline
function nextToken(from: u32, end: u32): bool {
  while (from < end && load<u8>(from) == SPACE) from++
  start = from
  length = endOfToken(from, end) - from
  return length != 0
}

/**
 * The line is [line, end), its first argument begins at or after `first`, the next request at `next`. `resumed`: offset
 * of the key to go on at.
 */
export function retrieve(line: u32, end: u32, next: u32, first: u32, withCas: bool, touches: bool, resumed: u32): u32 {
  let exptime: u32 = 0
  let keys = first
  if (touches) {
    if (!nextToken(first, end)) return bad(next)
    const at = start
    const size = length
    keys = at + size
    if (!nextToken(keys, end)) return bad(next)
    if (!parseInt32(at, size)) {
      reply('CLIENT_ERROR invalid exptime argument')
      moveTo(next)
      return DONE
    }
    exptime = expiresAt(<i32>number)
  }
  if (!nextToken(keys, end)) return bad(next)
  keys = start
  const from = resumed ? line + resumed : keys
  let several = resumed != 0
  if (!resumed) {
    if (length > KEY_MAX) return bad(next)
    several = nextToken(start + length, end)
    if (several) {
      const seen = lookOver(currentSlot(), keys, end, !touches)
      if (seen == TOO_LONG) return bad(next)
      if (seen == ELSEWHERE) return multi(line, keys, next, keys)
    }
  }
  return serve(line, end, next, keys, from, several, withCas, touches, exptime)
}

function serve(
  line: u32, end: u32, next: u32, keys: u32, from: u32, several: bool, withCas: bool, touches: bool, exptime: u32
): u32 {
  const before = out
  let at = from
  while (nextToken(at, end)) {
    if (several && start >= seenUntil) lookAheadInLine(start, end)
    if (!openUnseen(start, length, !touches)) {
      // The route changed since the line was checked: nothing of what this turn wrote for it counts.
      rollBack(before)
      if (several) return multi(line, keys, next, from)
      describeRequest(line, next - line, next - line)
      return refuse(start, length)
    }
    if (!found) {
      show()
      countByPrefix(start, length, GET)
      close()
      count(touches ? CMD_TOUCH : CMD_GET)
      count(touches ? TOUCH_MISSES : GET_MISSES)
    } else {
      const chained = isChained(found)
      if (!hasRoom(length + (chained ? 0 : itemAt(found).bytes) + FRAME_MAX)) {
        close()
        setResume(AT_KEY, start - line)
        return FULL
      }
      show()
      countByPrefix(start, length, HIT)
      putHead(withCas)
      if (!chained) putRun(valueOf(found), itemAt(found).bytes + 2)
      if (touches) itemAt(found).exptime = exptime
      if (touches) countAt(itemAt(found), AT_TOUCH)
      else countHit(itemAt(found))
      bump(itemAt(found))
      if (chained) addReader(found)
      close()
      count(touches ? CMD_TOUCH : CMD_GET)
      if (chained) {
        describeFill(0, 0, found)
        setResume(AT_KEY, start + length - line)
        return PIECES
      }
    }
    at = start + length
  }
  store<u32>(out, 0x0d444e45) // "END\r"
  store<u8>(out, 10, 4)
  advance(5)
  moveTo(next)
  return DONE
}

function bad(next: u32): u32 {
  reply('CLIENT_ERROR bad command line format')
  moveTo(next)
  return DONE
}

/**
 * What the keys of a line are, before the first is answered: OURS when this node is the authority for all of them. A key that the look
 * ahead saw held with the mark of the table in force needs no opening for that: `serve` decides under the lock, and takes the line
 * back if it was otherwise by then.
 */
function lookOver(slot: u32, keys: u32, end: u32, reads: bool): u32 {
  let seen = OURS
  let asks = slot != 0
  let unseen: u32 = 0
  let at = keys
  for (let key: u32 = 0; nextToken(at, end); key++) {
    if (length > KEY_MAX) return TOO_LONG
    at = start + length
    if (!asks) continue
    if (key % KEYS_AHEAD == 0) unseen = slotGuarded(slot) ? u32.MAX_VALUE : lookAheadForMark(start, end, slotEpoch(slot))
    if (!(unseen & (1 << (key % KEYS_AHEAD)))) continue
    if (openUnseen(start, length, reads)) close()
    else {
      seen = ELSEWHERE
      asks = false
    }
  }
  return seen
}

/**
 * Back to the host: the line from `from` on. Keys before it were answered in an earlier turn; then the words before the
 * keys are written again right before `from`, over keys that are done with, so that the request is whole where it
 * begins.
 */
function multi(line: u32, keys: u32, next: u32, from: u32): u32 {
  let offset = line
  if (from != keys) {
    const words = keys - line
    offset = from - words
    memory.copy(offset, line, words)
    moveTo(offset)
  }
  describeRequest(offset, next - offset, next - offset)
  return MULTI
}

function putHead(withCas: bool): void {
  const item = itemAt(found)
  store<u32>(out, 0x554c4156) // "VALU"
  store<u16>(out, 0x2045, 4) // "E "
  advance(6)
  putRun(keyOf(found), item.keyLength)
  putByte(SPACE)
  if (item.flags) putNumber(item.flags)
  else putByte(48)
  putByte(SPACE)
  putNumber(item.bytes)
  if (withCas) {
    putByte(SPACE)
    putNumber(casEnabled ? casOf(found) : 0)
  }
  putByte(13)
  putByte(10)
}

/** Copies in steps of 8, up to 7 bytes too many: `hasRoom` left room for them. */
export function putRun(from: u32, size: u32): void {
  if (size > 256) {
    memory.copy(out, from, size)
  } else {
    for (let i: u32 = 0; i < size; i += 8) store<u64>(out + i, load<u64>(from + i))
  }
  advance(size)
}
