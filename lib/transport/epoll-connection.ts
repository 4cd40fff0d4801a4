/**
 * Listeners and connections of the `epoll` world: what is done when their descriptor is ready. Level-triggered: an event
 * that is not answered comes again, so each asks epoll for just what its owner wants to hear.
 *
 * With a batch (batch.ts) bytes may have been received before the owner is told (`ahead`), and a send is held until the turn ends: `rest`
 * is what the kernel then did not take, though the owner was told that it is gone.
 */
import { type Batched, HELD_BYTES_MAX, SLOT_BYTES } from './batch.js'
import { copyBytes } from './copy-bytes.js'
import type { EpollLoop } from './epoll.js'
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  Errno,
  errnoName,
  IPPROTO_TCP,
  isForNow,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SO_LINGER,
  SOL_SOCKET,
  TCP_NODELAY,
} from './libc.js'
import type { Address, Connection, ConnectionHandler, Listener, Timer } from './loop.js'
import { readAddress } from './socket-address.js'
import { CLOSED_HERE, wordsOf } from './words.js'

/** What epoll watches for the loop. */
export interface Watched {
  readonly fd: number
  onEvents(events: number): void
  close(): void
  /** Who takes bytes that are received before it is told of them; null: they are not to be; missing: never. */
  readonly takerAhead?: Batched | null
}

/** Bytes of the loop's `staging`. */
export const STAGING_BYTES = 64 * 1024
/** Connections taken in one go before others have their turn. */
const ACCEPTS_MAX = 64
/** Out of descriptors: new connections wait in the kernel for this long. */
const ACCEPT_PAUSE_MS = 50
/** Bound of what a close reads away. */
const DISCARD_READS_MAX = 16
/** The last bytes of a connection that was closed here wait for a peer that reads for this long. */
const LAST_BYTES_MS = 10_000
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

