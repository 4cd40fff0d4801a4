/**
 * The fencing of one node, in its control plane: keeps the node's lease by asking the voters, answers as a voter itself, and
 * writes into the fence until when the process may act. Rules and numbers are in lib/tier (lease.ts, voter.ts); this joins
 * them with links and time.
 *
 *   Lease --ask--> store link | control links of members --answers--> Lease --until--> Fence --looked at by--> data planes
 *   Voter <--vouch-- accepted control links        Voter <--promise-- store link, confirmed when it is on disk
 *
 * A lease that comes back for another session begins a new life: the fence stays closed until every data plane has dropped
 * its connections and everything parked.
 */
import { fencingOf } from '../tier/fencing.js'
import { ASKS_PER_LEASE, Lease, leaseTerms } from '../tier/lease.js'
import type { VotingStore } from '../tier/store.js'
import type { Topology } from '../tier/topology.js'
import type { Vote } from '../tier/vote-wire.js'
import { Voter, type Votes } from '../tier/voter.js'
import type { Loop, Timer } from '../transport/loop.js'
import type { Fence } from './fence.js'

export interface LeaseKeeperOptions {
  loop: Loop
  store: Pick<VotingStore, 'vouch' | 'onPromiseAsked'>
  fence: Fence
  /** From the disk of an earlier life; null: nothing is known of one. */
  votes: Votes | null
  /** `done` once they are on disk, or with false when they cannot be. */
  saveVotes(votes: Votes, done: (saved: boolean) => void): void
  /** The document may say that this node acts by leases, in this period of fencing. */
  onFenced(since: number): void
  /** A sentence for the log. */
  onEvent(sentence: string): void
}

/** What the control plane does for it. */
export interface LeaseKeeperLinks {
  /** To a member over a control link that this node dialed; false: there is none. */
  send(member: number, ask: number, vote: Vote): boolean
  /** A voter knows a newer document. */
  learn(text: string): void
  /** Drops all connections and everything parked in all data planes, but for what came in this session; `done` when it is gone. */
  dropAll(done: () => void): void
  /** The node was vouched for, and nothing of an earlier session is left. `done` when the picture that waited for it is in force. */
  vouched(done: () => void): void
  /** The lease ran out, or is there again: data planes that sleep need not find out by themselves. */
  tellPlanes(lapsed: string | null): void
}

