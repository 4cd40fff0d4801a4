/**
 * One server as the client sees it: its connections, and whether it is trusted.
 *
 *   up --failuresMax failures in a row--> ejected --probe answered--> up
 *
 * A failure is a connection that cannot be made, breaks, or says nothing for the timeout; a greeting that goes through
 * forgets them. While ejected, nothing is sent but probes: a new connection, and a real request on it.
 */
import type { RingServer } from '../ketama/index.js'
import { backoffMs } from './backoff.js'
import { Connection, type ConnectionOwner, type ConnectionSettings } from './connection.js'
import { ClientError } from './errors.js'
import type { Request } from './request.js'
import type { Sweeper } from './sweeper.js'

export interface NodeSettings extends ConnectionSettings {
  connections: number
  failuresMax: number
  backoffMinMs: number
  backoffMaxMs: number
}

/** What happens to nodes, for the client's events. */
export interface NodeWatcher {
  onConnect(node: Node): void
  onDisconnect(node: Node, error: ClientError): void
  onEject(node: Node, error: ClientError): void
  onRejoin(node: Node): void
}

export class Node implements ConnectionOwner {
  readonly server: RingServer
  readonly #settings: NodeSettings
  readonly #watcher: NodeWatcher
  readonly #connections: Connection[]
  #ejected = false
  #failures = 0
  #probes = 0
  #lastError: ClientError | null = null
  #closed = false
  readonly #timers = new Map<Connection, NodeJS.Timeout>()

  constructor(server: RingServer, settings: NodeSettings, watcher: NodeWatcher, sweeper: Sweeper) {
    this.server = server
    this.#settings = settings
    this.#watcher = watcher
    this.#connections = Array.from(
      { length: settings.connections },
      () => new Connection(server, settings, this, sweeper),
    )
  }

  get name(): string {
    return `${this.server.host}:${this.server.port}`
  }

  /** Trusted: requests are sent to it. */
  get isUp(): boolean {
    return !this.#ejected
  }

  get isConnected(): boolean {
    return this.#connections.some(({ state }) => state === 'ready')
  }

  /** Meta commands are known to it; null before the first connection. */
  get meta(): boolean | null {
    return this.#connections.find(({ state }) => state === 'ready')?.meta ?? null
  }

  /** Why it is not trusted. */
  ejectedError(): ClientError {
    const last = this.#lastError
    if (last?.code === 'AUTH_FAILED') return last
    const why = last ? `: ${last.message}` : ''
    return new ClientError(
      'NODE_EJECTED',
      `${this.name} is left alone for a while${why}`,
      this.server,
      last ?? undefined,
    )
  }

  send(request: Request<unknown>): void {
    if (this.#closed || this.#ejected) {
      request.fail(this.#closed ? this.#closedError() : this.ejectedError(), false)
      return
    }
    const connection = this.#leastLoaded()
    connection.send(request)
    if (connection.state === 'closed' && !this.#timers.has(connection)) connection.open(false)
  }

  /** Opens the first connection, if there is none. */
  connect(): void {
    const connection = this.#connections[0]!
    if (!this.#closed && connection.state === 'closed' && !this.#timers.has(connection)) connection.open(this.#ejected)
  }

  /** Replies that are under way still come; what waits is given to the router again. */
  retire(): void {
    if (this.#closed) return
    this.#close()
    for (const connection of this.#connections) {
      const waiting = connection.takeWaiting()
      connection.end()
      for (const request of waiting) request.fail(this.#closedError(), false)
    }
  }

  /** Everything under way fails. */
  destroy(): void {
    this.#close()
    const error = this.#closedError()
    for (const connection of this.#connections) {
      for (const request of connection.takeWaiting()) request.reject(error)
      connection.destroy(error)
    }
  }

  get isIdle(): boolean {
    return this.#connections.every(({ isIdle }) => isIdle)
  }

  // --- what connections say

  onReady(): void {
    this.#failures = 0
    this.#probes = 0
    this.#lastError = null
    this.#watcher.onConnect(this)
    if (!this.#ejected) return
    this.#ejected = false
    this.#watcher.onRejoin(this)
  }

  onLost(connection: Connection, error: ClientError, wasReady: boolean, wasIdle: boolean): void {
    this.#lastError = error
    if (wasReady) this.#watcher.onDisconnect(this, error)
    if (this.#closed) {
      for (const request of connection.takeWaiting()) request.fail(error, false)
      return
    }
    this.#failures++
    if (this.#ejected) this.#later(connection, this.#backoff(++this.#probes), true)
    else if (this.#failures >= this.#settings.failuresMax || error.code === 'AUTH_FAILED') this.#eject(error)
    // An idle connection may be closed by its server: the next request opens it. A busy one is in trouble: find out whether it lasts.
    else if (!wasIdle) this.#later(connection, this.#failures === 1 ? 0 : this.#backoff(this.#failures - 1), false)
  }

  #eject(error: ClientError): void {
    this.#ejected = true
    this.#probes = 1
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
    this.#watcher.onEject(this, error)
    const refused = this.ejectedError()
    const waiting = this.#connections.flatMap(connection => connection.takeWaiting())
    for (const connection of this.#connections) connection.destroy(refused)
    this.#later(this.#connections[0]!, this.#backoff(1), true)
    for (const request of waiting) request.fail(refused, false)
  }

  #later(connection: Connection, ms: number, probe: boolean): void {
    const timer = setTimeout(() => {
      this.#timers.delete(connection)
      if (!this.#closed) connection.open(probe)
    }, ms)
    // Probes alone keep no process alive.
    if (probe) timer.unref()
    this.#timers.set(connection, timer)
  }

  #backoff(attempt: number): number {
    return backoffMs(attempt, this.#settings.backoffMinMs, this.#settings.backoffMaxMs)
  }

  #leastLoaded(): Connection {
    let best = this.#connections[0]!
    for (let i = 1; i < this.#connections.length && best.load > 0; i++) {
      const other = this.#connections[i]!
      if (other.load < best.load) best = other
    }
    return best
  }

  #close(): void {
    this.#closed = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  #closedError(): ClientError {
    return new ClientError('CLIENT_CLOSED', `${this.name} is not used any more`, this.server)
  }
}
