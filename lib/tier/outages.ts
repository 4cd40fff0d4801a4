/**
 * What the controller finds out about absent nodes, between two documents: who is silent (detector.ts), what the voters have
 * promised (declaration.ts), and from both what nextTopology wants to know. Pure; `now` is the controller's monotonic clock.
 *
 *   awayAfterMs |------ suspectAfterMs: silence ------|- promises -|---- leaseMs, with drift ----|   published
 *               0                                    50%          60%                          100%
 */
import type { Findings } from './absence.js'
import { whyNotDeclared } from './absence.js'
import { Declarations } from './declaration.js'
import { Detector, type Finding } from './detector.js'
import { fencingOf, LEASE_MAX_MS, LEASE_MIN_MS, sessionOf } from './fencing.js'
import type { NodeStatus } from './store.js'
import type { Topology } from './topology.js'
import type { PromiseRequest } from './voter.js'
import type { VotersWanted } from './voters.js'

type Live = ReadonlyMap<string, NodeStatus>

export interface Question {
  voter: number
  request: PromiseRequest
}

const SUSPECT_PART = 0.5
const LEASE_PART = 0.4

/**
 * Default of --away-after, ms: half of it is silence, two fifths the lease. Lower ends an outage sooner, and takes nodes that are slow for dead ones.
 */
export const AWAY_AFTER_DEFAULT_MS = 5000
/** Bounds of --away-after, ms. */
export const AWAY_AFTER_MIN_MS = LEASE_MIN_MS / LEASE_PART
export const AWAY_AFTER_MAX_MS = LEASE_MAX_MS / LEASE_PART

export class Outages {
  readonly #awayAfterMs: number
  readonly #detector: Detector
  readonly #declarations = new Declarations()
  /** Nodes whose outage was told to the detector, by the epoch of it. */
  readonly #told = new Map<number, number>()

  /** 0: no node is ever declared away. */
  constructor(awayAfterMs: number) {
    this.#awayAfterMs = awayAfterMs
    const suspectAfterMs = awayAfterMs * SUSPECT_PART
    this.#detector = new Detector({ suspectAfterMs, jumpMs: suspectAfterMs / 2 })
  }

  get leaseMs(): number {
    return Math.round(this.#awayAfterMs * LEASE_PART)
  }

  /** Is there anything to look at? Also when it was switched off and the document still has something of it. */
  concerns(topology: Topology): boolean {
    return this.#awayAfterMs > 0 || fencingOf(topology) !== null
  }

  /** Listens, looks, asks. `sentences` are for the log. */
  look(topology: Topology, live: Live, now: number): { sentences: string[]; questions: Question[] } {
    this.#hear(topology, live, now)
    const found = this.#detector.look(now)
    const sentences = found.map(finding => this.#sentence(topology, finding)).filter(text => text !== null)
    return { sentences, questions: this.#declarations.ask(topology, now) }
  }

  promised(topology: Topology, voter: number, request: PromiseRequest, now: number): void {
    this.#declarations.promised(topology, voter, request, now)
  }

  /** For nextTopology. */
  inputs(topology: Topology, live: Live, now: number, wallClock: number): { findings: Findings; voters: VotersWanted } {
    const isOn = this.#awayAfterMs > 0
    return {
      findings: {
        wallClock,
        isOn,
        suspicion: node => {
          if (!isOn || this.#detector.opinion(node) === 'alive') return null
          return `not heard for ${(this.#detector.silentMs(node, now) / 1000).toFixed(1)} s`
        },
        isOver: (node, session) => isOn && this.#declarations.isOver(topology, node, session, now),
        mayReturn: node =>
          live.get(node.id)?.incarnation === node.incarnation && this.#detector.mayReturn(node.number, now),
      },
      voters: {
        leaseMs: this.leaseMs,
        isAlive: node => live.has(node.id),
        isRetired: term => this.#declarations.isRetired(topology, term, now),
      },
    }
  }

  #hear(topology: Topology, live: Live, now: number): void {
    const known = new Set<number>()
    for (const node of topology.nodes) {
      const { id, number, away } = node
      if (node.state !== 'gone') {
        known.add(number)
        this.#detector.expect(number, now)
      }
      const status = live.get(id)
      if (status?.beat !== undefined) this.#detector.heard(number, { ...status, beat: status.beat }, now)
      if (away && this.#told.get(number) !== away.epoch) {
        this.#told.set(number, away.epoch)
        // A restart that was planned says nothing about how often the node fails.
        if (!node.kept) this.#detector.declaredAway(number, now)
      }
    }
    this.#detector.keep(known)
  }

  #sentence(topology: Topology, finding: Finding): string | null {
    const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
    if (finding.type === 'jumped') {
      return `the controller itself stood still for ${seconds(finding.ms)}: all nodes are given their full time again`
    }
    const node = topology.nodes.find(one => one.number === finding.node)
    if (!node) return null
    if (finding.type === 'refuted') {
      const how = finding.restarted ? 'started again' : 'is heard again'
      return `node ${node.id} ${how} after ${seconds(finding.silentMs)}`
    }
    if (node.away) return `node ${node.id}, which is away, is silent again`
    const why = whyNotDeclared(topology, node)
    const what = why === null ? 'it will be declared away' : `it is not declared away: ${why}`
    return `node ${node.id} is suspected, not heard for ${seconds(finding.silentMs)}: ${what}`
  }

  /** Who has not promised yet what is announced about a node, by id; for people. */
  missingPromises(topology: Topology, id: string): string[] {
    const node = topology.nodes.find(one => one.id === id)
    const missing = node ? this.#declarations.missing(topology, node.number, sessionOf(node)) : null
    return (missing ?? []).map(voter => topology.nodes.find(one => one.number === voter)?.id ?? String(voter))
  }
}
