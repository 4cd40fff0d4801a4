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
import { copyBytes } from '../transport/copy-bytes.js'
import { lineEnd, type Request } from './request.js'

export interface MultiGetParts {
  /** Node number of the owner of the key at [from, to) of `bytes`, or null when the key is for this node to answer (perhaps after a take). */
  elsewhere(bytes: Buffer, from: number, to: number): number | null
  local(request: Request): void
  forward(owner: number, request: Request): void
}

interface Line {
  owner: number | null
  /** Positions in `#from` and `#to`. */
  keys: number[]
  /** Bytes of its keys, with a space before each. */
  keyBytes: number
  reply: Buffer | null
  /** Where the merge stands in `reply`. */
  at: number
}

/** Keys asked of one node in one line; longer lists are cut into several lines. */
const KEYS_PER_LINE = 100
/** Lines under way at once: together they bound what comes back before it is looked at. */
const LINES_AT_ONCE = 32
/** Longest answer that is put together here, in bytes. */
const ANSWER_BYTES_MAX = 256 << 20
const END = Buffer.from('END\r\n')
const VALUE = Buffer.from('VALUE ')
const TOO_LONG = Buffer.from('SERVER_ERROR out of memory writing get response\r\n')
const CUT_OFF = Buffer.from('SERVER_ERROR a part of the answer was cut off\r\n')
const SPACE = 0x20
const LF = 0x0a
const CR = 0x0d
const ZERO = 0x30
const LETTER_G = 0x67
const LETTER_A = 0x61
const LETTER_T = 0x74

export function multiGet(whole: Request, parts: MultiGetParts): void {
  new MultiGet(whole, parts).start()
}

class MultiGet {
  readonly #whole: Request
  readonly #parts: MultiGetParts
  /** Length of the words before the keys. */
  #head = 0
  readonly #from: number[] = []
  readonly #to: number[] = []
  /** The line that asks for a key. */
  readonly #lineOf: Line[] = []
  readonly #lines: Line[] = []
  readonly #running = new Set<Request>()
  #bytes = 0
  #next = 0
  #failure: Buffer | null = null
  #starting = false

  constructor(whole: Request, parts: MultiGetParts) {
    this.#whole = whole
    this.#parts = parts
  }

  start(): void {
    this.#findKeys()
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

  #findKeys(): void {
    const { bytes } = this.#whole
    const end = lineEnd(bytes)
    let words = 0
    let wordsMax = 1
    for (let at = 0; at < end; ) {
      while (at < end && bytes[at] === SPACE) at++
      const from = at
      while (at < end && bytes[at] !== SPACE) at++
      if (at === from) return
      if (words === 0 && isTouching(bytes, from)) wordsMax = 2
      if (words++ < wordsMax) this.#head = at
      else {
        this.#from.push(from)
        this.#to.push(at)
      }
    }
  }

  #split(): void {
    const open = new Map<number, Line>()
    const { bytes } = this.#whole
    for (let i = 0; i < this.#from.length; i++) {
      const [from, to] = [this.#from[i]!, this.#to[i]!]
      const owner = this.#parts.elsewhere(bytes, from, to)
      let line = owner === null ? undefined : open.get(owner)
      if (!line || line.keys.length === KEYS_PER_LINE) {
        line = { owner, keys: [], keyBytes: 0, reply: null, at: 0 }
        this.#lines.push(line)
        if (owner !== null) open.set(owner, line)
      }
      line.keys.push(i)
      line.keyBytes += to - from + 1
      this.#lineOf.push(line)
    }
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
    const part: Request = {
      bytes: this.#textOf(line),
      hops: this.#whole.hops,
      dropped: false,
      cancel: null,
      sentId: 0,
      answer: reply => {
        if (part.dropped) return
        this.#running.delete(part)
        line.reply = reply
        this.#bytes += reply.length
        this.#failure = (this.#bytes > ANSWER_BYTES_MAX ? TOO_LONG : failureOf(reply)) ?? this.#failure
        this.#goOn()
      },
    }
    this.#running.add(part)
    if (line.owner === null) this.#parts.local(part)
    else this.#parts.forward(line.owner, part)
  }

  #textOf({ keys, keyBytes }: Line): Buffer {
    const { bytes } = this.#whole
    const text = Buffer.allocUnsafe(this.#head + keyBytes + 2)
    copyBytes(bytes, 0, text, 0, this.#head)
    let at = this.#head
    for (const key of keys) {
      const from = this.#from[key]!
      const length = this.#to[key]! - from
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
    this.#whole.answer(this.#failure ?? this.#merge())
  }

  #merge(): Buffer {
    const blocks = new Int32Array(this.#from.length)
    let size = END.length
    for (let i = 0; i < blocks.length; i++) {
      const line = this.#lineOf[i]!
      const length = blockLength(line.reply!, line.at, this.#whole.bytes, this.#from[i]!, this.#to[i]!)
      if (length < 0) return CUT_OFF
      blocks[i] = length
      line.at += length
      size += length
    }
    if (size > ANSWER_BYTES_MAX) return TOO_LONG
    for (const line of this.#lines) {
      if (line.at !== line.reply!.length - END.length) return CUT_OFF
      line.at = 0
    }
    const answer = Buffer.allocUnsafe(size)
    let at = 0
    for (let i = 0; i < blocks.length; i++) {
      const line = this.#lineOf[i]!
      const length = blocks[i]!
      if (length > 0) copyBytes(line.reply!, line.at, answer, at, length)
      line.at += length
      at += length
    }
    copyBytes(END, 0, answer, at, END.length)
    return answer
  }
}

/** What to answer instead, when the reply is no list of blocks. */
function failureOf(reply: Buffer): Buffer | null {
  const isList = startsWith(reply, VALUE) || startsWith(reply, END)
  if (isList) return endsWithEnd(reply) ? null : CUT_OFF
  const end = reply.indexOf(LF)
  return end < 0 ? CUT_OFF : reply.subarray(0, end + 1)
}

/** Of the VALUE block at `at` of the reply, if it is this key's; 0: it is another's, or the list ends. -1: it is cut off. */
function blockLength(reply: Buffer, at: number, bytes: Buffer, from: number, to: number): number {
  const keyAt = at + VALUE.length
  const length = to - from
  if (reply[at] !== VALUE[0] || reply[keyAt + length] !== SPACE) return 0
  for (let i = 0; i < length; i++) if (reply[keyAt + i] !== bytes[from + i]) return 0
  // The flags; then how many bytes.
  let next = keyAt + length + 1
  while (isDigit(reply[next])) next++
  next++
  let size = 0
  for (; isDigit(reply[next]); next++) size = size * 10 + reply[next]! - ZERO
  while (next < reply.length && reply[next] !== LF) next++
  const end = next + 1 + size + 2
  return end <= reply.length - END.length ? end - at : -1
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= ZERO + 9
}

function startsWith(reply: Buffer, head: Buffer): boolean {
  return reply.length >= head.length && reply.compare(head, 0, head.length, 0, head.length) === 0
}

function endsWithEnd(reply: Buffer): boolean {
  return reply.length >= END.length && reply.compare(END, 0, END.length, reply.length - END.length) === 0
}

/** `gat` or `gats`: the exptime comes before the keys. */
function isTouching(bytes: Buffer, at: number): boolean {
  return bytes[at] === LETTER_G && bytes[at + 1] === LETTER_A && bytes[at + 2] === LETTER_T
}
