/**
 * What all namespaces of one client share: nodes and rings, the clock of deadlines, discovery, and whom to tell what happens.
 *
 *   Client, Namespace --> Core --> Store (now) --> Pool --> Node --> Connection
 *                           \----> Store (before): a previous server list
 */
import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { RingOptions, RingServer } from '../ketama/index.js'
import { Calls } from './calls.js'
import { Codec } from './codec.js'
import { type Discovered, Discovery } from './discovery.js'
import { ClientError } from './errors.js'
import { Leases } from './lease.js'
import type { Node, NodeWatcher } from './node.js'
import { type ClientOptions, type Settings, settingsOf } from './options.js'
import { Pool } from './pool.js'
import { Previous } from './previous.js'
import type { ConfigRequest } from './requests/node.js'
import { type Serializer, typed } from './serializer.js'
import { Store } from './store.js'
import { Sweeper } from './sweeper.js'

/** `node` is `host:port`. */
export interface ClientEvents {
  /** A connection is ready. */
  connect: [node: string]
  /** A connection that was ready is lost. */
  disconnect: [node: string, error: ClientError]
  /** The node is left alone until a probe succeeds. */
  eject: [node: string, error: ClientError]
  /** A probe has succeeded. */
  rejoin: [node: string]
  /** Discovery found another server list; it is in force. */
  servers: [servers: readonly RingServer[]]
  /** No server told a server list, or none that can be used. The old one stays. */
  discoveryError: [error: unknown]
}

/** On the channel `continuum-cache.client:node`: the same events for tools. */
export interface NodeMessage {
  event: 'connect' | 'disconnect' | 'eject' | 'rejoin'
  node: string
  error?: ClientError
}

const nodeChannel = channel('continuum-cache.client:node')

export class Core<Value> implements NodeWatcher {
  readonly settings: Settings
  readonly ttl: ClientOptions['ttl']
  /** Of ClientEvents; Client says so in its types. */
  readonly events = new EventEmitter()
  readonly calls: Calls
  readonly store: Store<Value>
  readonly leases: Leases<Value>
  readonly previous: Previous<Value> | null
  readonly #sweeper: Sweeper
  readonly #pools: Pool[]
  readonly #discovery: Discovery | null
  #closing: Promise<void> | null = null

  /** Throws a ClientError or a RingError for options that make no client. */
  constructor(options: ClientOptions<Value>) {
    this.settings = settingsOf(options)
    this.ttl = options.ttl
    const { settings } = this
    const { node, previous } = settings
    this.#sweeper = new Sweeper(node.timeoutMs)
    this.calls = new Calls(this.#sweeper, node.timeoutMs)
    const codec = new Codec<Value>(
      options.serializer ?? (typed as unknown as Serializer<Value>),
      settings.compression,
      node.valueBytesMax,
    )
    const pool = this.#pool(settings.servers, settings.ring)
    this.store = new Store(pool, codec, this.calls)
    this.leases = new Leases(this.store)
    this.#pools = [pool]
    this.previous = null
    if (previous) {
      const before = this.#pool(previous.servers, previous.ring)
      this.#pools.push(before)
      this.previous = new Previous(this.store, new Store(before, codec, this.calls), previous.ttlIfUnknown)
    }
    this.#discovery = settings.discoveryMs === null ? null : this.#discover(settings.discoveryMs)
    this.#discovery?.start()
  }

  /** Asks for the server list now, if discovery is on. */
  async refresh(): Promise<void> {
    await this.#discovery?.now()
  }

  /** Calls from now on are rejected; those under way may end. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  destroy(): void {
    this.calls.close()
    this.#discovery?.stop()
    for (const pool of this.#pools) pool.destroy()
    this.#sweeper.stop()
  }

  async #close(): Promise<void> {
    this.calls.close()
    this.#discovery?.stop()
    await Promise.all(this.#pools.map(pool => pool.drain()))
    this.destroy()
  }

  // --- what nodes say

  onConnect(node: Node): void {
    this.#tell({ event: 'connect', node: node.name })
  }

  onDisconnect(node: Node, error: ClientError): void {
    this.#tell({ event: 'disconnect', node: node.name, error })
    this.#discovery?.hint()
  }

  onEject(node: Node, error: ClientError): void {
    this.#tell({ event: 'eject', node: node.name, error })
    this.#discovery?.hint()
  }

  onRejoin(node: Node): void {
    this.#tell({ event: 'rejoin', node: node.name })
  }

  #tell(message: NodeMessage): void {
    const { event, node, error } = message
    if (nodeChannel.hasSubscribers) nodeChannel.publish(message)
    if (event === 'connect' || event === 'rejoin') this.events.emit(event, node)
    else this.events.emit(event, node, error ?? new ClientError('CONNECTION_LOST', `${node} is gone`))
  }

  // --- discovery

  #discover(intervalMs: number): Discovery {
    // The list that was given stays as a way back in: what was discovered may all be gone.
    const seeds = this.#pool(this.settings.servers, this.settings.ring)
    this.#pools.push(seeds)
    return new Discovery(
      {
        nodes: () => [...this.store.pool.nodes, ...seeds.nodes.filter(seed => !this.#isUsed(seed))],
        ask: (node: Node, request: ConfigRequest) => this.calls.toNode(node, request, undefined),
        onDiscovered: found => this.#onDiscovered(found),
        onDiscoveryError: error => void this.events.emit('discoveryError', error),
      },
      intervalMs,
    )
  }

  #isUsed(seed: Node): boolean {
    return this.store.pool.nodes.some(node => node.name === seed.name)
  }

  #onDiscovered({ servers, ring, isTier }: Discovered): void {
    const rules: RingOptions = { ...this.settings.ring, ...ring }
    this.store.pool.setServers(servers, rules)
    if (isTier && this.settings.whenEjected === null) this.store.pool.failover = true
    this.events.emit('servers', this.store.pool.ring.servers)
  }

  #pool(servers: readonly RingServer[], ring: RingOptions): Pool {
    const failover = this.settings.whenEjected === 'next'
    return new Pool(servers, ring, { node: this.settings.node, failover }, this, this.#sweeper)
  }
}