export class EpollConnection implements Connection, Watched, Batched {
  readonly fd: number
  readonly readBytesMax = STAGING_BYTES
  readonly remote: Address
  handler: ConnectionHandler
  closed: boolean
  receivedBytes = 0
  readonly #loop: EpollLoop
  #connecting: boolean
  #reading = true
  /** epoll is to tell when there is room. */
  #writing = false
  /** The owner was told that a send was short. */
  #isShort = false
  /** The mask that epoll has. */
  #watching: number
  #ended = false
  /** An error that recv or send met; told by onClose. */
  #error = 0
  /** Received and not taken yet: [aheadAt, aheadEnd) of it. */
  #ahead: Uint8Array | null = null
  #aheadAt = 0
  #aheadEnd = 0
  /** There may be more than what came ahead. */
  #isSlotFull = false
  /** What came last was more than a slot has room for. */
  #isBulky = false
  #isAgain = false
  /** In the batch there is a send of this turn. */
  #isHeld = false
  #rest: Uint8Array | null = null

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
    if (events & EPOLLOUT && this.#writing) this.#onRoom()
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
    const ahead = this.#ahead
    if (!ahead) return this.#recvAt(this.#loop.base + offset, length)
    const count = Math.min(length, this.#aheadEnd - this.#aheadAt)
    copyBytes(ahead, this.#aheadAt, this.#loop.memory, offset, count)
    this.#aheadAt += count
    if (this.#aheadAt < this.#aheadEnd) return count
    this.#ahead = null
    return count + this.#recvMore(this.#loop.base + offset + count, length - count)
  }

  recvInPlace(): number {
    if (this.#ahead !== this.#loop.memory || this.#isSlotFull) return -1
    this.#ahead = null
    this.receivedBytes = this.#aheadEnd - this.#aheadAt
    return this.#aheadAt
  }

  read(): Uint8Array | null {
    const { staging, stagingAt } = this.#loop
    const ahead = this.#ahead
    if (!ahead) {
      const count = this.#recvAt(stagingAt, STAGING_BYTES)
      return count === 0 ? null : staging.subarray(0, Math.max(0, count))
    }
    this.#ahead = null
    const bytes = ahead.subarray(this.#aheadAt, this.#aheadEnd)
    if (!this.#isSlotFull) return bytes
    staging.set(bytes)
    const { length } = bytes
    return staging.subarray(0, length + this.#recvMore(stagingAt + length, STAGING_BYTES - length))
  }

  send(offset: number, length: number, guarded = false): number {
    const { batch, memory, base } = this.#loop
    if (batch && length <= HELD_BYTES_MAX) return this.#hold(memory, offset, length, guarded)
    return this.#mayCall(length) ? this.#sendAt(base + offset, length) : 0
  }

  write(bytes: Uint8Array): number {
    if (this.#loop.batch && bytes.length <= HELD_BYTES_MAX) return this.#hold(bytes, 0, bytes.length, false)
    // Before staging is filled: others may close meanwhile, and a close reads into it.
    if (!this.#mayCall(bytes.length)) return 0
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
    this.#tellAgain()
  }

  close(): void {
    this.#end(CLOSED_HERE, false)
  }

  destroy(): void {
    this.#end(CLOSED_HERE, true)
  }

  // --- the batch

  get takerAhead(): Batched | null {
    return this.#reading && !this.#ended && !this.#isBulky && !this.#ahead ? this : null
  }

  /** The end and errors are met again by the owner's own recv: an end stays, an error is kept. */
  onReceived(bytes: Uint8Array, at: number, result: number): void {
    if (result < 0 && !isForNow(-result)) this.#fail(-result)
    if (result <= 0) return
    this.#ahead = bytes
    this.#aheadAt = at
    this.#aheadEnd = at + result
    this.#isSlotFull = this.#isBulky = result === SLOT_BYTES
  }

  onSlotEnds(): void {
    const ahead = this.#ahead
    if (!ahead) return
    this.#ahead = this.closed ? null : ahead.slice(this.#aheadAt, this.#aheadEnd)
    this.#aheadEnd -= this.#aheadAt
    this.#aheadAt = 0
    this.#tellAgain()
  }

  /** Bytes are here that epoll does not know of. */
  onAgain(): void {
    this.#isAgain = false
    if (this.closed || !this.#reading || !this.#ahead) return
    this.handler.onReadable(this)
    this.#tellAgain()
  }

  onSent(bytes: Uint8Array, at: number, length: number, result: number): void {
    this.#isHeld = false
    if (result === length || this.closed) return
    if (result < 0 && !isForNow(-result)) {
      this.#fail(-result)
      return
    }
    this.#rest = bytes.slice(at + Math.max(0, result), at + length)
    this.#writing = true
    this.#watchWanted()
  }

  onForbidden(): void {
    this.#isHeld = false
    this.close()
  }

  #tellAgain(): void {
    if (!this.#ahead || !this.#reading || this.#isAgain || this.closed) return
    this.#isAgain = true
    this.#loop.again(this)
  }

  /** As send, of at most HELD_BYTES_MAX bytes. */
  #hold(source: Uint8Array, from: number, length: number, guarded: boolean): number {
    if (!this.#mayStart(length)) return 0
    this.#isHeld = true
    this.#loop.batch!.hold(this, source, from, length, guarded)
    return length
  }

  /** Is there nothing that must go out before? What is held goes now. */
  #mayStart(length: number): boolean {
    if (this.closed || length === 0) return false
    if (this.#isHeld) this.#loop.batch!.flush()
    if (this.closed || this.#error !== 0) return false
    if (!this.#connecting && !this.#rest) return true
    this.#writing = this.#isShort = true
    return false
  }

  /** As #mayStart, for a call of its own: what others sent before leaves before. */
  #mayCall(length: number): boolean {
    if (!this.#mayStart(length)) return false
    this.#loop.batch?.flush()
    return true
  }

  // --- calls

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

  /** The socket takes bytes again. */
  #onRoom(): void {
    const rest = this.#rest
    if (rest) {
      const sent = this.#loop.sendNow(this.fd, rest)
      if (sent < 0) {
        this.#fail(-sent)
        return
      }
      this.#rest = sent < rest.length ? rest.subarray(sent) : null
      if (this.#rest) return
    }
    this.#writing = false
    this.#watchWanted()
    if (!this.#isShort) return
    this.#isShort = false
    this.handler.onWritable(this)
  }

  #recvAt(address: number, length: number): number {
    if (this.closed || this.#connecting || this.#error !== 0) return 0
    if (this.#ended) return -1
    const count = Number(this.#loop.libc.recv(this.fd, address, length, MSG_DONTWAIT))
    if (count > 0) {
      this.#isBulky = count >= SLOT_BYTES
      return count
    }
    if (count === 0) {
      this.#ended = true
      this.#watchWanted()
      return -1
    }
    const errno = this.#loop.libc.errno()
    if (!isForNow(errno)) this.#fail(errno)
    return 0
  }

  /** What follows a full slot, if it is here: 0 or more. That nothing follows any more is for the next recv. */
  #recvMore(address: number, length: number): number {
    if (!this.#isSlotFull || length === 0 || this.closed) return 0
    const count = Number(this.#loop.libc.recv(this.fd, address, length, MSG_DONTWAIT))
    if (count >= 0) return count
    const errno = this.#loop.libc.errno()
    if (!isForNow(errno)) this.#fail(errno)
    return 0
  }

  #sendAt(address: number, length: number): number {
    const count = Number(this.#loop.libc.send(this.fd, address, length, MSG_NOSIGNAL | MSG_DONTWAIT))
    if (count === length) return count
    if (count < 0) {
      const errno = this.#loop.libc.errno()
      if (!isForNow(errno)) {
        this.#fail(errno)
        return 0
      }
    }
    this.#writing = this.#isShort = true
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
    if (this.#isHeld && reset) this.#loop.batch!.drop(this)
    else if (this.#isHeld) this.#loop.batch!.flush()
    this.closed = true
    if (reset) this.#loop.setOption(this.fd, SOL_SOCKET, SO_LINGER, 1, 0)
    else this.#discardUnread()
    if (this.#rest && !reset && this.#error === 0) new LastBytes(this.#loop, this.fd, this.#rest)
    else this.#loop.retire(this.fd)
    this.#ahead = this.#rest = null
    this.#loop.soon(() => this.handler.onClose(this, reason))
  }
}

/** A connection that its owner has closed, and that still has bytes to send of which the owner was told that they are gone. */
class LastBytes implements Watched {
  readonly fd: number
  readonly #loop: EpollLoop
  readonly #limit: Timer
  #rest: Uint8Array

  constructor(loop: EpollLoop, fd: number, rest: Uint8Array) {
    this.#loop = loop
    this.fd = fd
    this.#rest = rest
    this.#limit = loop.setTimer(LAST_BYTES_MS, () => this.close())
    loop.replace(this, EPOLLOUT)
  }

  onEvents(): void {
    const sent = this.#loop.sendNow(this.fd, this.#rest)
    if (sent >= 0) this.#rest = this.#rest.subarray(sent)
    if (sent < 0 || this.#rest.length === 0) this.close()
  }

  close(): void {
    this.#loop.clearTimer(this.#limit)
    this.#loop.retire(this.fd)
  }
}
