/**
 * The `epoll` world: Linux system calls through libc.ts. The thread blocks in epoll_wait; bytes go from the kernel straight
 * into the loop's memory and from there straight back, no copy in between. Level-triggered, non-blocking sockets.
 *
 *   run:  epoll_wait -> per ready descriptor: accept | connected | onReadable | onWritable -> timers due -> soon -> ...
 *
 * The `uring` world is the same, with what the connections of a turn receive and send in few system calls (batch.ts).
 *
 * Nothing here returns to Node's event loop while it runs: whoever lives on this loop may not await anything.
 */

import { performance } from 'node:perf_hooks'
import { BATCH_CALLS, Batch, CALLS_LEAST, type Slots } from './batch.js'
import { CallRing } from './call-ring.js'
import { EpollConnection, EpollListener, STAGING_BYTES, type Watched } from './epoll-connection.js'
import {
  AF_INET6,
  AF_UNIX,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLIN,
  Errno,
  EVENT_BYTES,
  EVENT_DATA_AT,
  errnoName,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  isForNow,
  type Libc,
  loadLibc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SO_ERROR,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from './libc.js'
import type { Address, Connection, ConnectionHandler, Listener, ListenOptions, Loop, Timer } from './loop.js'
import { processClock } from './process-clock.js'
import { ADDRESS_BYTES, familyOf, readAddress, writeAddress, writeUnixPath } from './socket-address.js'
import { type HeapTimer, TimerHeap } from './timers.js'
import { isLiteral, listenSentence, literalOf, wordsOf } from './words.js'

export interface EpollLoopOptions {
  /** recv and send work on ranges of it; it must never move (shared memory does not). */
  memory: Uint8Array
  /** An eventfd that other threads write to in order to wake this loop; -1: none. */
  wakeFd?: number
  /**
   * Of `memory`, what is this loop's own alone: with `batches` it receives there before it tells whose it
   * is. Default: elsewhere, and nobody is told ahead.
   */
  ahead?: Slots
  /** Calls are made in batches, by io_uring; as they come if this process may not use it. Default: no. */
  batches?: boolean
}

const EVENTS_MAX = 256
const NOTHING = () => {}
/** A thread in a system call cannot be ended from outside: process.exit() waits for this long at most. */
const WAIT_MAX_MS = 200
/** Rounds of `soon` that a stopped loop still runs: its connections say that they are closed. */
const LAST_ROUNDS_MAX = 16

export function createEpollLoop(options: EpollLoopOptions): Loop {
  const { libc, why } = loadLibc()
  if (!libc) throw new Error(why)
  return new EpollLoop(libc, options)
}

export class EpollLoop implements Loop {
  readonly kind: 'epoll' | 'uring'
  readonly memory: Uint8Array
  readonly libc: Libc
  readonly base: number
  /** Foreign bytes on their way in or out, addresses, option values: outside of the memory that others own. */
  readonly staging = new Uint8Array(STAGING_BYTES)
  readonly stagingAt: number
  /** null: every call is made where it is asked for. */
  readonly batch: Batch | null
  readonly #ring: CallRing | null
  readonly #small = new DataView(new ArrayBuffer(256))
  readonly smallAt: number
  readonly #events = new DataView(new ArrayBuffer(EVENTS_MAX * EVENT_BYTES))
  readonly #eventsAt: number
  readonly #epoll: number
  /** By descriptor: the kernel gives the smallest free number, so there are few holes. */
  readonly #watched: (Watched | null)[] = []
  readonly #timers = new TimerHeap()
  #soon: (() => void)[] = []
  #soonCount = 0
  /** The other of two lists: while one is run, what comes goes here. */
  #soonNext: (() => void)[] = []
  #retired: number[] = []
  /** Connections with bytes that epoll does not tell of. */
  #again: EpollConnection[] = []
  #wake: () => void = () => {}
  #now = performance.now()
  #wall = Date.now() / 1000
  #running = true

  constructor(libc: Libc, { memory, wakeFd = -1, ahead, batches = false }: EpollLoopOptions) {
    const ring = batches ? CallRing.open(libc, BATCH_CALLS) : null
    this.#ring = ring instanceof CallRing ? ring : null
    this.batch = this.#ring && new Batch(libc, this.#ring, memory, ahead ?? null)
    this.kind = this.#ring ? 'uring' : 'epoll'
    this.libc = libc
    this.memory = memory
    this.base = libc.addressOf(memory)
    this.stagingAt = libc.addressOf(this.staging)
    this.smallAt = libc.addressOf(new Uint8Array(this.#small.buffer))
    this.#eventsAt = libc.addressOf(new Uint8Array(this.#events.buffer))
    this.#epoll = libc.epollCreate(EPOLL_CLOEXEC)
    if (this.#epoll < 0) throw new Error(`epoll_create failed: ${errnoName(libc.errno())}`)
    if (wakeFd >= 0) this.watch({ fd: wakeFd, onEvents: () => this.#onWakeFd(wakeFd), close() {} }, EPOLLIN)
  }

  get small(): DataView {
    return this.#small
  }

  now(): number {
    return this.#now
  }

  clock(): number {
    return processClock()
  }

  wallClock(): number {
    return this.#wall
  }

  setTimer(afterMs: number, callback: () => void): Timer {
    return this.#timers.add(this.#now + Math.max(0, afterMs), callback)
  }

  clearTimer(timer: Timer): void {
    this.#timers.clear(timer as HeapTimer)
  }

  soon(task: () => void): void {
    this.#soon[this.#soonCount++] = task
  }

  onWake(wake: () => void): void {
    this.#wake = wake
  }

  guardSends(mayLeave: () => boolean): void {
    if (this.batch) this.batch.mayLeave = mayLeave
  }

  onAhead(one: (offset: number, length: number) => void, all: () => void): void {
    this.batch?.onAhead(one, all)
  }

  listen(
    options: ListenOptions,
    onConnection: (connection: Connection) => ConnectionHandler,
    onListening: (listener: Listener) => void,
    onError: (sentence: string) => void,
  ): void {
    const { host, port, path } = options
    if (options.tls || options.udp) {
      this.soon(() => onError(`cannot listen on port ${port} of ${host}: the epoll loop knows neither TLS nor UDP`))
      return
    }
    if (path === undefined && !isLiteral(literalOf(host))) {
      this.soon(() => onError(`cannot listen on "${host}": give an IP address`))
      return
    }
    // SO_REUSEPORT lets any process of the same user join in: whoever comes first makes sure that the port is free.
    const isNew = path === undefined && port !== 0 && !options.joins
    const probe = options.shared && isNew ? this.#bind(options, false) : null
    if (probe) this.libc.close(probe.fd)
    const bound = probe?.error ? probe : this.#bind(options, options.shared === true)
    if (bound.error || this.libc.listen(bound.fd, options.backlog ?? 1024) < 0) {
      const code = bound.error ?? errnoName(this.libc.errno())
      if (!bound.error) this.libc.close(bound.fd)
      this.soon(() => onError(listenSentence(options, code)))
      return
    }
    const listener = new EpollListener(this, bound.fd, this.localAddress(bound.fd).port, onConnection)
    this.watch(listener, EPOLLIN)
    this.soon(() => onListening(listener))
  }

  connect(to: Address, handler: ConnectionHandler): Connection {
    const host = literalOf(to.host)
    if (!isLiteral(host)) return this.#neverConnected(to, handler, `host "${to.host}" is no IP address`)
    const fd = this.libc.socket(familyOf(host), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if (fd < 0) return this.#neverConnected(to, handler, wordsOf(errnoName(this.libc.errno())))
    const length = writeAddress(this.small, host, to.port)
    const result = this.libc.connect(fd, this.smallAt, length)
    const errno = result < 0 ? this.libc.errno() : 0
    if (errno !== 0 && errno !== Errno.EINPROGRESS) {
      this.libc.close(fd)
      return this.#neverConnected(to, handler, wordsOf(errnoName(errno)))
    }
    return new EpollConnection(this, fd, { host: to.host, port: to.port }, handler, true)
  }

  run(): void {
    // An error thrown by a handler leaves through here: the thread ends with it, in plain sight.
    try {
      while (this.#running) this.#turn()
    } finally {
      this.#closeAll()
      for (let round = 0; round < LAST_ROUNDS_MAX && this.#soonCount > 0; round++) this.#runSoon()
      this.batch?.flush()
      // Those with last bytes to send: this was their chance.
      this.#closeAll()
      this.#closeRetired()
      this.#ring?.close()
      this.libc.close(this.#epoll)
    }
  }

  stop(): void {
    this.#running = false
  }

  // --- for connections and listeners

  /**
   * Closes the descriptor when the turn is over: the events of this turn may still name it, and must not be taken for
   * those of a new socket that got its number.
   */
  retire(fd: number): void {
    this.#watched[fd] = null
    this.#control(EPOLL_CTL_DEL, fd, 0)
    this.#retired.push(fd)
  }

  watch(watched: Watched, events: number): void {
    while (this.#watched.length <= watched.fd) this.#watched.push(null)
    this.#watched[watched.fd] = watched
    this.#control(EPOLL_CTL_ADD, watched.fd, events)
  }

  /** Another one has the descriptor from now on. */
  replace(watched: Watched, events: number): void {
    this.#watched[watched.fd] = watched
    this.rewatch(watched.fd, events)
  }

  /** The connection is called next turn, whatever epoll says. */
  again(connection: EpollConnection): void {
    this.#again.push(connection)
  }

  /** Sends some of the bytes, at most as many as `staging` has; how many, or the negative errno if it is not one for now. */
  sendNow(fd: number, bytes: Uint8Array): number {
    const length = Math.min(bytes.length, STAGING_BYTES)
    this.staging.set(length === bytes.length ? bytes : bytes.subarray(0, length))
    const sent = Number(this.libc.send(fd, this.stagingAt, length, MSG_NOSIGNAL | MSG_DONTWAIT))
    if (sent >= 0) return sent
    const errno = this.libc.errno()
    return isForNow(errno) ? 0 : -errno
  }

  rewatch(fd: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events)
  }

  setOption(fd: number, level: number, option: number, value: number, second?: number): void {
    this.#small.setInt32(64, value, true)
    if (second !== undefined) this.#small.setInt32(68, second, true)
    this.libc.setsockopt(fd, level, option, this.smallAt + 64, second === undefined ? 4 : 8)
  }

  errorOf(fd: number): number {
    this.#small.setInt32(64, 0, true)
    this.#small.setUint32(68, 4, true)
    this.libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, this.smallAt + 64, this.smallAt + 68)
    return this.#small.getInt32(64, true)
  }

  /** Where the socket is bound. */
  localAddress(fd: number): Address {
    this.#small.setUint32(ADDRESS_BYTES + 4, ADDRESS_BYTES, true)
    this.libc.getsockname(fd, this.smallAt, this.smallAt + ADDRESS_BYTES + 4)
    return readAddress(this.#small)
  }

  /** A connection that waits, or -1. */
  acceptOne(fd: number): number {
    this.#small.setUint32(ADDRESS_BYTES + 4, ADDRESS_BYTES, true)
    return this.libc.accept4(fd, this.smallAt, this.smallAt + ADDRESS_BYTES + 4, SOCK_NONBLOCK | SOCK_CLOEXEC)
  }

  // --- turns

  #turn(): void {
    const first = this.#timers.first()
    const wait = this.#soonCount > 0 || this.#again.length > 0 ? 0 : first ? first.at - this.#now : WAIT_MAX_MS
    const timeout = Math.min(WAIT_MAX_MS, Math.max(0, Math.ceil(wait)))
    const count = this.libc.epollWait(this.#epoll, this.#eventsAt, EVENTS_MAX, timeout)
    const errno = count < 0 ? this.libc.errno() : 0
    this.#now = performance.now()
    this.#wall = Date.now() / 1000
    if (count < 0 && errno !== Errno.EINTR) throw new Error(`epoll_wait failed: ${errnoName(errno)}`)
    if (this.#again.length > 0) this.#callAgain()
    for (let from = 0; from < count; from += BATCH_CALLS) this.#tell(from, Math.min(count, from + BATCH_CALLS))
    for (let task = this.#timers.takeDue(this.#now); task; task = this.#timers.takeDue(this.#now)) task()
    if (this.#soonCount > 0) this.#runSoon()
    this.batch?.flush()
    if (this.#retired.length > 0) this.#closeRetired()
  }

  /** Events [from, to) of the turn, at most as many as a batch has slots. */
  #tell(from: number, to: number): void {
    const { batch } = this
    const isBatch = batch !== null && to - from >= CALLS_LEAST
    if (isBatch) this.#receiveAhead(batch, from, to)
    for (let i = from; i < to; i++) this.#watchedAt(i)?.onEvents(this.#eventsOf(i))
    if (isBatch) batch.endSlots()
  }

  #receiveAhead(batch: Batch, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      const taker = this.#eventsOf(i) === EPOLLIN ? this.#watchedAt(i)?.takerAhead : null
      if (taker) batch.want(taker)
    }
    batch.receive()
  }

  #eventsOf(index: number): number {
    return this.#events.getUint32(index * EVENT_BYTES, true)
  }

  #watchedAt(index: number): Watched | null | undefined {
    return this.#watched[this.#events.getInt32(index * EVENT_BYTES + EVENT_DATA_AT, true)]
  }

  #callAgain(): void {
    const again = this.#again
    this.#again = []
    for (const connection of again) connection.onAgain()
  }

  #runSoon(): void {
    // What comes meanwhile is of the next round. A list that is filled again and again keeps its memory.
    const soon = this.#soon
    const count = this.#soonCount
    this.#soon = this.#soonNext
    this.#soonCount = 0
    this.#soonNext = soon
    for (let i = 0; i < count; i++) {
      const task = soon[i]!
      soon[i] = NOTHING
      task()
    }
  }

  #closeAll(): void {
    for (const watched of [...this.#watched]) watched?.close()
  }

  #closeRetired(): void {
    for (const fd of this.#retired) this.libc.close(fd)
    this.#retired = []
  }

  #onWakeFd(fd: number): void {
    this.libc.read(fd, this.smallAt + 80, 8)
    this.#wake()
  }

  #control(operation: number, fd: number, events: number): void {
    this.#small.setUint32(96, events, true)
    this.#small.setInt32(96 + EVENT_DATA_AT, fd, true)
    this.libc.epollControl(this.#epoll, operation, fd, this.smallAt + 96)
  }

  #bind(options: ListenOptions, reusePort: boolean): { fd: number; error: string | null } {
    const { host, port, path } = options
    if (path !== undefined && options.fd !== undefined) return this.#named(this.libc.dup(options.fd))
    const literal = literalOf(host)
    const family = path === undefined ? familyOf(literal) : AF_UNIX
    const { fd, error } = this.#named(this.libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
    if (error) return { fd, error }
    if (path === undefined) this.setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    if (path === undefined && reusePort) this.setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1)
    if (family === AF_INET6 && options.ipv6Only) this.setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)
    const length = path === undefined ? writeAddress(this.small, literal, port) : writeUnixPath(this.small, path)
    const bound = this.#named(this.libc.bind(fd, this.smallAt, length))
    if (bound.error) this.libc.close(fd)
    return { fd: bound.error ? -1 : fd, error: bound.error }
  }

  #named(fd: number): { fd: number; error: string | null } {
    return { fd, error: fd < 0 ? errnoName(this.libc.errno()) : null }
  }

  #neverConnected(to: Address, handler: ConnectionHandler, reason: string): Connection {
    const connection = new EpollConnection(this, -1, to, handler, false)
    this.soon(() => connection.handler.onClose(connection, reason))
    return connection
  }
}
