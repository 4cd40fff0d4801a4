/**
 * One connection to one server: greeted (TLS, login, protocol), then requests out and replies in, in order.
 *
 *   closed --open--> greeting --ready--> ready --lose--> closed
 *            waiting: requests that came meanwhile       inFlight: sent, their replies to come
 *
 * Replies belong to the first of `inFlight`, whatever became of whoever asked. A connection that says nothing for the whole
 * timeout is given up (a half-open or paused server), so that late replies can never meet later requests.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { RingServer } from '../ketama/index.js'
import { BadReply, Kind, ReplyReader, type WireReply } from '../protocol/index.js'
import { ClientError } from './errors.js'
import { wireKey } from './key.js'
import { Outbox } from './outbox.js'
import type { Request } from './request.js'
import { RequestQueue } from './request-queue.js'
import { AuthRequest, DetectRequest } from './requests/node.js'
import { ItemRequest } from './requests/read.js'
import type { Sweeper, Swept } from './sweeper.js'

export type Protocol = 'auto' | 'meta' | 'classic'

export interface ConnectionSettings {
  timeoutMs: number
  connectTimeoutMs: number
  queueMax: number
  queueBytesMax: number
  valueBytesMax: number
  protocol: Protocol
  tls: ConnectionOptions | null
  auth: { user: string; password: string } | null
}

export interface ConnectionOwner {
  onReady(connection: Connection): void
  /** Its waiting requests are still there. `wasIdle`: it was ready, and nothing was asked of it. */
  onLost(connection: Connection, error: ClientError, wasReady: boolean, wasIdle: boolean): void
}

const READ_BYTES = 64 * 1024
/** A key that a node is asked for before it is trusted again: nobody stores it, so the reply is a miss, but a real one. */
const PROBE = wireKey('continuum:probe', '')

export class Connection implements Swept {
  readonly server: RingServer
  readonly #settings: ConnectionSettings
  readonly #owner: ConnectionOwner
  readonly #sweeper: Sweeper
  readonly #silenceTicks: number
  state: 'closed' | 'greeting' | 'ready' = 'closed'
  /** Known once ready. */
  meta = false
  #socket: Socket | null = null
  #reader: ReplyReader | null = null
  readonly #outbox = new Outbox()
  readonly #waiting = new RequestQueue<Request<unknown>>()
  readonly #inFlight = new RequestQueue<Request<unknown>>()
  #queuedBytes = 0
  #flushing = false
  #progress = 0
  #connectDeadline = 0
  #watched = false
  /** The server closed the connection when it was asked for its protocol: the next attempt takes the classic one. */
  #detecting = false
  #shunsMeta = false
  /** No more requests; closes when the last reply is in. */
  #ending = false

  constructor(server: RingServer, settings: ConnectionSettings, owner: ConnectionOwner, sweeper: Sweeper) {
    this.server = server
    this.#settings = settings
    this.#owner = owner
    this.#sweeper = sweeper
    this.#silenceTicks = sweeper.ticks(settings.timeoutMs)
  }

  /** Requests on their way. */
  get load(): number {
    return this.#waiting.length + this.#inFlight.length
  }

  get waiting(): number {
    return this.#waiting.length
  }

  send(request: Request<unknown>): void {
    const { queueMax, queueBytesMax } = this.#settings
    if (this.load >= queueMax || this.#queuedBytes + request.bytes > queueBytesMax) {
      const what = this.load >= queueMax ? `${queueMax} requests` : `${queueBytesMax} bytes of requests`
      request.reject(new ClientError('QUEUE_FULL', `${what} are waiting for ${this.#name()}`, this.server))
      return
    }
    request.node = this.server
    this.#queuedBytes += request.bytes
    this.#watch()
    if (this.state === 'ready') this.#transmit(request)
    else this.#waiting.push(request)
  }

