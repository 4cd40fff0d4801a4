/**
 * A get of many keys that do not all live here: split by where they live, asked for, merged in the order asked (DESIGN 7).
 * A key asked for twice is answered twice. If a part fails, the whole line is answered with that part's error: a miss that
 * nobody has seen must not be told.
 *
 *   get a b c d e --> "get a" (here), "get b d" (node 2), "get c e" (node 3) --> VALUE blocks by key --> a b c d e END
 *
 * A node answers a line's keys in the order in which the line has them and leaves out those it has not. So the merge goes through the
 * keys as asked and looks, in the answer of each one's line, whether the next block is this key's. Keys are ranges of the request's
 * bytes; nothing is made of them but the lines.
 */
import type { KeptGet, SplitList } from '../engine/contract.js'
import { copyBytes } from '../transport/copy-bytes.js'
import type { ReplyArena } from './reply-arena.js'
import { lineEnd, type Request } from './request.js'

export interface MultiGetParts {
  /** Keys in [from, to) of the line, in order, with the number of the node that owns each. */
  keys(line: Buffer, from: number, to: number, each: (from: number, to: number, owner: number) => void): void
  /** This node's number: such keys are for it to answer, perhaps after a take. */
  self: number
  /** Where answers lie until they are merged. */
  arena: ReplyArena
  local(request: Request): void
  forward(owner: number, request: Request): void
}

interface Line {
  /** Null: this node. */
  owner: number | null
  /** Its keys: positions in `#keys`, each of which names the next. */
  first: number
  last: number
  count: number
  /** Bytes of its keys, with a space before each. */
  keyBytes: number
  reply: Buffer | null
  /** What of `reply` it is: the merge moves `at`. */
  from: number
  at: number
  end: number
  /** `reply` goes back to the arena. */
  isLent: boolean
}

/** What is known of a key, as numbers one behind the other in `#keys`. */
const FROM = 0
const TO = 1
const LINE = 2
const NEXT = 3
const BLOCK = 4
const KEY_NUMBERS = 5
/** Keys asked of one node in one line; longer lists are cut into several lines. */
const KEYS_PER_LINE = 100
/** Lines under way at once: together they bound what comes back before it is looked at. */
const LINES_AT_ONCE = 32
/** Longest answer that is put together here, in bytes. */
const ANSWER_BYTES_MAX = 256 << 20
const END = Buffer.from('END\r\n')
const VALUE = Buffer.from('VALUE ')
const TOO_LONG = Buffer.from('SERVER_ERROR out of memory writing get response\r\n')
export const CUT_OFF: Buffer = Buffer.from('SERVER_ERROR a part of the answer was cut off\r\n')
const SPACE = 0x20
const LF = 0x0a
const CR = 0x0d
const ZERO = 0x30
const LETTER_G = 0x67
const LETTER_A = 0x61
const LETTER_T = 0x74

export function multiGet(whole: Request, parts: MultiGetParts): void {
  new MultiGet(whole, parts, KEYS_PER_LINE).start()
}

/** Merges the answers of a get that the engine split, when they are too large for the engine. */
export function mergeLists(
  { bytes, lineBytes, keysAt, count }: KeptGet,
  lists: readonly SplitList[],
  arena: ReplyArena,
  answer: (reply: Buffer) => void,
): void {
  const whole: Request = { bytes: bytes.subarray(0, lineBytes), hops: 0, dropped: false, cancel: null, answer }
  const nothing = () => {}
  const keys: MultiGetParts['keys'] = (_line, _from, _to, each) => {
    for (let at = keysAt; at < keysAt + 8 * count; at += 8) {
      const from = bytes.readUInt32LE(at)
      each(from, from + bytes.readUInt16LE(at + 4), bytes.readUInt16LE(at + 6))
    }
  }
  const parts = { keys, self: -1, arena, local: nothing, forward: nothing }
  new MultiGet(whole, parts, Number.POSITIVE_INFINITY).merge(lists)
}

class MultiGet {
  readonly #whole: Request
  readonly #parts: MultiGetParts
  readonly #keysPerLine: number
  /** Length of the words before the keys. */
  #head = 0
  readonly #keys: number[] = []
  readonly #lines: Line[] = []
  readonly #running = new Set<Request>()
  #bytes = 0
  #next = 0
  #failure: Buffer | null = null
  #starting = false

