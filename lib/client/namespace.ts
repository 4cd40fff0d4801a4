/**
 * The commands on keys, as applications call them: keys get their namespace, times their seconds, values their bytes. Where a
 * previous server list is in use, each command says here what it asks of it (previous.ts has the table).
 */
import type { CallOptions } from './calls.js'
import type { Core } from './core.js'
import { ClientError, isNodeFailure, PartialError } from './errors.js'
import { exptimeOf, type Ttl } from './exptime.js'
import { type Key, type WireKey, wireKey } from './key.js'
import type { Filler } from './lease.js'
import { forEachOf, getMany } from './many.js'
import type { Entry } from './requests/read.js'
import type { StoreCommand, Stored } from './requests/store.js'
import { bytesOf, type Encoded } from './serializer.js'

export interface StoreOptions extends CallOptions {
  /** Instead of the client's. */
  ttl?: Ttl
}

export interface CountOptions extends StoreOptions {
  /** What the number becomes where there is none; without it such a call gives undefined. */
  initial?: number | bigint
}

export interface GetOrSetOptions extends StoreOptions {
  /** How long one filler has before another may try; default 10 s. Longer than the filler ever takes. */
  leaseSec?: number
  /** Begin to fill anew when less than so many seconds are left: one caller does, others get the old value. */
  recacheSec?: number
}

const LEASE_SEC = 10
const UINT64_MAX = 2n ** 64n - 1n

export class Namespace<Value = unknown> {
  readonly #core: Core<Value>
  readonly #prefix: string

  constructor(core: Core<Value>, prefix: string) {
    this.#core = core
    this.#prefix = prefix
  }

  /** The same commands with this before every key, behind this namespace's own. Connections are shared. */
  namespace(prefix: string): Namespace<Value> {
    return new Namespace(this.#core, this.#prefix + prefix)
  }

  // --- reading

