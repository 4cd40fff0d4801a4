/**
 * The giving side of handoff: answers takes and pulls of other nodes.
 *
 * A key is *moved*: it leaves the store under the key's lock, after the route that says so was published, so no thread
 * can act on it any more; a copy stays in the taker's HandedStream until it is confirmed. A take for generation g is
 * answered from what this node held before g (marks below g), and waits only for takes of its own for earlier
 * generations: chains end, and back and forth does not deadlock (DESIGN 8, cases 1, 2 and 9).
 *
 * Nothing is given, nor said to be void, because of what a log lacks, before that loss is safe (hints.ts).
 */
import type { EngineApi } from '../engine/contract.js'
import { nameOfKey } from '../engine/key-name.js'
import { isKeptForTaker } from './absence.js'
import { greetingOf } from './catch-up.js'
import type { Generations } from './generations.js'
import { type Hints, NO_HINTS } from './hints.js'
import { HandedStream } from './stream.js'
import type { Taker } from './taker.js'
import type { Message } from './wire.js'

export type SourceStore = Pick<
  EngineApi,
  | 'point'
  | 'held'
  | 'handOver'
  | 'peek'
  | 'tombstoneOf'
  | 'collect'
  | 'keys'
  | 'buckets'
  | 'now'
  | 'version'
  | 'flushed'
>

export interface SourceEffects {
  /** On the link that the taker dialed to this node. False: there is no such link now. */
  send(taker: number, message: Message): boolean
}

interface Walk {
  pass: 0 | 1
  cursor: number
  done: boolean
  /** Keys met in the store that the log has, too: they come when the store has been walked, with those that only the log has. */
  logged: Uint8Array[]
  /** Goes through them; null: the store has not been walked. */
  rest: Iterator<Uint8Array> | null
  /** Keys that `rest` gave are being called deleted in the log. */
  burying: boolean
}

interface TakerState {
  incarnation: string
  /** Counts links: what was asked on an earlier one is not answered. */
  session: number
  /** The flush_all that was told on this link. */
  flushed: bigint
  stream: HandedStream
  walks: Map<number, Walk>
}

/**
 * Hash buckets walked for one batch at most; the store stops earlier, after some hundred items or the batch's bytes. Requests
 * wait for the control thread while it walks: well under a millisecond.
 */
const BUCKETS_PER_BATCH = 65_536
/** Logged keys in one batch at most. */
const LOGGED_PER_BATCH = 256

export class Source {
  readonly #store: SourceStore
  readonly #taker: Taker
  readonly #effects: SourceEffects
  readonly #takers = new Map<number, TakerState>()
  #self = -1
  #generations: Generations | null = null
  #lagMs = 0
  readonly #hints: Hints
  /** What this node holds is for its next life (lib/tier/kept-memory.ts): stand-ins, that can still reach it, get nothing of it. */
  isKeeping = false

  constructor(store: SourceStore, taker: Taker, effects: SourceEffects, hints: Hints = NO_HINTS) {
    this.#hints = hints
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
      const stream = new HandedStream(incarnation, () => this.#store.now())
      this.#takers.set(taker, { incarnation, session: 1, flushed: 0n, stream, walks: new Map() })
      return
    }
    state.session++
    state.flushed = 0n
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
    else if (message.type === 'hear') this.#say(taker, { type: 'heard', id: message.id })
  }

