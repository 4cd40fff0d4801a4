/**
 * The topology document: everything a tier has agreed on, as plain JSON. One writer at a time by compare-and-set
 * (see store.ts); every change of the ring is made by the controller (controller.ts), one at a time.
 *
 *   wishes (changes: queued) --controller--> a new generation (changes: running) --all takers settled--> retired (changes: done)
 */
import type { Dialect } from '../ketama/index.js'

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
}

/** One ring configuration. `servers` in the order that decides ties; only nodes of weight > 0. */
export interface Generation {
  epoch: number
  servers: { number: number; host: string; port: number; weight: number }[]
  /** Numbers of nodes declared away (none before the issue that brings absence). */
  away: number[]
}

export interface Change {
  /** 1, 2, 3 ... in the order asked. */
  id: number
  kind: 'join' | 'drain' | 'reweight'
  node: string
  weight: number
  state: 'queued' | 'running' | 'done'
  /** Generation that carries it, once running. */
  epoch?: number
  /** Numbers of the nodes that gain arcs by it, and those of them that have taken everything. */
  takers?: number[]
  settled?: number[]
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
}
