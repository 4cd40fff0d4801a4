/**
 * Follows the server list that the servers themselves tell: a Continuum tier's (with its dialect, points and weights), or
 * ElastiCache's `config get cluster` (names and ports alone). Asks again and again, and at once when a connection is lost.
 * A list that cannot be had or read changes nothing.
 */
import type { Dialect, RingOptions, RingServer } from '../ketama/index.js'
import { parseClusterConfig, parseTierConfig } from '../protocol/index.js'
import type { Node } from './node.js'
import { ConfigRequest } from './requests/node.js'

export interface Discovered {
  /** The tier's epoch, or the version of the cluster configuration; grows with every change. */
  version: number
  servers: RingServer[]
  /** What a tier says of its ring; nothing for other fleets. */
  ring: RingOptions
  isTier: boolean
}

export interface DiscoveryWatcher {
  /** Nodes to ask, in order of preference. */
  nodes(): readonly Node[]
  ask(node: Node, request: ConfigRequest): Promise<string | null>
  /** Throws if it cannot be used. */
  onDiscovered(found: Discovered): void
  onDiscoveryError(error: unknown): void
}

/** Lost connections come in swarms: they cause one question in this time. */
const SOON_MS = 20

export class Discovery {
  readonly #watcher: DiscoveryWatcher
  readonly #intervalMs: number
  #timer: NodeJS.Timeout | null = null
  #soon = false
  #asking: Promise<boolean> | null = null
  #version = -1
  #stopped = false

  constructor(watcher: DiscoveryWatcher, intervalMs: number) {
    this.#watcher = watcher
    this.#intervalMs = intervalMs
  }

  start(): void {
    this.#schedule(0)
  }

  /** Something has changed, perhaps the list. */
  hint(): void {
    if (this.#stopped || this.#soon) return
    this.#soon = true
    this.#schedule(SOON_MS)
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
  }

  /** Asks now; true: a list was found, new or not. */
  now(): Promise<boolean> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null
      this.#soon = false
      this.#schedule(this.#intervalMs)
    })
    return this.#asking
  }

  #schedule(ms: number): void {
    if (this.#timer) clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(() => void this.now(), ms)
    this.#timer.unref()
  }

  async #ask(): Promise<boolean> {
    let last: unknown = null
    for (const node of shuffled(this.#watcher.nodes())) {
      if (this.#stopped) return false
      try {
        const found = await this.#askNode(node)
        if (!found) continue
        if (found.version > this.#version) {
          this.#watcher.onDiscovered(found)
          this.#version = found.version
        }
        return true
      } catch (error) {
        last = error
      }
    }
    if (!this.#stopped) this.#watcher.onDiscoveryError(last ?? new Error('no server tells a server list'))
    return false
  }

  /** A node that enters a tier between two questions is asked the first one again: it has a server list only with its ring. */
  async #askNode(node: Node): Promise<Discovered | null> {
    const known = await this.#askTier(node)
    if (known) return known
    const cluster = await this.#watcher.ask(node, new ConfigRequest('cluster'))
    if (cluster === null) return null
    return (await this.#askTier(node)) ?? { ...parseClusterConfig(cluster), ring: {}, isTier: false }
  }

  async #askTier(node: Node): Promise<Discovered | null> {
    const tier = await this.#watcher.ask(node, new ConfigRequest('continuum'))
    if (tier === null) return null
    const { epoch, servers, dialect, pointsPerServer } = parseTierConfig(tier)
    return { version: epoch, servers, ring: { dialect: dialect as Dialect, pointsPerServer }, isTier: true }
  }
}

/** Nodes that are up first, in random order, so that clients do not all ask the same one. */
function shuffled(nodes: readonly Node[]): Node[] {
  return nodes
    .map(node => ({ node, order: (node.isUp ? 0 : 1) + Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ node }) => node)
}
