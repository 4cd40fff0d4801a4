/**
 * A node's side of the tier: it claims its id, registers, keeps itself alive, hears every topology, and reports the
 * generations that it has settled. It may not know what is in the node's store, nor how topologies become routes.
 *
 *   start --claim (lease)--> register (compare-and-set) --> watch --onTopology--> control plane --reportSettled--> document
 *
 * Invariant: an id belongs to the incarnation that holds its lease. Whoever finds another incarnation in the document
 * claims again; the one that does not get the lease is refused for good.
 */
import type { Loop, Timer } from '../transport/loop.js'
import { fencingOf } from './fencing.js'
import { whyForgotten, withoutKept } from './kept-memory.js'
import { ASKS_PER_LEASE } from './lease.js'
import { formatAddress, LEASE_MS, type NodeStatus, type TopologyStore, type Versioned } from './store.js'
import { nodeOf, type Topology } from './topology.js'
import { type Outcome, type Registration, withFenced, withNode, withSettled } from './wishes.js'

export interface MembershipOptions {
  store: TopologyStore
  loop: Loop
  self: Registration
  /** The last topology this node acted by, from its data directory: it starts with it when the store does not answer soon. */
  known?: Topology | null
  /** It has what this life of it held (kept-memory.ts); null: it begins empty. */
  memoryOf?: string | null
}

export interface MembershipCallbacks {
  /** The first one means: registered. Only documents that list this node are told. */
  onTopology(topology: Topology, selfNumber: number): void
  /** The node cannot be, or remain, part of the tier: one sentence, once. */
  onRefused(sentence: string): void
  /** What it has of its last life must go, before anything else is told: half a sentence why. At most once. */
  onForgotten?(why: string): void
  /** Something that passes; for the log. */
  onError?(sentence: string): void
}

/** A claim waits for the lease of a former life to end; a neighbour that is really there outlives this wait. */
const CLAIM_MS = LEASE_MS * 1.5
const CLAIM_AGAIN_MS = 250
const RETRY_MS = 500
/** A node with a remembered topology waits this long for the store before it starts without. */
const KNOWN_AFTER_MS = 1000
const STATUS_EVERY_MS = 200

