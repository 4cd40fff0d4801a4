/**
 * Sends requests for a client: gives them their deadline, hears their signal, and tells diagnostics_channel about them if
 * anybody listens there. Knows nothing of keys' meaning or values.
 */
import { tracingChannel } from 'node:diagnostics_channel'
import { ClientError } from './errors.js'
import type { Node } from './node.js'
import type { Pool } from './pool.js'
import type { Request } from './request.js'
import type { Sweeper } from './sweeper.js'

export interface CallOptions {
  /** Instead of the client's. */
  timeoutMs?: number
  /** Ends the waiting; what was sent may still be carried out. */
  signal?: AbortSignal
}

/** Of the messages on `tracing:continuum-cache.client:*`: start, end, asyncStart, asyncEnd, error. */
export interface TraceContext {
  command: string
  /** With its namespace; null for calls to nodes and for many keys. */
  key: string | Uint8Array | null
  /** `host:port`; the last one asked. */
  readonly node: string | null
}

const tracing = tracingChannel<unknown, TraceContext>('continuum-cache.client')
const { start, end, asyncStart, asyncEnd, error } = tracing
const isTraced = (): boolean =>
  start.hasSubscribers ||
  end.hasSubscribers ||
  asyncStart.hasSubscribers ||
  asyncEnd.hasSubscribers ||
  error.hasSubscribers

const routing =
  <Result>(pool: Pool, request: Request<Result>) =>
  () =>
    pool.route(request as Request<unknown>)
const sending =
  <Result>(node: Node, request: Request<Result>) =>
  () =>
    node.send(request as Request<unknown>)

export class Calls {
  readonly #sweeper: Sweeper
  readonly #timeoutTicks: number
  #closed = false

  constructor(sweeper: Sweeper, timeoutMs: number) {
    this.#sweeper = sweeper
    this.#timeoutTicks = sweeper.ticks(timeoutMs)
  }

  close(): void {
    this.#closed = true
  }

  /**
   * To the node of its key; again elsewhere if that is right. No closure about the request is on the way, as an error's
   * stack holds the functions it came through: whoever kept errors would keep the values of refused writes.
   */
  toOwner<Result>(pool: Pool, request: Request<Result>, options: CallOptions | undefined): Promise<Result> {
    if (!this.#prepare(request, options)) return request.promise
    request.router = pool
    if (isTraced()) return this.#traced(request, routing(pool, request))
    pool.route(request as Request<unknown>)
    return request.promise
  }

  toNode<Result>(node: Node, request: Request<Result>, options: CallOptions | undefined): Promise<Result> {
    if (!this.#prepare(request, options)) return request.promise
    if (isTraced()) return this.#traced(request, sending(node, request))
    node.send(request as Request<unknown>)
    return request.promise
  }

  /** False: it is settled already. */
  #prepare<Result>(request: Request<Result>, options: CallOptions | undefined): boolean {
    let ticks = this.#timeoutTicks
    if (options !== undefined) {
      const { timeoutMs, signal } = options
      if (timeoutMs !== undefined) {
        if (!(timeoutMs > 0)) throw new ClientError('BAD_OPTIONS', `timeoutMs is ${timeoutMs}: it must be above 0`)
        ticks = this.#sweeper.ticks(timeoutMs)
      }
      if (signal && !this.#hear(request, signal)) return false
    }
    if (this.#closed) {
      request.reject(new ClientError('CLIENT_CLOSED', 'the client is closed'))
      return false
    }
    request.timeoutTicks = ticks
    request.deadline = this.#sweeper.tick + ticks + 1
    return true
  }

  #hear<Result>(request: Request<Result>, signal: AbortSignal): boolean {
    if (signal.aborted) {
      request.reject(signal.reason)
      return false
    }
    const onAbort = () => {
      if (!request.settled) request.reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const forget = () => signal.removeEventListener('abort', onAbort)
    request.promise.then(forget, forget)
    return true
  }

  #traced<Result>(request: Request<Result>, send: () => void): Promise<Result> {
    const context: TraceContext = {
      command: request.command,
      key: request.key?.whole ?? null,
      get node() {
        return request.node ? `${request.node.host}:${request.node.port}` : null
      },
    }
    return tracing.tracePromise(() => {
      send()
      return request.promise
    }, context)
  }
}
