/**
 * Classic text replies from bytes that come in any pieces. It need not know the requests: VALUE blocks and STAT lines run
 * until END, everything else is one line. Pure: no socket, no clock.
 *
 *   push(bytes) --> line --> VALUE: header, block, \r\n --> again ... END --> onReply({ kind: 'values' })
 *                        --> STAT / ITEM lines ... END      -->          --> onReply({ kind: 'stats' })
 *                        --> any other line                 -->          --> onReply({ kind: 'line' | 'number' | 'error' })
 *
 * A value that arrives in one piece is a view of the bytes pushed; one that arrives in several is copied once.
 * Nothing grows without bound: lines, values and the list of values of one reply have limits.
 */
import { errorKind } from './replies.js'

export interface Value {
  /** One letter a byte (latin1), as is right for keys that are bytes. */
  key: string
  flags: number
  value: Buffer
  /** After gets and gats. */
  casUnique?: bigint
}

export type Reply =
  | { kind: 'values'; values: Value[] }
  | { kind: 'stats'; stats: [name: string, value: string][] }
  | { kind: 'number'; number: bigint }
  | { kind: 'version'; version: string }
  | { kind: 'error'; error: 'ERROR' | 'CLIENT_ERROR' | 'SERVER_ERROR'; line: string }
  /** STORED, DELETED, OK ... */
  | { kind: 'line'; line: string }

export interface ReplyLimits {
  /** Longest line; lower finds nonsense sooner, but a VALUE line has a key of 250 bytes. */
  lineBytesMax?: number
  valueBytesMax?: number
  /** VALUE blocks or STAT lines of one reply. */
  listMax?: number
}

/** The bytes are no reply of memcached: the connection is of no more use. */
export class BadReply extends Error {
  readonly code = 'BAD_REPLY'
  override readonly name = 'BadReply'
}

const LF = 10
const EMPTY = Buffer.alloc(0)
const VALUE_LINE = /^VALUE ([^ ]+) (\d{1,20}) (\d{1,10})(?: (\d{1,20}))?$/

interface OpenBlock {
  item: Value
  /** The value and its \r\n. */
  block: Buffer
  filled: number
}

export class ReplyParser {
  readonly #onReply: (reply: Reply) => void
  readonly #lineBytesMax: number
  readonly #valueBytesMax: number
  readonly #listMax: number
  /** Start of a line whose end has not come. */
  #rest: Buffer = EMPTY
  #open: OpenBlock | null = null
  #values: Value[] | null = null
  #stats: [string, string][] | null = null

  constructor(onReply: (reply: Reply) => void, limits: ReplyLimits = {}) {
    this.#onReply = onReply
    this.#lineBytesMax = limits.lineBytesMax ?? 4096
    this.#valueBytesMax = limits.valueBytesMax ?? 2 ** 30
    this.#listMax = limits.listMax ?? 1_000_000
  }

  /** True in the middle of a reply. */
  get isOpen(): boolean {
    return this.#rest.length > 0 || this.#open !== null || this.#values !== null || this.#stats !== null
  }

  /** Calls onReply for each reply that these bytes complete. Throws BadReply; after that the parser is of no use. */
  push(pushed: Buffer): void {
    let bytes = pushed
    let at = this.#open ? this.#fill(bytes, 0) : 0
    if (this.#open) return
    if (this.#rest.length > 0) {
      bytes = Buffer.concat([this.#rest, bytes.subarray(at)])
      at = 0
      this.#rest = EMPTY
    }
    while (at < bytes.length) {
      const end = bytes.indexOf(LF, at)
      const length = (end < 0 ? bytes.length : end) - at
      if (length > this.#lineBytesMax) throw new BadReply(`a reply line of more than ${this.#lineBytesMax} bytes`)
      if (end < 0) {
        // A copy: what was pushed may be a socket's buffer.
        this.#rest = Buffer.from(bytes.subarray(at))
        return
      }
      const line = bytes.toString('latin1', at, end > at && bytes[end - 1] === 13 ? end - 1 : end)
      at = this.#line(line, bytes, end + 1)
    }
  }

  /** What a line means; the place after it, and after its value if that is here whole. */
  #line(line: string, bytes: Buffer, at: number): number {
    if (line.startsWith('VALUE ')) return this.#block(line, bytes, at)
    if (line === 'END') {
      const [stats, values] = [this.#stats, this.#values]
      this.#stats = null
      this.#values = null
      this.#onReply(stats ? { kind: 'stats', stats } : { kind: 'values', values: values ?? [] })
    } else if (line.startsWith('STAT ') && !this.#values) {
      const [, name = '', value = ''] = /^STAT (\S+) ?(.*)$/.exec(line) ?? []
      this.#stats ??= []
      this.#bounded(this.#stats.push([name, value]))
    } else {
      // An error may stand in the place of END, after some values.
      this.#values = null
      this.#stats = null
      this.#onReply(oneLine(line))
    }
    return at
  }

  #block(line: string, bytes: Buffer, at: number): number {
    const match = VALUE_LINE.exec(line)
    if (!match || this.#stats) throw new BadReply(`"${line}" is no value`)
    const [, key, flags, size, casUnique] = match
    const length = Number(size)
    if (length > this.#valueBytesMax) throw new BadReply(`a value of ${length} bytes, more than ${this.#valueBytesMax}`)
    const item: Value = { key: key!, flags: Number(flags), value: EMPTY }
    if (casUnique !== undefined) item.casUnique = BigInt(casUnique)
    const end = at + length + 2
    if (end <= bytes.length) {
      this.#close(item, bytes.subarray(at, end))
      return end
    }
    this.#open = { item, block: Buffer.allocUnsafe(length + 2), filled: 0 }
    return this.#fill(bytes, at)
  }

  /** Gives the open block what it still lacks; the place after that. */
  #fill(bytes: Buffer, at: number): number {
    const open = this.#open!
    const copied = bytes.copy(open.block, open.filled, at)
    open.filled += copied
    if (open.filled === open.block.length) {
      this.#open = null
      this.#close(open.item, open.block)
    }
    return at + copied
  }

  #close(item: Value, block: Buffer): void {
    const length = block.length - 2
    if (block[length] !== 13 || block[length + 1] !== LF) throw new BadReply(`the value of "${item.key}" does not end`)
    item.value = block.subarray(0, length)
    this.#values ??= []
    this.#bounded(this.#values.push(item))
  }

  #bounded(length: number): void {
    if (length > this.#listMax) throw new BadReply(`a reply of more than ${this.#listMax} parts`)
  }
}

function oneLine(line: string): Reply {
  const error = errorKind(line)
  if (error) return { kind: 'error', error, line }
  // incr and decr; a decr in place may come with spaces after it (PROTOCOL D6).
  if (/^\d{1,20} *$/.test(line)) return { kind: 'number', number: BigInt(line.trim()) }
  if (line.startsWith('VERSION ')) return { kind: 'version', version: line.slice('VERSION '.length) }
  return { kind: 'line', line }
}
