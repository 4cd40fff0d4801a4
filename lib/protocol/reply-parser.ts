/**
 * Whole classic replies as objects, put together from what ReplyReader hands over: VALUE blocks and STAT lines run until
 * END, everything else is one line. For those who count requests by the thousand, not by the million. Pure: no socket, no clock.
 *
 *   push(bytes) --> line --> VALUE: header, block, \r\n --> again ... END --> onReply({ kind: 'values' })
 *                        --> STAT / ITEM lines ... END      -->          --> onReply({ kind: 'stats' })
 *                        --> any other line                 -->          --> onReply({ kind: 'line' | 'number' | 'error' })
 *
 * A value that arrives in one piece is a view of the bytes pushed; one that arrives in several is copied once.
 * Nothing grows without bound: lines, values and the list of values of one reply have limits.
 */
import { BadReply } from './bad-reply.js'
import { errorKind } from './replies.js'
import { Kind, ReplyReader, type WireReply } from './reply-reader.js'

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

const VALUE_LINE = /^VALUE ([^ ]+) (\d{1,20}) (\d{1,10})(?: (\d{1,20}))?$/

export class ReplyParser {
  readonly #onReply: (reply: Reply) => void
  readonly #reader: ReplyReader
  readonly #listMax: number
  #values: Value[] | null = null
  #stats: [string, string][] | null = null

  constructor(onReply: (reply: Reply) => void, limits: ReplyLimits = {}) {
    const { lineBytesMax = 4096, valueBytesMax = 2 ** 30, listMax = 1_000_000 } = limits
    this.#onReply = onReply
    this.#listMax = listMax
    this.#reader = new ReplyReader(reply => this.#take(reply), { lineBytesMax, valueBytesMax })
  }

  /** True in the middle of a reply. */
  get isOpen(): boolean {
    return this.#reader.isOpen || this.#values !== null || this.#stats !== null
  }

  /** Calls onReply for each reply that these bytes complete. Throws BadReply; after that the parser is of no use. */
  push(bytes: Buffer): void {
    this.#reader.push(bytes)
  }

  #take(reply: WireReply): void {
    if (reply.kind === Kind.VALUE) this.#value(reply)
    else if (reply.kind === Kind.END) {
      const [stats, values] = [this.#stats, this.#values]
      this.#stats = null
      this.#values = null
      this.#onReply(stats ? { kind: 'stats', stats } : { kind: 'values', values: values ?? [] })
    } else if (reply.kind === Kind.STAT && !this.#values) {
      const [, name = '', value = ''] = /^\S+ (\S+) ?(.*)$/.exec(reply.line) ?? []
      this.#stats ??= []
      this.#bounded(this.#stats.push([name, value]))
    } else {
      // An error may stand in the place of END, after some values.
      this.#values = null
      this.#stats = null
      this.#onReply(oneLine(reply.line))
    }
  }

  #value(reply: WireReply): void {
    const { line, valueBytes, valueStart, valueEnd } = reply
    const match = VALUE_LINE.exec(line)
    if (!match || this.#stats) throw new BadReply(`"${line}" is no value`)
    const [, key, flags, , casUnique] = match
    const item: Value = { key: key!, flags: Number(flags), value: valueBytes.subarray(valueStart, valueEnd) }
    if (casUnique !== undefined) item.casUnique = BigInt(casUnique)
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
