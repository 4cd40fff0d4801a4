/**
 * The taking side of handoff: how this node becomes the authority for keys that another node held.
 *
 *   a request meets a key of an unsettled arc --acquire--> owned already?  yes: go on
 *                                                          no: take from the source, one take a key, others wait in order
 *   in the background                         --pull-----> batches, throttled, until the source has nothing left: settled
 *
 * Rules (DESIGN 8, the model's `acquire`): the actor of generation e owns a key when it was the actor of the generation
 * before and owns that, or when it took the key from the actor before. A node's state is: an item or tombstone whose mark
 * is not older than the tenure, or the transfer of the whole arc being settled.
 *
 * Pure: messages and time in, effects out through TakerEffects.
 */
import { strict as assert } from 'node:assert'
import type { EngineApi } from '../engine/contract.js'
import type { Generations, TransferPlan } from './generations.js'
import { ReceivedMark } from './stream.js'
import { DEFAULT_LIMITS, Throttle, type ThrottleLimits } from './throttle.js'
import type { Message } from './wire.js'

export type TakerStore = Pick<EngineApi, 'point' | 'held' | 'install' | 'installAbsent'>

export interface TakerEffects {
  /** On the link that this node dialed to the source. False: there is no such link now. */
  send(source: number, message: Message): boolean
  /** A transfer has settled: the route table must be built and published again. */
  routeChanged(): void
  /** This node has taken everything that the generation gave it. May be said more than once. */
  generationSettled(epoch: number): void
}

/** Someone who waits until a key is owned. Exactly one of the two is called, once. */
export interface Waiter {
  owned(): void
  failed(reason: string): void
}

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
  keys: number
  bytes: number
  fraction: number
  startedAt: number
}

interface PendingTake {
  id: number
  generation: number
  source: number
  key: Uint8Array
  waiters: Waiter[]
}

interface SourceState {
  linked: boolean
  received: ReceivedMark
  acked: number
  throttle: Throttle
  /** The pull under way, at most one a source. */
  pull: { id: number; generation: number } | null
  notBefore: number
}

/** Keys that may be under way at once; more are refused (each waits for one round trip). */
export const TAKES_PENDING_MAX = 65536
/** A source that is itself not ready, or has just refused, is asked again after this long. */
const PULL_AGAIN_MS = 20

export class Taker {
  readonly #store: TakerStore
  readonly #effects: TakerEffects
  #self = -1
  #generations: Generations | null = null
  #transfers = new Map<string, Transfer>()
  readonly #pending = new Map<string, PendingTake>()
  readonly #pendingById = new Map<number, PendingTake>()
  readonly #sources = new Map<number, SourceState>()
  #ids = 0
  #now = 0
  #lagMs = 0
  readonly #limits: ThrottleLimits

  constructor(store: TakerStore, effects: TakerEffects, limits: ThrottleLimits = DEFAULT_LIMITS) {
    this.#limits = limits
    this.#store = store
    this.#effects = effects
  }

