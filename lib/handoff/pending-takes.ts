/**
 * Keys that a node is taking: at most one take a key and tenure, with everybody who waits for it.
 *
 *   begin -> (sent) -> forget          found by key and generation, and by the number that the answer carries
 *
 * A take that was sent to a node in the place of an absent one is *in doubt* until its answer is here: the key may have been
 * handed over. Bound: `isFull`. Decides nothing.
 */
import { nameOfKey } from '../engine/key-name.js'

/** Someone who waits until a key is owned. Exactly one of the three is called, once. */
export interface Waiter {
  owned(): void
  /** Owned, but only a node that is away knows the key. */
  blind(): void
  failed(reason: string): void
}

export interface PendingTake {
  id: number
  /** First generation of the tenure for which the key is taken. */
  generation: number
  /** The actor before that tenure. */
  source: number
  /** Who is asked: the source, or, while it is away, the node from which it should have taken in generation `kept`. */
  asked: number
  kept?: number
  key: Uint8Array
  waiters: Waiter[]
  /** It has been asked: from now on it may have handed the key over. */
  sent: boolean
  /** Wait until it is certain whether the key came from there. */
  watchers: (() => void)[]
}

/** Keys that may be under way at once; more are refused (each waits for one round trip). */
const TAKES_PENDING_MAX = 65536

export class PendingTakes {
  readonly #byKey = new Map<string, PendingTake>()
  readonly #byId = new Map<number, PendingTake>()
  /** Never forgotten without an answer. */
  readonly #inDoubt = new Map<string, PendingTake>()

  get size(): number {
    return this.#byKey.size
  }

  get isFull(): boolean {
    return this.#byKey.size >= TAKES_PENDING_MAX
  }

  all(): Iterable<PendingTake> {
    return this.#byKey.values()
  }

  byId(id: number): PendingTake | undefined {
    return this.#byId.get(id)
  }

  find(key: Uint8Array, generation: number): PendingTake | undefined {
    return this.#byKey.get(nameOf(key, generation))
  }

  inDoubt(key: Uint8Array, generation: number): PendingTake | undefined {
    return this.#inDoubt.get(nameOf(key, generation))
  }

  allInDoubt(): Iterable<PendingTake> {
    return this.#inDoubt.values()
  }

  /** `id`: of no other message. There is none for this key and generation. */
  begin(
    id: number,
    key: Uint8Array,
    from: Pick<PendingTake, 'generation' | 'source' | 'asked' | 'kept'>,
    waiter: Waiter,
  ): PendingTake {
    const pending = { ...from, id, key: Uint8Array.from(key), waiters: [waiter], sent: false, watchers: [] }
    this.#byKey.set(nameOf(key, from.generation), pending)
    this.#byId.set(id, pending)
    return pending
  }

  onSent(pending: PendingTake): void {
    pending.sent = true
    if (pending.kept !== undefined) this.#inDoubt.set(nameOf(pending.key, pending.generation), pending)
  }

  /** Whoever watches it is told. False: it was forgotten before, and its waiters have been told. */
  forget(pending: PendingTake): boolean {
    if (!this.#byId.delete(pending.id)) return false
    const name = nameOf(pending.key, pending.generation)
    this.#byKey.delete(name)
    this.#inDoubt.delete(name)
    for (const certain of pending.watchers.splice(0)) certain()
    return true
  }
}

const nameOf = (key: Uint8Array, generation: number): string => `${generation}:${nameOfKey(key)}`
