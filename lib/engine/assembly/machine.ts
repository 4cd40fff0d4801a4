/**
 * The loop over requests and the dispatch: lines of PROTOCOL D1, one row a command, as in protocol.txt.
 */
import { forgetAhead, lookAhead, seenUntil } from './ahead'
import { debugEnabled, FLUSH_AT, flushEnabled, VERBOSITY, VERSION_COUNTER, VERSION_TEXT, versionLength } from './layout'
import { hasRoom, noreply, put, putBytes, reply, repliesLength, REPLY_MAX, setNoreply, startReplies } from './reply'
import { arithmeticCommand, deleteCommand, touchCommand } from './keyed'
import { ADD, APPEND, CAS, finishValue, PREPEND, REPLACE, SET, storeCommand } from './storage'
import { metaArithmetic, metaDebug, metaDelete, metaGet } from './meta'
import { metaSet } from './meta-store'
import { retrieve } from './retrieval'
import { currentSlot, enterTurn, leaveTurn } from './route'
import { expiresAt, flushVersion, moveClock, now, stopClock } from './clock'
import { CMD_FLUSH, count } from './stats'
import {
  findNewline, GET_, isWord, lastIsNoreply, number, parseInt32, parseLooseSigned, parseUnsigned, SET_, token, tokenCount,
  tokenize, tokenLength
} from './tokens'
import {
  AT_KEY, CLOSE, describeFill, describeRequest, DONE, endTurn, FRESH, FULL, limit, moveTo, position, setInput, setRefused,
  setResume, SLOW,
  SWALLOW, swallow
} from './turn'

/** PROTOCOL D1: more than this without a line end closes the connection, unless it is a get. */
const LINE_MAX: u32 = 2048
const LEADING_SPACES_MAX: u32 = 100
const SPACE: u8 = 32
const CLUSTER_LINE: u32 = 29

export function runRequests(offset: u32, length: u32, kind: u32, value: u32, txStart: u32, single: bool): u32 {
  enterTurn()
  startReplies(txStart)
  setInput(offset, offset + length)
  setResume(FRESH, 0)
  describeFill(0, 0, 0)
  forgetAhead()
  if (kind == SWALLOW) swallow(offset, value)
  let resumed: u32 = kind == AT_KEY ? value : 0
  let stop = DONE
  while (position < limit) {
    if (!hasRoom(REPLY_MAX)) {
      if (resumed) setResume(AT_KEY, resumed)
      stop = FULL
      break
    }
    const newline = findNewline(position, limit)
    if (!newline) {
      stop = isEndless(position) ? refuseLine() : DONE
      break
    }
    if (position >= seenUntil && newline + 1 < limit && !single) lookAhead(position, limit)
    setNoreply(false)
    stop = execute(position, newline, resumed)
    resumed = 0
    if (stop != DONE || single) break
  }
  const consumed = position - offset
  leaveTurn()
  return endTurn(stop, consumed, repliesLength())
}

export function runFinish(handle: u32, txStart: u32, lineLength: u32): u32 {
  enterTurn()
  startReplies(txStart)
  setResume(FRESH, 0)
  const stop = finishValue(handle, lineLength)
  leaveTurn()
  return endTurn(stop, 0, repliesLength())
}

function isEndless(from: u32): bool {
  if (limit - from <= LINE_MAX) return false
  let at = from
  while (at - from <= LEADING_SPACES_MAX && load<u8>(at) == SPACE) at++
  const word = load<u32>(at)
  return word != GET_ && !(word == 0x73746567 && load<u8>(at + 4) == SPACE) // "gets"
}

/** The connection is closed because of what it sent. */
function refuseLine(): u32 {
  setRefused()
  return CLOSE
}

function execute(line: u32, newline: u32, resumed: u32): u32 {
  const next = newline + 1
  let end = newline
  if (end > line && load<u8>(end - 1) == 13) end--
  if (next - line < 4) {
    reply('CLIENT_ERROR bad command line format')
    moveTo(next)
    return DONE
  }
  const word = load<u32>(line)
  if (word == GET_ && end - line == CLUSTER_LINE && isClusterLine(line)) return slow(line, next)
  if (word == GET_) return retrieve(line, end, next, line + 4, false, false, resumed)
  if (word == SET_) return storeCommand(SET, line, end, next)
  let length: u32 = 0
  while (line + length < end && load<u8>(line + length) != SPACE) length++
  return dispatch(line, length, end, next, resumed)
}

/** The key under which clients older than `config get cluster` find the nodes of a tier (PROTOCOL D13). */
function isClusterLine(line: u32): bool {
  return currentSlot() != 0 && isWord(line, CLUSTER_LINE, 'get AmazonElastiCache:cluster')
}