  /** A new picture. What is known of transfers that go on is kept; what has been retired is over. */
  setGenerations(self: number, generations: Generations, settledBefore: (generation: number) => boolean): void {
    this.#self = self
    this.#generations = generations
    const transfers = new Map<string, Transfer>()
    for (const plan of generations.transfersTo(self)) {
      const id = transferId(plan.generation, plan.source)
      const fresh = { ...plan, settled: false, keys: 0, bytes: 0, fraction: 0, startedAt: this.#now }
      const transfer = this.#transfers.get(id) ?? fresh
      transfer.arcs = plan.arcs
      if (settledBefore(plan.generation)) transfer.settled = true
      transfers.set(id, transfer)
      this.#source(plan.source)
    }
    this.#transfers = transfers
    for (const pending of [...this.#pending.values()]) {
      if (!transfers.has(transferId(pending.generation, pending.source))) this.#complete(pending)
    }
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
    for (const transfer of this.#transfers.values()) if (!transfer.settled) wanted.add(transfer.source)
    for (const pending of this.#pending.values()) wanted.add(pending.source)
    return wanted
  }

  get takesPending(): number {
    return this.#pending.size
  }

  /**
   * Makes this node the authority for `key` as of `epoch`, of which it must be the actor. True: it is already (the waiter
   * is not called). Never waits behind this node's own takes for later generations (DESIGN 8, case 9: back and forth).
   */
  acquire(key: Uint8Array, epoch: number, waiter: Waiter): boolean {
    const generations = this.#generations
    assert(generations, 'a picture comes before requests')
    const arc = generations.arcAt(this.#store.point(key))
    const start = generations.tenureStart(this.#self, epoch, arc)
    if (start === generations.base) return true
    const source = generations.actor(generations.before(start)!, arc)!
    if (this.isSettled(start, source)) return true
    if (this.#store.held(key) >= start) return true
    this.#take(key, start, source, waiter)
    return false
  }

  linkUp(source: number, incarnation: string): void {
    const state = this.#source(source)
    state.linked = true
    state.pull = null
    state.notBefore = this.#now
    state.received.of(incarnation)
    state.acked = state.received.seq
    this.#effects.send(source, { type: 'resume', source: incarnation, ack: state.received.seq })
    for (const pending of this.#pending.values()) if (pending.source === source) this.#sendTake(pending)
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
  }

  /** `lagMs`: how late this node's own loop runs. */
  tick(now: number, lagMs: number): void {
    this.#now = now
    this.#lagMs = lagMs
    for (const transfer of this.#transfers.values()) {
      if (!transfer.settled) this.#pull(transfer)
    }
    for (const [number, state] of this.#sources) {
      if (state.linked && state.acked < state.received.seq) {
        state.acked = state.received.seq
        this.#effects.send(number, { type: 'ack', ack: state.acked })
      }
    }
    this.#announceSettled()
  }

  progress(): TransferProgress[] {
    return [...this.#transfers.values()].map(transfer => {
      const elapsedSec = Math.max(0.001, (this.#now - transfer.startedAt) / 1000)
      const { startedAt: _, ...plain } = transfer
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

  #take(key: Uint8Array, generation: number, source: number, waiter: Waiter): void {
    const id = pendingId(key, generation)
    const known = this.#pending.get(id)
    if (known) {
      known.waiters.push(waiter)
      return
    }
    if (this.#pending.size >= TAKES_PENDING_MAX) {
      waiter.failed('too many keys are being taken at once')
      return
    }
    const pending = { id: ++this.#ids, generation, source, key: Uint8Array.from(key), waiters: [waiter] }
    this.#pending.set(id, pending)
    this.#pendingById.set(pending.id, pending)
    this.#sendTake(pending)
  }

  #sendTake({ id, generation, source, key }: PendingTake): void {
    const state = this.#source(source)
    if (!state.linked) return
    const ack = state.received.seq
    if (this.#effects.send(source, { type: 'take', id, generation, ack, key })) state.acked = ack
  }

  #onTaken(source: number, message: Extract<Message, { type: 'taken' }>): void {
    const { generation, key, record } = message
    if (record) this.#receive(source, message.seq, generation, [record])
    const pending = this.#pendingById.get(message.id)
    // Also when a record came: it may have been expired or flushed on its way, and then the absence is what was taken.
    if (this.#store.held(key) < generation && !this.#store.installAbsent(key, generation)) {
      if (pending) this.#fail(pending, 'out of memory storing object')
      return
    }
    if (pending) this.#complete(pending)
  }

  #onDeclined(message: Extract<Message, { type: 'declined' }>): void {
    const pending = this.#pendingById.get(message.id)
    if (pending) this.#fail(pending, message.reason)
  }

  #complete(pending: PendingTake): void {
    this.#forget(pending)
    for (const waiter of pending.waiters) waiter.owned()
  }

  #fail(pending: PendingTake, reason: string): void {
    this.#forget(pending)
    for (const waiter of pending.waiters) waiter.failed(reason)
  }

  #forget(pending: PendingTake): void {
    this.#pending.delete(pendingId(pending.key, pending.generation))
    this.#pendingById.delete(pending.id)
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
    state.throttle.observe(this.#now, bytes, Math.max(this.#lagMs, message.lagMs))
    const transfer = this.#transfers.get(transferId(message.generation, source))
    if (!transfer) return
    transfer.fraction = message.state === 'done' ? 1 : message.fraction
    if (message.state === 'wait') state.notBefore = this.#now + PULL_AGAIN_MS
    else if (message.state === 'done') this.#settle(transfer)
    if (!transfer.settled) this.#pull(transfer)
  }

  #receive(source: number, seq: number, generation: number, records: readonly Uint8Array[]): number {
    if (records.length === 0 || !this.#source(source).received.accept(seq)) return 0
    const transfer = this.#transfers.get(transferId(generation, source))
    let bytes = 0
    for (const record of records) {
      this.#store.install(record, generation)
      bytes += record.length
    }
    if (transfer) {
      transfer.keys += records.length
      transfer.bytes += bytes
    }
    return bytes
  }

  #settle(transfer: Transfer): void {
    transfer.settled = true
    this.#effects.routeChanged()
    for (const pending of [...this.#pending.values()]) {
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
      state = { linked: false, received: new ReceivedMark(), acked: 0, throttle, pull: null, notBefore: 0 }
      this.#sources.set(number, state)
    }
    return state
  }
}

const transferId = (generation: number, source: number): string => `${generation}:${source}`

const pendingId = (key: Uint8Array, generation: number): string =>
  `${generation}:${Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')}`
