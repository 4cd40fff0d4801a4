/**
 * Handoff of one node: the taking side, the giving side and the tier's flush_all behind one door. Pure: topologies,
 * messages, needs and time in; messages, grants and route tables out. No socket, no timer, no clock.
 *
 *   need(ticket, key) ----> Taker.acquire --take--> [source]        granted(ticket)
 *   onMessage ------------> Taker | Source | TierFlush
 *   setTopology ----------> Generations --routeTable--> publish     only then does epoch() move on
 *   tick -----------------> pulls, acks, time limits, tombstones
 *
 * Rules held here: a message that carries a higher epoch than ours waits until that generation is loaded *and* in force
 * in the engine (DESIGN 8, "How knowledge travels"); a message of a link that broke is never handled later.
 */
import { strict as assert } from 'node:assert'
import type { EngineApi, RouteTable } from '../engine/contract.js'
import { CatchUp, greetingOf } from './catch-up.js'
import { TierFlush } from './flush.js'
import { type GenerationSpec, Generations, type RingRule } from './generations.js'
import { type Hints, NO_HINTS } from './hints.js'
import { Source } from './source.js'
import { Taker, type TakerEffects, type TransferProgress } from './taker.js'
import type { ThrottleLimits } from './throttle.js'
import { UnsafeWrites } from './unsafe-writes.js'
import { dropAll, type WarmStart } from './warm-start.js'
import type { Message } from './wire.js'

export type HandoffStore = Pick<
  EngineApi,
  | 'point'
  | 'held'
  | 'install'
  | 'installAbsent'
  | 'renew'
  | 'peek'
  | 'recordKey'
  | 'isDeletion'
  | 'tombstoneOf'
  | 'handOver'
  | 'collect'
  | 'keys'
  | 'buckets'
  | 'publish'
  | 'sweepTombstones'
  | 'version'
  | 'observe'
  | 'flush'
  | 'flushed'
  | 'now'
>

/** On a link to another node this node is the taker (it dialed) or the source (it was dialed). */
export type Role = 'taker' | 'source'

export interface HandoffEffects {
  /** False: there is no such link now. */
  send(role: Role, peer: number, message: Message): boolean
  granted(ticket: number): void
  /** Only a node that is away knows the key: the request must come again, as a guarded one. */
  blind(ticket: number): void
  /** A guarded request was executed, and what it wrote is in the log: its reply may go. */
  executed(ticket: number): void
  refused(ticket: number, reason: string): void
  flushed(ticket: number, failure: string | null): void
  /** A route table is in force in the engine. */
  published(epoch: number): void
  /** None could be: threads in the middle of turns keep all others. The next tick tries again, and others may wait for it. */
  unpublished(): void
  /** This node has taken everything of a generation; said again and again until it is retired. */
  generationSettled(epoch: number): void
  /** Another node knows more: its topology, as text. */
  learned(text: string): void
  /** Our topology, for a node that asks. */
  topologyText(): string | null
  /** flush_all with a delay: everything stored until then goes, in `delaySec` seconds; 0: what was to come does not. */
  flushLater(delaySec: number): void
  /** Seconds until such a flush that is still to come; 0: there is none. */
  flushPendingSec(): number
}

export interface HandoffTopology {
  self: number
  rule: RingRule
  generations: GenerationSpec[]
  /** Generations for which the document says that this node has taken everything. */
  settled: ReadonlySet<number>
  /** Nodes that may hold items: everybody but this one. */
  members: number[]
  /** This node has stepped aside, and keeps what it holds for its next life. */
  keeps?: boolean
}

/** A request for a key of a guarded arc. */
export interface GuardedRequest {
  key: Uint8Array
  /** Might it change anything? */
  writes: boolean
  /**
   * Executes it, now, in this thread, on what this node holds of its present tenure. Blind: only a node that is away knows the
   * key. False: by the route table in force the arc is not guarded, and nothing was done.
   */
  execute(isBlind: boolean): boolean
}

interface Held {
  role: Role
  peer: number
  epoch: number
  message: Message
}

/** Messages that may wait for a topology; above it the link is cut by the caller (`onMessage` returns false). */
const HELD_MAX = 10_000
const TOMBSTONE_BUCKETS_PER_TICK = 4096

