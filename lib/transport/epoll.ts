/**
 * The `epoll` world: Linux system calls through libc.ts. The thread blocks in epoll_wait; bytes go from the kernel straight
 * into the loop's memory and from there straight back, no copy in between. Level-triggered, non-blocking sockets.
 *
 *   run:  epoll_wait -> per ready descriptor: accept | connected | onReadable | onWritable -> timers due -> soon -> ...
 *
 * Nothing here returns to Node's event loop while it runs: whoever lives on this loop may not await anything.
 */

import { isIPv6 } from 'node:net'
import { performance } from 'node:perf_hooks'
import {
  AF_INET,
  AF_INET6,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  Errno,
  errnoName,
  IPPROTO_TCP,
  type Libc,
  loadLibc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SO_ERROR,
  SO_LINGER,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_NODELAY,
} from './libc.js'
import type { Address, Connection, ConnectionHandler, Listener, ListenOptions, Loop, Timer } from './loop.js'
import { type HeapTimer, TimerHeap } from './timers.js'
import { CLOSED_HERE, isLiteral, listenSentence, literalOf, plainAddress, wordsOf } from './words.js'

export interface EpollLoopOptions {
  /** recv and send work on ranges of it; it must never move (shared memory does not). */
  memory: Uint8Array
  /** An eventfd that other threads write to in order to wake this loop; -1: none. */
  wakeFd?: number
}

const EVENTS_MAX = 256
const EVENT_BYTES = 12
const STAGING_BYTES = 64 * 1024
const ADDRESS_BYTES = 28
/** Connections taken in one go before others have their turn. */
const ACCEPTS_MAX = 64
/** Out of descriptors: new connections wait in the kernel for this long. */
const ACCEPT_PAUSE_MS = 50
const WAIT_MAX_MS = 60_000

export function createEpollLoop(options: EpollLoopOptions): Loop {
  const { libc, why } = loadLibc()
  if (!libc) throw new Error(why)
  return new EpollLoop(libc, options)
}

interface Watched {
  readonly fd: number
  onEvents(events: number): void
}

class EpollLoop implements Loop {
  readonly kind = 'epoll'
  readonly memory: Uint8Array
  readonly libc: Libc
  readonly base: number
  /** Foreign bytes on their way in or out, addresses, option values: outside of the memory that others own. */
  readonly staging = new Uint8Array(STAGING_BYTES)
  readonly stagingAt: number
  readonly #small = new DataView(new ArrayBuffer(256))
  readonly smallAt: number
  readonly #events = new DataView(new ArrayBuffer(EVENTS_MAX * EVENT_BYTES))
  readonly #eventsAt: number
  readonly #epoll: number
  readonly #watched = new Map<number, Watched>()
  readonly #timers = new TimerHeap()
  #soon: (() => void)[] = []
  #wake: () => void = () => {}
  #now = performance.now()
  #wall = Date.now() / 1000
  #running = true

