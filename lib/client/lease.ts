/**
 * getOrSet: one caller fills a missing value, however many ask, in however many processes.
 *
 *   mg N     W --> won: fill, then store by cas (a deletion meanwhile wins)      Z and empty --> somebody fills: look again
 *            X W --> stale, won: fill                X Z --> stale, being filled: the stale value
 *
 * On servers without meta commands a second key, `<key>:lease`, stored by `add`, says that somebody fills.
 */
import type { CallOptions } from './calls.js'
import { ClientError, isNodeFailure } from './errors.js'
import { type WireKey, wireKey } from './key.js'
import type { RawItem } from './requests/read.js'
import type { Store } from './store.js'

export type Filler<Value> = () => Value | Promise<Value>

export interface LeaseTerms {
  exptime: number
  /** How long a filler has before somebody else may try, seconds. */
  leaseSec: number
  /** Fill anew, one caller, when less than so many seconds are left. */
  recacheSec: number | undefined
  timeoutMs: number | undefined
}

const LOOK_MIN_MS = 2
const LOOK_MAX_MS = 100
/** After so many leases of others that came to nothing the caller fills without one. */
const LEASES_WAITED = 2

export class Leases<Value> {
  readonly #store: Store<Value>
  /** Fillers under way here, by key: one a process asks the server for all. */
  readonly #flights = new Map<string, Promise<Value | undefined>>()

  constructor(store: Store<Value>) {
    this.#store = store
  }

  /** What is stored, or what `fill` gives. Callers of one key at one time share one answer. */
  getOrSet(key: WireKey, fill: Filler<Value>, terms: LeaseTerms, signal?: AbortSignal): Promise<Value | undefined> {
    const name = `${key.base64 ? 'b' : ''} ${key.word}`
    let flight = this.#flights.get(name)
    if (!flight) {
      flight = this.#fly(key, fill, terms).finally(() => this.#flights.delete(name))
      this.#flights.set(name, flight)
    }
    return signal ? orAborted(flight, signal) : flight
  }

  async #fly(key: WireKey, fill: Filler<Value>, terms: LeaseTerms): Promise<Value | undefined> {
    const { leaseSec, recacheSec } = terms
    const options = callOptions(terms)
    const wish = recacheSec === undefined ? { vivifySec: leaseSec } : { vivifySec: leaseSec, recacheSec }
    const patience = Date.now() + leaseSec * 1000 * LEASES_WAITED
    for (let lookMs = LOOK_MIN_MS; ; lookMs = Math.min(LOOK_MAX_MS, lookMs * 2)) {
      const item = await this.#store.item(key, wish, options)
      // With N there always is an item: a server that has none knows no meta commands.
      if (!item) return this.#flyClassic(key, fill, terms, patience)
      if (item.won) return this.#fill(key, item, fill, terms)
      if (!isEmptyLease(item)) return this.#store.codec.decodeBytes(item.bytes, item.flags)
      if (Date.now() >= patience) return fill()
      await new Promise(resolve => setTimeout(resolve, lookMs * (0.5 + Math.random() / 2)))
    }
  }

  async #fill(key: WireKey, won: RawItem, fill: Filler<Value>, terms: LeaseTerms): Promise<Value> {
    const options = callOptions(terms)
    const giveBack = async () => {
      // The next who asks wins at once: the empty item goes, an old value is marked stale again.
      const given = isEmpty(won)
        ? this.#store.delete(key, options, won.casUnique)
        : this.#store.invalidate(key, null, options, won.casUnique)
      await given.catch(() => {})
    }
    let value: Value
    try {
      value = await fill()
    } catch (error) {
      await giveBack()
      throw error
    }
    if (value === undefined) {
      await giveBack()
      return value
    }
    const encoded = await this.#store.codec.encode(value)
    try {
      await this.#store.store('cas', key, encoded, terms.exptime, options, won.casUnique)
    } catch (error) {
      // The value is here; that the cache does not have it is not the caller's trouble.
      if (!isNodeFailure(error)) throw error
    }
    return value
  }

  async #flyClassic(
    key: WireKey,
    fill: Filler<Value>,
    terms: LeaseTerms,
    patience: number,
  ): Promise<Value | undefined> {
    const options = callOptions(terms)
    const lease = leaseKey(key)
    for (let lookMs = LOOK_MIN_MS; ; lookMs = Math.min(LOOK_MAX_MS, lookMs * 2)) {
      const mine =
        lease === null ||
        Date.now() >= patience ||
        (await this.#store.store('add', lease, EMPTY, terms.leaseSec, options)) === 'STORED'
      if (mine) break
      await new Promise(resolve => setTimeout(resolve, lookMs * (0.5 + Math.random() / 2)))
      const value = await this.#store.get(key, options)
      if (value !== undefined) return value
    }
    try {
      // Somebody may have filled it between the miss and the lease.
      const there = await this.#store.get(key, options)
      if (there !== undefined) return there
      const value = await fill()
      if (value !== undefined) {
        await this.#store.store('set', key, await this.#store.codec.encode(value), terms.exptime, options)
      }
      return value
    } finally {
      if (lease) await this.#store.delete(lease, options).catch(() => {})
    }
  }
}

const EMPTY = { bytes: Buffer.alloc(0), flags: 0 }

const isEmpty = ({ bytes, stale }: RawItem): boolean => bytes.length === 0 && !stale
/** The empty item that a winner fills. (An empty value that is being recached looks the same: then one waits for the new one.) */
const isEmptyLease = (item: RawItem): boolean => item.taken && isEmpty(item)

const callOptions = ({ timeoutMs }: LeaseTerms): CallOptions => (timeoutMs === undefined ? {} : { timeoutMs })

/** Null: there is no room for it in 250 bytes. */
function leaseKey(key: WireKey): WireKey | null {
  if (key.base64) return null
  try {
    return wireKey(typeof key.whole === 'string' ? `${key.whole}:lease` : Buffer.concat([key.whole, LEASE]), '')
  } catch (error) {
    if (error instanceof ClientError) return null
    throw error
  }
}
const LEASE = Buffer.from(':lease')

function orAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
