/**
 * A ring and the nodes behind it: finds the node of a key, or, where the tier allows it, the next one that is up. New server
 * lists replace ring and nodes in one step; nodes that are in both lists keep their connections.
 */
import { Ring, type RingOptions, type RingServer } from '../ketama/index.js'
import { ClientError } from './errors.js'
import type { Key } from './key.js'
import { Node, type NodeSettings, type NodeWatcher } from './node.js'
import type { Request, Router } from './request.js'
import type { Sweeper } from './sweeper.js'

export interface PoolSettings {
  node: NodeSettings
  /** Keys of an ejected node go to the next one of the ring. */
  failover: boolean
}

export class Pool implements Router {
  readonly #settings: PoolSettings
  readonly #watcher: NodeWatcher
  readonly #sweeper: Sweeper
  #ring: Ring
  #nodes: Node[]
  #closed = false
  failover: boolean

  /** Throws a RingError for servers or options that make no ring. */
  constructor(
    servers: readonly RingServer[],
    ring: RingOptions,
    settings: PoolSettings,
    watcher: NodeWatcher,
    sweeper: Sweeper,
  ) {
    this.#settings = settings
    this.#watcher = watcher
    this.#sweeper = sweeper
    this.failover = settings.failover
    this.#ring = new Ring(servers, ring)
    this.#nodes = servers.map(server => this.#node(server))
  }

  get ring(): Ring {
    return this.#ring
  }

  get nodes(): readonly Node[] {
    return this.#nodes
  }

  /** Throws a RingError, and changes nothing then. */
  setServers(servers: readonly RingServer[], ring: RingOptions): void {
    if (this.#closed) return
    const next = new Ring(servers, ring)
    const kept = new Map(this.#nodes.map(node => [node.name, node]))
    this.#nodes = servers.map(server => {
      const name = `${server.host}:${server.port}`
      const node = kept.get(name) ?? this.#node(server)
      kept.delete(name)
      return node
    })
    this.#ring = next
    for (const node of kept.values()) node.retire()
  }

  /** The node to ask for a key; null: it is ejected, and nobody stands in. */
  nodeFor(key: Key): Node | null {
    const node = this.#nodes[this.#ring.indexOf(key)]!
    return node.isUp ? node : this.#standIn(key)
  }

  /** As `nodeFor`; the owner itself if nobody stands in. */
  nodeOrOwner(key: Key): Node {
    const node = this.ownerOf(key)
    return node.isUp ? node : (this.#standIn(key) ?? node)
  }

  /** The owner, whatever its state. */
  ownerOf(key: Key): Node {
    return this.#nodes[this.#ring.indexOf(key)]!
  }

  route(request: Request<unknown>): void {
    const { whole } = request.key!
    const node = this.#closed ? null : this.nodeFor(whole)
    if (node) node.send(request)
    else if (this.#closed) request.reject(new ClientError('CLIENT_CLOSED', 'the client is closed'))
    else request.reject(this.ownerOf(whole).ejectedError())
  }

  /** Resolves when every reply that is under way has come, or has been given up. */
  async drain(): Promise<void> {
    while (this.#nodes.some(node => !node.isIdle))
      await new Promise(resolve => setTimeout(resolve, this.#sweeper.tickMs))
  }

  destroy(): void {
    this.#closed = true
    for (const node of this.#nodes) node.destroy()
  }

  #standIn(key: Key): Node | null {
    if (!this.failover) return null
    for (const server of this.#ring.successors(key, this.#nodes.length - 1)) {
      const node = this.#nodes[this.#ring.servers.indexOf(server)]!
      if (node.isUp) return node
    }
    return null
  }

  #node(server: RingServer): Node {
    return new Node(server, this.#settings.node, this.#watcher, this.#sweeper)
  }
}
