/**
 * A get of many keys that do not all live here: split by where they live, and the answers of its lines merged in the order asked. The
 * host moves bytes between these two calls and knows how many lines there are; keys and values are looked at here alone. Nothing is executed.
 *
 *   area:  lines   16 bytes each: owner, where its text begins, the text's length, how many keys
 *          keys    8 bytes each: where it begins behind the request's first byte (u32), its length (u16), its line (u16)
 *          texts   "get key key ...\r\n", one line's behind the other's
 *
 * A key asked for twice is answered twice: it goes twice into the same line.
 */
import { turn } from './layout'
import { hashLanes, LANE_KEY_MAX, laneResult, putLane } from './md5-lanes'
import { arcAt, arcOf, arcOwner, currentSlot, enterTurn, leaveTurn } from './route'
import { putRun } from './retrieval'
import { out, rollBack } from './reply'
import { endOfToken } from './tokens'

/** A request of more lines is the host's own to split. */
const LINES_MAX: u32 = 32
const LINE_WORDS: u32 = 16
const KEY_WORDS: u32 = 8
const KEYS_MAX: u32 = 16384
/** Keys asked of another node in one line; longer lists are cut into several lines. */
const KEYS_PER_LINE: u32 = 100
/** "gat", an exptime and what spaces anybody puts there. */
const HEAD_MAX: u32 = 64
const SPACE: u8 = 32
const LF: u8 = 10
const CUT_OFF: u32 = 0xffffffff
const END_LENGTH: u32 = 5

/**
 * Splits the get at [line, end), without its line end, into lines for other nodes and one for `self`. How many lines, 0: it is not for
 * this to split. How many keys goes to the turn block.
 */
export function splitGet(line: u32, end: u32, self: u32, area: u32): u32 {
  const head = headEnd(line, end)
  if (head - line > HEAD_MAX) return 0
  enterTurn()
  const slot = currentSlot()
  const lines = slot ? findOwners(slot, line, head, end, self, area) : 0
  leaveTurn()
  if (lines) writeTexts(line, head - line, area, lines)
  return lines
}

/** End of the words before the keys. */
function headEnd(line: u32, end: u32): u32 {
  let at = wordEnd(line, end)
  // gat, gats: the exptime too
  return load<u8>(line + 1) == 97 ? wordEnd(at, end) : at
}

function wordEnd(at: u32, end: u32): u32 {
  while (at < end && load<u8>(at) == SPACE) at++
  return endOfToken(at, end)
}

function findOwners(slot: u32, line: u32, head: u32, end: u32, self: u32, area: u32): u32 {
  const keys = area + LINES_MAX * LINE_WORDS
  const keysEnd = keys + KEYS_MAX * KEY_WORDS
  let entry = keys
  let lines: u32 = 0
  let at = head
  for (;;) {
    const four = entry
    let count: u32 = 0
    for (; count < 4; count++) {
      while (at < end && load<u8>(at) == SPACE) at++
      if (at >= end) break
      const key = at
      at = endOfToken(at, end)
      const length = at - key
      if (length <= LANE_KEY_MAX) putLane(count, key, length)
      store<u32>(entry, key - line)
      store<u16>(entry, <u16>length, 4)
      entry += KEY_WORDS
    }
    if (!count) break
    if (entry == keysEnd) return 0
    hashLanes()
    for (let lane: u32 = 0; lane < count; lane++) {
      store<u16>(four + lane * KEY_WORDS, <u16>arcOwner(slot, arcAt(slot, laneResult(lane))), 6)
    }
    for (let lane: u32 = 0; lane < count; lane++) {
      const one = four + lane * KEY_WORDS
      const length = <u32>load<u16>(one, 4)
      // A long key's block is the lanes' too: they have said what they know.
      const isShort = length <= LANE_KEY_MAX
      const owner = isShort ? <u32>load<u16>(one, 6) : arcOwner(slot, arcOf(slot, line + load<u32>(one), length))
      const number = lineOf(owner, self, area, lines)
      if (number == lines) {
        if (lines == LINES_MAX) return 0
        lines++
      }
      const row = area + number * LINE_WORDS
      store<u32>(row, load<u32>(row, 8) + length + 1, 8)
      store<u32>(row, load<u32>(row, 12) + 1, 12)
      store<u16>(one, <u16>number, 6)
    }
  }
  store<u32>(turn, (entry - keys) / KEY_WORDS, 80)
  return lines
}

/** Number of the line that the owner's next key goes to; a new one, where there is room for one, is empty. */
// @ts-ignore: decorator
@inline
function lineOf(owner: u32, self: u32, area: u32, lines: u32): u32 {
  let row = area
  for (let number: u32 = 0; number < lines; number++) {
    if (load<u32>(row) == owner && (owner == self || load<u32>(row, 12) < KEYS_PER_LINE)) return number
    row += LINE_WORDS
  }
  if (lines < LINES_MAX) {
    store<u32>(row, owner)
    store<u64>(row, 0, 8)
  }
  return lines
}