  constructor(libc: Libc, { memory, wakeFd = -1 }: EpollLoopOptions) {
    this.libc = libc
    this.memory = memory
    this.base = libc.addressOf(memory)
    this.stagingAt = libc.addressOf(this.staging)
    this.smallAt = libc.addressOf(new Uint8Array(this.#small.buffer))
    this.#eventsAt = libc.addressOf(new Uint8Array(this.#events.buffer))
    this.#epoll = libc.epollCreate(EPOLL_CLOEXEC)
    if (this.#epoll < 0) throw new Error(`epoll_create failed: ${errnoName(libc.errno())}`)
    if (wakeFd >= 0) this.watch({ fd: wakeFd, onEvents: () => this.#onWakeFd(wakeFd) }, EPOLLIN)
  }

  get small(): DataView {
    return this.#small
  }

  now(): number {
    return this.#now
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
    this.#soon.push(task)
  }

  onWake(wake: () => void): void {
    this.#wake = wake
  }

  listen(
    options: ListenOptions,
    onConnection: (connection: Connection) => ConnectionHandler,
    onListening: (listener: Listener) => void,
    onError: (sentence: string) => void,
  ): void {
    const { host, port } = options
    if (!isLiteral(literalOf(host))) {
      this.soon(() => onError(`cannot listen on "${host}": give an IP address`))
      return
    }
    // SO_REUSEPORT lets any process of the same user join in: whoever comes first makes sure that the port is free.
    const probe = options.shared && port !== 0 && !options.joins ? this.#bind(options, false) : null
    if (probe) this.libc.close(probe.fd)
    const bound = probe?.error ? probe : this.#bind(options, options.shared === true)
    if (bound.error || this.libc.listen(bound.fd, options.backlog ?? 1024) < 0) {
      const code = bound.error ?? errnoName(this.libc.errno())
      if (!bound.error) this.libc.close(bound.fd)
      this.soon(() => onError(listenSentence({ host, port }, code)))
      return
    }
    const listener = new EpollListener(this, bound.fd, this.#boundPort(bound.fd), onConnection)
    this.watch(listener, EPOLLIN)
    this.soon(() => onListening(listener))
  }

  connect(to: Address, handler: ConnectionHandler): Connection {
    const host = literalOf(to.host)
    if (!isLiteral(host)) return this.#neverConnected(to, handler, `host "${to.host}" is no IP address`)
    const fd = this.libc.socket(isIPv6(host) ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if (fd < 0) return this.#neverConnected(to, handler, wordsOf(errnoName(this.libc.errno())))
    const length = this.writeAddress(host, to.port)
    const result = this.libc.connect(fd, this.smallAt, length)
    const errno = result < 0 ? this.libc.errno() : 0
    if (errno !== 0 && errno !== Errno.EINPROGRESS) {
      this.libc.close(fd)
      return this.#neverConnected(to, handler, wordsOf(errnoName(errno)))
    }
    return new EpollConnection(this, fd, { host: to.host, port: to.port }, handler, true)
  }

  run(): void {
    while (this.#running) this.#turn()
    for (const watched of [...this.#watched.values()]) if (watched instanceof EpollConnection) watched.destroy()
    for (const watched of [...this.#watched.values()]) if (watched instanceof EpollListener) watched.close()
    this.libc.close(this.#epoll)
  }

  stop(): void {
    this.#running = false
  }

  // --- for connections and listeners

  watch(watched: Watched, events: number): void {
    this.#watched.set(watched.fd, watched)
    this.#control(EPOLL_CTL_ADD, watched.fd, events)
  }

  rewatch(fd: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events)
  }

  unwatch(fd: number): void {
    this.#watched.delete(fd)
    this.#control(EPOLL_CTL_DEL, fd, 0)
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

  /** A sockaddr at the start of `small`; its length. */
  writeAddress(host: string, port: number): number {
    const small = this.#small
    for (let i = 0; i < ADDRESS_BYTES; i++) small.setUint8(i, 0)
    small.setUint16(2, port, false)
    if (!isIPv6(host)) {
      small.setUint16(0, AF_INET, true)
      host.split('.').forEach((part, i) => {
        small.setUint8(4 + i, Number(part))
      })
      return 16
    }
    small.setUint16(0, AF_INET6, true)
    ipv6Words(host).forEach((word, i) => {
      small.setUint16(8 + 2 * i, word, false)
    })
    return ADDRESS_BYTES
  }

  readAddress(): Address {
    const small = this.#small
    const port = small.getUint16(2, false)
    if (small.getUint16(0, true) === AF_INET) {
      return { host: [4, 5, 6, 7].map(at => small.getUint8(at)).join('.'), port }
    }
    const words = Array.from({ length: 8 }, (_, i) => small.getUint16(8 + 2 * i, false))
    return { host: plainAddress(ipv6Text(words)), port }
  }

  acceptOne(fd: number): number {
    this.#small.setUint32(ADDRESS_BYTES + 4, ADDRESS_BYTES, true)
    return this.libc.accept4(fd, this.smallAt, this.smallAt + ADDRESS_BYTES + 4, SOCK_NONBLOCK | SOCK_CLOEXEC)
  }

  // --- turns

  #turn(): void {
    const first = this.#timers.first()
    const wait = this.#soon.length > 0 ? 0 : first ? first.at - this.#now : WAIT_MAX_MS
    const timeout = Math.min(WAIT_MAX_MS, Math.max(0, Math.ceil(wait)))
    const count = this.libc.epollWait(this.#epoll, this.#eventsAt, EVENTS_MAX, timeout)
    this.#now = performance.now()
    this.#wall = Date.now() / 1000
    if (count < 0 && this.libc.errno() !== Errno.EINTR)
      throw new Error(`epoll_wait failed: ${errnoName(this.libc.errno())}`)
    for (let i = 0; i < count; i++) {
      const events = this.#events.getUint32(i * EVENT_BYTES, true)
      const fd = this.#events.getInt32(i * EVENT_BYTES + 4, true)
      this.#watched.get(fd)?.onEvents(events)
    }
    for (let task = this.#timers.takeDue(this.#now); task; task = this.#timers.takeDue(this.#now)) task()
    if (this.#soon.length === 0) return
    const soon = this.#soon
    this.#soon = []
    for (const task of soon) task()
  }

  #onWakeFd(fd: number): void {
    this.libc.read(fd, this.smallAt + 80, 8)
    this.#wake()
  }

  #control(operation: number, fd: number, events: number): void {
    this.#small.setUint32(96, events, true)
    this.#small.setInt32(100, fd, true)
    this.#small.setInt32(104, 0, true)
    this.libc.epollControl(this.#epoll, operation, fd, this.smallAt + 96)
  }

  #bind({ host, port }: ListenOptions, reusePort: boolean): { fd: number; error: string | null } {
    const literal = literalOf(host)
    const fd = this.libc.socket(isIPv6(literal) ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if (fd < 0) return { fd, error: errnoName(this.libc.errno()) }
    this.setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    if (reusePort) this.setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1)
    const length = this.writeAddress(literal, port)
    if (this.libc.bind(fd, this.smallAt, length) === 0) return { fd, error: null }
    const error = errnoName(this.libc.errno())
    this.libc.close(fd)
    return { fd: -1, error }
  }

  #boundPort(fd: number): number {
    this.#small.setUint32(ADDRESS_BYTES + 4, ADDRESS_BYTES, true)
    this.libc.getsockname(fd, this.smallAt, this.smallAt + ADDRESS_BYTES + 4)
    return this.#small.getUint16(2, false)
  }

  #neverConnected(to: Address, handler: ConnectionHandler, reason: string): Connection {
    const connection = new EpollConnection(this, -1, to, handler, false)
    this.soon(() => connection.handler.onClose(connection, reason))
    return connection
  }
}

class EpollListener implements Listener, Watched {
  readonly fd: number
  readonly port: number
  readonly #loop: EpollLoop
  readonly #onConnection: (connection: Connection) => ConnectionHandler
  #closed = false

  constructor(loop: EpollLoop, fd: number, port: number, onConnection: (connection: Connection) => ConnectionHandler) {
    this.#loop = loop
    this.fd = fd
    this.port = port
    this.#onConnection = onConnection
  }

  onEvents(): void {
    for (let i = 0; i < ACCEPTS_MAX && !this.#closed; i++) {
      const fd = this.#loop.acceptOne(this.fd)
      if (fd < 0) {
        this.#notAccepted(this.#loop.libc.errno())
        return
      }
      const connection = new EpollConnection(this.#loop, fd, this.#loop.readAddress(), NOBODY, false)
      connection.handler = this.#onConnection(connection)
    }
  }

  /** Without descriptors the kernel would report the waiting connection again and again: look away for a moment. */
  #notAccepted(errno: number): void {
    if (errno !== Errno.EMFILE && errno !== Errno.ENFILE && errno !== Errno.ENOBUFS) return
    this.#loop.rewatch(this.fd, 0)
    this.#loop.setTimer(ACCEPT_PAUSE_MS, () => {
      if (!this.#closed) this.#loop.rewatch(this.fd, EPOLLIN)
    })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#loop.unwatch(this.fd)
    this.#loop.libc.close(this.fd)
  }
}

const NOBODY: ConnectionHandler = { onReadable() {}, onWritable() {}, onClose() {} }

class EpollConnection implements Connection, Watched {
  readonly fd: number
  readonly remote: Address
  handler: ConnectionHandler
  closed: boolean
  readonly #loop: EpollLoop
  #connecting: boolean
  #reading = true
  #writing = false
  #ended = false
  /** An error that recv met; told by onClose. */
  #error = 0

  constructor(loop: EpollLoop, fd: number, remote: Address, handler: ConnectionHandler, connecting: boolean) {
    this.#loop = loop
    this.fd = fd
    this.remote = remote
    this.handler = handler
    this.#connecting = connecting
    this.closed = fd < 0
    if (fd < 0) return
    loop.setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1)
    loop.watch(this, connecting ? EPOLLOUT : EPOLLIN)
  }

  get local(): Address {
    if (this.fd < 0) return { host: '0.0.0.0', port: 0 }
    this.#loop.small.setUint32(ADDRESS_BYTES + 4, ADDRESS_BYTES, true)
    this.#loop.libc.getsockname(this.fd, this.#loop.smallAt, this.#loop.smallAt + ADDRESS_BYTES + 4)
    return this.#loop.readAddress()
  }

  onEvents(events: number): void {
    if (this.#connecting) {
      this.#onConnected()
      return
    }
    if (events & EPOLLOUT && this.#writing) {
      this.#writing = false
      this.#watchWanted()
      this.handler.onWritable(this)
    }
    if (this.closed) return
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && this.#reading && !this.#ended) this.handler.onReadable(this)
    if (this.closed) return
    if (this.#error !== 0) this.#end(wordsOf(errnoName(this.#error)), false)
    // Nobody reads and the connection is broken: nothing more will come of it.
    else if (events & (EPOLLERR | EPOLLHUP) && (!this.#reading || this.#ended)) {
      const error = this.#loop.errorOf(this.fd)
      this.#end(error === 0 ? 'closed by the peer' : wordsOf(errnoName(error)), false)
    }
  }

  recv(offset: number, length: number): number {
    return this.#recvAt(this.#loop.base + offset, length)
  }

  read(): Uint8Array | null {
    const count = this.#recvAt(this.#loop.stagingAt, STAGING_BYTES)
    if (count === 0) return null
    return this.#loop.staging.subarray(0, Math.max(0, count))
  }

  send(offset: number, length: number): number {
    return this.#sendAt(this.#loop.base + offset, length)
  }

  write(bytes: Uint8Array): number {
    let sent = 0
    while (sent < bytes.length) {
      const part = bytes.subarray(sent, sent + STAGING_BYTES)
      this.#loop.staging.set(part)
      const count = this.#sendAt(this.#loop.stagingAt, part.length)
      sent += count
      if (count < part.length) break
    }
    return sent
  }

  pauseReading(): void {
    this.#reading = false
    this.#watchWanted()
  }

  resumeReading(): void {
    this.#reading = true
    this.#watchWanted()
  }

  close(): void {
    this.#end(CLOSED_HERE, false)
  }

  destroy(): void {
    this.#end(CLOSED_HERE, true)
  }

  #onConnected(): void {
    const error = this.#loop.errorOf(this.fd)
    if (error !== 0) {
      this.#end(wordsOf(errnoName(error)), false)
      return
    }
    this.#connecting = false
    this.#writing = false
    this.#watchWanted()
    this.handler.onConnect?.(this)
  }

  #recvAt(address: number, length: number): number {
    if (this.closed || this.#connecting) return 0
    if (this.#ended) return -1
    const count = Number(this.#loop.libc.recv(this.fd, address, length, MSG_DONTWAIT))
    if (count > 0) return count
    if (count === 0) {
      this.#ended = true
      this.#watchWanted()
      return -1
    }
    const errno = this.#loop.libc.errno()
    if (errno !== Errno.EAGAIN && errno !== Errno.EINTR) this.#fail(errno)
    return 0
  }

  #sendAt(address: number, length: number): number {
    if (this.closed || length === 0) return 0
    if (this.#connecting) return 0
    const count = Number(this.#loop.libc.send(this.fd, address, length, MSG_NOSIGNAL | MSG_DONTWAIT))
    if (count === length) return count
    if (count < 0) {
      const errno = this.#loop.libc.errno()
      if (errno !== Errno.EAGAIN && errno !== Errno.EINTR) {
        this.#fail(errno)
        return 0
      }
    }
    this.#writing = true
    this.#watchWanted()
    return Math.max(0, count)
  }

  /** Told to the handler soon, not from within its own call. */
  #fail(errno: number): void {
    if (this.#error !== 0) return
    this.#error = errno
    this.#loop.soon(() => this.#end(wordsOf(errnoName(errno)), false))
  }

  #watchWanted(): void {
    if (this.closed || this.#connecting) return
    this.#loop.rewatch(this.fd, (this.#reading && !this.#ended ? EPOLLIN : 0) | (this.#writing ? EPOLLOUT : 0))
  }

  #end(reason: string, reset: boolean): void {
    if (this.closed) return
    this.closed = true
    this.#loop.unwatch(this.fd)
    if (reset) this.#loop.setOption(this.fd, SOL_SOCKET, SO_LINGER, 1, 0)
    this.#loop.libc.close(this.fd)
    this.#loop.soon(() => this.handler.onClose(this, reason))
  }
}

function ipv6Words(host: string): number[] {
  const plain = host
    .split('%')[0]!
    .replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
      [(Number(a) << 8) | Number(b), (Number(c) << 8) | Number(d)].map(word => word.toString(16)).join(':'),
    )
  const [head = '', tail] = plain.split('::')
  const words = (text: string) => (text === '' ? [] : text.split(':').map(word => Number.parseInt(word, 16)))
  const front = words(head)
  const back = words(tail ?? '')
  return tail === undefined ? front : [...front, ...new Array(8 - front.length - back.length).fill(0), ...back]
}

function ipv6Text(words: number[]): string {
  const isMapped = words.slice(0, 5).every(word => word === 0) && words[5] === 0xffff
  if (isMapped) return `::ffff:${words[6]! >> 8}.${words[6]! & 255}.${words[7]! >> 8}.${words[7]! & 255}`
  return new URL(`http://[${words.map(word => word.toString(16)).join(':')}]`).hostname.slice(1, -1)
}