const JUST_NOW_MS = 1000

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions
  readonly #links: LeaseKeeperLinks
  readonly #lease = new Lease()
  readonly #voter: Voter
  #topology: Topology | null = null
  #self = -1
  #timer: Timer | null = null
  /** Data planes are dropping what is from the life before. */
  #dropping = false
  #reported = 0
  #stopped = false

  constructor(options: LeaseKeeperOptions, links: LeaseKeeperLinks) {
    this.#options = options
    this.#links = links
    this.#voter = new Voter(options.votes)
    options.store.onPromiseAsked((request, confirm) => {
      if (this.#voter.promise(request)) this.#save(confirm)
      else confirm()
    })
  }

  get votes(): Votes {
    return this.#voter.votes
  }

  /** Why this node may not act, for people and for clients. */
  get reason(): string {
    return `this node may not answer for its keys now: ${this.#dropping ? 'it is just returning' : this.#lease.whyNot()}`
  }

  /** Call it before routes of the document are in force. */
  setTopology(topology: Topology, self: number, fromStore: boolean): void {
    if (this.#stopped) return
    this.#topology = topology
    this.#self = self
    this.#voter.learn(topology, fromStore)
    const terms = leaseTerms(topology, self)
    this.#lease.configure(terms)
    this.#write()
    if (terms) this.#tick()
  }

  /** A picture in which this node acts must not be in force yet: see Lease.awaitsSession. */
  get awaitsSession(): boolean {
    return this.#lease.awaitsSession
  }

  /** Members whose control links must be there. */
  wantedLinks(): number[] {
    const named = this.#lease.terms?.voters.named ?? []
    return named.filter(member => member !== this.#self)
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer) this.#options.loop.clearTimer(this.#timer)
  }

  // --- as a voter

  /** The answer to a member's question. */
  answer(vote: Extract<Vote, { type: 'vouch' }>): Vote {
    const refusal = this.#voter.vouch(vote)
    const topology = this.#topology
    const fencing = topology && fencingOf(topology)
    const known = topology?.nodes.find(node => node.number === vote.node)
    const isBehind = vote.term < (fencing?.term ?? 0) || vote.session < (known?.session ?? 0)
    return refusal !== null && isBehind && topology
      ? { type: 'vouched', refusal, topology: JSON.stringify(topology) }
      : { type: 'vouched', refusal }
  }

  #save(confirm: () => void): void {
    this.#options.saveVotes(this.#voter.votes, saved => {
      if (saved) confirm()
    })
  }

  // --- as a node that needs a lease

  /** From a member that was asked. */
  answered(member: number, ask: number, vote: Extract<Vote, { type: 'vouched' }>): void {
    if (vote.topology !== undefined) this.#links.learn(vote.topology)
    this.#count(member, ask, vote.refusal)
  }

  #count(voter: number | 'store', ask: number, refusal: string | null): void {
    const { loop, onEvent } = this.#options
    const now = loop.clock()
    this.#noteLapse(now)
    const was = this.#lease.holds(now)
    const grown = this.#lease.answered(voter, ask, refusal, now)
    if (grown === null) return
    if (!was)
      onEvent(grown === 'fresh' ? 'the lease is there, for another session: a new life begins' : 'the lease is there')
    if (grown === 'fresh' && !this.#dropping) {
      this.#dropping = true
      const begin = () => {
        this.#dropping = false
        this.#write()
        this.#links.tellPlanes(null)
      }
      // By the picture of the session before, this node would act for what it may not any more.
      this.#links.dropAll(() => this.#links.vouched(begin))
    }
    if (!this.#dropping) this.#links.vouched(() => {})
    this.#write()
    if (!was && !this.#dropping) this.#links.tellPlanes(null)
    this.#report()
  }

  #report(): void {
    const since = this.#topology ? (fencingOf(this.#topology)?.since ?? 0) : 0
    if (since === 0 || !this.#lease.hasHeld || this.#reported === since) return
    this.#reported = since
    this.#options.onFenced(since)
  }

  #tick(): void {
    if (this.#timer) this.#options.loop.clearTimer(this.#timer)
    this.#timer = null
    const { terms } = this.#lease
    if (this.#stopped || !terms) return
    const { loop, store } = this.#options
    const now = loop.clock()
    this.#noteLapse(now)
    this.#write()
    const asked = this.#lease.ask(now)
    if (asked) {
      const request = { node: this.#self, session: terms.session, term: terms.voters.term }
      for (const voter of asked.voters) {
        if (voter === 'store') {
          store.vouch(request, (error, refusal) => {
            if (error === null && !this.#stopped) this.#count(voter, asked.ask, refusal)
          })
        } else if (voter === this.#self) this.#count(voter, asked.ask, this.#voter.vouch(request))
        else this.#links.send(voter, asked.ask, { type: 'vouch', ...request })
      }
    }
    // Twice as often as it asks: a lapse is noticed, and a link that has come is used, soon enough.
    this.#timer = loop.setTimer(terms.voters.leaseMs / ASKS_PER_LEASE / 2, () => this.#tick())
  }

  #noteLapse(now: number): void {
    if (!this.#lease.lapses(now)) return
    this.#options.fence.count('lapses')
    this.#options.onEvent(`the lease ran out: ${this.#lease.whyNot()}`)
    this.#links.tellPlanes(this.reason)
  }

  #write(): void {
    const { fence, loop } = this.#options
    // An end long ago is told as one just now: the fence's clock is short.
    fence.set(this.#dropping ? loop.clock() - JUST_NOW_MS : Math.max(this.#lease.until, loop.clock() - JUST_NOW_MS))
  }
}
