/**
 * A voter: vouches for sessions of nodes, and promises not to. It remembers promises, never vouches: how long a vouch is
 * good is measured by the one who asked. Pure.
 *
 *   vouch(node, session, term)   yes, unless the session is over (promised, or the document says so), the set of voters is
 *                                over, or this voter does not know what it promised in an earlier life
 *   promise(node, session)       from now on no vouch for it
 *   retire(term)                 from now on no vouch by this set of voters or an older one
 *
 * A promise must outlive the voter's process. It stands on the voter's disk before it is given; and before anybody asks for
 * it, the topology document says what it will be asked for (`declaring`, `previous`), so that a voter that lost its disk
 * knows at least as much once it has heard the document from the store in this life. Until one of the two has happened it
 * vouches for nobody. Waiting alone would not do: a voter that was started again, waited one lease and still had not heard
 * would vouch for a node whose stand-in acts by then (test/simulation/fencing.test.ts, "forgets its promises").
 */
import { overSession } from './fencing.js'
import type { Topology } from './topology.js'

/** What a voter keeps on disk. */
export interface Votes {
  /** Sets of voters below this term are over. */
  termMin: number
  /** [node number, highest session that is over] */
  promises: [number, number][]
}

export interface VouchRequest {
  node: number
  session: number
  term: number
}

/** `null`: it vouches; otherwise half a sentence for people. */
export type VouchAnswer = string | null

export type PromiseRequest = { type: 'promise'; node: number; session: number } | { type: 'retire'; term: number }

export class Voter {
  readonly #promises = new Map<number, number>()
  #termMin = 0
  #knows = false

  /** `votes`: from the disk of an earlier life; null: there is nothing, or nobody knows. */
  constructor(votes: Votes | null = null) {
    if (!votes) return
    this.#knows = true
    this.#termMin = votes.termMin
    for (const [node, session] of votes.promises) this.#promises.set(node, session)
  }

  get votes(): Votes {
    return { termMin: this.#termMin, promises: [...this.#promises] }
  }

  /** Does it know what it has promised? */
  get knows(): boolean {
    return this.#knows
  }

  vouch({ node, session, term }: VouchRequest): VouchAnswer {
    if (!this.#knows) return 'it has started again and has not heard from the topology store yet'
    if (term < this.#termMin) return `the set of voters ${term} is over`
    if (session <= (this.#promises.get(node) ?? -1)) return 'the node is being declared away, or is away'
    return null
  }

  /** True: something is new, and must be on disk before it is confirmed. */
  promise(request: PromiseRequest): boolean {
    if (request.type === 'retire') {
      if (request.term < this.#termMin) return false
      this.#termMin = request.term + 1
      return true
    }
    if (request.session <= (this.#promises.get(request.node) ?? -1)) return false
    this.#promises.set(request.node, request.session)
    return true
  }

  /** Whatever the document says is over. `fromStore`: the store itself said so in this life, not a node that may be behind. */
  learn(topology: Topology, fromStore: boolean): void {
    if (topology.fencing) this.#termMin = Math.max(this.#termMin, topology.fencing.term)
    for (const node of topology.nodes) {
      const over = overSession(node)
      if (over > (this.#promises.get(node.number) ?? -1)) this.#promises.set(node.number, over)
    }
    if (fromStore) this.#knows = true
  }
}
