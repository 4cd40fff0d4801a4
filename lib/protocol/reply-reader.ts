/**
 * Replies, classic and meta, one after the other, from bytes that come in any pieces. It need not know the requests: a
 * line's first word says whether a block follows. Nothing is allocated for a reply that arrives whole.
 *
 *   VA 5 f0 \r\n hello\r\n        VALUE key 0 5 [cas]\r\n hello\r\n        CONFIG cluster 0 5\r\n hello\r\n
 *   ^line  ^     ^value ^         ^ line                  ^ value ^
 *
 * The handler is given the reader's own WireReply: what it needs it takes before it returns, for the bytes are the
 * socket's. Pure: no socket, no clock. Nothing grows without bound: lines and values have limits.
 */
import { BadReply } from './bad-reply.js'

/** What a reply's first word says. Words with nothing behind them in one reply, so that a number is enough. */
export const Kind = {
  OTHER: 0,
  /** Meta: success without a value. */
  HD: 1,
  /** Meta: a value. */
  VA: 2,
  EN: 3,
  NF: 4,
  NS: 5,
  EX: 6,
  MN: 7,
  ME: 8,
  /** Classic: a value; END follows. */
  VALUE: 9,
  END: 10,
  STORED: 11,
  NOT_STORED: 12,
  EXISTS: 13,
  NOT_FOUND: 14,
  DELETED: 15,
  TOUCHED: 16,
  OK: 17,
  STAT: 18,
  VERSION: 19,
  /** Classic incr and decr. */
  NUMBER: 20,
  CONFIG: 21,
  RESET: 22,
  /** ERROR, CLIENT_ERROR, SERVER_ERROR. */
  ERROR: 23,
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

const LF = 10
const CR = 13
const SPACE = 32
const VALUE_KEY = 'VALUE '.length
const CONFIG_NAME = 'CONFIG '.length
const EMPTY = Buffer.alloc(0)

export interface ReaderLimits {
  /** Longest line; lower finds nonsense sooner, but a VALUE line has a key of 250 bytes and some replies tell long stories. */
  lineBytesMax?: number
  /** Largest value; lower bounds what one reply can take of memory. */
  valueBytesMax?: number
}

/** One reply, or one of several of a request. Positions are of `lineBytes` and `valueBytes`; good only while it is handed over. */
export class WireReply {
  kind: Kind = Kind.OTHER
  lineBytes: Buffer = EMPTY
  lineStart = 0
  /** Without its line end. */
  lineEnd = 0
  valueBytes: Buffer = EMPTY
  valueStart = 0
  valueEnd = 0
  /** Of a VALUE line: where its key ends (it begins behind "VALUE "), its flags, and where its cas begins, or the line's end. */
  keyEnd = 0
  itemFlags = 0
  casStart = 0

  /** The line; one letter a byte. */
  get line(): string {
    return this.lineBytes.toString('latin1', this.lineStart, this.lineEnd)
  }

  /** A copy of the value. */
  copyValue(): Buffer {
    const copy = Buffer.allocUnsafe(this.valueEnd - this.valueStart)
    this.valueBytes.copy(copy, 0, this.valueStart, this.valueEnd)
    return copy
  }

  /** The n-th word of the line, counted from 0; '' if there is none. */
  word(n: number): string {
    const [from, to] = this.#range(n)
    return this.lineBytes.toString('latin1', from, to)
  }

  /** Is this the key of a VALUE line? One letter a byte. */
  keyIs(text: string): boolean {
    let at = this.lineStart + VALUE_KEY
    const to = this.keyEnd
    if (to - at !== text.length) return false
    const bytes = this.lineBytes
    for (let i = 0; at < to; at++, i++) if (bytes[at] !== text.charCodeAt(i)) return false
    return true
  }

  /** The cas of a VALUE line; 0 if it has none. */
  get casUnique(): bigint {
    return this.casStart < this.lineEnd ? BigInt(this.lineBytes.toString('latin1', this.casStart, this.lineEnd)) : 0n
  }

  /** Takes a line with a block apart, once; its size. Throws BadReply. */
  measure(): number {
    const { lineBytes: bytes, lineEnd } = this
    if (this.kind === Kind.VA) return this.#number(this.lineStart + 3, this.#wordEnd(this.lineStart + 3))
    // VALUE <key> <flags> <bytes> [cas], CONFIG <name> <flags> <bytes>
    let at = this.lineStart + (this.kind === Kind.VALUE ? VALUE_KEY : CONFIG_NAME)
    while (at < lineEnd && bytes[at] !== SPACE) at++
    this.keyEnd = at
    const flags = at + 1
    at = this.#wordEnd(flags)
    this.itemFlags = this.#number(flags, at)
    const size = at + 1
    at = this.#wordEnd(size)
    this.casStart = at + 1
    return this.#number(size, at)
  }

  /** Meta: is the flag there? The letter's code. */
  hasFlag(letter: number): boolean {
    return this.#flag(letter) >= 0
  }

  /** Meta: the number behind a flag; `missing` if the flag is not there. May be negative (t-1). */
  flagNumber(letter: number, missing: number): number {
    const at = this.#flag(letter)
    if (at < 0) return missing
    return this.lineBytes[at + 1] === 45
      ? -this.#number(at + 2, this.#wordEnd(at))
      : this.#number(at + 1, this.#wordEnd(at))
  }

  /** Meta: a 64-bit number behind a flag (c); null if the flag is not there. */
  flagBigInt(letter: number): bigint | null {
    const at = this.#flag(letter)
    return at < 0 ? null : BigInt(this.lineBytes.toString('latin1', at + 1, this.#wordEnd(at)))
  }

  /** Where the flag's letter is, -1 if nowhere. Flags begin behind the code, and behind the size of a VA. */
  #flag(letter: number): number {
    const { lineBytes: bytes, lineEnd } = this
    let at = this.lineStart + 2
    if (this.kind === Kind.VA) {
      at++
      while (at < lineEnd && bytes[at] !== SPACE) at++
    }
    while (at < lineEnd) {
      while (at < lineEnd && bytes[at] === SPACE) at++
      if (at < lineEnd && bytes[at] === letter) return at
      while (at < lineEnd && bytes[at] !== SPACE) at++
    }
    return -1
  }

  #wordEnd(from: number): number {
    let at = from
    while (at < this.lineEnd && this.lineBytes[at] !== SPACE) at++
    return at
  }

  #range(n: number): [from: number, to: number] {
    const { lineBytes: bytes, lineEnd } = this
    let at = this.lineStart
    for (let word = 0; at < lineEnd; word++) {
      while (at < lineEnd && bytes[at] === SPACE) at++
      const end = this.#wordEnd(at)
      if (word === n) return [at, end]
      at = end
    }
    return [lineEnd, lineEnd]
  }

  #number(from: number, to: number): number {
    const bytes = this.lineBytes
    let number = 0
    for (let at = from; at < to; at++) {
      const digit = bytes[at]! - 48
      if (digit < 0 || digit > 9) throw new BadReply(`"${this.line}" has no number where one belongs`)
      number = number * 10 + digit
    }
    if (from >= to || to - from > 16) throw new BadReply(`"${this.line}" has no number where one belongs`)
    return number
  }
}

