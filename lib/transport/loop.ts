/**
 * The one interface between this program and the outside: time, timers, sockets. Every world (`net`, `epoll`,
 * `simulated`) implements it; nothing outside lib/transport may import node:net or call setTimeout.
 *
 * Callbacks, no promises: a worker whose loop is `epoll` never returns to Node's own event loop, so nothing that runs
 * on a Loop may await, use Node timers or expect a microtask to run.
 *
 * A loop has one `memory`, a byte array (for the data plane: the engine's shared memory; for the control plane: any
 * array). Connections read into and write from ranges of it, so that the hot path copies nothing.
 */

import type { TlsSettings } from './tls.js'

export type LoopKind = 'net' | 'epoll' | 'uring' | 'simulated'

/** Handle of a pending timer; opaque. */
export interface Timer {
  readonly at: number
}

export interface Address {
  host: string
  port: number
}

/** What the owner of a connection wants to hear. One object may serve many connections. */
export interface ConnectionHandler {
  /** Only for outgoing connections: the peer accepted. Never called synchronously from `connect`. */
  onConnect?(connection: Connection): void
  /** Bytes can be read. Level-triggered: called again (next turn) while unread bytes remain and reading is not paused. */
  onReadable(connection: Connection): void
  /** The last `send` or `write` was short, and now there is room again. */
  onWritable(connection: Connection): void
  /** Closed by the peer, by an error (`reason` says which, in plain words) or by `close()`. Called exactly once, never synchronously from `close()`. */
  onClose(connection: Connection, reason: string): void
}

export interface Connection {
  readonly remote: Address
  readonly local: Address
  /** Unlike that of every other connection of the process; the kernel's number for it where it is known. */
  readonly number?: number
  /** Free for the owner. */
  handler: ConnectionHandler
  /**
   * Reads up to `length` bytes into `loop.memory` at `offset`.
   * Returns the count (> 0), 0 when nothing is there now, -1 when the peer has ended its side (after all bytes were read).
   */
  recv(offset: number, length: number): number
  /**
   * As recv, of bytes that lie in `loop.memory` already: where, until `onReadable` returns. How many of them: `receivedBytes`. -1: there are
   * none, ask `recv`; missing: there never are.
   */
  recvInPlace?(): number
  readonly receivedBytes?: number
  /** As recv, but hands out a borrowed view (valid until the next call on this loop), or null when nothing is there now. Length 0: the peer ended. */
  read(): Uint8Array | null
  /** A `read` that gave less took all there was; missing: it may be more. */
  readonly readBytesMax?: number
  /**
   * Writes from `loop.memory`. Returns how many bytes the kernel (or the world's buffer) took, 0..length. Less than length: `onWritable` follows later.
   * What was taken leaves before the loop waits again. `guarded`: the loop's guard is asked before it does.
   */
  send(offset: number, length: number, guarded?: boolean): number
  /** Writes bytes from anywhere; as send. The bytes are copied or sent before it returns. */
  write(bytes: Uint8Array): number
  pauseReading(): void
  resumeReading(): void
  /** Closes now; what `send` took is still delivered where the world can. Idempotent. */
  close(): void
  /** Closes with a reset (nothing pending is delivered). Idempotent. */
  destroy(): void
  readonly closed: boolean
}

export interface Listener {
  /** The real port, when 0 was asked. */
  readonly port: number
  /** For a listener with `tls`: connections from now on get these certificates. */
  renew?(tls: TlsSettings): void
  close(): void
}

export interface ListenOptions {
  host: string
  port: number
  /** A unix socket at this path, instead of host and port. The path must be free. */
  path?: string
  /** Datagrams instead of connections, each of them as a connection of its own (udp.ts). Net only. */
  udp?: boolean
  /** Every connection is a TLS one. Net only. */
  tls?: TlsSettings
  /** An IPv6 address takes no IPv4 connections, so that both may have the port. */
  ipv6Only?: boolean
  /** Several loops (threads) of this process share the port. See each world for how. */
  shared?: boolean
  /** With `shared`: another thread of this process holds the port already, so that it is taken is no surprise. */
  joins?: boolean
  /** With `shared` on the net loop, or with `path`: listen on this descriptor, which another thread of the process already bound. */
  fd?: number
  backlog?: number
}

export interface Loop {
  readonly kind: LoopKind
  readonly memory: Uint8Array
  /** Monotonic milliseconds (fractions allowed), read once per turn. */
  now(): number
  /** Monotonic milliseconds as of this very moment, by a clock that all threads of the process share; for fencing (lib/server/fence.ts). */
  clock(): number
  /** Unix time in seconds, fractions allowed, read once per turn. */
  wallClock(): number
  setTimer(afterMs: number, callback: () => void): Timer
  clearTimer(timer: Timer): void
  /** `onListening` or `onError` is called once, later. `onError` gets a plain sentence ("port 11211 on 127.0.0.1 is taken"). */
  listen(
    options: ListenOptions,
    onConnection: (connection: Connection) => ConnectionHandler,
    onListening: (listener: Listener) => void,
    onError: (sentence: string) => void,
  ): void
  connect(to: Address, handler: ConnectionHandler): Connection
  /** Calls `wake` on this loop's thread soon after another thread called the function that `waker()` describes. See epoll.ts. */
  onWake(wake: () => void): void
  /** By a loop that holds sends back: asked right before guarded ones leave; false: they do not, and their connections are closed. */
  guardSends(mayLeave: () => boolean): void
  /**
   * By a loop that receives for several connections before it tells the first of them: `one` is told where in `memory` each one's bytes
   * lie, then `all` is called, then the connections are told.
   */
  onAhead(one: (offset: number, length: number) => void, all: () => void): void
  /** Runs `task` after the current callback returned, before the loop waits again. */
  soon(task: () => void): void
  /** Runs until `stop()`. For `net` it returns at once, as Node's own loop runs; for `epoll` it blocks the thread; `simulated` is run by its world. */
  run(): void
  /** Closes all listeners and connections and ends `run`. */
  stop(): void
}