  /** The value; undefined: a miss. */
  get<T extends Value = Value>(key: Key, options?: CallOptions): Promise<T | undefined> {
    let got: Promise<Value | undefined>
    try {
      const wire = wireKey(key, this.#prefix)
      got = this.#core.previous
        ? this.#orBring(wire, options, () => this.#core.store.get(wire, options))
        : this.#core.store.get(wire, options)
    } catch (error) {
      return Promise.reject(error)
    }
    return (this.#core.settings.missOnFailure ? got.catch(asMiss) : got) as Promise<T | undefined>
  }

  /** The value with its cas unique, for `cas`, and the seconds it has left. */
  async gets<T extends Value = Value>(key: Key, options?: CallOptions): Promise<Entry<T> | undefined> {
    const wire = wireKey(key, this.#prefix)
    return this.#read(wire, options, () => this.#core.store.gets(wire, options) as Promise<Entry<T> | undefined>)
  }

  /** The value, and from now on it lives this long. */
  async gat<T extends Value = Value>(key: Key, ttl: Ttl, options?: CallOptions): Promise<T | undefined> {
    const wire = wireKey(key, this.#prefix)
    const exptime = exptimeOf(ttl)
    return this.#read(wire, options, () => this.#core.store.gat(wire, exptime, options) as Promise<T | undefined>)
  }

  /** Those that were found, by the keys as they were given. Rejects with a PartialError that has them, if a node fails. */
  async getMany<T extends Value = Value, K extends Key = string>(
    keys: Iterable<K>,
    options?: CallOptions,
  ): Promise<Map<K, T>> {
    const given = [...keys]
    const wires = given.map(key => wireKey(key, this.#prefix))
    const found = await getMany(this.#core.store, wires, options)
    const { previous } = this.#core
    if (previous) await this.#bringMany(wires, found, options)
    const values = new Map<K, T>()
    given.forEach((key, index) => {
      const value = found.values[index]
      if (value !== undefined) values.set(key, value as T)
    })
    return this.#orPartial(values, found.errors, true)
  }

  /**
   * What is stored, or what `fill` gives, which is stored then. However many ask for a missing key, here or in other
   * processes, one fills it; the others wait, or get the stale value if there is one (`invalidate`, `recacheSec`).
   * What `fill` throws is thrown here, and nothing is stored; so is nothing for undefined.
   */
  async getOrSet<T extends Value = Value>(
    key: Key,
    fill: Filler<T>,
    options: GetOrSetOptions = {},
  ): Promise<T | undefined> {
    const { ttl = this.#core.ttl, leaseSec = LEASE_SEC, recacheSec, timeoutMs, signal } = options
    if (!(leaseSec >= 1)) throw new ClientError('BAD_OPTIONS', `leaseSec is ${leaseSec}: it must be at least 1`)
    const wire = wireKey(key, this.#prefix)
    const { previous } = this.#core
    const terms = {
      ...{ exptime: exptimeOf(ttl), leaseSec: Math.ceil(leaseSec), timeoutMs },
      recacheSec: recacheSec === undefined ? undefined : Math.ceil(recacheSec),
    }
    try {
      if (previous) await previous.bringFirst(wire, callOptions(options))
      return (await this.#core.leases.getOrSet(wire, fill, terms, signal)) as T | undefined
    } catch (error) {
      if (this.#core.settings.missOnFailure && isNodeFailure(error)) return fill()
      throw error
    }
  }

  // --- writing

  /** True, once it is stored. */
  async set(key: Key, value: Value, options: StoreOptions = {}): Promise<boolean> {
    const wire = wireKey(key, this.#prefix)
    const stored = await this.#encoded(value, encoded => this.#store('set', wire, encoded, options))
    if (this.#core.previous) await this.#core.previous.delete(wire, callOptions(options))
    return stored === 'STORED'
  }

  /** False: there is such an item already. */
  async add(key: Key, value: Value, options: StoreOptions = {}): Promise<boolean> {
    return this.#encoded(value, encoded => this.#change('add', key, encoded, options))
  }

  /** False: there is no such item. */
  async replace(key: Key, value: Value, options: StoreOptions = {}): Promise<boolean> {
    return this.#encoded(value, encoded => this.#change('replace', key, encoded, options))
  }

  /** Bytes behind those that are stored, as they are: not serialized, not compressed. False: there is no such item. */
  async append(key: Key, value: string | Uint8Array, options: CallOptions = {}): Promise<boolean> {
    return this.#change('append', key, rawOf(value), options)
  }

  /** As `append`, before those that are stored. */
  async prepend(key: Key, value: string | Uint8Array, options: CallOptions = {}): Promise<boolean> {
    return this.#change('prepend', key, rawOf(value), options)
  }

  /** Stores if the item is still the one of `gets`. EXISTS: it has changed. NOT_FOUND: it is gone. */
  async cas(
    key: Key,
    value: Value,
    casUnique: bigint,
    options: StoreOptions = {},
  ): Promise<'STORED' | 'EXISTS' | 'NOT_FOUND'> {
    const wire = wireKey(key, this.#prefix)
    const stored = await this.#encoded(value, encoded => this.#store('cas', wire, encoded, options, casUnique))
    return stored === 'NOT_STORED' ? 'NOT_FOUND' : stored
  }

  /** False: there is no such item. */
  async touch(key: Key, ttl: Ttl, options?: CallOptions): Promise<boolean> {
    const wire = wireKey(key, this.#prefix)
    const exptime = exptimeOf(ttl)
    const touched = await this.#core.store.touch(wire, exptime, options)
    if (touched || !this.#core.previous || !(await this.#core.previous.bring(wire, options))) return touched
    return this.#core.store.touch(wire, exptime, options)
  }

  /**
   * The new number; undefined: there is no such item. memcached counts in 64 bits, unsigned, and wraps around: a bigint as
   * delta gives a bigint; a number gives a number, or UNSAFE_NUMBER where none can hold it.
   */
  incr(key: Key, delta?: number, options?: CountOptions): Promise<number | undefined>
  incr(key: Key, delta: bigint, options?: CountOptions): Promise<bigint | undefined>
  async incr(key: Key, delta: number | bigint = 1, options: CountOptions = {}): Promise<number | bigint | undefined> {
    return this.#count('incr', key, delta, options)
  }

  /** As `incr`; stops at 0. */
  decr(key: Key, delta?: number, options?: CountOptions): Promise<number | undefined>
  decr(key: Key, delta: bigint, options?: CountOptions): Promise<bigint | undefined>
  async decr(key: Key, delta: number | bigint = 1, options: CountOptions = {}): Promise<number | bigint | undefined> {
    return this.#count('decr', key, delta, options)
  }

  /** False: there was no such item. */
  async delete(key: Key, options?: CallOptions): Promise<boolean> {
    const wire = wireKey(key, this.#prefix)
    const { store, previous } = this.#core
    if (!previous) return store.delete(wire, options)
    const [now, before] = await Promise.all([store.delete(wire, options), previous.delete(wire, options)])
    return now || before
  }

  /**
   * Marks the item stale: the next `getOrSet` fills it anew while others get the stale value. `ttl`: how much longer it may be
   * given out; without it, as long as it would have lived. On servers without meta commands the item is deleted.
   */
  async invalidate(key: Key, options: StoreOptions = {}): Promise<boolean> {
    const wire = wireKey(key, this.#prefix)
    const exptime = options.ttl === undefined ? null : exptimeOf(options.ttl)
    if (this.#core.previous) await this.#core.previous.bringFirst(wire, callOptions(options))
    return this.#core.store.invalidate(wire, exptime, callOptions(options))
  }

  /** How many were stored: all, or the call is rejected with a PartialError. */
  async setMany(
    entries: Iterable<readonly [Key, Value]> | Readonly<Record<string, Value>>,
    options: StoreOptions = {},
  ): Promise<number> {
    const list = Symbol.iterator in entries ? (entries as Iterable<readonly [Key, Value]>) : Object.entries(entries)
    const { count, errors } = await forEachOf(list, ([key, value]) => this.set(key, value, options))
    return this.#orPartial(count, errors, false)
  }

  /** How many there were. */
  async deleteMany(keys: Iterable<Key>, options?: CallOptions): Promise<number> {
    const { count, errors } = await forEachOf(keys, key => this.delete(key, options))
    return this.#orPartial(count, errors, false)
  }

  // --- how

  /** At once, unless a compressor needs its time: calls leave in the order they were made, and before a `close` behind them. */
  #encoded<Result>(value: Value, then: (encoded: Encoded) => Promise<Result>): Promise<Result> {
    const encoded = this.#core.store.codec.encode(value)
    return encoded instanceof Promise ? encoded.then(then) : then(encoded)
  }

  #store(
    command: StoreCommand,
    wire: WireKey,
    encoded: Encoded,
    options: StoreOptions,
    casUnique?: bigint,
  ): Promise<Stored> {
    const exptime = exptimeOf(options.ttl ?? this.#core.ttl)
    return this.#core.store.store(command, wire, encoded, exptime, options, casUnique)
  }

  /** A write whose outcome depends on what is there. */
  async #change(command: StoreCommand, key: Key, encoded: Encoded, options: StoreOptions): Promise<boolean> {
    const wire = wireKey(key, this.#prefix)
    if (this.#core.previous) await this.#core.previous.bringFirst(wire, callOptions(options))
    return (await this.#store(command, wire, encoded, options)) === 'STORED'
  }

  async #count(
    command: 'incr' | 'decr',
    key: Key,
    delta: number | bigint,
    options: CountOptions,
  ): Promise<number | bigint | undefined> {
    const wire = wireKey(key, this.#prefix)
    const whole = uint64(delta, 'delta')
    const { store, previous, ttl } = this.#core
    if (previous) await previous.bringFirst(wire, callOptions(options))
    const { initial } = options
    let counted: bigint | null
    if (initial === undefined) counted = await store.count(command, wire, whole, options)
    else {
      uint64(initial, 'initial')
      const exptime = exptimeOf(options.ttl ?? ttl)
      counted = await store.countOrStart(command, wire, whole, store.codec.encodeCount(initial), exptime, options)
    }
    if (counted === null) return undefined
    if (typeof delta === 'bigint') return counted
    if (counted <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(counted)
    throw new ClientError(
      'UNSAFE_NUMBER',
      `${command} made it ${counted}: give the delta as a bigint to get such numbers`,
    )
  }

  async #read<Result>(
    wire: WireKey,
    options: CallOptions | undefined,
    read: () => Promise<Result | undefined>,
  ): Promise<Result | undefined> {
    const got = this.#core.previous ? this.#orBring(wire, options, read) : read()
    return this.#core.settings.missOnFailure ? got.catch(asMiss) : got
  }

  async #orBring<Result>(
    wire: WireKey,
    options: CallOptions | undefined,
    read: () => Promise<Result | undefined>,
  ): Promise<Result | undefined> {
    const found = await read()
    if (found !== undefined || !(await this.#core.previous?.bring(wire, options))) return found
    return read()
  }

  async #bringMany(
    wires: readonly WireKey[],
    found: { values: (Value | undefined)[]; errors: unknown[] },
    options: CallOptions | undefined,
  ): Promise<void> {
    const missing = [...wires.keys()].filter(index => found.values[index] === undefined)
    const brought: number[] = []
    const { errors } = await forEachOf(missing, async index => {
      const is = (await this.#core.previous?.bring(wires[index]!, options)) ?? false
      if (is) brought.push(index)
      return is
    })
    const again = await getMany(
      this.#core.store,
      brought.map(index => wires[index]!),
      options,
    )
    again.values.forEach((value, i) => {
      found.values[brought[i]!] = value
    })
    found.errors.push(...errors, ...again.errors)
  }

  #orPartial<Results>(results: Results, errors: readonly unknown[], isRead: boolean): Results {
    const [first] = errors
    if (first === undefined || (isRead && this.#core.settings.missOnFailure && errors.every(isNodeFailure)))
      return results
    const why = first instanceof Error ? first.message : String(first)
    throw new PartialError(
      `${errors.length} part${errors.length > 1 ? 's' : ''} of the call failed: ${why}`,
      results,
      errors,
    )
  }
}

const asMiss = (error: unknown): undefined => {
  if (!isNodeFailure(error)) throw error
}

/** Only what calls know. */
function callOptions({ timeoutMs, signal }: CallOptions): CallOptions {
  return { ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(signal === undefined ? {} : { signal }) }
}

function rawOf(value: string | Uint8Array): Encoded {
  const bytes = typeof value === 'string' ? Buffer.from(value) : bytesOf(value)
  if (!bytes) throw new ClientError('BAD_VALUE', `append and prepend take strings and bytes, not ${typeof value}`)
  return { bytes, flags: 0 }
}

function uint64(number: number | bigint, name: string): bigint {
  const isWhole = typeof number === 'bigint' || Number.isSafeInteger(number)
  const whole = isWhole ? BigInt(number) : -1n
  if (whole < 0n || whole > UINT64_MAX) {
    throw new ClientError('BAD_DELTA', `${name} is ${String(number)}: it must be a whole number from 0 to 2^64 - 1`)
  }
  return whole
}