function dispatch(line: u32, length: u32, end: u32, next: u32, resumed: u32): u32 {
  const first = line + length
  switch (length) {
    case 2:
      return metaCommand(line, end, next)
      break
    case 3:
      if (isWord(line, length, 'get')) return retrieve(line, end, next, first, false, false, resumed)
      if (isWord(line, length, 'gat')) return retrieve(line, end, next, first, false, true, resumed)
      if (isWord(line, length, 'add')) return storeCommand(ADD, line, end, next)
      if (isWord(line, length, 'cas')) return storeCommand(CAS, line, end, next)
      if (isWord(line, length, 'set')) return storeCommand(SET, line, end, next)
      break
    case 4:
      if (isWord(line, length, 'gets')) return retrieve(line, end, next, first, true, false, resumed)
      if (isWord(line, length, 'gats')) return retrieve(line, end, next, first, true, true, resumed)
      if (isWord(line, length, 'incr')) return arithmeticCommand(true, line, end, next)
      if (isWord(line, length, 'decr')) return arithmeticCommand(false, line, end, next)
      if (isWord(line, length, 'quit')) {
        moveTo(next)
        return CLOSE
      }
      break
    case 5:
      if (isWord(line, length, 'touch')) return touchCommand(line, end, next)
      if (isWord(line, length, 'stats') || isWord(line, length, 'watch')) return slow(line, next)
      break
    case 6:
      if (isWord(line, length, 'delete')) return deleteCommand(line, end, next)
      if (isWord(line, length, 'append')) return storeCommand(APPEND, line, end, next)
      // ElastiCache's `config get cluster` (PROTOCOL D13).
      if (isWord(line, length, 'config')) return slow(line, next)
      break
    case 7:
      if (isWord(line, length, 'replace')) return storeCommand(REPLACE, line, end, next)
      if (isWord(line, length, 'prepend')) return storeCommand(PREPEND, line, end, next)
      if (isWord(line, length, 'version')) return versionCommand(next)
      break
  }
  return rare(line, end, next)
}

/** Two letters, the second one says which. */
function metaCommand(line: u32, end: u32, next: u32): u32 {
  if (load<u8>(line) == 109) {
    switch (load<u8>(line + 1)) {
      case 103: return metaGet(line, end, next)
      case 115: return metaSet(line, end, next)
      case 100: return metaDelete(line, end, next)
      case 97: return metaArithmetic(line, end, next)
      case 110: return answer('MN', next)
      case 101: return metaDebug(line, end, next)
    }
  }
  return rare(line, end, next)
}

/** Looked up by the first token, so that leading spaces do no harm here (as in memcached). */
function rare(line: u32, end: u32, next: u32): u32 {
  tokenize(line, end)
  if (tokenCount) {
    setNoreply(lastIsNoreply())
    const name = token(0)
    const length = tokenLength(0)
    if (isWord(name, length, 'flush_all')) return flushCommand(line, next)
    if (isWord(name, length, 'verbosity')) return verbosityCommand(next)
    if (debugEnabled && isWord(name, length, 'debugtime')) return debugTime(next)
    if (
      isWord(name, length, 'refresh_certs') ||
      isWord(name, length, 'shutdown') ||
      isWord(name, length, 'cache_memlimit') ||
      isWord(name, length, 'slabs') ||
      isWord(name, length, 'lru') ||
      isWord(name, length, 'lru_crawler')
    ) {
      return slow(line, next)
    }
    const last = tokenCount - 1
    if (last && tokenLength(last) >= 5 && isWord(token(last), 5, 'HTTP/')) {
      moveTo(next)
      return refuseLine()
    }
  }
  // Only a command can be told not to reply.
  setNoreply(false)
  return answer('ERROR', next)
}

function answer(text: string, next: u32): u32 {
  reply(text)
  moveTo(next)
  return DONE
}

function slow(line: u32, next: u32): u32 {
  describeRequest(line, next - line, next - line)
  return SLOW
}

function versionCommand(next: u32): u32 {
  put('VERSION ')
  putBytes(VERSION_TEXT, versionLength)
  put('\r\n')
  moveTo(next)
  return DONE
}

/** memcached's command goes up to 2, its flag to 3. */
function verbosityCommand(next: u32): u32 {
  if (!parseUnsigned(token(1), tokenLength(1), u32.MAX_VALUE)) {
    return answer('CLIENT_ERROR bad command line format', next)
  }
  atomic.store<u32>(VERBOSITY, min(<u32>number, 2))
  return answer('OK', next)
}

/** Of memcached's debug builds, for tests: `p` stops the clock, `r` lets it go, a number moves it by seconds. */
function debugTime(next: u32): u32 {
  const word = token(1)
  const length = tokenLength(1)
  if (isWord(word, length, 'p')) stopClock(true)
  else if (isWord(word, length, 'r')) stopClock(false)
  else if (parseLooseSigned(word, length)) moveClock(<i32>number)
  else return answer('ERROR', next)
  return answer('OK', next)
}

/** PROTOCOL D7. Alone, done here; in a tier it is the host's, for every node. */
function flushCommand(line: u32, next: u32): u32 {
  count(CMD_FLUSH)
  if (!flushEnabled) return answer('CLIENT_ERROR flush_all not allowed', next)
  let exptime: i32 = 0
  if (tokenCount != (noreply ? 2 : 1)) {
    if (!parseInt32(token(1), tokenLength(1))) return answer('CLIENT_ERROR invalid exptime argument', next)
    exptime = <i32>number
  }
  if (currentSlot()) return slow(line, next)
  // memcached's moment is one second before: `flush_all 1` acts at once.
  const at = exptime > 0 ? expiresAt(exptime) - 1 : 0
  if (at > now) atomic.store<u32>(FLUSH_AT, at)
  else {
    atomic.store<u32>(FLUSH_AT, 0)
    flushVersion(atomic.load<u64>(VERSION_COUNTER))
  }
  return answer('OK', next)
}
