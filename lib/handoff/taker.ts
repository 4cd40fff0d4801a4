/**
 * The taking side of handoff: how this node becomes the authority for keys that another node held.
 *
 *   a request meets a key of an unsettled arc --acquire--> owned already?  yes: go on
 *                                                          no: take from the source, one take a key, others wait in order
 *   in the background                         --pull-----> batches, throttled, until the source has nothing left: settled
 *
 * Rules (DESIGN 8, the model's `acquire`): the actor of generation e owns a key when it was the actor of the generation
 * before and owns that, or when it took the key from the actor before. A node's state is: an item or tombstone whose mark
 * is not older than the tenure, what it logged in this tenure (hints.ts), or the transfer of the whole arc being settled.
 *
 * When the actor before is away, absence.ts says who else may still have the key; if nobody, this node owns it *blind*:
 * nothing is stored, a read is a miss, a write makes it informed. When it is back, it is asked as if it had never been away.
 *
 * What follows from a log that lost something is told, and kept as an absence, only when that loss is safe (hints.ts): a later
 * life that still believes the log would answer with what this one has called missing.
 *
 * Pure: messages and time in, effects out through TakerEffects.
 */
import { strict as assert } from 'node:assert'
import type { EngineApi } from '../engine/contract.js'
import { encodeRecord } from '../engine/record.js'
import { askInstead, isKeptForTaker, mayHaveLost } from './absence.js'
import type { Generations, Tenure, TransferPlan } from './generations.js'
import { Hearing } from './hearing.js'
import { type Hints, NO_HINTS } from './hints.js'
import { type PendingTake, PendingTakes, type Waiter } from './pending-takes.js'
import { ReceivedMark } from './stream.js'
import { DEFAULT_LIMITS, Throttle, type ThrottleLimits } from './throttle.js'
import type { Message } from './wire.js'

export type TakerStore = Pick<
  EngineApi,
  'point' | 'held' | 'install' | 'installAbsent' | 'renew' | 'peek' | 'keys' | 'handOver' | 'recordKey' | 'isDeletion'
>

export interface TakerEffects {
  /** On the link that this node dialed to the source. False: there is no such link now. */
  send(source: number, message: Message): boolean
  /** A transfer has settled: the route table must be built and published again. */
  routeChanged(): void
  /** This node has taken everything that the generation gave it. May be said more than once. */
  generationSettled(epoch: number): void
}

/** What `acquire` can say at once; when it says `waiting`, and only then, the waiter is called. */
export type Acquired = 'owned' | 'blind' | 'waiting'

/** Progress of one transfer, for people. */
export interface TransferProgress extends TransferPlan {
  settled: boolean
  arcsSettled: number
  keys: number
  bytes: number
  fraction: number
  bytesPerSec: number
  keysPerSec: number
  secondsLeft: number | null
}

interface Transfer extends TransferPlan {
  settled: boolean
  /** The source has nothing left. What this node kept from an earlier tenure is now looked through (see #close). */
  closing: { isVoid: boolean; lossy: readonly number[]; cursor: number } | null
  keys: number
  bytes: number
  fraction: number
  startedAt: number
}

interface SourceState {
  linked: boolean
  received: ReceivedMark
  acked: number
  /** When what came since may be confirmed by a message of its own; takes and pulls say it besides. */
  ackAt: number
  throttle: Throttle
  /** The pull under way, at most one a source. */
  pull: { id: number; generation: number } | null
  notBefore: number
}

/** A source that is itself not ready, or has just refused, is asked again after this long. */
const PULL_AGAIN_MS = 20
/** Requests at once that wait until others have heard of a generation; more are refused (one round trip a node and generation). */
const WAITING_FOR_HEARING_MAX = 65_536
const TOO_MANY = 'too many keys are being taken at once'
const FULL = 'out of memory storing object'
/** So often at most: until then the source keeps copies of what it handed over. Lower frees them sooner, and is a message more. */
const ACK_EVERY_MS = 50
/** Of the hash table, looked through in one step when a transfer closes. */
const BUCKETS_PER_STEP = 65_536
/** A version is an epoch and a counter of 44 bits (DESIGN 1). */
const EPOCH_SHIFT = 44n

