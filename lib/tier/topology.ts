/**
 * The topology document: everything a tier has agreed on, as plain JSON. One writer at a time by compare-and-set
 * (see store.ts); every change of the ring is made by the controller (controller.ts), one at a time; outages and returns of
 * nodes (absence.ts) make generations of their own beside it.
 *
 *   wishes (changes: queued) --controller--> a new generation (changes: running) --all takers settled--> retired (changes: done)
 */
import { type Dialect, POINTS_MAX } from '../ketama/index.js'
import type { TierConfig } from '../protocol/index.js'
import type { Fencing } from './fencing.js'

export type NodeState = 'joining' | 'up' | 'away' | 'returning' | 'draining' | 'gone'

export interface TierNode {
  id: string
  /** Names the node in route tables: small, unique, never reused. */
  number: number
  host: string
  port: number
  peerHost: string
  /** Control links (handoff); --peer-port. */
  peerPort: number
  /** Data links (forwarded requests). */
  dataPort: number
  weight: number
  /** Drawn by the node at every start; decimal. */
  incarnation: string
  state: NodeState
  /** What the node is vouched for as (fencing.ts); 0 when it is not there. */
  session?: number
  /** The node has said that it acts by a lease alone, in the period of fencing that began with this term. Only then can it be declared away. */
  fenced?: number
  /** It is suspected: voters promise not to vouch for its session any more. `since` in Unix seconds. */
  declaring?: { since: number; reason: string }
  /** It can leave what it holds in a file when it is stopped (-e and --data-dir). */
  keeps?: boolean
  /** It steps aside, or did, and leaves what it holds in a file: the life that does (kept-memory.ts). `isVoid`: that must not come back. */
  kept?: { incarnation: string; isVoid?: boolean }
  /** It stepped aside: weight that it gets back when it starts again. */
  aside?: number
  /** It is away since a generation; `since` in Unix seconds, for people. Who stands in is computed: see standIns in actors.ts. */
  away?: { epoch: number; since: number; reason: string }
}

/** One ring configuration. `servers` in the order that decides ties; only nodes of weight > 0. */
export interface Generation {
  epoch: number
  servers: { number: number; host: string; port: number; weight: number }[]
  /** Numbers of nodes declared away. They may have left `servers`, and be needed for an older generation still. */
  away: number[]
  /** Numbers of nodes that were given up while they were away: what only they knew is lost, and nobody waits for it. */
  lost?: number[]
}

export interface Change {
  /** 1, 2, 3 ... in the order asked. */
  id: number
  kind: 'join' | 'drain' | 'reweight' | 'away' | 'back'
  node: string
  weight: number
  state: 'queued' | 'running' | 'done'
  /** Generation that carries it, once running. */
  epoch?: number
  /** Numbers of the nodes that gain arcs by it, and those of them that have taken everything. */
  takers?: number[]
  settled?: number[]
  /** A drain of a node that is away: its memory is abandoned. */
  givenUp?: boolean
}

export interface Topology {
  format: 1
  tier: string
  dialect: Dialect
  pointsPerServer: number
  /** Epoch of the newest generation; 0 = no ring yet. */
  epoch: number
  nodes: TierNode[]
  /** Unretired generations, ascending: the last has `epoch`; the first is settled. */
  generations: Generation[]
  /** The last 100 changes and all unfinished ones. */
  changes: Change[]
  /** Not there, or not active: nothing is fenced, and no node can be declared away. */
  fencing?: Fencing
}

/** Bounds of a document; what is over them is refused with a sentence or, for finished changes, forgotten. */
export const WEIGHT_MAX = 1_000_000
/** In the dialect `continuum` a weight is a number of points, and a full tier must stay below the 2^24 of a ring. */
export function weightMax({ dialect, pointsPerServer }: Pick<Topology, 'dialect' | 'pointsPerServer'>): number {
  return dialect === 'continuum' ? Math.floor(POINTS_MAX / (NODES_MAX * pointsPerServer)) : WEIGHT_MAX
}
export const CHANGES_KEPT_MAX = 100
export const NODES_MAX = 1000
/** Route tables name owners in 16 bits. */
export const NODE_NUMBER_MAX = 65_535
/** Versions carry the epoch in 20 bits (DESIGN 1). */
export const EPOCH_MAX = (1 << 20) - 1

export function emptyTopology(
  tier: string,
  dialect: Dialect = 'libmemcached-weighted',
  pointsPerServer = 160,
): Topology {
  return { format: 1, tier, dialect, pointsPerServer, epoch: 0, nodes: [], generations: [], changes: [] }
}

export function nodeOf(topology: Topology, id: string): TierNode | undefined {
  return topology.nodes.find(node => node.id === id)
}

export function currentGeneration(topology: Topology): Generation | undefined {
  return topology.generations.at(-1)
}

/** What `config get continuum` says: the newest ring, as a client needs it; null before the first. */
export function tierConfigOf(topology: Topology): TierConfig | null {
  const newest = currentGeneration(topology)
  if (!newest) return null
  const servers = newest.servers.map(({ host, port, weight }) => ({ host, port, weight }))
  return { epoch: newest.epoch, dialect: topology.dialect, pointsPerServer: topology.pointsPerServer, servers }
}

/** Changes of the ring, one of which runs at a time. */
export function isRingChange({ kind }: Pick<Change, 'kind'>): boolean {
  return kind !== 'away' && kind !== 'back'
}

/** The change of the ring that is running; outages and returns go on beside it. */
export function runningChange(topology: Topology): Change | undefined {
  return topology.changes.find(change => change.state === 'running' && isRingChange(change) && !change.givenUp)
}

export function runningChanges(topology: Topology): Change[] {
  return topology.changes.filter(change => change.state === 'running')
}

/** Changes of a node that are not done, in the order asked. */
export function unfinishedChanges(topology: Topology, id: string): Change[] {
  return topology.changes.filter(change => change.node === id && change.state !== 'done')
}

/** Weight of a node in the newest ring; 0 when it is not in it. */
export function ringWeight(topology: Topology, number: number): number {
  return currentGeneration(topology)?.servers.find(server => server.number === number)?.weight ?? 0
}

/** Is the node part of any ring that is not retired: if so, its client address must not change. */
export function inSomeRing(topology: Topology, number: number): boolean {
  return topology.generations.some(({ servers }) => servers.some(server => server.number === number))
}

/** The whole tier has settled: at most one generation is left, and no change is on its way. */
export function isSettled(topology: Topology): boolean {
  return topology.generations.length <= 1 && runningChanges(topology).length === 0
}

/** Unfinished changes stay; of the finished ones the newest, so that the document does not grow with the tier's age. */
export function boundedChanges(changes: Change[]): Change[] {
  const done = changes.filter(change => change.state === 'done')
  const dropped = new Set(done.slice(0, Math.max(0, done.length - CHANGES_KEPT_MAX)))
  return changes.filter(change => !dropped.has(change))
}