export class ReplyReader {
  readonly #onReply: (reply: WireReply) => void
  readonly #lineBytesMax: number
  readonly #valueBytesMax: number
  readonly #reply = new WireReply()
  /** Start of a line whose end has not come. */
  #rest: Buffer = EMPTY
  /** A value that comes in pieces, and its \r\n; null: none is open. */
  #block: Buffer | null = null
  #filled = 0
  #stopped = false

  constructor(onReply: (reply: WireReply) => void, limits: ReaderLimits = {}) {
    this.#onReply = onReply
    this.#lineBytesMax = limits.lineBytesMax ?? 8192
    this.#valueBytesMax = limits.valueBytesMax ?? 2 ** 30
  }

  /** True in the middle of a reply. */
  get isOpen(): boolean {
    return this.#rest.length > 0 || this.#block !== null
  }

  /** No more replies are wanted, not even of the bytes that are being read. */
  stop(): void {
    this.#stopped = true
    this.#rest = EMPTY
    this.#block = null
  }

  /** Hands over each reply that these bytes complete. They may be used again afterwards. Throws BadReply; then the reader is of no use. */
  push(pushed: Buffer, length = pushed.length): void {
    let bytes = pushed
    let end = length
    let at = this.#block === null ? 0 : this.#fill(bytes, 0, end)
    if (this.#rest.length > 0) {
      bytes = Buffer.concat([this.#rest, bytes.subarray(at, end)])
      end = bytes.length
      at = 0
      this.#rest = EMPTY
    }
    while (at < end && !this.#stopped) {
      let lf = at
      while (lf < end && bytes[lf] !== LF) lf++
      if (lf - at > this.#lineBytesMax) throw new BadReply(`a reply line of more than ${this.#lineBytesMax} bytes`)
      if (lf === end) {
        this.#rest = Buffer.from(bytes.subarray(at, end))
        return
      }
      at = this.#line(bytes, at, lf, end)
    }
  }

  /** The place behind the line, and behind its value as far as that is here. */
  #line(bytes: Buffer, start: number, lf: number, end: number): number {
    const reply = this.#reply
    reply.lineBytes = bytes
    reply.lineStart = start
    reply.lineEnd = lf > start && bytes[lf - 1] === CR ? lf - 1 : lf
    const kind = kindOf(bytes, start, reply.lineEnd)
    reply.kind = kind
    if (kind !== Kind.VA && kind !== Kind.VALUE && kind !== Kind.CONFIG) {
      reply.valueStart = reply.valueEnd = 0
      this.#onReply(reply)
      return lf + 1
    }
    const size = reply.measure()
    if (size > this.#valueBytesMax) throw new BadReply(`a value of ${size} bytes, more than ${this.#valueBytesMax}`)
    const valueEnd = lf + 1 + size
    if (valueEnd + 2 > end) {
      // The line's bytes are the socket's: it is kept until the value is here.
      reply.lineBytes = Buffer.from(bytes.subarray(start, reply.lineEnd))
      reply.lineEnd -= start
      reply.keyEnd -= start
      reply.casStart -= start
      reply.lineStart = 0
      this.#block = Buffer.allocUnsafeSlow(size + 2)
      this.#filled = 0
      return this.#fill(bytes, lf + 1, end)
    }
    this.#value(bytes, lf + 1, valueEnd)
    return valueEnd + 2
  }

  /** Gives the open block what it still lacks; the place behind that. */
  #fill(bytes: Buffer, at: number, end: number): number {
    const block = this.#block!
    const copied = bytes.copy(block, this.#filled, at, end)
    this.#filled += copied
    if (this.#filled === block.length) {
      this.#block = null
      this.#value(block, 0, block.length - 2)
    }
    return at + copied
  }

  #value(bytes: Buffer, start: number, end: number): void {
    const reply = this.#reply
    if (bytes[end] !== CR || bytes[end + 1] !== LF) throw new BadReply(`the value of "${reply.line}" does not end`)
    reply.valueBytes = bytes
    reply.valueStart = start
    reply.valueEnd = end
    this.#onReply(reply)
  }
}

/** Two letters as one number. */
const pair = (text: string): number => (text.charCodeAt(0) << 8) | text.charCodeAt(1)

const META = new Map<number, Kind>([
  [pair('HD'), Kind.HD],
  [pair('VA'), Kind.VA],
  [pair('EN'), Kind.EN],
  [pair('NF'), Kind.NF],
  [pair('NS'), Kind.NS],
  [pair('EX'), Kind.EX],
  [pair('MN'), Kind.MN],
  [pair('ME'), Kind.ME],
  [pair('OK'), Kind.OK],
])
const CODES = new Uint8Array(1 << 16)
for (const [code, kind] of META) CODES[code] = kind

const WORD_KINDS = new Map<string, Kind>([
  ['VALUE', Kind.VALUE],
  ['END', Kind.END],
  ['STORED', Kind.STORED],
  ['NOT_STORED', Kind.NOT_STORED],
  ['EXISTS', Kind.EXISTS],
  ['NOT_FOUND', Kind.NOT_FOUND],
  ['DELETED', Kind.DELETED],
  ['TOUCHED', Kind.TOUCHED],
  ['STAT', Kind.STAT],
  ['ITEM', Kind.STAT],
  ['VERSION', Kind.VERSION],
  ['CONFIG', Kind.CONFIG],
  ['RESET', Kind.RESET],
  ['ERROR', Kind.ERROR],
  ['CLIENT_ERROR', Kind.ERROR],
  ['SERVER_ERROR', Kind.ERROR],
  ['ERROR:', Kind.ERROR],
  ['SERVER_ERROR:', Kind.ERROR],
])

function kindOf(bytes: Buffer, start: number, end: number): Kind {
  const second = start + 2
  if (end === second || (end > second && bytes[second] === SPACE)) {
    const kind = CODES[(bytes[start]! << 8) | bytes[start + 1]!] as Kind
    if (kind !== Kind.OTHER) return kind
  }
  // The commonest words of the classic protocol by what tells them apart.
  const first = bytes[start]
  if (first === 86 && bytes[start + 5] === SPACE && bytes[start + 1] === 65) return Kind.VALUE
  if (first === 69 && end - start === 3 && bytes[start + 1] === 78) return Kind.END
  if (first !== undefined && first >= 48 && first <= 57) return Kind.NUMBER
  let space = start
  while (space < end && bytes[space] !== SPACE) space++
  return WORD_KINDS.get(bytes.toString('latin1', start, space)) ?? Kind.OTHER
}
