/**
 * The `net` world: Node's own sockets and timers, portable, the fallback everywhere (DESIGN 4). Works in the main thread
 * and in workers. Sockets push, a Connection is pulled: chunks wait in a queue until the owner reads them, and a socket
 * whose queue is full is paused. Two planes may use it, so it knows nothing of either.
 */
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { createServer as createTlsServer, TLSSocket, Server as TlsServer } from 'node:tls'
import { copyBytes } from './copy-bytes.js'
import { type Libc, loadLibc, MSG_DONTWAIT, MSG_NOSIGNAL } from './libc.js'
import type { Address, Connection, ConnectionHandler, Listener, ListenOptions, Loop, Timer } from './loop.js'
import { processClock } from './process-clock.js'
import { isAcceptable, tlsOptions } from './tls.js'
import { listenUdp } from './udp.js'
import { CLOSED_HERE, listenSentence, literalOf, plainAddress, UNIX_HOST, wordsOf } from './words.js'

/** Lower keeps less memory per slow connection, costs more pauses. */
const QUEUED_BYTES_MAX = 256 * 1024
/** After `close()`: how long a peer may take to read what was sent, and then to close its own side. */
const FLUSH_LIMIT_MS = 30_000
const LINGER_LIMIT_MS = 1000

/** Written and read at once, where that is direct. */
const DIRECT_WRITE_BYTES = 64 * 1024
const DIRECT_READ_BYTES = 64 * 1024

const SOCKET = { allowHalfOpen: true, noDelay: true }

/** Where a listener of this world can be met by other threads of the process (ListenOptions.fd). */
export interface NetListener extends Listener {
  readonly fd: number | undefined
}

export interface NetLoopOptions {
  memory: Uint8Array
  /**
   * For many short messages, where koffi works: writes go straight to the kernel, what it does not take goes Node's way; and
   * what connections from here read comes without a stream. Half of what a message costs is otherwise Node's streams.
   */
  direct?: boolean
}

export function createNetLoop({ memory, direct = false }: NetLoopOptions): Loop {
  return new NetLoop(memory, direct ? loadLibc().libc : null)
}

class NetTimer implements Timer {
  handle: NodeJS.Timeout | null = null
  constructor(readonly at: number) {}
}

class NetLoop implements Loop {
  readonly kind = 'net'
  readonly memory: Uint8Array
  /** For writes past Node's streams; null: there are none. */
  readonly #direct: DirectWriter | null
  readonly #servers = new Set<Server>()
  readonly #datagrams = new Set<{ close(): void }>()
  readonly #connections = new Set<NetConnection>()
  readonly #timers = new Set<NetTimer>()
  #stopped = false

  constructor(memory: Uint8Array, libc: Libc | null) {
    this.memory = memory
    this.#direct = libc && new DirectWriter(libc)
  }

  now(): number {
    return performance.now()
  }

  clock(): number {
    return processClock()
  }

  wallClock(): number {
    return Date.now() / 1000
  }