  /** `probe`: a request is answered before it counts as ready. */
  open(probe: boolean): void {
    if (this.state !== 'closed') return
    this.state = 'greeting'
    this.#connectDeadline = this.#sweeper.tick + this.#sweeper.ticks(this.#settings.connectTimeoutMs) + 1
    this.#watch()
    const reader = new ReplyReader(reply => this.#onReply(reply), { valueBytesMax: this.#settings.valueBytesMax })
    const socket = this.#dial(reader)
    this.#reader = reader
    this.#socket = socket
    let why: Error | null = null
    socket.setKeepAlive(true, 60_000)
    socket.on('error', error => {
      why = error
    })
    socket.on('close', () => {
      if (this.#socket === socket) this.#lose(this.#lostError(why))
    })
    socket.once(this.#settings.tls ? 'secureConnect' : 'connect', () => {
      this.#greet(probe).then(
        () => this.#socket === socket && this.#ready(),
        error => {
          if (this.#socket === socket) this.#lose(error instanceof ClientError ? error : this.#lostError(error))
        },
      )
    })
  }

  /** Nothing waits or is sent any more: what was not sent is given back, what was fails. */
  destroy(error: ClientError): void {
    if (this.state !== 'closed') this.#lose(error, false)
  }

  takeWaiting(): Request<unknown>[] {
    const all = this.#waiting.drain()
    for (const { bytes } of all) this.#queuedBytes -= bytes
    return all
  }

  /** Closes once every reply is in. */
  end(): void {
    this.#ending = true
    if (this.state === 'closed') return
    if (this.load === 0) this.destroy(new ClientError('CLIENT_CLOSED', 'closed', this.server))
  }

  get isIdle(): boolean {
    return this.load === 0
  }

  sweep(tick: number): boolean {
    const expire = (request: Request<unknown>) => {
      if (request.settled || request.deadline > tick) return
      const ms = Math.round(request.timeoutTicks * this.#sweeper.tickMs)
      request.reject(
        new ClientError('TIMEOUT', `no reply to ${request.command} from ${this.#name()} within ${ms} ms`, this.server),
      )
    }
    this.#inFlight.forEach(expire)
    this.#waiting.forEach(expire)
    this.#dropSettledWaiting()
    if (this.state === 'greeting' && tick >= this.#connectDeadline) {
      const { connectTimeoutMs } = this.#settings
      this.#lose(
        new ClientError(
          'CONNECT_FAILED',
          `no connection to ${this.#name()} within ${connectTimeoutMs} ms`,
          this.server,
        ),
      )
    } else if (this.state === 'ready') {
      const first = this.#inFlight.peek()
      if (first && first.deadline <= tick && tick - this.#progress > this.#silenceTicks) {
        this.#lose(
          new ClientError(
            'TIMEOUT',
            `${this.#name()} has said nothing for ${this.#settings.timeoutMs} ms`,
            this.server,
          ),
        )
      }
    }
    this.#watched = this.load > 0 || this.state === 'greeting'
    return this.#watched
  }

  // --- the greeting

