/**
 * Replies from bytes, without an object a reply: the load generator's own reader. It says the same as lib/protocol's
 * ReplyParser (test/bench/reply-scanner.test.ts holds one against the other) and knows meta replies as well.
 *
 *   VALUE <key> <flags> <bytes>[ <cas>]\r\n<value>\r\n  -> onValue      VA <bytes> <flags>*\r\n<value>\r\n  -> onMetaValue
 *   END\r\n                                             -> onEnd        any other line                      -> onLine
 *
 * It keeps nothing: what is not there whole is scanned again when more has come.
 */
import { BadReply } from '../../lib/protocol/index.js'

/** Places are offsets in the bytes given to scan(). */
export interface ReplyEvents {
  onValue(keyAt: number, keyLength: number, valueAt: number, length: number): void
  onMetaValue(valueAt: number, length: number): void
  onEnd(): void
  onLine(at: number, length: number): void
}

export const LINE_BYTES_MAX = 4096
/** Digits of a length: as lib/protocol has it. */
const LENGTH_DIGITS_MAX = 10
const FLAGS_DIGITS_MAX = 20
const LENGTH_MAX = 2 ** 30
const SPACE = 32
const CR = 13
const LF = 10
const ZERO = 48
const NINE = 57
const [A, D, E, L, N, U, V] = Buffer.from('ADELNUV') as unknown as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
]

/** Tells `events` of every reply part that is complete in bytes[at..end); the place of the first one that is not. Throws BadReply. */
export function scanReplies(bytes: Uint8Array, start: number, end: number, events: ReplyEvents): number {
  let at = start
  while (at < end) {
    const first = bytes[at]
    let next: number
    if (first === V && bytes[at + 1] === A && at + 3 <= end) {
      const third = bytes[at + 2]
      if (third === SPACE) next = metaValue(bytes, at, end, events)
      else if (third === L && at + 6 <= end && isValueWord(bytes, at)) next = value(bytes, at, end, events)
      else next = line(bytes, at, end, events)
    } else if (first === E && at + 5 <= end && isEnd(bytes, at)) {
      events.onEnd()
      next = at + 5
    } else next = line(bytes, at, end, events)
    if (next === at) return at
    at = next
  }
  return at
}

function isEnd(bytes: Uint8Array, at: number): boolean {
  return bytes[at + 1] === N && bytes[at + 2] === D && bytes[at + 3] === CR && bytes[at + 4] === LF
}

function isValueWord(bytes: Uint8Array, at: number): boolean {
  return bytes[at + 3] === U && bytes[at + 4] === E && bytes[at + 5] === SPACE
}

/** Each gives back `at` when something is still missing, and the place after it otherwise. */
function value(bytes: Uint8Array, at: number, end: number, events: ReplyEvents): number {
  const keyAt = at + 6
  let place = keyAt
  while (place < end && bytes[place] !== SPACE && bytes[place] !== LF) place++
  if (place >= end) return unfinished(at, end)
  const keyEnd = place
  if (keyEnd === keyAt || bytes[keyEnd] === LF) throw bad(bytes, at, end)
  place = digits(bytes, keyEnd + 1, end, FLAGS_DIGITS_MAX)
  if (place >= end) return unfinished(at, end)
  if (place === keyEnd + 1 || bytes[place] !== SPACE) throw bad(bytes, at, end)
  const lengthAt = place + 1
  place = digits(bytes, lengthAt, end, LENGTH_DIGITS_MAX)
  if (place >= end) return unfinished(at, end)
  if (place === lengthAt) throw bad(bytes, at, end)
  const length = numberAt(bytes, lengthAt, place)
  if (bytes[place] === SPACE) {
    const casAt = place + 1
    place = digits(bytes, casAt, end, FLAGS_DIGITS_MAX)
    if (place >= end) return unfinished(at, end)
    if (place === casAt) throw bad(bytes, at, end)
  }
  if (bytes[place] === CR) place++
  if (place >= end) return unfinished(at, end)
  if (bytes[place] !== LF || length > LENGTH_MAX) throw bad(bytes, at, end)
  const valueAt = place + 1
  if (valueAt + length + 2 > end) return at
  closes(bytes, at, valueAt + length)
  events.onValue(keyAt, keyEnd - keyAt, valueAt, length)
  return valueAt + length + 2
}

function metaValue(bytes: Uint8Array, at: number, end: number, events: ReplyEvents): number {
  const lengthAt = at + 3
  let place = digits(bytes, lengthAt, end, LENGTH_DIGITS_MAX)
  if (place >= end) return unfinished(at, end)
  if (place === lengthAt || (bytes[place] !== SPACE && bytes[place] !== CR && bytes[place] !== LF)) {
    throw bad(bytes, at, end)
  }
  const length = numberAt(bytes, lengthAt, place)
  while (place < end && bytes[place] !== LF) place++
  if (place >= end) return unfinished(at, end)
  if (length > LENGTH_MAX) throw bad(bytes, at, end)
  const valueAt = place + 1
  if (valueAt + length + 2 > end) return at
  closes(bytes, at, valueAt + length)
  events.onMetaValue(valueAt, length)
  return valueAt + length + 2
}

function line(bytes: Uint8Array, at: number, end: number, events: ReplyEvents): number {
  let place = at
  while (place < end && bytes[place] !== LF) place++
  if (place >= end) return unfinished(at, end)
  if (place - at > LINE_BYTES_MAX) throw new BadReply(`a reply line of more than ${LINE_BYTES_MAX} bytes`)
  const length = (place > at && bytes[place - 1] === CR ? place - 1 : place) - at
  // END with a bare \n, and VALUE in its first bytes, are told apart here: they are rare.
  if (length === 3 && bytes[at] === E && bytes[at + 1] === N && bytes[at + 2] === D) events.onEnd()
  else events.onLine(at, length)
  return place + 1
}

function unfinished(at: number, end: number): number {
  if (end - at > LINE_BYTES_MAX) throw new BadReply(`a reply line of more than ${LINE_BYTES_MAX} bytes`)
  return at
}

/** The place of the first byte that is no digit; too many are nonsense and end there too. */
function digits(bytes: Uint8Array, from: number, end: number, most: number): number {
  let place = from
  while (place < end && place - from < most && bytes[place]! >= ZERO && bytes[place]! <= NINE) place++
  return place
}

function numberAt(bytes: Uint8Array, from: number, to: number): number {
  let number = 0
  for (let place = from; place < to; place++) number = number * 10 + bytes[place]! - ZERO
  return number
}

function closes(bytes: Uint8Array, at: number, valueEnd: number): void {
  if (bytes[valueEnd] !== CR || bytes[valueEnd + 1] !== LF) throw bad(bytes, at, valueEnd)
}

function bad(bytes: Uint8Array, at: number, end: number): BadReply {
  const text = Buffer.from(bytes.subarray(at, Math.min(end, at + 80))).toString('latin1')
  return new BadReply(`"${text.split('\r\n')[0]}" is no value`)
}
