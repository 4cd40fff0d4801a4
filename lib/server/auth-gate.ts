/**
 * A client's connection before it has said who it is (-Y, PROTOCOL D12). The only request that counts is a `set` of any
 * key whose value is "user password"; everything else is answered and forgotten, nothing reaches the engine.
 *
 *   line --> set with a length --> value --> known: the connection becomes a ClientConnection, with the bytes behind
 *     |                              +-----> not known, or malformed: a sentence of memcached's, and on
 *     +----> anything else: unauthenticated, and on
 */
import type { Connection, ConnectionHandler } from '../transport/loop.js'
import { type Credentials, isKnown } from './auth-file.js'
import type { CloseReason, ConnState } from './conn-events.js'
import { InputBuffer } from './input-buffer.js'

export interface GateOptions {
  connection: Connection
  /** Of now: they may change while the connection waits. */
  credentials(): Credentials
  count(name: 'auth_cmds' | 'auth_errors', by: number): void
  /** Who takes over, with the bytes that came behind. */
  onKnown(rest: Uint8Array): void
  onGone(reason: CloseReason): void
  /** Loop time, ms. */
  now(): number
  /** The plane's idle clock. */
  tick(): number
}

/** Without a line's end in so many bytes it is rubbish; so it is when even a whole line is shorter than LINE_MIN. */
const LINE_MAX = 2048
const LINE_MIN = 6
const VALUE_MAX = 16_384
const READS_MAX = 8
const LF = 0x0a
const SPACE = 0x20

const STORED = Buffer.from('STORED\r\n')
const UNAUTHENTICATED = Buffer.from('CLIENT_ERROR unauthenticated\r\n')
const TOO_LONG = Buffer.from('CLIENT_ERROR auth token too long\r\n')
const FAILURE = Buffer.from('CLIENT_ERROR authentication failure\r\n')
const TERMINATION = Buffer.from('CLIENT_ERROR bad command line termination\r\n')
const FORMAT = Buffer.from('CLIENT_ERROR bad authentication token format\r\n')

export class AuthGate implements ConnectionHandler {
  readonly #options: GateOptions
  readonly #kept = new InputBuffer()
  /** Length of the value that the line announced, with its \r\n. */
  #valueLength = 0
  #out: Buffer[] = []
  #isKnown = false
  /** The server stops, or the client sent what memcached closes on. */
  #closing = false
  #seenAt: number
  #reason: CloseReason = 'normal'
  readonly activeAt: number

  constructor(options: GateOptions) {
    this.#options = options
    this.#seenAt = options.tick()
    this.activeAt = options.now()
  }

  get idleTicks(): number {
    return this.#options.tick() - this.#seenAt
  }

  get connection(): Connection {
    return this.#options.connection
  }

  get state(): ConnState {
    return this.#valueLength > 0 ? 'conn_nread' : 'conn_read'
  }

  kick(): void {
    this.#reason = 'idle_timeout'
    this.#options.connection.close()
  }

  shut(): void {
    this.#closing = true
    this.onWritable()
  }

  onReadable(): void {
    const { connection, tick } = this.#options
    this.#seenAt = tick()
    let ended = false
    for (let reads = 0; reads < READS_MAX && !this.#isKnown && !this.#closing && this.#out.length === 0; reads++) {
      const bytes = connection.read()
      ended = bytes?.length === 0
      if (bytes === null || ended) break
      this.#kept.append(bytes)
      while (!this.#isKnown && !this.#closing && this.#step());
    }
    if (this.#isKnown && this.#out.length === 0) this.#handOver()
    else if (ended || this.#closing) this.shut()
    else if (this.#out.length > 0) connection.pauseReading()
  }

  onWritable(): void {
    const { connection } = this.#options
    while (this.#out.length > 0) {
      const first = this.#out[0]!
      const sent = connection.write(first)
      if (sent < first.length) {
        this.#out[0] = first.subarray(sent)
        return
      }
      this.#out.shift()
    }
    if (this.#isKnown) this.#handOver()
    else if (this.#closing) connection.close()
    else connection.resumeReading()
  }

  onClose(): void {
    this.#kept.clear()
    this.#options.onGone(this.#reason)
  }

  /** One line or one value. False: more input is needed. */
  #step(): boolean {
    if (this.#valueLength > 0) return this.#takeValue(this.#valueLength)
    const { bytes } = this.#kept
    const end = bytes.indexOf(LF)
    if (end < 0) {
      this.#closing = bytes.length > LINE_MAX
      return false
    }
    if (end + 1 < LINE_MIN) {
      this.#closing = true
      return false
    }
    const tokens = bytes.toString('latin1', 0, end).replace(/\r$/, '').split(' ').filter(Boolean)
    this.#kept.take(end + 1)
    const length = tokens[0] === 'set' && /^\d{1,10}$/.test(tokens[4] ?? '') ? Number(tokens[4]) : -1
    // The value of a set that is too long is not waited for: as in memcached, it is read as lines.
    if (length > VALUE_MAX) this.#say(TOO_LONG)
    else if (length < 0) this.#say(UNAUTHENTICATED)
    else this.#valueLength = length + 2
    return true
  }

  #takeValue(length: number): boolean {
    if (this.#kept.length < length) return false
    const value = Buffer.from(this.#kept.bytes.subarray(0, length))
    this.#kept.take(length)
    this.#valueLength = 0
    const space = value.indexOf(SPACE)
    if (value.toString('latin1', length - 2) !== '\r\n') this.#say(TERMINATION)
    else if (space < 0) this.#say(FORMAT)
    else this.#check(value.subarray(0, space), value.subarray(space + 1, length - 2))
    return true
  }

  #check(user: Uint8Array, password: Uint8Array): void {
    const { credentials, count } = this.#options
    count('auth_cmds', 1)
    this.#isKnown = isKnown(credentials(), user, password)
    if (!this.#isKnown) count('auth_errors', 1)
    this.#say(this.#isKnown ? STORED : FAILURE)
  }

  #say(reply: Buffer): void {
    const { connection } = this.#options
    const sent = this.#out.length > 0 ? 0 : connection.write(reply)
    if (sent < reply.length) this.#out.push(reply.subarray(sent))
  }

  #handOver(): void {
    const rest = Buffer.from(this.#kept.bytes)
    this.#kept.clear()
    this.#options.connection.resumeReading()
    this.#options.onKnown(rest)
  }
}