  /**
   * What a flush_all took from this node must not come up again because the taker was not told of it, as the flush failed half-way: so the
   * taker hears of it before any answer.
   */
  #say(taker: number, message: Message): boolean {
    const flushed = this.#store.flushed()
    const state = this.#takers.get(taker)
    if (state && flushed > state.flushed) {
      state.flushed = flushed
      this.#effects.send(taker, greetingOf(this.#store, 0))
    }
    return this.#effects.send(taker, message)
  }

  #onResume(taker: number, state: TakerState, ack: number): void {
    for (const handed of state.stream.resume(state.incarnation, ack)) {
      this.#say(taker, { type: 'handed', ...handed })
    }
  }

  #onTake(taker: number, state: TakerState, message: Extract<Message, { type: 'take' }>): void {
    const { id, generation, key, kept } = message
    state.stream.confirm(message.ack)
    const generations = this.#generations
    // Asked in the place of the absent source: the key leaves this node as of the generation in which the source should have taken it.
    const leaves = kept ?? generation
    const before = generations?.before(leaves)
    const session = state.session
    const answer = (record: Uint8Array | null, blind?: number) => {
      const seq = record ? state.stream.push(generation, [record]) : 0
      this.#say(taker, { type: 'taken', id, seq, generation, key, record, blind })
    }
    if (!generations || before === undefined) {
      // Retired: everything of it has long been handed over. To the one that is away, if this node is asked in its place.
      if (kept === undefined) answer(null)
      else answer(null, 0)
      return
    }
    const arc = generations.arcAt(this.#store.point(key))
    if (generations.actor(generation, arc) !== taker || generations.actor(before, arc) !== this.#self) {
      const reason = `generation ${leaves} does not move this key from node ${this.#self} to node ${taker}`
      this.#say(taker, { type: 'declined', id, reason })
      return
    }
    const wanted = () => state.session === session // else it is asked again on the next link
    const failed = (reason: string) => {
      if (wanted()) this.#say(taker, { type: 'declined', id, reason })
    }
    if (!this.#hints.areLossesSafe) {
      const again = () => wanted() && this.#onTake(taker, state, message)
      this.#hints.whenLossesSafe(failure => (failure === null ? again() : failed(failure)))
      return
    }
    const handOver = () => {
      this.#bury(key, leaves, failure => {
        if (failure !== null) failed(failure)
        else if (wanted()) answer(this.#store.handOver(key, leaves))
      })
    }
    const blind = () => {
      if (wanted()) answer(null, 0)
    }
    if (kept !== undefined) {
      if (this.#taker.neverGave(key, leaves, before, arc)) handOver()
      else answer(null, 0)
      return
    }
    const theirs = isKeptForTaker(generations, taker, this.#self, before, arc)
    if (theirs !== null && !this.#knows(key, before, arc)) {
      const { start } = generations.tenure(this.#self, before, arc)
      if (this.#taker.isInDoubt(key, start)) {
        const again = () => wanted() && this.#onTake(taker, state, message)
        if (!this.#taker.whenCertain(key, start, again)) answer(null, 0)
      } else if (this.#hints.isVoid(taker) || this.#taker.hasLost(before, arc)) answer(null)
      else answer(null, theirs)
      return
    }
    const acquired = this.#taker.acquire(key, before, { owned: handOver, blind, failed })
    if (acquired === 'owned') handOver()
    else if (acquired === 'blind') blind()
  }

  /** Has this node written the key, or been told of it, in its tenure that reaches `epoch`? */
  #knows(key: Uint8Array, epoch: number, arc: number): boolean {
    const { start } = this.#generations!.tenure(this.#self, epoch, arc)
    return this.#store.held(key) >= start || this.#knowsFromLog(key, epoch, arc)
  }

  #knowsFromLog(key: Uint8Array, epoch: number, arc: number): boolean {
    const logged = this.#hints.find(key)
    return logged <= epoch && logged >= this.#generations!.tenure(this.#self, epoch, arc).start
  }

  /** Before a key is taken out of the store: the log, if it has the key, calls it deleted. With a failure it must stay. */
  #bury(key: Uint8Array, before: number, done: (failure: string | null) => void): void {
    const logged = this.#hints.find(key)
    const record = logged >= 0 && logged < before ? this.#store.peek(key) : null
    if (record) this.#hints.bury(key, this.#store.tombstoneOf(record), done)
    else this.#hints.whenLossesSafe(done)
  }

  #onPull(taker: number, state: TakerState, message: Extract<Message, { type: 'pull' }>): void {
    const { id, generation, bytesMax } = message
    state.stream.confirm(message.ack)
    if (this.isKeeping || !this.#hints.areLossesSafe) {
      const nothing = { seq: 0, fraction: 0, lagMs: this.#lagMs, records: [] }
      this.#say(taker, { type: 'batch', id, generation, state: 'wait', ...nothing })
      return
    }
    const generations = this.#generations
    const session = state.session
    let walk = state.walks.get(generation)
    if (!walk) {
      walk = { pass: 0, cursor: 0, done: false, logged: [], rest: null, burying: false }
      state.walks.set(generation, walk)
    }
    const wait = this.#taker.unsettledBefore(generation) || this.#taker.isInDoubtBefore(generation) || walk.burying
    const answer = (records: Uint8Array[], isLater = false) => {
      const seq = records.length > 0 ? state.stream.push(generation, records) : 0
      const share = walk.cursor / Math.max(1, this.#store.buckets())
      const fraction = walk.done ? 1 : (walk.pass + share) / 2
      const said = walk.done ? 'done' : wait || isLater ? 'wait' : 'more'
      const lagMs = this.#lagMs
      const isVoid = walk.done && generations?.wasEverAway(taker) && this.#hints.isVoid(taker)
      const lossy =
        walk.done && this.#hints.isAnyLossy ? [...this.#hints.homes()].filter(home => this.#hints.isLossy(home)) : []
      if (state.session !== session) return
      this.#say(taker, {
        ...{ type: 'batch', id, seq, generation, state: said, fraction, lagMs },
        ...(isVoid ? { isVoid } : {}),
        ...(lossy.length > 0 ? { lossy } : {}),
        records,
      })
    }
    if (!generations || generations.before(generation) === undefined) {
      walk.done = true
      answer([])
    } else if (wait || walk.done) answer([])
    else if (walk.rest)
      this.#collectLogged(generations, taker, generation, walk, () => state.session === session, answer)
    else answer(this.#collect(generations, taker, generation, walk, bytesMax))
  }

  /** The next part of the walk: hottest first (pass 0: what has been read), then everything. */
  #collect(generations: Generations, taker: number, generation: number, walk: Walk, bytesMax: number): Uint8Array[] {
    const plain =
      generations.before(generation) === generations.base &&
      generation === generations.epoch &&
      !this.#taker.mayHoldLeftovers
    const { records, cursor } = plain
      ? this.#store.collect(taker, generation, walk.pass, walk.cursor, BUCKETS_PER_BATCH, bytesMax)
      : this.#collectChained(generations, taker, generation, walk)
    walk.cursor = cursor
    if (cursor < 0) {
      walk.cursor = 0
      if (walk.pass === 0) walk.pass = 1
      else if (plain) walk.done = true
      else walk.rest = this.#withLogged(walk.logged)
    }
    return records
  }

  /**
   * Several generations are unsettled, or somebody was away: the current owner may not be the next taker, so each key's
   * history is looked at. What this node holds from a tenure before the one that ends here is not the taker's.
   */
  #collectChained(generations: Generations, taker: number, generation: number, walk: Walk) {
    if (walk.pass === 0) Object.assign(walk, { pass: 1, cursor: 0 }) // the hot pass left others behind its cursor
    const before = generations.before(generation)!
    const { keys, cursor } = this.#store.keys(generation, walk.cursor, BUCKETS_PER_BATCH)
    const records: Uint8Array[] = []
    for (const { key, mark } of keys) {
      const arc = generations.arcAt(this.#store.point(key))
      if (!this.#isTheirs(generations, taker, generation, arc)) continue
      if (mark < this.#taker.oldestThatCounts(before, arc)) continue
      if (this.#knowsFromLog(key, before, arc)) {
        walk.logged.push(Uint8Array.from(key))
        continue
      }
      const record = this.#store.handOver(key, generation)
      if (record) records.push(record)
    }
    return { records, cursor }
  }

  /**
   * Does `taker` take this arc from this node because of `generation`? Not what it only kept while this node was away: that it
   * says of itself to whoever asks, and what it said must not be untrue by the time it is heard.
   */
  #isTheirs(generations: Generations, taker: number, generation: number, arc: number): boolean {
    if (generations.actor(generation, arc) !== taker) return false
    if (generations.actor(generations.before(generation)!, arc) !== this.#self) return false
    return !generations.isKept(this.#self, taker, generation, arc)
  }

  /** Has this node, in its tenure that reaches `epoch`, something to give? */
  #counts(key: Uint8Array, epoch: number, arc: number): boolean {
    const held = this.#store.held(key)
    if (held >= 0 && held >= this.#taker.oldestThatCounts(epoch, arc)) return true
    return this.#knowsFromLog(key, epoch, arc)
  }

  *#withLogged(met: readonly Uint8Array[]): Generator<Uint8Array> {
    yield* met
    const names = new Set(met.map(nameOfKey))
    for (const key of this.#hints.keys()) if (!names.has(nameOfKey(key))) yield key
  }

  /** The next logged keys that the taker is to have, from memory or from the log; at the end of the log the walk is done. */
  #collectLogged(
    generations: Generations,
    taker: number,
    generation: number,
    walk: Walk,
    wanted: () => boolean,
    answer: (records: Uint8Array[], isLater?: boolean) => void,
  ): void {
    const before = generations.before(generation)!
    const keys: Uint8Array[] = []
    while (keys.length < LOGGED_PER_BATCH) {
      const next = walk.rest!.next()
      if (next.done) {
        walk.done = keys.length === 0
        break
      }
      const arc = generations.arcAt(this.#store.point(next.value))
      if (!this.#isTheirs(generations, taker, generation, arc)) continue
      if (this.#counts(next.value, before, arc)) keys.push(Uint8Array.from(next.value))
    }
    if (keys.length === 0) {
      answer([])
      return
    }
    const ready: Uint8Array[] = []
    const staying: Uint8Array[] = []
    let open = keys.length
    const oneLess = () => {
      if (--open > 0) return
      walk.burying = false
      // All at once: a take that came while the log was written must meet each key here, or behind this batch on the link.
      const records: Uint8Array[] = []
      for (const key of ready) {
        const record = wanted() ? this.#store.handOver(key, generation) : null
        if (record) records.push(record)
        // It is asked for again on the next link; or it was evicted while the log was written, of which the taker must hear.
        else if (!wanted() || this.#store.held(key) < 0) staying.push(key)
      }
      if (staying.length > 0) walk.rest = chained(staying, walk.rest!)
      if (wanted()) answer(records, staying.length > 0)
    }
    walk.burying = true
    for (const key of keys) {
      const stay = () => {
        staying.push(key)
        oneLess()
      }
      const give = () => {
        this.#bury(key, generation, failure => {
          if (failure !== null) {
            stay()
            return
          }
          ready.push(key)
          oneLess()
        })
      }
      const acquired = this.#taker.acquire(key, before, { owned: give, blind: oneLess, failed: stay })
      if (acquired === 'owned') give()
      else if (acquired === 'blind') oneLess()
    }
  }
}

function* chained(first: readonly Uint8Array[], rest: Iterator<Uint8Array>): Generator<Uint8Array> {
  yield* first
  for (let next = rest.next(); !next.done; next = rest.next()) yield next.value
}
