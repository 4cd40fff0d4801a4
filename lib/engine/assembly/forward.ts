/**
 * A request of one key, looked at for one question alone: whose is it? Nothing is executed, no lock is taken. For connections that
 * pipeline requests of other nodes' keys (lib/server/client-connection.ts). What is not plain here (keys in base64, more
 * tokens than are looked at) is the host's own parser's to decide.
 */
import { KEY_MAX } from './retrieval'
import { arcOf, arcOwner, currentSlot, enterTurn, leaveTurn, slotEpoch } from './route'
import { endOfToken, findNewline, isWord, lastIsNoreply, number, parseUnsigned, token, tokenCount, tokenize, tokenLength } from './tokens'
import { turn } from './layout'

const SPACE: u8 = 32
/** As the host's parser has them: more digits, or a higher number, and a line has no value. */
const DIGITS_MAX: u32 = 10
const BYTES_MAX: u64 = 2147483645
const LETTER_B: u8 = 98
const LETTER_M: u8 = 109

const NONE: u32 = 0
const GET: u32 = 1
const STORE: u32 = 2
const LINE: u32 = 3
const META: u32 = 4
const META_STORE: u32 = 5

/**
 * Length of the request of one key at [from, ...) when it lies whole before `to`; its owner, epoch and whether it wants no reply go to the
 * turn block. 0: it is no such request, or not whole, or there is no route.
 */
export function ownerOfRequest(from: u32, to: u32): u32 {
  const newline = findNewline(from, to)
  if (!newline || load<u8>(from) == SPACE) return 0
  let end = newline
  if (end > from && load<u8>(end - 1) == 13) end--
  tokenize(from, end)
  // 24 is where the tokenizer stops: there may be more.
  if (tokenCount < 2 || tokenCount == 24) return 0
  const kind = kindOf(token(0), tokenLength(0))
  const keyLength = tokenLength(1)
  if (kind == NONE || keyLength > KEY_MAX || (kind == GET && tokenCount != 2)) return 0
  let length = newline + 1 - from
  if (kind == STORE || kind == META_STORE) {
    const at: u32 = kind == STORE ? 4 : 2
    const digits = tokenLength(at)
    if (digits == 0 || digits > DIGITS_MAX || !parseUnsigned(token(at), digits, BYTES_MAX)) return 0
    const bytes = <u32>number + 2
    if (bytes > to - newline - 1) return 0
    length += bytes
  }
  if (kind >= META && isBase64(kind == META_STORE ? 3 : 2)) return 0
  enterTurn()
  const slot = currentSlot()
  if (slot) {
    store<u32>(turn, arcOwner(slot, arcOf(slot, token(1), keyLength)), 40)
    store<u32>(turn, (kind == STORE || kind == LINE) && lastIsNoreply() ? 1 : 0, 44)
    store<u32>(turn, slotEpoch(slot), 48)
  }
  leaveTurn()
  return slot ? length : 0
}

/**
 * Keys of the line at [from, to), one entry of 8 bytes each at `table`: where it begins behind `from`, then its length (u16) and its
 * owner (u16). At most `entries`; where to go on comes back, `to` when that was all. How many there are goes to the turn block.
 */
export function ownersOfKeys(from: u32, to: u32, table: u32, entries: u32): u32 {
  enterTurn()
  const slot = currentSlot()
  let at = from
  let out = table
  const full = table + (entries << 3)
  while (out != full) {
    while (at < to && load<u8>(at) == SPACE) at++
    if (at >= to) break
    const key = at
    at = endOfToken(at, to)
    store<u32>(out, key - from)
    store<u16>(out, <u16>(at - key), 4)
    store<u16>(out, <u16>(slot ? arcOwner(slot, arcOf(slot, key, at - key)) : 0), 6)
    out += 8
  }
  leaveTurn()
  store<u32>(turn, (out - table) >> 3, 80)
  return at
}

function isBase64(flags: u32): bool {
  for (let i = flags; i < tokenCount; i++) if (load<u8>(token(i)) == LETTER_B) return true
  return false
}

function kindOf(word: u32, length: u32): u32 {
  switch (length) {
    case 2:
      if (load<u8>(word) != LETTER_M) return NONE
      switch (load<u8>(word + 1)) {
        case 115: return META_STORE
        case 103:
        case 100:
        case 97:
        case 101: return META
      }
      return NONE
    case 3:
      if (isWord(word, length, 'get')) return GET
      return isWord(word, length, 'set') || isWord(word, length, 'add') || isWord(word, length, 'cas') ? STORE : NONE
    case 4:
      if (isWord(word, length, 'gets')) return GET
      return isWord(word, length, 'incr') || isWord(word, length, 'decr') ? LINE : NONE
    case 5:
      return isWord(word, length, 'touch') ? LINE : NONE
    case 6:
      if (isWord(word, length, 'delete')) return LINE
      return isWord(word, length, 'append') ? STORE : NONE
    case 7:
      return isWord(word, length, 'replace') || isWord(word, length, 'prepend') ? STORE : NONE
  }
  return NONE
}