export class Membership {
  readonly #options: MembershipOptions
  #callbacks: MembershipCallbacks = { onTopology: () => {}, onRefused: () => {} }
  #status: NodeStatus
  #toldAt = Number.NEGATIVE_INFINITY
  #renewal: Timer | null = null
  #retry: Timer | null = null
  #knownTimer: Timer | null = null
  #endWatch: (() => void) | null = null
  #claimSince = 0
  #claiming = false
  #registered = false
  /** The topology last told to the control plane came from the store or from disk: some start has happened. */
  #started = false
  /** Epochs settled here that the document does not say yet. */
  readonly #unreported = new Set<number>()
  #reporting = false
  /** There was a flush_all: no memory that is kept may come back, and the document may not say it yet. */
  #voidsKept = false
  /** Until it is registered. */
  #memoryOf: string | null
  /** Heartbeats of this incarnation. */
  #beats = 0
  #beatMs = LEASE_MS / 3
  /** Period of fencing (Fencing.since) that this node acts by leases in; 0: none yet. */
  #fenced = 0
  #lastError: string | null = null
  #stopped = false

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#memoryOf = options.memoryOf ?? null
    this.#status = { incarnation: options.self.incarnation, epoch: 0 }
  }

  start(callbacks: MembershipCallbacks): void {
    this.#callbacks = callbacks
    this.#waitForStore()
    this.#renew()
    this.#claim()
  }

  /** Everything that this node takes in a generation is here. Repeated until the document says so. */
  reportSettled(epoch: number): void {
    this.#unreported.add(epoch)
    this.#report()
  }

  /** This node acts by a lease alone, in the period of fencing that began with this term. Repeated until the document says so. */
  reportFenced(since: number): void {
    this.#fenced = since
    this.#report()
  }

  /** What nodes that stepped aside keep in files must not come back. Repeated until the document says so. */
  voidKept(): void {
    this.#voidsKept = true
    this.#report()
  }

  setStatus(status: Omit<NodeStatus, 'incarnation'>): void {
    const news = status.epoch !== this.#status.epoch
    this.#status = { ...status, incarnation: this.#options.self.incarnation }
    if (news || this.#options.loop.now() - this.#toldAt >= STATUS_EVERY_MS) this.#tell()
  }

  /** The store stays open: it belongs to whoever made it. The lease ends when it is closed. */
  stop(): void {
    this.#stopped = true
    for (const timer of [this.#renewal, this.#retry, this.#knownTimer]) if (timer) this.#options.loop.clearTimer(timer)
    this.#endWatch?.()
  }

  // --- the lease

  #renew(): void {
    this.#tell()
    this.#renewal = this.#options.loop.setTimer(this.#beatMs, () => this.#renew())
  }

  #tell(): void {
    if (this.#stopped) return
    this.#toldAt = this.#options.loop.now()
    this.#options.store.keepAlive(this.#options.self.id, { ...this.#status, beat: ++this.#beats })
  }

  // --- claim and register

  #claim(): void {
    if (this.#claiming) return
    this.#claiming = true
    this.#claimSince = this.#options.loop.now()
    this.#claimOnce()
  }

  #claimOnce(): void {
    const { store, loop, self } = this.#options
    this.#tell()
    store.statuses((error, live) => {
      if (this.#stopped) return
      if (error !== null) return this.#failed(error, () => this.#claimOnce())
      this.#storeAnswered()
      const holder = live.get(self.id)?.incarnation
      if (holder === self.incarnation) return this.#register()
      if (holder !== undefined && loop.now() - this.#claimSince >= CLAIM_MS) return this.#refuseTwin()
      this.#again(CLAIM_AGAIN_MS, () => this.#claimOnce())
    })
  }

  #refuseTwin(): void {
    const { store, self } = this.#options
    store.read((_, value) => {
      const node = value ? nodeOf(value.topology, self.id) : undefined
      const where = node ? ` at ${formatAddress(node)}` : ''
      this.#refuse(`node id "${self.id}" is already in the tier${where} and alive`)
    })
  }

  #register(): void {
    this.#update(
      topology => {
        this.#checkMemory(topology)
        return withNode(topology, this.#options.self)
      },
      () => {
        this.#claiming = false
        this.#registered = true
        this.#memoryOf = null
        this.#lastError = null
        this.#endWatch ??= this.#options.store.watch(value => this.#onDocument(value))
      },
      error => this.#failed(error, () => this.#claimOnce()),
    )
  }

  /** Of the document into which this life will be written, if it is still the same by then. */
  #checkMemory(topology: Topology): void {
    const { id, incarnation } = this.#options.self
    const why = this.#memoryOf === null ? null : whyForgotten(topology, id, incarnation, this.#memoryOf)
    if (why === null) return
    this.#memoryOf = null
    this.#callbacks.onForgotten?.(why)
  }

  #onDocument({ topology }: Versioned): void {
    if (this.#stopped) return
    const node = nodeOf(topology, this.#options.self.id)
    if (!node || node.incarnation !== this.#options.self.incarnation) {
      // Another process took the id, or the store was set back to an older document: the lease decides.
      this.#claim()
      return
    }
    for (const epoch of [...this.#unreported])
      if (isReported(topology, node.number, epoch)) this.#unreported.delete(epoch)
    this.#beatAt(fencingOf(topology)?.leaseMs)
    this.#begin(topology, node.number)
    this.#report()
  }

  /** As often as a lease is asked for: so fine silence must be noticed. */
  #beatAt(leaseMs: number | undefined): void {
    const beatMs = leaseMs === undefined ? LEASE_MS / 3 : Math.min(LEASE_MS / 3, leaseMs / ASKS_PER_LEASE)
    if (beatMs === this.#beatMs) return
    this.#beatMs = beatMs
    if (this.#renewal) this.#options.loop.clearTimer(this.#renewal)
    this.#renew()
  }

  #begin(topology: Topology, number: number): void {
    this.#started = true
    this.#storeAnswered()
    this.#callbacks.onTopology(topology, number)
  }

  /** False: there is nothing to start from without it. */
  #waitForStore(): boolean {
    const { known, loop, self } = this.#options
    if (!known || !nodeOf(known, self.id)) return false
    this.#knownTimer ??= loop.setTimer(KNOWN_AFTER_MS, () => this.#startFromKnown(known))
    return true
  }

  /** A store that answers decides: what is remembered must not serve beside a twin that is alive. */
  #storeAnswered(): void {
    if (this.#knownTimer) this.#options.loop.clearTimer(this.#knownTimer)
    this.#knownTimer = null
  }

  #startFromKnown(known: Topology): void {
    this.#knownTimer = null
    if (this.#started || this.#stopped) return
    this.#callbacks.onError?.('the topology store does not answer: starting from the last known topology')
    this.#begin(known, nodeOf(known, this.#options.self.id)!.number)
  }

  // --- settled generations

  #report(): void {
    if (this.#reporting || !this.#hasNews || !this.#registered || this.#stopped) return
    this.#reporting = true
    const again = () => {
      this.#reporting = false
      if (this.#hasNews && !this.#stopped) {
        this.#options.loop.setTimer(RETRY_MS, () => this.#report())
      }
    }
    this.#update(topology => this.#withReports(topology), again, again)
  }

  get #hasNews(): boolean {
    return this.#unreported.size > 0 || this.#fenced > 0 || this.#voidsKept
  }

  #withReports(topology: Topology): Outcome {
    const number = nodeOf(topology, this.#options.self.id)?.number
    if (number === undefined) return { ok: true, topology: null }
    let next: Topology | null = withFenced(topology, this.#options.self.id, this.#fenced)
    // The document says it, or asks for another period, of which there will be another report.
    if (next === null) this.#fenced = 0
    const without = this.#voidsKept ? withoutKept(next ?? topology) : null
    if (without === null) this.#voidsKept = false
    else next = without
    for (const epoch of [...this.#unreported]) {
      if (isReported(topology, number, epoch)) this.#unreported.delete(epoch)
      else next = withSettled(next ?? topology, number, epoch) ?? next
    }
    return { ok: true, topology: next }
  }

  // --- compare-and-set until it went through

  #update(change: (topology: Topology) => Outcome, done: () => void, failed: (error: string) => void): void {
    const { store } = this.#options
    store.read((error, value) => {
      if (this.#stopped) return
      if (value === null) return failed(error ?? 'the topology store has no document')
      const outcome = change(value.topology)
      if (!outcome.ok) return this.#refuse(outcome.sentence)
      if (outcome.topology === null) return done()
      store.compareAndSet(value.revision, outcome.topology, (problem, went) => {
        if (this.#stopped) return
        if (problem !== null) failed(problem)
        else if (went) done()
        else this.#update(change, done, failed)
      })
    })
  }

  // --- when it does not work

  /** Before the first start a silent store is the end; later it passes. */
  #failed(error: string, again: () => void): void {
    if (!this.#started && !this.#waitForStore()) {
      this.#refuse(error)
      return
    }
    if (error !== this.#lastError) this.#callbacks.onError?.(error)
    this.#lastError = error
    this.#claimSince = this.#options.loop.now()
    this.#again(RETRY_MS, again)
  }

  #again(afterMs: number, task: () => void): void {
    if (this.#stopped) return
    if (this.#retry) this.#options.loop.clearTimer(this.#retry)
    this.#retry = this.#options.loop.setTimer(afterMs, () => {
      this.#retry = null
      task()
    })
  }

  #refuse(sentence: string): void {
    if (this.#stopped) return
    this.stop()
    this.#callbacks.onRefused(sentence)
  }
}

/** The document knows that the taker has settled the epoch, or does not need to know any more. */
function isReported(topology: Topology, number: number, epoch: number): boolean {
  if (topology.epoch < epoch) return false
  const running = topology.changes.find(change => change.state === 'running' && change.epoch === epoch)
  return !running?.takers?.includes(number) || (running.settled?.includes(number) ?? false)
}