  constructor(whole: Request, parts: MultiGetParts, keysPerLine: number) {
    this.#whole = whole
    this.#parts = parts
    this.#keysPerLine = keysPerLine
  }

  start(): void {
    this.#split()
    this.#whole.cancel = () => {
      for (const part of this.#running) {
        part.dropped = true
        part.cancel?.()
      }
      this.#running.clear()
    }
    this.#goOn()
  }

  /** All answers are here, by line. */
  merge(lists: readonly SplitList[]): void {
    this.#split()
    this.#lines.forEach((line, i) => {
      const { reply, from, length } = lists[i]!
      Object.assign(line, { reply, from, at: from, end: from + length })
    })
    this.#finish()
  }

  #split(): void {
    const { bytes } = this.#whole
    const { self } = this.#parts
    const end = lineEnd(bytes)
    this.#head = wordEnd(bytes, 0, end)
    if (isTouching(bytes)) this.#head = wordEnd(bytes, this.#head, end)
    const open = new Map<number, number>()
    this.#parts.keys(bytes, this.#head, end, (from, to, owner) => {
      const key = this.#keys.length
      const before = owner === self ? undefined : open.get(owner)
      const isFull = before === undefined || this.#lines[before]!.count === this.#keysPerLine
      const number = isFull ? this.#lines.length : before
      this.#keys.push(from, to, number, -1, 0)
      if (!isFull) {
        const line = this.#lines[number]!
        this.#keys[line.last + NEXT] = key
        line.last = key
        line.count++
        line.keyBytes += to - from + 1
        return
      }
      const range = { first: key, last: key, count: 1, keyBytes: to - from + 1 }
      const answer = { reply: null, from: 0, at: 0, end: 0, isLent: false }
      this.#lines.push({ owner: owner === self ? null : owner, ...range, ...answer })
      if (owner !== self) open.set(owner, number)
    })
  }

  /** Starts lines until enough are under way. An answer may come from within. */
  #goOn(): void {
    if (this.#starting) return
    this.#starting = true
    while (this.#running.size < LINES_AT_ONCE && this.#next < this.#lines.length && !this.#failure) {
      this.#ask(this.#lines[this.#next++]!)
    }
    this.#starting = false
    const started = this.#failure !== null || this.#next === this.#lines.length
    if (started && this.#running.size === 0) this.#finish()
  }

  #ask(line: Line): void {
    const { arena } = this.#parts
    const part: Request = {
      bytes: this.#textOf(line),
      hops: this.#whole.hops,
      dropped: false,
      cancel: null,
      sentId: 0,
      answer: reply => {
        if (!part.dropped) this.#answered(part, line, reply, 0, reply.length)
      },
      answerBorrowed: reply => {
        if (part.dropped) return
        const kept = arena.put(reply)
        line.isLent = arena.isOwn
        this.#answered(part, line, kept, arena.at, reply.length)
      },
    }
    this.#running.add(part)
    if (line.owner === null) this.#parts.local(part)
    else this.#parts.forward(line.owner, part)
  }

  #answered(part: Request, line: Line, reply: Buffer, from: number, length: number): void {
    this.#running.delete(part)
    line.reply = reply
    line.from = from
    line.at = from
    line.end = from + length
    this.#bytes += length
    this.#failure = (this.#bytes > ANSWER_BYTES_MAX ? TOO_LONG : failureOf({ reply, from, length })) ?? this.#failure
    this.#goOn()
  }

  #textOf({ first, keyBytes }: Line): Buffer {
    const { bytes } = this.#whole
    const keys = this.#keys
    const text = Buffer.allocUnsafe(this.#head + keyBytes + 2)
    copyBytes(bytes, 0, text, 0, this.#head)
    let at = this.#head
    for (let key = first; key >= 0; key = keys[key + NEXT]!) {
      const from = keys[key + FROM]!
      const length = keys[key + TO]! - from
      text[at++] = SPACE
      copyBytes(bytes, from, text, at, length)
      at += length
    }
    text[at] = CR
    text[at + 1] = LF
    return text
  }

  #finish(): void {
    this.#whole.cancel = null
    const size = this.#failure ? 0 : this.#measure()
    if (this.#failure) this.#whole.answer(this.#failure)
    else if (this.#whole.answerBorrowed) {
      const { arena } = this.#parts
      const answer = arena.take(size)
      this.#merge(answer)
      this.#whole.answerBorrowed(answer.subarray(0, size))
      arena.give(answer)
    } else {
      const answer = Buffer.allocUnsafe(size)
      this.#merge(answer)
      this.#whole.answer(answer)
    }
    for (const { isLent, reply } of this.#lines) if (isLent) this.#parts.arena.give(reply!)
  }

  /** Finds the block of each key that has one. Length of the whole answer; where it cannot be made, `#failure` says why. */
  #measure(): number {
    const { bytes } = this.#whole
    const keys = this.#keys
    let size = END.length
    for (let key = 0; key < keys.length; key += KEY_NUMBERS) {
      const line = this.#lines[keys[key + LINE]!]!
      const length = blockLength(line, bytes, keys[key + FROM]!, keys[key + TO]!)
      if (length < 0) this.#failure = CUT_OFF
      if (length < 0) return 0
      keys[key + BLOCK] = length
      line.at += length
      size += length
    }
    for (const line of this.#lines) if (line.at !== line.end - END.length) this.#failure = CUT_OFF
    if (size > ANSWER_BYTES_MAX) this.#failure = TOO_LONG
    return size
  }

  #merge(answer: Buffer): void {
    const keys = this.#keys
    for (const line of this.#lines) line.at = line.from
    let at = 0
    for (let key = 0; key < keys.length; key += KEY_NUMBERS) {
      const length = keys[key + BLOCK]!
      if (length === 0) continue
      const line = this.#lines[keys[key + LINE]!]!
      copyBytes(line.reply!, line.at, answer, at, length)
      line.at += length
      at += length
    }
    copyBytes(END, 0, answer, at, END.length)
  }
}

/** What to answer instead, when a line's answer is no list of blocks. */
export function failureOf({
  reply: bytes,
  from,
  length,
}: {
  reply: Buffer
  from: number
  length: number
}): Buffer | null {
  const end = from + length
  if (isAt(bytes, from, end, VALUE) || isAt(bytes, from, end, END)) {
    return isAt(bytes, end - END.length, end, END) ? null : CUT_OFF
  }
  const line = bytes.indexOf(LF, from)
  return line < 0 || line >= end ? CUT_OFF : Buffer.from(bytes.subarray(from, line + 1))
}

/** Of the VALUE block at `line.at`, if it is this key's; 0: it is another's, or the list ends. -1: it is cut off. */
function blockLength(line: Line, bytes: Buffer, from: number, to: number): number {
  const { at } = line
  const reply = line.reply!
  const last = line.end - END.length
  const keyAt = at + VALUE.length
  const length = to - from
  if (keyAt + length >= last || !isAt(reply, at, last, VALUE) || reply[keyAt + length] !== SPACE) return 0
  for (let i = 0; i < length; i++) if (reply[keyAt + i] !== bytes[from + i]) return 0
  // The flags; then how many bytes.
  let next = keyAt + length + 1
  while (next < last && isDigit(reply[next]!)) next++
  next++
  let size = 0
  for (; next < last && isDigit(reply[next]!); next++) size = size * 10 + reply[next]! - ZERO
  while (next < last && reply[next] !== LF) next++
  const end = next + 1 + size + 2
  return end <= last ? end - at : -1
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9
}

/** Does [from, end) of the bytes begin with this? */
function isAt(bytes: Buffer, from: number, end: number, head: Buffer): boolean {
  const { length } = head
  if (from < 0 || from + length > end) return false
  for (let i = 0; i < length; i++) if (bytes[from + i] !== head[i]) return false
  return true
}

/** End of the word at or behind `from`. */
function wordEnd(bytes: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && bytes[at] === SPACE) at++
  while (at < end && bytes[at] !== SPACE) at++
  return at
}

/** `gat` or `gats`: the exptime comes before the keys. */
function isTouching(bytes: Buffer): boolean {
  return bytes[0] === LETTER_G && bytes[1] === LETTER_A && bytes[2] === LETTER_T
}
