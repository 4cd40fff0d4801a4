/**
 * What a tier needs of the place where its topology lives: read, compare-and-set, watch, and leases for liveness
 * (DESIGN 10). One implementation so far, `embedded` (embedded-*.ts); `etcd` has its place in the url.
 *
 * Callbacks come on the loop's thread, later, exactly once (`onChange` of a watch: once a change).
 */
import type { Address } from '../transport/loop.js'
import type { Topology } from './topology.js'
import type { PromiseRequest, VouchAnswer, VouchRequest } from './voter.js'

/** `revision` grows by one with every compare-and-set that went through. */
export interface Versioned {
  revision: number
  topology: Topology
}

/** What a living node says about itself with every renewal of its lease; not part of the document. */
export interface NodeStatus {
  incarnation: string
  epoch: number
  /** Grows with every renewal of an incarnation: the heartbeat (detector.ts). */
  beat?: number
  progress?: MigrationProgress[]
  /** What the node keeps for others that are away, or were. */
  hints?: HintsKept[]
}

/** The log of one absent node, as `tier status` shows it. */
export interface HintsKept {
  /** Id of the absent node. */
  home: string
  keys: number
  bytes: number
  oldestAgeMs: number
  state: string
  /** Writes that are not in it, as it overflowed or failed. */
  leftOut: number
  /** Why it must not be believed, and since which generation. */
  lost?: { fromGeneration: number; why: string }
}

/** One source's part of a migration, as its taker sees it. */
export interface MigrationProgress {
  epoch: number
  source: string
  arcs: number
  arcsSettled: number
  keys: number
  bytes: number
  keysPerSec: number
  bytesPerSec: number
  fraction: number
  secondsLeft: number | null
}

export interface TopologyStore {
  read(callback: (error: string | null, value: Versioned | null) => void): void
  compareAndSet(
    expectedRevision: number,
    topology: Topology,
    callback: (error: string | null, done: boolean) => void,
  ): void
  /** First the current value, then every later one (may skip intermediate ones); survives reconnects. Returns the way to end it. */
  watch(onChange: (value: Versioned) => void): () => void
  /**
   * Renews the lease of a node; call every LEASE_MS / 3. The lease also ends when the connection to the store closes.
   * While another incarnation holds the lease, nothing happens: see `statuses`.
   */
  keepAlive(nodeId: string, status: NodeStatus): void
  statuses(callback: (error: string | null, live: Map<string, NodeStatus>) => void): void
  close(): void
}

/** A store that is a voter itself (fencing.ts), and the way by which the controller reaches this node as a voter. */
export interface VotingStore extends TopologyStore {
  /** `refusal` null: the store vouches. */
  vouch(request: VouchRequest, callback: (error: string | null, refusal: VouchAnswer) => void): void
  /** The controller asks this node for a promise; `confirm` once it stands. Asked again until it is confirmed. */
  onPromiseAsked(handler: (request: PromiseRequest, confirm: () => void) => void): void
}

/** The controller's way to the named voters. */
export interface VoterLinks {
  /** Lost when the voter has no link to the store. */
  ask(nodeId: string, request: PromiseRequest): void
  onPromised(handler: (nodeId: string, request: PromiseRequest) => void): void
}

/**
 * How long a node counts as alive after its last renewal. Lower notices a dead host sooner and costs traffic (three
 * messages a lease and node); a process that dies is noticed at once, as its connection closes.
 */
export const LEASE_MS = 3000

export type StoreUrl = { kind: 'embedded'; address: Address; text: string }

/** `embedded://host:port`; anything else is answered by a sentence. */
export function parseStoreUrl(text: string): { ok: true; url: StoreUrl } | { ok: false; sentence: string } {
  if (text.startsWith('etcd://')) {
    return {
      ok: false,
      sentence: `the topology store "${text}" cannot be used yet: etcd comes later, use embedded://host:port`,
    }
  }
  const wrong = { ok: false as const, sentence: `"${text}" is no topology store: give embedded://host:port` }
  if (!text.startsWith('embedded://')) return wrong
  const address = parseAddress(text.slice('embedded://'.length))
  if (address === null || address.port === 0) return wrong
  return { ok: true, url: { kind: 'embedded', address, text } }
}

/** `host:port`, `[::1]:port`; null when it is neither. */
export function parseAddress(text: string): Address | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text)
  if (!match) return null
  const port = Number(match[3])
  return port > 65_535 ? null : { host: (match[1] ?? match[2]) as string, port }
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/i

/** Only what cannot be reached from another machine; used where no secret protects a port. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host)
}