  setTimer(afterMs: number, callback: () => void): Timer {
    const timer = new NetTimer(this.now() + afterMs)
    if (this.#stopped) return timer
    this.#timers.add(timer)
    timer.handle = setTimeout(
      () => {
        this.#timers.delete(timer)
        callback()
      },
      Math.max(0, Math.ceil(afterMs)),
    )
    return timer
  }

  clearTimer(timer: Timer): void {
    if (!(timer instanceof NetTimer) || timer.handle === null) return
    clearTimeout(timer.handle)
    this.#timers.delete(timer)
  }

  listen(
    options: ListenOptions,
    onConnection: (connection: Connection) => ConnectionHandler,
    onListening: (listener: Listener) => void,
    onError: (sentence: string) => void,
  ): void {
    if (options.udp) {
      this.#datagrams.add(listenUdp({ memory: this.memory, options, onConnection, onListening, onError }))
      return
    }
    const { host, port, path, ipv6Only = false, backlog = 1024 } = options
    const { tls } = options
    const adopt = (socket: Socket) => {
      const connection = this.#adopt(socket)
      connection.handler = onConnection(connection)
    }
    const server = tls
      ? createTlsServer({ ...SOCKET, ...tlsOptions(tls) }, socket => {
          if (isAcceptable(socket, tls)) adopt(socket)
          else socket.destroy()
        })
      : createServer(SOCKET, adopt)
    this.#servers.add(server)
    server.once('error', (error: NodeJS.ErrnoException) => {
      this.#servers.delete(server)
      onError(listenSentence(options, error.code))
    })
    server.listen(
      options.fd !== undefined
        ? { fd: ownDescriptor(options.fd), backlog }
        : path !== undefined
          ? { path, backlog, exclusive: true }
          : { host: literalOf(host), port, ipv6Only, backlog, exclusive: true },
      () => {
        // From here on errors are those of accepting (too many open files): the server goes on.
        server.removeAllListeners('error').on('error', () => {})
        onListening(this.#listener(server))
      },
    )
  }

  connect(to: Address, handler: ConnectionHandler): Connection {
    const reader = this.#direct ? new DirectReader() : null
    const onread = reader ? { onread: reader.onread } : {}
    const options = { host: literalOf(to.host), port: to.port, allowHalfOpen: true, noDelay: true, ...onread }
    const socket = createConnection(options)
    const connection = this.#adopt(socket, to)
    if (reader) {
      reader.take = bytes => connection.takeBorrowed(bytes)
      socket.resume()
    }
    connection.handler = handler
    return connection
  }

  /** Messages to this thread come as events of Node's loop: nothing to be woken from. */
  onWake(_wake: () => void): void {}

  /** What `send` took has left. */
  guardSends(_mayLeave: () => boolean): void {}

  onAhead(): void {}

  /** After all that is readable in this turn: what many connections have to say to one goes out in one write. */
  soon(task: () => void): void {
    setImmediate(task)
  }

  run(): void {}

  stop(): void {
    this.#stopped = true
    for (const server of this.#servers) server.close()
    for (const datagrams of this.#datagrams) datagrams.close()
    for (const connection of [...this.#connections]) connection.close()
    for (const timer of [...this.#timers]) this.clearTimer(timer)
    this.#servers.clear()
  }

  #adopt(socket: Socket, to?: Address): NetConnection {
    const gone = () => this.#connections.delete(connection)
    const connection: NetConnection = new NetConnection({ socket, memory: this.memory, direct: this.#direct, to, gone })
    this.#connections.add(connection)
    return connection
  }

  #listener(server: Server): NetListener {
    const address = server.address()
    return {
      port: address !== null && typeof address === 'object' ? address.port : 0,
      renew: tls => {
        if (server instanceof TlsServer) server.setSecureContext(tlsOptions(tls))
      },
      fd: (server as Server & { _handle?: { fd?: number } })._handle?.fd,
      close: () => {
        this.#servers.delete(server)
        server.close()
      },
    }
  }
}

let numbers = 1 << 20

/** Node shows no descriptor of a TLS socket: then a number that none can have. */
function descriptorOf(socket: Socket): number {
  const { _handle } = socket as Socket & { _handle?: { fd?: number } | null }
  return _handle?.fd !== undefined && _handle.fd >= 0 ? _handle.fd : ++numbers
}

/** A server closes its descriptor: two threads must not close the same number. Without koffi they do, at the end of the process. */
function ownDescriptor(fd: number): number {
  const copy = loadLibc().libc?.dup(fd) ?? -1
  return copy >= 0 ? copy : fd
}

/** Reads without a stream: into the same buffer each time, which is borrowed until `take` returns. */
class DirectReader {
  take: (bytes: Buffer) => void = () => {}
  readonly onread = {
    buffer: Buffer.allocUnsafeSlow(DIRECT_READ_BYTES),
    callback: (count: number, buffer: Uint8Array): boolean => {
      this.take(Buffer.from(buffer.buffer, buffer.byteOffset, count))
      return true
    },
  }
}

/** Writes past Node's stream, of which nothing may be on its way out then. */
class DirectWriter {
  readonly #libc: Libc
  readonly #staging = new Uint8Array(DIRECT_WRITE_BYTES)
  readonly #stagingAt: number

  constructor(libc: Libc) {
    this.#libc = libc
    this.#stagingAt = libc.addressOf(this.#staging)
  }

  /** How many bytes the kernel took; none where there is an error, which Node will meet. */
  write(socket: Socket, bytes: Uint8Array): number {
    // Asked for each time: the number of a descriptor that has been closed may be another's.
    const { _handle } = socket as Socket & { _handle?: { fd?: number } | null }
    const fd = socket.destroyed ? -1 : (_handle?.fd ?? -1)
    if (fd < 0) return 0
    const length = Math.min(bytes.length, DIRECT_WRITE_BYTES)
    copyBytes(bytes, 0, this.#staging, 0, length)
    return Math.max(0, this.#libc.send(fd, this.#stagingAt, length, MSG_DONTWAIT | MSG_NOSIGNAL))
  }
}

interface NetConnectionOptions {
  socket: Socket
  memory: Uint8Array
  direct: DirectWriter | null
  /** Missing: it was accepted. */
  to: Address | undefined
  gone(): void
}

class NetConnection implements Connection {
  readonly remote: Address
  readonly number: number
  handler: ConnectionHandler = SILENT
  readonly #socket: Socket
  readonly #memory: Uint8Array
  readonly #direct: DirectWriter | null
  readonly #onGone: () => void
  readonly #queue: Buffer[] = []
  #queuedBytes = 0
  #firstAt = 0
  #connected: boolean
  #ended = false
  #paused = false
  #wantsRoom = false
  #scheduled = false
  #closed = false
  #told = false
  #reason = CLOSED_HERE

  constructor({ socket, memory, direct, to, gone }: NetConnectionOptions) {
    this.#socket = socket
    this.#memory = memory
    this.#direct = socket instanceof TLSSocket ? null : direct
    this.#onGone = gone
    this.number = descriptorOf(socket)
    this.#connected = to === undefined
    this.remote = to ?? { host: plainAddress(socket.remoteAddress ?? UNIX_HOST), port: socket.remotePort ?? 0 }
    socket.on('connect', () => this.#onConnect())
    socket.on('data', chunk => this.#onData(chunk))
    socket.on('end', () => {
      this.#ended = true
      this.#tellReadable()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // The first says why; what follows is about a socket that is gone.
      if (!this.#closed && this.#reason === CLOSED_HERE) this.#reason = wordsOf(error.code)
    })
    socket.on('close', () => this.#tellClosed())
  }

  get local(): Address {
    return { host: plainAddress(this.#socket.localAddress ?? UNIX_HOST), port: this.#socket.localPort ?? 0 }
  }

  get closed(): boolean {
    return this.#closed
  }

  recv(offset: number, length: number): number {
    const first = this.#queue[0]
    if (!first) return this.#ended ? -1 : 0
    const count = Math.min(length, first.length - this.#firstAt)
    this.#memory.set(first.subarray(this.#firstAt, this.#firstAt + count), offset)
    this.#consume(first, count)
    return count
  }

  read(): Uint8Array | null {
    const first = this.#queue[0]
    if (!first) return this.#ended ? EMPTY : null
    const bytes = first.subarray(this.#firstAt)
    this.#consume(first, bytes.length)
    return bytes
  }

  send(offset: number, length: number): number {
    return this.write(this.#memory.subarray(offset, offset + length))
  }

  write(bytes: Uint8Array): number {
    if (this.#closed) return bytes.length
    const isFirst = this.#direct !== null && this.#connected && this.#socket.writableLength === 0
    const sent = isFirst ? this.#direct!.write(this.#socket, bytes) : 0
    return sent === bytes.length ? sent : sent + this.#writeSlow(sent === 0 ? bytes : bytes.subarray(sent))
  }

  #writeSlow(bytes: Uint8Array): number {
    const room = this.#connected ? Math.max(0, QUEUED_BYTES_MAX - this.#socket.writableLength) : 0
    const count = Math.min(room, bytes.length)
    if (count < bytes.length) this.#wantsRoom = true
    // Node keeps a reference until the kernel took the bytes; ours are only borrowed. Its 'drain' does not follow a write
    // that the kernel took at once, which may be the one that was short: the callback always does.
    if (count > 0) this.#socket.write(Buffer.from(bytes.subarray(0, count)), error => !error && this.#onWritten())
    return count
  }

  pauseReading(): void {
    this.#paused = true
  }

  resumeReading(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#scheduleReadable()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (!this.#connected) this.#socket.destroy()
    else this.#linger()
    setImmediate(() => this.#tellClosed())
  }

  destroy(): void {
    if (this.#closed) return
    this.#closed = true
    // Only TCP knows a reset.
    const isTcp = this.#socket.remotePort !== undefined && !(this.#socket instanceof TLSSocket)
    if (this.#connected && isTcp) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
    setImmediate(() => this.#tellClosed())
  }

  /** Bytes that nobody read would turn the close into a reset, which can overtake our last reply: they are read away. */
  #linger(): void {
    const socket = this.#socket
    socket.removeAllListeners('data')
    socket.resume()
    let limit = setTimeout(() => socket.destroy(), FLUSH_LIMIT_MS).unref()
    socket.once('finish', () => {
      clearTimeout(limit)
      limit = setTimeout(() => socket.destroy(), LINGER_LIMIT_MS).unref()
    })
    socket.once('close', () => clearTimeout(limit))
    socket.end()
  }

  #consume(first: Buffer, count: number): void {
    this.#firstAt += count
    this.#queuedBytes -= count
    if (this.#firstAt === first.length) {
      this.#queue.shift()
      this.#firstAt = 0
    }
    if (this.#socket.isPaused() && this.#queuedBytes < QUEUED_BYTES_MAX / 2) this.#socket.resume()
  }

  #onConnect(): void {
    this.#connected = true
    if (this.#closed) return
    this.handler.onConnect?.(this)
    this.#onWritten()
  }

  /** As #onData, of bytes that are only borrowed. */
  takeBorrowed(chunk: Buffer): void {
    this.#onData(chunk)
    const last = this.#queue.length - 1
    if (this.#queue[last] === chunk) this.#queue[last] = Buffer.from(chunk)
  }

  #onData(chunk: Buffer): void {
    if (this.#closed) return
    this.#queue.push(chunk)
    this.#queuedBytes += chunk.length
    if (this.#queuedBytes >= QUEUED_BYTES_MAX) this.#socket.pause()
    this.#tellReadable()
  }

  #onWritten(): void {
    if (this.#closed || !this.#wantsRoom || this.#socket.writableLength > QUEUED_BYTES_MAX / 2) return
    this.#wantsRoom = false
    this.handler.onWritable(this)
  }

  #tellReadable(): void {
    if (this.#closed || this.#paused) return
    this.handler.onReadable(this)
    if (this.#queue.length > 0) this.#scheduleReadable()
  }

  #scheduleReadable(): void {
    if (this.#scheduled || (this.#queue.length === 0 && !this.#ended)) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#tellReadable()
    })
  }

  #tellClosed(): void {
    if (this.#told) return
    this.#told = true
    this.#closed = true
    this.#onGone()
    this.handler.onClose(this, this.#reason)
  }
}

const EMPTY = new Uint8Array(0)
const SILENT: ConnectionHandler = { onReadable() {}, onWritable() {}, onClose() {} }
