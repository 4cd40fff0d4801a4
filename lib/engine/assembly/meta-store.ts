/**
 * `ms` (PROTOCOL D8): storage.ts's way of receiving a value, and its own way of deciding and answering. What the line
 * says stays in meta-flags.ts until the value is there; when that takes more than one turn, the line is read again.
 */
import { casEnabled } from './layout'
import { casOf, copy, itemAt, KEY_BINARY, keyOf, STALE, TOKEN_SENT } from './item'
import { endsRight } from './chunked'
import { close, found, giveCas, open, openUnseen, put, refresh } from './keys'
import { MUTATIONS, STORE_EXISTS, STORE_NOT_FOUND, STORE_NOT_STORED, STORE_STORED, watched } from './log'
import { allocate, free } from './slab'
import { number, parseInt32, token, tokenCount, tokenize, tokenLength } from './tokens'
import { currentSlot } from './route'
import { putByte, reply } from './reply'
import { AT_CAS_BAD, AT_CAS_HIT, AT_SET, CAS_MISSES, count, countAt } from './stats'
import { DONE, moveTo, swallow } from './turn'
import { ADD, APPEND, BYTES_MAX, CAS, dropValue, joinWith, META, noteItem, PREPEND, receive, refuseStorage, REPLACE, SET, sizeAllowed } from './storage'
import {
  assignsCas, casAssigned, casWanted, clientFlags, comparesCas, expires, FINE, invalidates, isBinary, key, keyLength, mode,
  parseFlags, problemText, putKey, putNumberFlag, putOpaque, quiet, vivifies, vivifyExpires
} from './meta-flags'

const BAD_VERB: u32 = 255
const FLAGS_AT: u32 = 3

const HD: u16 = 0x4448
const NS: u16 = 0x534e
const EX: u16 = 0x5845
const NF: u16 = 0x464e

export function metaSet(line: u32, end: u32, next: u32): u32 {
  tokenize(line, end)
  if (tokenCount < FLAGS_AT || !parseInt32(token(2), tokenLength(2)) || number > BYTES_MAX) {
    reply('CLIENT_ERROR bad command line format')
    moveTo(next)
    return DONE
  }
  const bytes = <u32>number
  const problem = parseFlags(FLAGS_AT)
  const verb = verbOf()
  if (problem != FINE || verb == BAD_VERB) {
    reply(problem != FINE ? problemText(problem) : 'CLIENT_ERROR invalid mode for ms M token')
    swallow(next, bytes + 2)
    return DONE
  }
  const tooLarge = !sizeAllowed(keyLength, clientFlags, bytes)
  if (currentSlot()) {
    if (!openUnseen(key, keyLength, false)) return refuseStorage(line, next, bytes, tooLarge, key, keyLength)
    close()
  }
  const address = tooLarge ? 0 : allocate(keyLength, bytes, assignsCas ? 8 : 0)
  if (!address) return dropValue(SET, line, next, bytes, tooLarge, key, keyLength)
  const item = itemAt(address)
  countAt(item, AT_SET)
  item.flags = clientFlags
  item.bytes = bytes
  item.lruNext = META
  copy(keyOf(address), key, keyLength)
  return receive(address, line, next, bytes + 2)
}

/** Reads the line of a value that came in several turns; it was found to be right before. */
export function readLine(line: u32, length: u32): void {
  let end = line + length - 1
  if (load<u8>(end - 1) == 13) end--
  tokenize(line, end)
  parseFlags(FLAGS_AT)
}

/** M's letter. With C a set or replace is a cas. */
function verbOf(): u32 {
  let verb = SET
  switch (mode) {
    case 0:
    case 83: // S
      break
    case 69: // E
      verb = ADD
      break
    case 65: // A
      verb = APPEND
      break
    case 80: // P
      verb = PREPEND
      break
    case 82: // R
      verb = REPLACE
      break
    default:
      return BAD_VERB
  }
  return comparesCas && (verb == SET || verb == REPLACE) ? CAS : verb
}

/** False: the key is not ours; nothing was done. */
export function commitMeta(address: u32): bool {
  const item = itemAt(address)
  if (!endsRight(address)) {
    reply('CLIENT_ERROR bad data chunk')
    free(address)
    return true
  }
  if (!open(keyOf(address), item.keyLength)) return false
  const verb = verbOf()
  item.exptime = expires
  let kept: u32 = 0
  let outcome = NS
  if (verb == CAS) {
    outcome = compare()
    if (outcome == HD) kept = keepAs(address, found != 0 && casOf(found) != casWanted)
  } else if (verb == APPEND || verb == PREPEND) {
    if (found) {
      const matches = !comparesCas || !casWanted || casOf(found) == casWanted
      outcome = !matches ? EX : join(address, verb == PREPEND) ? HD : NS
    } else if (vivifies && !comparesCas) {
      item.exptime = vivifyExpires
      kept = keepAs(address, false)
      outcome = HD
    }
  } else if (verb == SET || (verb == ADD && !found) || (verb == REPLACE && found)) {
    kept = keepAs(address, false)
    outcome = HD
  } else if (found && verb == ADD) refresh(itemAt(found))
  if (watched(MUTATIONS)) noteItem(outcome == HD ? found : address, statusOf(outcome), verb)
  if (!(quiet && outcome == HD)) answer(outcome, item.bytes)
  close()
  if (!kept) free(address)
  return true
}

function statusOf(outcome: u16): u8 {
  if (outcome == HD) return STORE_STORED
  if (outcome == EX) return STORE_EXISTS
  return outcome == NF ? STORE_NOT_FOUND : STORE_NOT_STORED
}

/** PROTOCOL D8, item 4: with I a lower cas is stored, and stays stale. */
function compare(): u16 {
  if (!found) {
    count(CAS_MISSES)
    return NF
  }
  const cas = casOf(found)
  if (casEnabled && casWanted && (cas == casWanted || (invalidates && casWanted < cas))) {
    countAt(itemAt(found), AT_CAS_HIT)
    return HD
  }
  countAt(itemAt(found), AT_CAS_BAD)
  return EX
}

function keepAs(address: u32, stale: bool): u32 {
  const before = stale ? itemAt(found).bits & TOKEN_SENT : 0
  if (stale) itemAt(address).exptime = itemAt(found).exptime
  put(address)
  if (stale) itemAt(address).bits |= STALE | before
  if (isBinary) itemAt(address).bits |= KEY_BINARY
  if (assignsCas) giveCas(address, casAssigned)
  return address
}

function join(address: u32, before: bool): bool {
  const joined = joinWith(itemAt(address), address, before, assignsCas ? 8 : 0)
  if (joined && assignsCas) giveCas(joined, casAssigned)
  return joined != 0
}

/** `bytes`: of the value as sent, for `s` when nothing was stored. */
function answer(outcome: u16, bytes: u32): void {
  putByte(<u8>outcome)
  putByte(<u8>(outcome >> 8))
  for (let i = FLAGS_AT; i < tokenCount; i++) {
    switch (load<u8>(token(i))) {
      case 79: // O
        putOpaque(i)
        break
      case 107: // k
        putKey()
        break
      case 99: // c
        putNumberFlag(99, outcome == HD ? (casEnabled ? casOf(found) : 0) : 0)
        break
      case 115: // s
        putNumberFlag(115, outcome == HD ? itemAt(found).bytes : bytes)
        break
    }
  }
  putByte(13)
  putByte(10)
}