  #dial(reader: ReplyReader): Socket {
    const { tls } = this.#settings
    const { host, port } = this.server
    const push = (bytes: Buffer, length: number) => {
      try {
        this.#progress = this.#sweeper.tick
        reader.push(bytes, length)
      } catch (error) {
        if (!(error instanceof BadReply)) throw error
        this.#lose(new ClientError('BAD_REPLY', `${this.#name()}: ${error.message}`, this.server, error))
      }
    }
    if (tls) {
      const servername = tls.servername ?? (/^[\d.]+$|:/.test(host) ? undefined : host)
      const socket = connectTls({ ...tls, host, port, ...(servername === undefined ? {} : { servername }) })
      socket.setNoDelay(true)
      socket.on('data', (bytes: Buffer) => push(bytes, bytes.length))
      return socket
    }
    // One buffer for everything that comes: replies are taken out of it before it is read into again.
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    const onread = {
      buffer,
      callback: (length: number) => {
        push(buffer, length)
        return true
      },
    }
    return connectTcp({ host, port, noDelay: true, onread })
  }

  async #greet(probe: boolean): Promise<void> {
    const { auth, protocol } = this.#settings
    if (auth) await this.#ask(new AuthRequest(auth.user, auth.password))
    if (protocol !== 'auto') this.meta = protocol === 'meta'
    else if (this.#shunsMeta) this.meta = false
    else {
      this.#detecting = true
      this.meta = await this.#ask(new DetectRequest())
      this.#detecting = false
    }
    if (probe || this.#shunsMeta) await this.#ask(new ItemRequest('probe', PROBE))
    this.#shunsMeta = false
  }

  #ask<Result>(request: Request<Result>): Promise<Result> {
    request.node = this.server
    request.deadline = Number.POSITIVE_INFINITY
    this.#queuedBytes += request.bytes
    this.#transmit(request as Request<unknown>)
    return request.promise
  }

  #ready(): void {
    this.state = 'ready'
    this.#owner.onReady(this)
    for (const request of this.#waiting.drain()) {
      if (request.settled) this.#queuedBytes -= request.bytes
      else this.#transmit(request)
    }
    if (this.#ending) this.end()
  }

  // --- out

  #transmit(request: Request<unknown>): void {
    try {
      request.write(this.#outbox, this.meta)
    } catch (error) {
      this.#queuedBytes -= request.bytes
      if (!(error instanceof ClientError)) throw error
      request.reject(error)
      return
    }
    if (this.#inFlight.length === 0) this.#progress = this.#sweeper.tick
    this.#inFlight.push(request)
    if (this.#flushing) return
    this.#flushing = true
    process.nextTick(this.#flush)
  }

  readonly #flush = (): void => {
    this.#flushing = false
    if (this.#socket && !this.#outbox.isEmpty) this.#outbox.flush(this.#socket)
  }

  // --- in

  #onReply(reply: WireReply): void {
    const request = this.#inFlight.peek()
    if (!request) {
      if (reply.kind === Kind.ERROR) throw new BadReply(reply.line)
      throw new BadReply(`"${reply.line}" without a request`)
    }
    if (!request.take(reply, this.meta)) return
    this.#inFlight.shift()
    this.#queuedBytes -= request.bytes
    if (this.#ending && this.load === 0) this.end()
  }

  // --- the end

  #lose(error: ClientError, tell = true): void {
    const wasReady = this.state === 'ready'
    const wasIdle = wasReady && this.load === 0
    const socket = this.#socket
    this.state = 'closed'
    this.#socket = null
    this.#reader?.stop()
    this.#reader = null
    this.#outbox.clear()
    socket?.destroy()
    if (this.#detecting) {
      this.#detecting = false
      this.#shunsMeta = error.code === 'CONNECTION_LOST'
    } else this.#shunsMeta = false
    const lost = this.#inFlight.drain()
    for (const { bytes } of lost) this.#queuedBytes -= bytes
    if (tell) this.#owner.onLost(this, error, wasReady, wasIdle)
    for (const request of lost) request.fail(error, true)
  }

  #lostError(cause: unknown): ClientError {
    if (cause instanceof ClientError) return cause
    const why = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code || cause.name : null
    if (this.state === 'ready' || this.#detecting || (this.state === 'greeting' && why === null)) {
      const sentence = `the connection to ${this.#name()} ended${why ? `: ${why}` : ''}`
      return new ClientError('CONNECTION_LOST', sentence, this.server, cause ?? undefined)
    }
    return new ClientError(
      'CONNECT_FAILED',
      `no connection to ${this.#name()}: ${why ?? 'closed'}`,
      this.server,
      cause ?? undefined,
    )
  }

  /** Those at the head of the waiting that nobody waits for any more make room. */
  #dropSettledWaiting(): void {
    for (let first = this.#waiting.peek(); first?.settled; first = this.#waiting.peek()) {
      this.#waiting.shift()
      this.#queuedBytes -= first.bytes
    }
  }

  #watch(): void {
    if (this.#watched) return
    this.#watched = true
    this.#sweeper.watch(this)
  }

  #name(): string {
    return `${this.server.host}:${this.server.port}`
  }
}