export class Taker {
  readonly #store: TakerStore
  readonly #effects: TakerEffects
  #self = -1
  #generations: Generations | null = null
  #transfers = new Map<string, Transfer>()
  readonly #pending = new PendingTakes()
  readonly #sources = new Map<number, SourceState>()
  readonly #hearing: Hearing
  #ids = 0
  #now = 0
  #lagMs = 0
  readonly #limits: ThrottleLimits
  readonly #hints: Hints
  /** Somebody was away, and what this node may still hold of earlier tenures has not been looked through since. */
  mayHoldLeftovers = false
  /** The log of an earlier life is being read: what it holds must be in memory before a transfer closes. */
  replaying = false

  constructor(store: TakerStore, effects: TakerEffects, limits = DEFAULT_LIMITS, hints: Hints = NO_HINTS) {
    this.#limits = limits
    this.#hints = hints
    this.#store = store
    this.#effects = effects
    this.#hearing = new Hearing((node, message) => effects.send(node, message))
  }

  /** A new picture. What is known of transfers that go on is kept; what has been retired is over. */
  setGenerations(self: number, generations: Generations, settledBefore: (generation: number) => boolean): void {
    this.#self = self
    this.#generations = generations
    const transfers = new Map<string, Transfer>()
    for (const plan of generations.transfersTo(self)) {
      const id = transferId(plan.generation, plan.source)
      const fresh = { ...plan, settled: false, closing: null, keys: 0, bytes: 0, fraction: 0, startedAt: this.#now }
      const transfer = this.#transfers.get(id) ?? fresh
      transfer.arcs = plan.arcs
      if (settledBefore(plan.generation)) transfer.settled = true
      // Nothing comes from there any more; what this node kept of an earlier tenure may still have to go.
      else if (generations.isLost(plan.source) && !transfer.settled)
        transfer.closing ??= { isVoid: true, lossy: [], cursor: 0 }
      transfers.set(id, transfer)
      this.#source(plan.source)
    }
    this.#transfers = transfers
    for (const pending of [...this.#pending.all()]) {
      if (!transfers.has(transferId(pending.generation, pending.source))) {
        this.#end(pending, waiter => waiter.owned())
      } else if (generations.isAwayNow(pending.asked)) {
        this.#end(pending, waiter => this.#acquireAgain(pending, waiter))
      }
    }
    this.#hearing.lookAgain()
  }

  /**
   * Has a node that was asked in the place of an absent one not answered yet? It may have handed the key over, so until it is
   * certain this node may not say that it knows nothing, nor that it has taken all.
   */
  isInDoubt(key: Uint8Array, generation: number): boolean {
    return this.#pending.inDoubt(key, generation) !== undefined
  }

  /** As isInDoubt, for any key and any tenure that began before `generation`. */
  isInDoubtBefore(generation: number): boolean {
    for (const pending of this.#pending.allInDoubt()) if (pending.generation < generation) return true
    return false
  }

  /** `done` when it is certain. False, and never: the one that was asked is away. */
  whenCertain(key: Uint8Array, generation: number, done: () => void): boolean {
    const pending = this.#pending.inDoubt(key, generation)
    assert(pending, 'asked while it is in doubt')
    if (this.#generations!.isAwayNow(pending.asked)) return false
    pending.watchers.push(done)
    return true
  }

  isSettled(generation: number, source: number): boolean {
    return this.#transfers.get(transferId(generation, source))?.settled ?? true
  }

  /** Has this node still something to take for a generation before `generation`? */
  unsettledBefore(generation: number): boolean {
    for (const transfer of this.#transfers.values()) {
      if (transfer.generation < generation && !transfer.settled) return true
    }
    return false
  }

  /** Nodes that this node needs a link to. */
  sources(): Set<number> {
    const wanted = new Set<number>()
    for (const transfer of this.#transfers.values()) {
      if (transfer.settled || transfer.closing) continue
      if (!this.#generations?.isAwayNow(transfer.source)) wanted.add(transfer.source)
    }
    for (const pending of this.#pending.all()) wanted.add(pending.asked)
    for (const node of this.#hearing.wanted()) wanted.add(node)
    return wanted
  }

  get takesPending(): number {
    return this.#pending.size + this.#hearing.waiting
  }

  /**
   * Makes this node the authority for `key` as of `epoch`, of which it must be the actor. Never waits behind this node's
   * own takes for later generations (DESIGN 8, case 9: back and forth).
   */
  acquire(key: Uint8Array, epoch: number, waiter: Waiter): Acquired {
    const generations = this.#generations
    assert(generations, 'a picture comes before requests')
    const arc = generations.arcAt(this.#store.point(key))
    const tenure = generations.tenure(this.#self, epoch, arc)
    const { start, source } = tenure
    if (source === null || this.#store.held(key) >= start) return 'owned'
    // Also of an arc that is settled: what memory lost may come back with a later life of this node, so it is not gone.
    const logged = this.#hints.find(key)
    if (logged >= start && logged <= epoch) {
      this.#recallLogged(key, waiter)
      return 'waiting'
    }
    if (!this.#hints.areLossesSafe) {
      this.#acquireWhenSafe(key, epoch, waiter)
      return 'waiting'
    }
    if (this.#hasAll(start, source, arc)) return 'owned'
    const later = this.#onceSafe(key, epoch, waiter)
    if (this.hasLost(epoch, arc)) return this.#acquireLost(key, arc, tenure, later)
    return this.#fromSource(key, arc, tenure, later)
  }

  /** What is said later: a log may have lost something meanwhile, and then it is looked at again. */
  #onceSafe(key: Uint8Array, epoch: number, waiter: Waiter): Waiter {
    const own = Uint8Array.from(key)
    const ifSafe = (tell: () => void) => () => {
      if (this.#hints.areLossesSafe) tell()
      else this.#acquireWhenSafe(own, epoch, waiter)
    }
    const failed = (reason: string) => waiter.failed(reason)
    return { owned: ifSafe(() => waiter.owned()), blind: ifSafe(() => waiter.blind()), failed }
  }

  #acquireWhenSafe(key: Uint8Array, generation: number, waiter: Waiter): void {
    const own = Uint8Array.from(key)
    this.#hints.whenLossesSafe(failure => {
      if (failure !== null) waiter.failed(failure)
      else this.#acquireAgain({ key: own, generation }, waiter)
    })
  }

  /** Blind only when all who acted before know that they do so no more. */
  #fromSource(key: Uint8Array, arc: number, tenure: Tenure, waiter: Waiter): Acquired {
    const own = Uint8Array.from(key)
    const generations = this.#generations!
    const { start } = tenure
    const { owned, failed } = waiter
    const blind = () => {
      if (this.#generations !== generations) this.#acquireAgain({ key: own, generation: start }, waiter)
      else if (this.#whenAlone(own, arc, start, waiter) === 'blind') waiter.blind()
    }
    const acquired = this.#askSource(own, arc, tenure, { owned, blind, failed })
    return acquired === 'blind' ? this.#whenAlone(own, arc, start, waiter) : acquired
  }

  /** Nobody can be asked for the key. Whoever acted before, and is there, may not have heard that another node acts now. */
  #whenAlone(key: Uint8Array, arc: number, start: number, waiter: Waiter): 'blind' | 'waiting' {
    const generations = this.#generations!
    const node = this.#hearing.behind(generations, this.#self, start, arc)
    if (node === null) return 'blind'
    if (this.#hearing.waiting >= WAITING_FOR_HEARING_MAX) waiter.failed(TOO_MANY)
    else this.#hearing.whenHeard(node, generations.epoch, () => this.#acquireAgain({ key, generation: start }, waiter))
    return 'waiting'
  }

  #askSource(key: Uint8Array, arc: number, tenure: Tenure, waiter: Waiter): Acquired {
    const generations = this.#generations!
    const { start } = tenure
    const source = tenure.source!
    const doubt = this.#pending.inDoubt(key, start)
    if (doubt && generations.isAwayNow(doubt.asked)) return 'blind'
    if (generations.isAwayNow(source)) return this.#withoutSource(key, arc, tenure, waiter)
    return this.#take(key, { generation: start, source, asked: source }, waiter)
  }

  linkUp(source: number, incarnation: string): void {
    const state = this.#source(source)
    state.linked = true
    state.pull = null
    state.notBefore = this.#now
    state.received.of(incarnation)
    state.acked = state.received.seq
    this.#effects.send(source, { type: 'resume', source: incarnation, ack: state.received.seq })
    for (const pending of this.#pending.all()) if (pending.asked === source) this.#sendTake(pending)
    this.#hearing.linkUp(source, incarnation)
  }

  linkDown(source: number): void {
    const state = this.#sources.get(source)
    if (!state) return
    state.linked = false
    state.pull = null
  }

  onMessage(source: number, message: Message): void {
    if (message.type === 'taken') this.#onTaken(source, message)
    else if (message.type === 'batch') this.#onBatch(source, message)
    else if (message.type === 'handed') this.#receive(source, message.seq, message.generation, message.records)
    else if (message.type === 'declined') this.#onDeclined(message)
    else if (message.type === 'heard') this.#hearing.onHeard(source, message.id)
  }

  /** `lagMs`: how late this node's own loop runs. */
  tick(now: number, lagMs: number): void {
    this.#now = now
    this.#lagMs = lagMs
    for (const transfer of this.#transfers.values()) {
      if (transfer.closing) this.#close(transfer)
      else if (!transfer.settled) this.#pull(transfer)
    }
    for (const [number, state] of this.#sources) {
      if (state.linked && state.acked < state.received.seq && now >= state.ackAt) {
        state.acked = state.received.seq
        state.ackAt = now + ACK_EVERY_MS
        this.#effects.send(number, { type: 'ack', ack: state.acked })
      }
    }
    this.#announceSettled()
  }

  progress(): TransferProgress[] {
    return [...this.#transfers.values()].map(transfer => {
      const elapsedSec = Math.max(0.001, (this.#now - transfer.startedAt) / 1000)
      const { startedAt: _, closing: __, ...plain } = transfer
      const left = transfer.fraction > 0 ? (elapsedSec / transfer.fraction) * (1 - transfer.fraction) : null
      return {
        ...plain,
        arcsSettled: transfer.settled ? transfer.arcs : 0,
        bytesPerSec: transfer.settled ? 0 : transfer.bytes / elapsedSec,
        keysPerSec: transfer.settled ? 0 : transfer.keys / elapsedSec,
        secondsLeft: transfer.settled ? 0 : left,
      }
    })
  }

  // --- one key

  #take(
    key: Uint8Array,
    from: Pick<PendingTake, 'generation' | 'source' | 'asked' | 'kept'>,
    waiter: Waiter,
  ): 'waiting' {
    const known = this.#pending.find(key, from.generation)
    if (known) {
      known.waiters.push(waiter)
      return 'waiting'
    }
    if (this.#pending.isFull) {
      waiter.failed(TOO_MANY)
      return 'waiting'
    }
    const pending = this.#pending.begin(++this.#ids, key, from, waiter)
    this.#sendTake(pending)
    return 'waiting'
  }

  #sendTake(pending: PendingTake): void {
    const { id, generation, asked, kept, key } = pending
    const state = this.#source(asked)
    if (!state.linked) return
    const ack = state.received.seq
    if (!this.#effects.send(asked, { type: 'take', id, generation, ack, key, kept })) return
    state.acked = ack
    this.#pending.onSent(pending)
  }

  /** Its answer came, and counts as one that a broken link has lost: what this node may make of it is not safe yet. */
  #sendWhenSafe(pending: PendingTake): void {
    this.#hints.whenLossesSafe(failure => {
      if (this.#pending.byId(pending.id) !== pending) return
      if (failure === null) this.#sendTake(pending)
      else this.#fail(pending, failure)
    })
  }

  #onTaken(source: number, message: Extract<Message, { type: 'taken' }>): void {
    const { generation, key, record } = message
    this.#hearing.hasHeard(source, generation)
    if (record) this.#receive(source, message.seq, generation, [record])
    const pending = this.#pending.byId(message.id)
    if (!this.#hints.areLossesSafe && this.#store.held(key) < generation) {
      if (pending) this.#sendWhenSafe(pending)
      return
    }
    if (message.blind !== undefined) {
      if (pending) this.#onBlind(pending, message.blind)
      return
    }
    // Also when a record came: it may have been expired or flushed on its way, and then the absence is what was taken.
    if (this.#store.held(key) < generation && !this.#store.installAbsent(key, generation)) {
      if (pending) this.#fail(pending, FULL)
      return
    }
    if (pending) this.#complete(pending)
  }

  // --- one key, while somebody is away

  /**
   * What this node may have written in its tenure is not known any more. Whoever may know something older is asked for it all the
   * same, as it must not be the authority any longer; and then it is a miss for good, also when the log that lost
   * something is forgotten, and whatever comes from the source later.
   */
  #acquireLost(key: Uint8Array, arc: number, tenure: Tenure, waiter: Waiter): Acquired {
    const own = Uint8Array.from(key)
    const { start } = tenure
    const end = () => {
      // Not safe any more: the waiter itself looks again.
      if (!this.#hints.areLossesSafe || this.#missFrom(own, start)) waiter.owned()
      else waiter.failed(FULL)
    }
    const acquired = this.#fromSource(own, arc, tenure, {
      owned: end,
      blind: end,
      failed: reason => waiter.failed(reason),
    })
    if (acquired === 'waiting') return 'waiting'
    if (this.#missFrom(own, start)) return 'owned'
    waiter.failed(FULL)
    return 'waiting'
  }

  /** Unless this node knows better meanwhile, the key is a miss as of generation `start`. False: no memory. */
  #missFrom(key: Uint8Array, start: number): boolean {
    if (this.#store.held(key) >= start) return true
    const installed = this.#store.install(deletionBefore(key, start), start)
    return (installed !== 'no memory' && this.#store.held(key) >= start) || this.#store.installAbsent(key, start)
  }

  /** What this node wrote in its present tenure is not in memory any more: it is in the log, as a value or as deleted. */
  #recallLogged(key: Uint8Array, waiter: Waiter): void {
    const generation = this.#hints.find(key)
    const own = Uint8Array.from(key)
    const end = (failure: string | null) => {
      if (failure !== null) waiter.failed(failure)
      else if (this.#store.held(own) >= generation || this.#store.installAbsent(own, generation)) waiter.owned()
      else waiter.failed(FULL)
    }
    this.#hints.read(own, record => {
      const isThere = record !== null && this.#store.install(record, generation) !== 'no memory'
      if (isThere && this.#store.held(own) >= generation) waiter.owned()
      else this.#hints.whenLossesSafe(end)
    })
  }

  /** The actor before is away. */
  #withoutSource(key: Uint8Array, arc: number, tenure: Tenure, waiter: Waiter): Acquired {
    const generations = this.#generations!
    const other = askInstead(generations, arc, tenure)
    if (!other) return 'blind'
    const { start, source } = tenure
    if (other.node !== this.#self) {
      return this.#take(key, { generation: start, source: source!, asked: other.node, kept: other.generation }, waiter)
    }
    // The source should have taken the key from this very node. What is still here was never handed over.
    if (!this.neverGave(key, other.generation, other.before, arc)) return 'blind'
    return this.#recall(key, other.before, start, waiter)
  }

  /**
   * What this node knew of the key as of `epoch`, of an earlier tenure of its own, is what is true from generation `start`
   * on: a stand-in says so of what it never saw, or nobody but this node ever had the key.
   */
  #recall(key: Uint8Array, epoch: number, start: number, waiter: Waiter): Acquired {
    const own = Uint8Array.from(key)
    const renew = (): boolean => {
      if (this.#hasLostSince(start, own)) return this.#missFrom(own, start)
      const generations = this.#generations!
      const arc = generations.arcAt(this.#store.point(own))
      if (generations.actor(epoch, arc) === this.#self) {
        if (this.#store.renew(own, this.oldestThatCounts(epoch, arc), start)) return true
      }
      return this.#store.installAbsent(own, start)
    }
    const acquired = this.acquire(own, epoch, {
      owned: () => (renew() ? waiter.owned() : waiter.failed(FULL)),
      blind: () => waiter.blind(),
      failed: reason => waiter.failed(reason),
    })
    if (acquired !== 'owned') return acquired
    if (renew()) return 'owned'
    waiter.failed(FULL)
    return 'waiting'
  }

  /** The one that was asked is blind: `asOf` > 0: only this node itself knows, as of that generation; 0: a node that is away. */
  #onBlind(pending: PendingTake, asOf: number): void {
    if (asOf === 0) {
      if (this.#store.held(pending.key) >= pending.generation) this.#complete(pending)
      else if (pending.kept !== undefined && !this.#generations!.isAwayNow(pending.source)) this.#askAgain(pending)
      else this.#toBlind(pending)
      return
    }
    if (this.#hasLostSince(pending.generation, pending.key)) {
      if (this.#missFrom(pending.key, pending.generation)) this.#complete(pending)
      else this.#fail(pending, FULL)
      return
    }
    const waiter: Waiter = {
      owned: () => this.#complete(pending),
      blind: () => this.#toBlind(pending),
      failed: reason => this.#fail(pending, reason),
    }
    const acquired = this.#recall(pending.key, asOf, pending.generation, waiter)
    if (acquired === 'owned') waiter.owned()
    else if (acquired === 'blind') waiter.blind()
  }

  #toBlind(pending: PendingTake): void {
    if (!this.#pending.forget(pending)) return
    for (const waiter of pending.waiters) waiter.blind()
  }

  /** Somebody went away or is back: whoever waits is told, or another is asked. */
  #askAgain(pending: PendingTake): void {
    this.#pending.forget(pending)
    for (const waiter of pending.waiters) this.#acquireAgain(pending, waiter)
  }

  #acquireAgain({ key, generation }: Pick<PendingTake, 'key' | 'generation'>, waiter: Waiter): void {
    const generations = this.#generations!
    const arc = generations.arcAt(this.#store.point(key))
    // Or this node has all, as the generation is retired, or it was kept for the home that acts again: both say that it is to be looked at anew.
    const isOpen =
      generations.actor(generation, arc) === this.#self && !generations.isKeptOf(this.#self, generation, arc)
    const acquired = isOpen ? this.acquire(key, generation, waiter) : 'owned'
    if (acquired === 'owned') waiter.owned()
    else if (acquired === 'blind') waiter.blind()
  }

  /** Nobody waits for the key any more; only what is in doubt is still asked for, as long as the one asked may come back. */
  #end(pending: PendingTake, tell: (waiter: Waiter) => void): void {
    const generations = this.#generations!
    const { kept, asked } = pending
    const isOver = kept === undefined || generations.before(kept) === undefined || generations.isLost(asked)
    if (isOver || !pending.sent) this.#pending.forget(pending)
    for (const waiter of pending.waiters.splice(0)) tell(waiter)
    for (const certain of pending.watchers.splice(0)) certain()
  }

  #onDeclined(message: Extract<Message, { type: 'declined' }>): void {
    const pending = this.#pending.byId(message.id)
    if (pending) this.#fail(pending, message.reason)
  }

  #complete(pending: PendingTake): void {
    if (!this.#pending.forget(pending)) return
    for (const waiter of pending.waiters) waiter.owned()
  }

  #fail(pending: PendingTake, reason: string): void {
    if (!this.#pending.forget(pending)) return
    for (const waiter of pending.waiters) waiter.failed(reason)
  }

  // --- batches

  #pull(transfer: Transfer): void {
    const state = this.#source(transfer.source)
    if (!state.linked || state.pull || this.#now < state.notBefore || state.throttle.waitMs(this.#now) > 0) return
    state.pull = { id: ++this.#ids, generation: transfer.generation }
    const ack = state.received.seq
    const bytesMax = state.throttle.batchBytes()
    this.#effects.send(transfer.source, { type: 'pull', ...state.pull, ack, bytesMax })
    state.acked = ack
  }

  #onBatch(source: number, message: Extract<Message, { type: 'batch' }>): void {
    const state = this.#source(source)
    const bytes = this.#receive(source, message.seq, message.generation, message.records)
    if (state.pull?.id !== message.id) return
    state.pull = null
    state.throttle.observe(this.#now, bytes, message.records.length, Math.max(this.#lagMs, message.lagMs))
    const transfer = this.#transfers.get(transferId(message.generation, source))
    if (!transfer) return
    transfer.fraction = message.state === 'done' ? 1 : message.fraction
    if (message.state === 'wait') state.notBefore = this.#now + PULL_AGAIN_MS
    else if (message.state === 'done') {
      transfer.closing = { isVoid: message.isVoid === true, lossy: message.lossy ?? [], cursor: 0 }
      this.#close(transfer)
    }
    if (!transfer.settled && !transfer.closing) this.#pull(transfer)
  }

  #receive(source: number, seq: number, generation: number, records: readonly Uint8Array[]): number {
    if (records.length === 0 || !this.#source(source).received.accept(seq)) return 0
    const transfer = this.#transfers.get(transferId(generation, source))
    let bytes = 0
    for (const record of records) {
      // What this node wrote in a tenure since then is newer, also when memory does not hold it any more; and what was decided
      // for a later tenure stays so: also that there is nothing, as somebody who was asked twice has lost meanwhile what he knew.
      const key = this.#store.recordKey(record)
      const known = Math.max(this.#hints.find(key), this.#hints.aside(key), this.#store.held(key) - 1)
      if (known < generation && !this.#hasLostSince(generation, key)) this.#store.install(record, generation)
      bytes += record.length
    }
    if (transfer) {
      transfer.keys += records.length
      transfer.bytes += bytes
    }
    return bytes
  }

  /**
   * The source has nothing left for this node. Where somebody was away, this node may still hold what it held in earlier
   * tenures: what it kept as the home, whose stand-in never saw it, counts again; the rest is dropped.
   */
  #close(transfer: Transfer): void {
    const generations = this.#generations!
    const closing = transfer.closing!
    for (const { generation, source } of this.#pending.allInDoubt()) {
      if (generation === transfer.generation && source === transfer.source) return
    }
    if (this.mayHoldLeftovers) {
      if (this.replaying || this.unsettledBefore(transfer.generation)) return
      const { keys, cursor } = this.#store.keys(transfer.generation, closing.cursor, BUCKETS_PER_STEP)
      for (const { key, mark } of keys) {
        const arc = generations.arcAt(this.#store.point(key))
        if (generations.actor(transfer.generation, arc) !== this.#self) continue
        const { start, source, before } = generations.tenure(this.#self, transfer.generation, arc)
        if (start !== transfer.generation || source !== transfer.source) continue
        const own = isKeptForTaker(generations, this.#self, source, before, arc)
        const isLost = () =>
          closing.isVoid ||
          (closing.lossy.length > 0 &&
            mayHaveLost(generations, source, before, arc, home => closing.lossy.includes(home))) ||
          this.#hasLostSince(transfer.generation, key)
        if (own !== null && !isLost() && mark >= this.oldestThatCounts(own, arc)) {
          this.#store.renew(key, mark, transfer.generation)
        } else this.#store.handOver(key, transfer.generation)
      }
      closing.cursor = cursor
      if (cursor >= 0) return
    }
    transfer.closing = null
    this.#settle(transfer)
  }

  /**
   * Is what this node holds of its tenure that reaches `before` still here, so that it was surely never handed over in
   * `generation`? An absence proves nothing: it may have been asked for again after the key had gone.
   */
  neverGave(key: Uint8Array, generation: number, before: number, arc: number): boolean {
    const held = this.#store.held(key)
    if (held < this.oldestThatCounts(before, arc) || held >= generation || held < 0) return false
    const record = this.#store.peek(key)
    return record !== null && !this.#store.isDeletion(record)
  }

  /**
   * May this node, in its tenure that reaches `epoch`, have written a key of the arc and have no record of that (mayHaveLost)? Then what is
   * older does not count, whoever asks: it is a miss.
   */
  hasLost(epoch: number, arc: number): boolean {
    if (!this.#hints.isAnyLossy) return false
    return mayHaveLost(this.#generations!, this.#self, epoch, arc, home => this.#hints.isLossy(home))
  }

  /** As hasLost, of the tenure to which `generation` belongs, for what comes from its source. */
  #hasLostSince(generation: number, key: Uint8Array): boolean {
    if (!this.#hints.isAnyLossy) return false // asked for every record that comes
    const generations = this.#generations!
    const arc = generations.arcAt(this.#store.point(key))
    const last = generations.lastOfTenure(this.#self, generation, arc)
    return last !== null && this.hasLost(last, arc)
  }

  /** Has this node taken the arc for the tenure that began with `start`? What it only kept for an absent home it never takes. */
  #hasAll(start: number, source: number, arc: number): boolean {
    return this.isSettled(start, source) && !this.#generations!.isKept(source, this.#self, start, arc)
  }

  /** Items of this node with a lower mark are leftovers of a tenure before the one that reaches `epoch`. */
  oldestThatCounts(epoch: number, arc: number): number {
    const { start, source } = this.#generations!.tenure(this.#self, epoch, arc)
    return source === null || this.#hasAll(start, source, arc) ? 0 : start
  }

  #settle(transfer: Transfer): void {
    transfer.settled = true
    this.#effects.routeChanged()
    for (const pending of [...this.#pending.all()]) {
      if (pending.generation === transfer.generation && pending.source === transfer.source) this.#complete(pending)
    }
    this.#announceSettled()
  }

  #announceSettled(): void {
    const open = new Set<number>()
    const all = new Set<number>()
    for (const transfer of this.#transfers.values()) {
      all.add(transfer.generation)
      if (!transfer.settled) open.add(transfer.generation)
    }
    for (const generation of all) if (!open.has(generation)) this.#effects.generationSettled(generation)
  }

  #source(number: number): SourceState {
    let state = this.#sources.get(number)
    if (!state) {
      const throttle = new Throttle(this.#now, this.#limits)
      state = { linked: false, received: new ReceivedMark(), acked: 0, ackAt: 0, throttle, pull: null, notBefore: 0 }
      this.#sources.set(number, state)
    }
    return state
  }
}

/** A deletion that is newer than all that earlier generations wrote, and older than all that `generation` writes. */
function deletionBefore(key: Uint8Array, generation: number): Uint8Array {
  const version = BigInt(generation) << EPOCH_SHIFT
  return encodeRecord({ key, value: null, flags: 0, version, toLiveSec: null, fetched: false, active: false })
}

const transferId = (generation: number, source: number): string => `${generation}:${source}`
