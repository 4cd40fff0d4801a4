/**
 * Listeners and connections of the `epoll` world: what is done when their descriptor is ready. Level-triggered: an event
 * that is not answered comes again, so each asks epoll for just what its owner wants to hear.
 */
import type { EpollLoop } from './epoll.js'
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  Errno,
  errnoName,
  IPPROTO_TCP,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SO_LINGER,
  SOL_SOCKET,
  TCP_NODELAY,
} from './libc.js'
import type { Address, Connection, ConnectionHandler, Listener } from './loop.js'
import { readAddress } from './socket-address.js'
import { CLOSED_HERE, wordsOf } from './words.js'

/** What epoll watches for the loop. */
export interface Watched {
  readonly fd: number
  onEvents(events: number): void
  close(): void
}

/** Bytes of the loop's `staging`. */
export const STAGING_BYTES = 64 * 1024
/** Connections taken in one go before others have their turn. */
const ACCEPTS_MAX = 64
/** Out of descriptors: new connections wait in the kernel for this long. */
const ACCEPT_PAUSE_MS = 50
/** Bound of what a close reads away. */
const DISCARD_READS_MAX = 16
const NOBODY: ConnectionHandler = { onReadable() {}, onWritable() {}, onClose() {} }

export class EpollListener implements Listener, Watched {
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
      const connection = new EpollConnection(this.#loop, fd, readAddress(this.#loop.small), NOBODY, false)
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
    this.#loop.retire(this.fd)
  }
}

export class EpollConnection implements Connection, Watched {
  readonly fd: number
  readonly readBytesMax = STAGING_BYTES
  readonly remote: Address
  handler: ConnectionHandler
  closed: boolean
  readonly #loop: EpollLoop
  #connecting: boolean
  #reading = true
  #writing = false
  /** The mask that epoll has. */
  #watching: number
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
    this.#watching = connecting ? EPOLLOUT : EPOLLIN
    if (fd < 0) return
    loop.setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1)
    loop.watch(this, this.#watching)
  }

  get number(): number {
    return this.fd
  }

  get local(): Address {
    if (this.fd < 0) return { host: '0.0.0.0', port: 0 }
    return this.#loop.localAddress(this.fd)
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
    else if (events & EPOLLIN) this.#watchWanted()
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
      const part = bytes.length <= STAGING_BYTES && sent === 0 ? bytes : bytes.subarray(sent, sent + STAGING_BYTES)
      this.#loop.staging.set(part)
      const count = this.#sendAt(this.#loop.stagingAt, part.length)
      sent += count
      if (count < part.length) break
    }
    return sent
  }

  /** epoll is told when something comes before `resumeReading`, which seldom happens: a client waits for its answer. */
  pauseReading(): void {
    this.#reading = false
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
    if (this.#connecting) {
      this.#writing = true
      return 0
    }
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
    const wanted = (this.#reading && !this.#ended ? EPOLLIN : 0) | (this.#writing ? EPOLLOUT : 0)
    if (wanted === this.#watching) return
    this.#watching = wanted
    this.#loop.rewatch(this.fd, wanted)
  }

  /** Closing on unread bytes makes the kernel send a reset, which can overtake the last reply. */
  #discardUnread(): void {
    const { libc, stagingAt } = this.#loop
    for (let reads = 0; reads < DISCARD_READS_MAX; reads++) {
      if (Number(libc.recv(this.fd, stagingAt, STAGING_BYTES, MSG_DONTWAIT)) < STAGING_BYTES) return
    }
  }

  #end(reason: string, reset: boolean): void {
    if (this.closed) return
    this.closed = true
    if (reset) this.#loop.setOption(this.fd, SOL_SOCKET, SO_LINGER, 1, 0)
    else this.#discardUnread()
    this.#loop.retire(this.fd)
    this.#loop.soon(() => this.handler.onClose(this, reason))
  }
}