/** The lengths in the table are those of the keys, with a space each. */
function writeTexts(line: u32, head: u32, area: u32, lines: u32): void {
  const keys = area + LINES_MAX * LINE_WORDS
  const keysEnd = keys + load<u32>(turn, 80) * KEY_WORDS
  const linesEnd = area + lines * LINE_WORDS
  let text = keys + KEYS_MAX * KEY_WORDS
  for (let row = area; row < linesEnd; row += LINE_WORDS) {
    store<u32>(row, text, 4)
    memory.copy(text, line, head)
    text += head + load<u32>(row, 8) + 2
    store<u16>(text - 2, 0x0a0d)
    // Where its next key goes, until all of them are there.
    store<u32>(row, load<u32>(row, 4) + head, 8)
  }
  for (let entry = keys; entry < keysEnd; entry += KEY_WORDS) {
    const row = area + <u32>load<u16>(entry, 6) * LINE_WORDS
    const to = load<u32>(row, 8)
    const length = <u32>load<u16>(entry, 4)
    store<u8>(to, SPACE)
    copyKey(to + 1, line + load<u32>(entry), length)
    store<u32>(row, to + 1 + length, 8)
  }
  for (let row = area; row < linesEnd; row += LINE_WORDS) {
    store<u32>(row, load<u32>(row, 8) + 2 - load<u32>(row, 4), 8)
  }
}

/** Not one byte too many: the next line's text may be there already. */
// @ts-ignore: decorator
@inline
function copyKey(to: u32, from: u32, length: u32): void {
  if (length >= 8) {
    let i: u32 = 0
    for (; i + 8 <= length; i += 8) store<u64>(to + i, load<u64>(from + i))
    store<u64>(to + length - 8, load<u64>(from + length - 8))
  } else {
    for (let i: u32 = 0; i < length; i++) store<u8>(to + i, load<u8>(from + i))
  }
}

/**
 * Merges the lists that the lines were answered with, in the order of the `count` keys at `keys`, whose offsets count from `line`.
 * `answers`: 8 bytes a line, where its list begins and where the END of it does. What comes of it goes to `to`, where there is room for all
 * of them and 8 bytes more. Its length; 0xffffffff: a list is not what was asked for.
 */
export function mergeGet(line: u32, keys: u32, count: u32, answers: u32, lines: u32, to: u32): u32 {
  const keysEnd = keys + count * KEY_WORDS
  rollBack(to)
  for (let entry = keys; entry < keysEnd; entry += KEY_WORDS) {
    const row = answers + (<u32>load<u16>(entry, 6) << 3)
    const at = load<u32>(row)
    const length = blockLength(at, load<u32>(row, 4), line + load<u32>(entry), <u32>load<u16>(entry, 4))
    if (length == CUT_OFF) return CUT_OFF
    if (!length) continue
    putRun(at, length)
    store<u32>(row, at + length)
  }
  for (let row = answers; row < answers + (lines << 3); row += 8) {
    // Something is left over: another key's, or this one's in another place.
    if (load<u32>(row) != load<u32>(row, 4)) return CUT_OFF
  }
  store<u32>(out, 0x0d444e45) // "END\r"
  store<u8>(out, LF, 4)
  return out + END_LENGTH - to
}

/** Of the VALUE block at `at`, if it is this key's; 0: it is another's, or the list ends. CUT_OFF: it does not end before `end`. */
function blockLength(at: u32, end: u32, key: u32, keyLength: u32): u32 {
  const keyAt = at + 6
  if (keyAt + keyLength >= end || load<u8>(keyAt + keyLength) != SPACE) return 0
  // "VALU", "E "
  if (load<u32>(at) != 0x554c4156 || load<u16>(at, 4) != 0x2045) return 0
  if (!isSame(keyAt, key, keyLength)) return 0
  // The flags; then how many bytes.
  let next = keyAt + keyLength + 1
  while (next < end && isDigit(load<u8>(next))) next++
  next++
  let size: u64 = 0
  for (; next < end && isDigit(load<u8>(next)); next++) {
    size = size * 10 + <u64>(load<u8>(next) - 48)
    if (size > 0xffffffff) return CUT_OFF
  }
  while (next < end && load<u8>(next) != LF) next++
  const length = <u64>(next - at) + size + 3
  return length <= <u64>(end - at) ? <u32>length : CUT_OFF
}

function isSame(a: u32, b: u32, length: u32): bool {
  let i: u32 = 0
  for (; i + 8 <= length; i += 8) if (load<u64>(a + i) != load<u64>(b + i)) return false
  for (; i < length; i++) if (load<u8>(a + i) != load<u8>(b + i)) return false
  return true
}

// @ts-ignore: decorator
@inline
function isDigit(byte: u8): bool {
  return byte - 48 < 10
}
