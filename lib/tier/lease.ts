/**
 * A node's own lease: until when it may act as authority. Pure; `now` is the node's own monotonic clock.
 *
 *   ask(now) --vouch for me, asked at `now`--> voters        answered(voter, ask, now) ... a majority: until = asked + leaseMs
 *
 * The time counts from the question: a voter may have promised away the session right after it answered, and the answer may
 * have been long on its way. With answers to questions of different times the majority's oldest question counts.
 *
 * A lease that ran out and comes back for another session begins a new life (`fresh`): between the two a stand-in may have
 * acted, so that everything that waits or is connected from before must go first.
 */
import { fencingOf, isMajority, sessionOf, type VoterName, type Voters, votersOf } from './fencing.js'
import { inSomeRing, type Topology } from './topology.js'

/** What a node asks for. Null in `Lease.configure`: nothing is fenced. */
export interface LeaseTerms {
  voters: Voters
  session: number
  /**
   * The document says that this node has a lease and nothing else to act by. Until it has said so it cannot be declared away,
   * so that the first lease of a node that was not fenced before needs no silence.
   */
  binding: boolean
}

/** What a document asks of a node; null: it holds nothing, or nobody is fenced. */
export function leaseTerms(topology: Topology, self: number): LeaseTerms | null {
  const fencing = fencingOf(topology)
  const node = topology.nodes.find(one => one.number === self)
  if (!fencing || !node || !inSomeRing(topology, self)) return null
  return { voters: fencing, session: sessionOf(node), binding: node.fenced === fencing.since }
}

/** Questions a lease: so many may be lost or late before it runs out. */
export const ASKS_PER_LEASE = 4

export class Lease {
  #terms: LeaseTerms | null = null
  #until = Number.NEGATIVE_INFINITY
  /** Session for which the lease was last held; -1: never. */
  #heldFor = -1
  #lapsed = false
  #lastAsk = 0
  #askedAt = Number.NEGATIVE_INFINITY
  /** When the questions were asked that have not been overtaken. */
  readonly #asks = new Map<number, number>()
  /** When the newest question was asked that a voter said yes to, for the present session and set. */
  readonly #vouched = new Map<VoterName, number>()
  readonly #refusals = new Map<VoterName, string>()

  get terms(): LeaseTerms | null {
    return this.#terms
  }

  /** Null: nothing is fenced. By another set or session earlier answers count no more; the lease that stands still stands until its end. */
  configure(terms: LeaseTerms | null): void {
    const before = this.#terms
    this.#terms = terms
    if (!terms) this.#heldFor = -1
    if (before && terms && before.session === terms.session && before.voters.term === terms.voters.term) return
    this.#asks.clear()
    this.#vouched.clear()
    this.#refusals.clear()
    this.#askedAt = Number.NEGATIVE_INFINITY
  }

  /** Own clock, ms; Infinity where nothing is fenced. */
  get until(): number {
    return this.#isFenced ? this.#until : Number.POSITIVE_INFINITY
  }

  /** It has been vouched for, and acts by nothing else any more: the document may say so. */
  get hasHeld(): boolean {
    return this.#heldFor >= 0
  }

  /** It acts by leases alone, and was never vouched for as what it is in this document: it has returned, or just started. */
  get awaitsSession(): boolean {
    return this.#isFenced && this.#heldFor !== this.#terms!.session
  }

  get #isFenced(): boolean {
    return this.#terms !== null && (this.#terms.binding || this.hasHeld)
  }

  holds(now: number): boolean {
    return now < this.until
  }

  /** True once for every time it ran out. */
  lapses(now: number): boolean {
    if (!this.#terms || this.#lapsed || !this.hasHeld || now < this.#until) return false
    this.#lapsed = true
    return true
  }

  /** A question for every voter, if it is time; `voters` are those to ask. */
  ask(now: number): { ask: number; voters: VoterName[] } | null {
    const terms = this.#terms
    if (!terms || now - this.#askedAt < terms.voters.leaseMs / ASKS_PER_LEASE) return null
    this.#askedAt = now
    this.#lastAsk++
    this.#asks.set(this.#lastAsk, now)
    // An answer that comes later than this is worth nothing any more.
    for (const [ask, askedAt] of this.#asks) if (now - askedAt > terms.voters.leaseMs) this.#asks.delete(ask)
    return { ask: this.#lastAsk, voters: votersOf(terms.voters) }
  }

  /** `refusal` null: the voter vouches. Gives 'fresh' when a new life begins with it, 'held' when the lease grew. */
  answered(voter: VoterName, ask: number, refusal: string | null, now: number): 'fresh' | 'held' | null {
    const askedAt = this.#asks.get(ask)
    const terms = this.#terms
    if (askedAt === undefined || !terms) return null
    if (refusal !== null) {
      this.#refusals.set(voter, refusal)
      return null
    }
    this.#refusals.delete(voter)
    this.#vouched.set(voter, Math.max(askedAt, this.#vouched.get(voter) ?? Number.NEGATIVE_INFINITY))
    const until = this.#majorityAskedAt(terms) + terms.voters.leaseMs
    if (until <= this.#until || until <= now) return null
    this.lapses(now)
    const isFresh = this.#lapsed && this.#heldFor !== terms.session
    this.#lapsed = false
    this.#heldFor = terms.session
    this.#until = until
    return isFresh ? 'fresh' : 'held'
  }

  /** Why there is none, for people. */
  whyNot(): string {
    const { terms } = this
    if (!terms) return 'nothing is fenced'
    const refusal = [...this.#refusals][0]
    const all = votersOf(terms.voters).length
    const said = `${this.#refusals.size} of ${all} voters refuse`
    return refusal === undefined ? `a majority of its ${all} voters does not answer` : `${said}: ${refusal[1]}`
  }

  /** The latest time such that a majority said yes to questions of that time or later. */
  #majorityAskedAt({ voters }: LeaseTerms): number {
    let best = Number.NEGATIVE_INFINITY
    for (const at of this.#vouched.values()) {
      if (at > best && isMajority(voters, voter => (this.#vouched.get(voter) ?? Number.NEGATIVE_INFINITY) >= at))
        best = at
    }
    return best
  }
}