export class Handoff {
  readonly #store: HandoffStore
  readonly #effects: HandoffEffects
  readonly taker: Taker
  readonly source: Source
  readonly #flush: TierFlush
  readonly #catchUp: CatchUp
  /** The newest topology that came before the clock was caught up. */
  #first: HandoffTopology | null = null
  /** The newest topology, if what must be dropped before it is in force is not gone yet. */
  #preparing: HandoffTopology | null = null
  /** Logged writes are being dropped or kept for a new picture; guarded requests wait for the end of that. */
  #isDropping = false
  #waitingForDrops: (() => void)[] = []
  #replayed = false
  #topology: HandoffTopology | null = null
  #generations: Generations | null = null
  #epoch = 0
  #dirty = false
  #held: Held[] = []
  #sweepCursor = -1
  readonly #hints: Hints
  readonly #unsafe: UnsafeWrites
  readonly #forgotten = new Set<number>()
  #flushNoted = 0n
  readonly #waiting = new Set<number>()

  /** Newest generation by which an earlier life of this node may have acted while somebody was away; null: it is not known. */
  readonly #actedBefore: number | null

  constructor(
    store: HandoffStore,
    effects: HandoffEffects,
    limits?: ThrottleLimits,
    hints: Hints = NO_HINTS,
    actedBefore: number | null = null,
    warm: WarmStart | null = null,
  ) {
    this.#actedBefore = actedBefore
    this.#hints = hints
    this.#unsafe = new UnsafeWrites(store, hints)
    this.#store = store
    this.#effects = effects
    const takerEffects: TakerEffects = {
      send: (source, message) => effects.send('taker', source, message),
      routeChanged: () => this.#publish(),
      generationSettled: epoch => effects.generationSettled(epoch),
    }
    this.taker = new Taker(store, takerEffects, limits, hints)
    if (warm) this.taker.mayHoldLeftovers = true
    const sourceEffects = { send: (taker: number, message: Message) => effects.send('source', taker, message) }
    this.source = new Source(store, this.taker, sourceEffects, hints)
    this.#catchUp = new CatchUp({
      send: (member, message) => effects.send('taker', member, message),
      observe: version => store.observe(version),
      done: () => {
        if (warm && !this.#catchUp.hasHeard) warm.onForgotten(dropAll(store))
        if (this.#first) this.#adopt(this.#first)
        this.#first = null
      },
    })
    this.#flush = new TierFlush({
      // Also while this node catches up, and no picture is in force yet: the others answer for their keys already.
      members: () => (this.#topology ?? this.#preparing ?? this.#first)?.members ?? null,
      epoch: () => this.#epoch,
      version: () => store.version(),
      send: (member, message) => effects.send('taker', member, message),
      apply: (version, delaySec) => this.#applyFlush(version, delaySec),
      done: (ticket, failure) => effects.flushed(ticket, failure),
    })
  }

  /** Epoch in force: of the route table that the engine answers by. 0 = none yet. */
  get epoch(): number {
    return this.#epoch
  }

  /** Epoch of the picture that messages of this node speak of. It may not be in force here yet; whoever hears it waits until it is there. */
  get spokenEpoch(): number {
    return this.#generations?.epoch ?? 0
  }

  /** What a later life of this node could not know from its memory alone, as half a sentence; null: nothing. */
  get unfinished(): string | null {
    if (!this.settled || this.taker.takesPending > 0) return 'keys are still being taken'
    if (this.source.unconfirmedBytes > 0) return 'keys that were handed over are not confirmed'
    for (const home of this.#hints.homes()) return `a log is kept for node ${home}`
    return null
  }

  /** Does a flush_all that was asked for here go on? */
  get flushing(): boolean {
    return this.#flush.isRunning
  }

  /** Is anything of this node's own unsettled? */
  get settled(): boolean {
    if (this.#first) return false
    return !this.#generations || !this.taker.unsettledBefore(Number.MAX_SAFE_INTEGER)
  }

  /** Nodes that a link must be dialed to. */
  wantedLinks(): Set<number> {
    const wanted = this.taker.sources()
    for (const member of this.#flush.wanted()) wanted.add(member)
    for (const member of this.#catchUp.wanted()) wanted.add(member)
    return wanted
  }

  progress(): TransferProgress[] {
    return this.taker.progress()
  }

  setTopology(topology: HandoffTopology): void {
    if (topology.generations.length === 0) return
    if (this.#catchUp.over) {
      this.#adopt(topology)
      return
    }
    // Peers tell what they know: an older picture must not take the place of the one that this node waits with.
    if (this.#first && topology.generations.at(-1)!.epoch < this.#first.generations.at(-1)!.epoch) return
    this.#first = topology
    this.#catchUp.ask(topology.members)
  }

  /**
   * Logged writes that the new picture makes useless are dropped before it is in force: where nobody has to be waited for any
   * more, this node's later writes are not logged, and an older one must not outlive them.
   */
  #adopt(topology: HandoffTopology): void {
    const generations = new Generations(topology.generations, topology.rule)
    assert(generations.epoch >= this.#epoch, 'epochs never go back')
    this.#preparing = topology
    // It is looked at again when the log is in memory, or when what an earlier picture began is done.
    if (this.taker.replaying || this.#isDropping) return
    if (this.#generations === null && !this.#replayed) {
      this.#replay()
      return
    }
    const useless = this.#uselessWrites(generations, topology.self)
    const moving = this.#writesToKeep(generations, topology.self)
    if (useless.length === 0 && moving.length === 0 && !this.#mustBeSafe(generations)) {
      this.#install(topology, generations)
      return
    }
    this.#isDropping = true
    const dropped = () => {
      this.#isDropping = false
      if (this.#preparing === topology) this.#install(topology, generations)
      else this.#adopt(this.#preparing!)
      if (this.#isDropping) return
      const waiting = this.#waitingForDrops
      this.#waitingForDrops = []
      for (const begin of waiting) begin()
    }
    inTurn(
      moving,
      ({ key, home }, next) => this.#hints.keep(key, home, next),
      () => this.#hints.drop(useless, dropped),
    )
  }

  /** Arcs are unguarded by it, and logs forgotten: what a later life would still believe of them must not be there any more. */
  #mustBeSafe({ base }: Generations): boolean {
    return base !== this.#generations?.base && !this.#hints.areLossesSafe
  }

  /**
   * Writes that are logged for a node whose outage is over, while another that may know the key is still waited for: its log
   * has to have them before the first one goes.
   */
  #writesToKeep(generations: Generations, self: number): { key: Uint8Array; home: number }[] {
    const keep: { key: Uint8Array; home: number }[] = []
    const staying = new Set<number>()
    let leaves = false
    for (const home of this.#hints.homes()) {
      if (generations.wasEverAway(home)) staying.add(home)
      else leaves = true
    }
    if (!leaves) return keep
    const isHeldBack = (node: number) => staying.has(node) || generations.isAwayNow(node)
    for (const key of this.#hints.keys()) {
      const written = this.#hints.find(key)
      const arc = generations.arcAt(this.#store.point(key))
      if (generations.actor(written, arc) !== self) continue
      const home = generations.logFor(self, written, arc, isHeldBack)
      if (home !== null) keep.push({ key: Uint8Array.from(key), home })
    }
    return keep
  }

  #uselessWrites(generations: Generations, self: number): Uint8Array[] {
    const useless: Uint8Array[] = []
    if (this.#generations && generations.base === this.#generations.base) return useless
    const isHeldBack = (node: number) => this.#isLogged(node) || generations.isAwayNow(node)
    for (const key of this.#hints.keys()) {
      const written = this.#hints.find(key)
      const arc = generations.arcAt(this.#store.point(key))
      if (generations.actor(written, arc) !== self) useless.push(Uint8Array.from(key))
      else if (generations.heldBackBy(self, written, arc, isHeldBack) === null) useless.push(Uint8Array.from(key))
    }
    return useless
  }

  #install(topology: HandoffTopology, generations: Generations): void {
    if (generations.epoch < this.#epoch) return
    const retired = this.#generations && generations.base > this.#generations.base
    const begins = this.#generations === null
    this.#topology = topology
    this.#generations = generations
    if (generations.hasAbsence) this.taker.mayHoldLeftovers = true
    this.source.setGenerations(topology.self, generations)
    this.source.isKeeping = topology.keeps === true
    this.taker.setGenerations(topology.self, generations, epoch => topology.settled.has(epoch))
    this.#openLogs(generations, topology, begins)
    this.#sweepCursor = retired && generations.base === generations.epoch ? 0 : -1
    this.#publish()
  }

  /**
   * A log for each node that must be waited for; none for those that are no part of any outage any more. A life that begins in
   * the middle of an outage has one for it in any case: an earlier life may have written, and lost, what this one cannot know;
   * unless none can have acted in it. Later, where there is no log, this node never acted in the outage: it may have heard of
   * it when it was over.
   */
  #openLogs(generations: Generations, topology: HandoffTopology, begins: boolean): void {
    const known = new Set(this.#hints.homes())
    const absent = begins ? generations.everAway(topology.self) : generations.absentBefore(topology.self)
    for (const home of absent)
      if (!known.has(home)) this.#hints.open(home, begins && this.#mayHaveActed(topology, home))
    for (const home of known) if (!generations.wasEverAway(home)) this.#hints.forget(home, () => this.#publish())
  }

  /** Can an earlier life have acted since this home is away? Not if it never knew that, and not if this node was in no ring since. */
  #mayHaveActed({ self, generations }: HandoffTopology, home: number): boolean {
    const first = generations.findIndex(({ away }) => away.includes(home))
    if (this.#actedBefore !== null && this.#actedBefore < generations[first]!.epoch) return false
    return generations.slice(first).some(({ servers }) => servers.some(({ number }) => number === self))
  }

  /**
   * What an earlier life of this node logged is in memory again, as of when it was written, before the first picture is in
   * force: it is the newest that this node knows of these keys, whether or not it would be logged now.
   */
  #replay(): void {
    this.#replayed = true
    // The log is without what that took: whoever kept something older must hear of it from this life, too.
    if (this.#hints.flushed > this.#store.flushed()) this.#store.flush(this.#hints.flushed)
    const keys = this.#hints.keys()[Symbol.iterator]()
    const next = (): void => {
      const { value: key, done } = keys.next()
      this.taker.replaying = !done
      if (done) {
        if (this.#preparing) this.#adopt(this.#preparing)
        return
      }
      const generation = this.#hints.find(key)
      this.#hints.read(key, record => {
        if (record) this.#store.install(record, generation)
        next()
      })
    }
    next()
  }

  /** A worker met a key of ours that must be taken first. */
  need(ticket: number, key: Uint8Array): void {
    const generations = this.#generations
    const topology = this.#topology
    if (!generations || !topology) {
      this.#effects.refused(ticket, 'this node has no ring yet')
      return
    }
    const again = () => {
      if (this.#settleTicket(ticket)) this.#effects.granted(ticket)
    }
    const failed = (reason: string) => {
      if (this.#settleTicket(ticket)) this.#effects.refused(ticket, reason)
    }
    const arc = generations.arcAt(this.#store.point(key))
    if (generations.actor(generations.epoch, arc) !== topology.self) {
      this.#effects.granted(ticket) // it moved on: the engine will say where
      return
    }
    this.#waiting.add(ticket)
    const blind = () => {
      if (this.#settleTicket(ticket)) this.#effects.blind(ticket)
    }
    const acquired = this.taker.acquire(key, generations.epoch, { owned: again, blind, failed })
    if (acquired === 'waiting') return
    // Owned, yet the engine said "take": it answered by an older table, or this generation's table is not in force yet.
    if (this.#dirty) this.#publish()
    if (acquired === 'blind') {
      blind()
      return
    }
    const { start, source } = generations.tenure(topology.self, generations.epoch, arc)
    if (source !== null && this.#store.held(key) < start) this.#store.installAbsent(key, generations.epoch)
    again()
  }

  /** A worker met a key of a guarded arc: the request is executed here, and what it wrote logged before it is answered. */
  guard(ticket: number, request: GuardedRequest): void {
    const generations = this.#generations
    const topology = this.#topology
    if (!generations || !topology) {
      this.#effects.refused(ticket, 'this node has no ring yet')
      return
    }
    if (this.#dirty) this.#publish()
    const { key } = request
    const arc = generations.arcAt(this.#store.point(key))
    const isActor = generations.actor(generations.epoch, arc) === topology.self
    const isHeldBack = (node: number) => this.#isLogged(node) || generations.isAwayNow(node)
    const home = isActor ? generations.logFor(topology.self, generations.epoch, arc, isHeldBack) : null
    if (home === null) {
      this.#effects.granted(ticket) // it moved on, or is guarded no more: from the start
      return
    }
    this.#waiting.add(ticket)
    if (this.#isDropping) {
      // What it would log now might stay behind in a log that is being emptied.
      this.#waitingForDrops.push(() => this.#again(ticket))
      return
    }
    const run = (isBlind: boolean) => {
      if (this.#forgotten.has(ticket)) this.#settleTicket(ticket)
      else if (this.#generations !== generations || this.#isDropping) this.#again(ticket)
      else this.#execute(ticket, request, home, isBlind)
    }
    const failed = (reason: string) => {
      if (this.#settleTicket(ticket)) this.#effects.refused(ticket, reason)
    }
    const waiter = { owned: () => run(false), blind: () => run(true), failed }
    const acquired = this.taker.acquire(key, generations.epoch, waiter)
    if (acquired !== 'waiting') run(acquired === 'blind')
  }

  #again(ticket: number): void {
    if (this.#settleTicket(ticket)) this.#effects.granted(ticket)
  }

  #execute(ticket: number, { key, writes, execute }: GuardedRequest, home: number, isBlind: boolean): void {
    const executed = (failure: string | null) => {
      if (!this.#settleTicket(ticket)) return
      if (failure === null) this.#effects.executed(ticket)
      else this.#effects.refused(ticket, failure)
    }
    const refusal = writes ? this.#hints.refusal(home, key) : null
    if (refusal !== null) {
      executed(refusal)
      return
    }
    const generations = this.#generations!
    const arc = generations.arcAt(this.#store.point(key))
    const { start } = generations.tenure(this.#topology!.self, generations.epoch, arc)
    const written = writes ? this.#unsafe.begin(key, start) : null
    if (!execute(isBlind)) {
      written?.(null, null)
      this.#again(ticket)
      return
    }
    const record = written && this.#store.held(key) >= start ? this.#store.peek(key) : null
    if (!record) {
      written?.(null, null)
      executed(null)
      return
    }
    this.#hints.note(home, key, generations.epoch, record, failure => {
      written!(record, failure)
      executed(failure)
    })
  }

  #isLogged(node: number): boolean {
    for (const home of this.#hints.homes()) if (home === node) return true
    return false
  }

  /** The asker of a ticket is gone. */
  forget(ticket: number): void {
    if (this.#waiting.has(ticket)) this.#forgotten.add(ticket)
    else this.#flush.forget(ticket)
  }

  flush(ticket: number, delaySec: number): void {
    this.#flush.start(ticket, delaySec)
  }

  linkUp(role: Role, peer: number, incarnation: string): void {
    if (role === 'source') {
      this.source.linkUp(peer, incarnation)
      return
    }
    this.taker.linkUp(peer, incarnation)
    this.#flush.linkUp(peer)
    this.#catchUp.linkUp(peer)
  }

  linkDown(role: Role, peer: number): void {
    this.#held = this.#held.filter(held => held.role !== role || held.peer !== peer)
    if (role === 'source') this.source.linkDown(peer)
    else this.taker.linkDown(peer)
  }

  /** False: the peer says more than may wait; its link should be cut. */
  onMessage(role: Role, peer: number, epoch: number, message: Message): boolean {
    if (message.type === 'tell') {
      const text = this.#effects.topologyText()
      if (text !== null) this.#effects.send(role, peer, { type: 'topology', text })
      return true
    }
    if (message.type === 'topology') {
      this.#effects.learned(message.text)
      return true
    }
    if (message.type === 'greet') {
      this.#effects.send(role, peer, greetingOf(this.#store, this.#effects.flushPendingSec()))
      return true
    }
    if (message.type === 'greeting') {
      // What moves here later must not outlive a flush that everybody else was told of.
      const flushed = BigInt(message.flushed)
      if (flushed > this.#store.flushed()) this.#store.flush(flushed)
      if (message.flushInSec > 0) this.#effects.flushLater(message.flushInSec)
      this.#catchUp.greeted(peer, BigInt(message.version))
      return true
    }
    const behind = this.#held.some(held => held.role === role && held.peer === peer)
    if (epoch <= this.#epoch && !behind) {
      this.#dispatch(role, peer, message)
      return true
    }
    if (this.#held.length >= HELD_MAX) return false
    if (!behind) this.#effects.send(role, peer, { type: 'tell' })
    this.#held.push({ role, peer, epoch, message })
    return true
  }

  tick(now: number, lagMs: number): void {
    if (this.#dirty) this.#publish()
    this.#noteFlush()
    this.#hints.tick(now)
    this.source.tick(lagMs)
    this.taker.tick(now, lagMs)
    this.#flush.tick(now)
    this.#catchUp.tick(now)
    if (this.#sweepCursor >= 0) this.#sweep()
  }

  #dispatch(role: Role, peer: number, message: Message): void {
    if (message.type === 'clock') {
      this.#store.observe(BigInt(message.version))
      const version = this.#store.version().toString()
      this.#effects.send(role, peer, { type: 'clocked', id: message.id, version })
    } else if (message.type === 'flush') {
      this.#applyFlush(BigInt(message.version), message.delaySec)
      this.#effects.send(role, peer, { type: 'flushed', id: message.id })
    } else if (role === 'source') {
      this.source.onMessage(peer, message)
    } else {
      this.taker.onMessage(peer, message)
      this.#flush.onMessage(peer, message)
    }
  }

  /** One generation is left: nothing has to be remembered as absent, and what is not this node's own is of no use to anybody. */
  #sweep(): void {
    const foreign = this.taker.mayHoldLeftovers
    this.#sweepCursor = this.#store.sweepTombstones(this.#sweepCursor, TOMBSTONE_BUCKETS_PER_TICK, foreign)
    if (this.#sweepCursor < 0) this.taker.mayHoldLeftovers = false
  }

  /** Also of a flush that the engine did by itself, at the time that was set for it. */
  #noteFlush(): void {
    const version = this.#store.flushed()
    if (version <= this.#flushNoted) return
    this.#flushNoted = version
    this.#hints.flush(this.#epoch, version)
  }

  #applyFlush(version: bigint, delaySec: number): void {
    this.#store.observe(version)
    // PROTOCOL D7: a later flush_all replaces one that is still to come.
    this.#effects.flushLater(delaySec)
    if (delaySec === 0) this.#store.flush(version)
  }

  /** Puts the present picture in force. When no slot is free (a thread is in the middle of a turn) the next tick tries again. */
  #publish(): void {
    const generations = this.#generations
    if (!generations || !this.#topology) return
    const table: RouteTable = generations.routeTable(
      this.#topology.self,
      (epoch, source) => this.taker.isSettled(epoch, source),
      node => this.#isLogged(node),
    )
    this.#dirty = !this.#store.publish(table)
    if (this.#dirty) {
      this.#effects.unpublished()
      return
    }
    this.#epoch = generations.epoch
    this.#effects.published(this.#epoch)
    this.#dispatchHeld()
  }

  /** What waited for this epoch goes on, link by link in order: a message behind one that still waits waits too. */
  #dispatchHeld(): void {
    const held = this.#held
    if (held.length === 0) return
    this.#held = []
    const stuck = new Set<string>()
    const ready: Held[] = []
    for (const one of held) {
      const link = `${one.role}:${one.peer}`
      if (stuck.has(link) || one.epoch > this.#epoch) {
        stuck.add(link)
        this.#held.push(one)
      } else ready.push(one)
    }
    for (const { role, peer, message } of ready) this.#dispatch(role, peer, message)
  }

  #settleTicket(ticket: number): boolean {
    this.#waiting.delete(ticket)
    return !this.#forgotten.delete(ticket)
  }
}

/** Does something to one after the other; `next` may be called at once or later. */
function inTurn<T>(items: readonly T[], act: (item: T, next: () => void) => void, done: () => void): void {
  let index = 0
  let isActing = false
  const next = () => {
    index++
    if (!isActing) run()
  }
  const run = () => {
    for (let acted = -1; acted !== index; ) {
      const item = items[index]
      if (item === undefined) {
        done()
        return
      }
      acted = index
      isActing = true
      act(item, next)
      isActing = false
    }
  }
  run()
}
