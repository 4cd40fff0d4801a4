/**
 * The giving side of handoff: answers takes and pulls of other nodes.
 *
 * A key is *moved*: it leaves the store under the key's lock, after the route that says so was published, so no thread
 * can act on it any more; a copy stays in the taker's HandedStream until it is confirmed. A take for generation g is
 * answered from what this node held before g (marks below g), and waits only for takes of its own for earlier
 * generations: chains end, and back and forth does not deadlock (DESIGN 8, cases 1, 2 and 9).
 */
import type { EngineApi } from '../engine/contract.js'
import type { Generations } from './generations.js'
import { HandedStream } from './stream.js'
import type { Taker } from './taker.js'
import type { Message } from './wire.js'

export type SourceStore = Pick<EngineApi, 'point' | 'handOver' | 'collect' | 'keys' | 'buckets'>

export interface SourceEffects {
  /** On the link that the taker dialed to this node. False: there is no such link now. */
  send(taker: number, message: Message): boolean
}

interface Walk {
  pass: 0 | 1
  cursor: number
  done: boolean
}

interface TakerState {
  incarnation: string
  /** Counts links: what was asked on an earlier one is not answered. */
  session: number
  stream: HandedStream
  walks: Map<number, Walk>
}

/**
 * Hash buckets walked for one batch at most; the store stops earlier, after some hundred items or the batch's bytes. Requests
 * wait for the control thread while it walks: well under a millisecond.
 */
const BUCKETS_PER_BATCH = 65_536

export class Source {
  readonly #store: SourceStore
  readonly #taker: Taker
  readonly #effects: SourceEffects
  readonly #takers = new Map<number, TakerState>()
  #self = -1
  #generations: Generations | null = null
  #lagMs = 0

  constructor(store: SourceStore, taker: Taker, effects: SourceEffects) {
    this.#store = store
    this.#taker = taker
    this.#effects = effects
  }

  setGenerations(self: number, generations: Generations): void {
    this.#self = self
    this.#generations = generations
    for (const state of this.#takers.values()) {
      for (const generation of state.walks.keys()) {
        if (generations.before(generation) === undefined) state.walks.delete(generation)
      }
    }
  }

  /** Bytes of handed-over records that no taker has confirmed yet. */
  get unconfirmedBytes(): number {
    let bytes = 0
    for (const state of this.#takers.values()) bytes += state.stream.unconfirmedBytes
    return bytes
  }

  linkUp(taker: number, incarnation: string): void {
    const state = this.#takers.get(taker)
    if (!state) {
      const stream = new HandedStream(incarnation)
      this.#takers.set(taker, { incarnation, session: 1, stream, walks: new Map() })
      return
    }
    state.session++
    if (state.incarnation !== incarnation) {
      state.incarnation = incarnation
      state.stream.resume(incarnation, 0)
      state.walks.clear()
    }
  }

  linkDown(taker: number): void {
    const state = this.#takers.get(taker)
    if (state) state.session++
  }

  tick(lagMs: number): void {
    this.#lagMs = lagMs
  }

  onMessage(taker: number, message: Message): void {
    const state = this.#takers.get(taker)
    if (!state) return
    if (message.type === 'resume') this.#onResume(taker, state, message.ack)
    else if (message.type === 'take') this.#onTake(taker, state, message)
    else if (message.type === 'pull') this.#onPull(taker, state, message)
    else if (message.type === 'ack') state.stream.confirm(message.ack)
  }

  #onResume(taker: number, state: TakerState, ack: number): void {
    for (const handed of state.stream.resume(state.incarnation, ack)) {
      this.#effects.send(taker, { type: 'handed', ...handed })
    }
  }

  #onTake(taker: number, state: TakerState, message: Extract<Message, { type: 'take' }>): void {
    const { id, generation, key } = message
    state.stream.confirm(message.ack)
    const generations = this.#generations
    const before = generations?.before(generation)
    const session = state.session
    const answer = (record: Uint8Array | null) => {
      const seq = record ? state.stream.push(generation, [record]) : 0
      this.#effects.send(taker, { type: 'taken', id, seq, generation, key, record })
    }
    if (!generations || before === undefined) {
      answer(null) // retired: everything of it has long been handed over
      return
    }
    const arc = generations.arcAt(this.#store.point(key))
    if (generations.actor(generation, arc) !== taker || generations.actor(before, arc) !== this.#self) {
      const reason = `generation ${generation} does not move this key from node ${this.#self} to node ${taker}`
      this.#effects.send(taker, { type: 'declined', id, reason })
      return
    }
    const handOver = () => {
      if (state.session === session) answer(this.#store.handOver(key, generation)) // else it is asked again on the next link
    }
    const failed = (reason: string) => {
      if (state.session === session) this.#effects.send(taker, { type: 'declined', id, reason })
    }
    if (this.#taker.acquire(key, before, { owned: handOver, failed })) handOver()
  }

  #onPull(taker: number, state: TakerState, message: Extract<Message, { type: 'pull' }>): void {
    const { id, generation, bytesMax } = message
    state.stream.confirm(message.ack)
    const generations = this.#generations
    let walk = state.walks.get(generation)
    if (!walk) {
      walk = { pass: 0, cursor: 0, done: false }
      state.walks.set(generation, walk)
    }
    const wait = this.#taker.unsettledBefore(generation)
    let records: Uint8Array[] = []
    if (!generations || generations.before(generation) === undefined) walk.done = true
    else if (!wait && !walk.done) records = this.#collect(generations, taker, generation, walk, bytesMax)
    const seq = records.length > 0 ? state.stream.push(generation, records) : 0
    const share = walk.cursor / Math.max(1, this.#store.buckets())
    const fraction = walk.done ? 1 : (walk.pass + share) / 2
    const answer = walk.done ? 'done' : wait ? 'wait' : 'more'
    const lagMs = this.#lagMs
    this.#effects.send(taker, { type: 'batch', id, seq, generation, state: answer, fraction, lagMs, records })
  }

  /** The next part of the walk: hottest first (pass 0: what has been read), then everything. */
  #collect(generations: Generations, taker: number, generation: number, walk: Walk, bytesMax: number): Uint8Array[] {
    const { records, cursor } =
      generations.before(generation) === generations.base && generation === generations.epoch
        ? this.#store.collect(taker, generation, walk.pass, walk.cursor, BUCKETS_PER_BATCH, bytesMax)
        : this.#collectChained(generations, taker, generation, walk)
    walk.cursor = cursor
    if (cursor < 0) {
      walk.done = walk.pass === 1
      walk.pass = 1
      walk.cursor = 0
    }
    return records
  }

  /** Several generations are unsettled: the current owner may not be the next taker, so each key's history is looked at. */
  #collectChained(generations: Generations, taker: number, generation: number, walk: Walk) {
    if (walk.pass === 0) Object.assign(walk, { pass: 1, cursor: 0 }) // the hot pass left others behind its cursor
    const before = generations.before(generation)!
    const { keys, cursor } = this.#store.keys(generation, walk.cursor, BUCKETS_PER_BATCH)
    const records: Uint8Array[] = []
    for (const { key } of keys) {
      const arc = generations.arcAt(this.#store.point(key))
      if (generations.actor(generation, arc) !== taker || generations.actor(before, arc) !== this.#self) continue
      const record = this.#store.handOver(key, generation)
      if (record) records.push(record)
    }
    return { records, cursor }
  }
}
