/** The client: a namespace (perhaps the empty one) with a life, events, and what is asked of nodes instead of keys. */
import type { Ring } from '../ketama/index.js'
import type { CallOptions } from './calls.js'
import { type ClientEvents, Core } from './core.js'
import { ClientError, PartialError } from './errors.js'
import { Namespace } from './namespace.js'
import type { Node } from './node.js'
import type { ClientOptions } from './options.js'
import type { Request } from './request.js'
import { flushRequest, StatsRequest, versionRequest } from './requests/node.js'

export class Client<Value = unknown> extends Namespace<Value> {
  readonly #core: Core<Value>

  /** Connects when it is first used. Throws a ClientError or a RingError for options that make no client. */
  constructor(options: ClientOptions<Value> = {}) {
    const core = new Core(options)
    super(core, options.namespace ?? '')
    this.#core = core
  }

  // --- life

  /** Resolves when every node is connected; rejects with why one is not. Not needed before use. */
  async connect(): Promise<void> {
    await this.#core.refresh()
    await this.version()
  }

  /** Calls from now on are rejected; resolves when those under way have ended and the connections are closed. */
  close(): Promise<void> {
    return this.#core.close()
  }

  /** Closes at once: calls under way are rejected with CLIENT_CLOSED. */
  destroy(): void {
    this.#core.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  on<Event extends keyof ClientEvents>(event: Event, listener: (...args: ClientEvents[Event]) => void): this {
    this.#core.events.on(event, listener as (...args: unknown[]) => void)
    return this
  }

  once<Event extends keyof ClientEvents>(event: Event, listener: (...args: ClientEvents[Event]) => void): this {
    this.#core.events.once(event, listener as (...args: unknown[]) => void)
    return this
  }

  off<Event extends keyof ClientEvents>(event: Event, listener: (...args: ClientEvents[Event]) => void): this {
    this.#core.events.off(event, listener as (...args: unknown[]) => void)
    return this
  }

  // --- the fleet

  /** The ring in force. */
  get ring(): Ring {
    return this.#core.store.pool.ring
  }

  /** `host:port` of each node, whether it is trusted, and whether it is connected. */
  get nodes(): { name: string; isUp: boolean; isConnected: boolean }[] {
    return this.#core.store.pool.nodes.map(({ name, isUp, isConnected }) => ({ name, isUp, isConnected }))
  }

  /** Asks for the server list now; nothing without `discovery`. */
  refresh(): Promise<void> {
    return this.#core.refresh()
  }

  /** Empties every node, now or in so many seconds. All namespaces: memcached knows nothing of them. */
  async flush(delaySec = 0, options?: CallOptions): Promise<void> {
    if (!Number.isInteger(delaySec) || delaySec < 0) {
      throw new ClientError('BAD_TTL', `a delay of ${delaySec}: it must be a whole number of seconds from 0 on`)
    }
    await this.#ofEach(() => flushRequest(delaySec), options)
  }

  /** `stats`, or `stats <what>`, of each node: names and values as memcached writes them. */
  async stats(what = '', options?: CallOptions): Promise<Map<string, Map<string, string>>> {
    if (!/^[\w ]*$/.test(what)) throw new ClientError('BAD_OPTIONS', `"${what}" is no kind of stats`)
    return this.#ofEach(() => new StatsRequest(what), options)
  }

  /** Version of each node. */
  async version(options?: CallOptions): Promise<Map<string, string>> {
    const lines = await this.#ofEach(versionRequest, options)
    return new Map([...lines].map(([node, line]) => [node, line.slice('VERSION '.length)]))
  }

  async #ofEach<Result>(make: () => Request<Result>, options: CallOptions | undefined): Promise<Map<string, Result>> {
    const { store, calls } = this.#core
    const errors: unknown[] = []
    const results = new Map<string, Result>()
    const one = async (node: Node) => {
      try {
        results.set(node.name, await calls.toNode(node, make(), options))
      } catch (error) {
        errors.push(error)
      }
    }
    const { nodes } = store.pool
    await Promise.all(nodes.map(one))
    if (errors.length === 0) return results
    if (nodes.length === 1) throw errors[0]
    const why = errors[0] instanceof Error ? errors[0].message : String(errors[0])
    throw new PartialError(`${errors.length} of ${nodes.length} nodes failed: ${why}`, results, errors)
  }
}
