/**
 * The commands on one pool of nodes, by wire keys: what the client, its leases and its previous list are made of. Values go
 * through the codec; keys have their namespace already.
 */
import type { CallOptions, Calls } from './calls.js'
import type { Codec } from './codec.js'
import { ClientError } from './errors.js'
import type { WireKey } from './key.js'
import type { Pool } from './pool.js'
import { CountRequest } from './requests/count.js'
import { DeleteRequest, InvalidateRequest, TouchRequest } from './requests/mark.js'
import { type Entry, GetRequest, ItemRequest, type ItemWish, type RawItem } from './requests/read.js'
import { type StoreCommand, type Stored, StoreRequest } from './requests/store.js'
import type { Encoded } from './serializer.js'

export class Store<Value> {
  readonly pool: Pool
  readonly codec: Codec<Value>
  readonly calls: Calls

  constructor(pool: Pool, codec: Codec<Value>, calls: Calls) {
    this.pool = pool
    this.codec = codec
    this.calls = calls
  }

  get(key: WireKey, options?: CallOptions): Promise<Value | undefined> {
    return this.calls.toOwner(this.pool, new GetRequest(this.codec, key), options)
  }

  gat(key: WireKey, exptime: number, options?: CallOptions): Promise<Value | undefined> {
    return this.calls.toOwner(this.pool, new GetRequest(this.codec, key, exptime), options)
  }

  item(key: WireKey, wish?: ItemWish, options?: CallOptions): Promise<RawItem | undefined> {
    return this.calls.toOwner(this.pool, new ItemRequest('gets', key, wish), options)
  }

  async gets(key: WireKey, options?: CallOptions): Promise<Entry<Value> | undefined> {
    const item = await this.item(key, {}, options)
    if (!item) return undefined
    const { bytes, flags, casUnique, ttl = null } = item
    return { value: await this.codec.decodeBytes(bytes, flags), casUnique, ttl }
  }

  store(
    command: StoreCommand,
    key: WireKey,
    encoded: Encoded,
    exptime: number,
    options?: CallOptions,
    casUnique?: bigint,
  ): Promise<Stored> {
    return this.calls.toOwner(this.pool, new StoreRequest(command, key, encoded, exptime, casUnique), options)
  }

  touch(key: WireKey, exptime: number, options?: CallOptions): Promise<boolean> {
    return this.calls.toOwner(this.pool, new TouchRequest(key, exptime), options)
  }

  delete(key: WireKey, options?: CallOptions, casUnique: bigint | null = null): Promise<boolean> {
    return this.calls.toOwner(this.pool, new DeleteRequest(key, casUnique), options)
  }

  /** On a server that knows no meta commands it is a deletion. */
  async invalidate(
    key: WireKey,
    exptime: number | null,
    options?: CallOptions,
    casUnique: bigint | null = null,
  ): Promise<boolean> {
    try {
      return await this.calls.toOwner(this.pool, new InvalidateRequest(key, exptime, casUnique), options)
    } catch (error) {
      if (isUnsupported(error)) return this.delete(key, options)
      throw error
    }
  }

  count(command: 'incr' | 'decr', key: WireKey, delta: bigint, options?: CallOptions): Promise<bigint | null> {
    return this.calls.toOwner(this.pool, new CountRequest(command, key, delta), options)
  }

  /** The new number; `initial` where there was none. `encoded`: the initial number as the serializer writes it. */
  async countOrStart(
    command: 'incr' | 'decr',
    key: WireKey,
    delta: bigint,
    encoded: Encoded,
    exptime: number,
    options?: CallOptions,
  ): Promise<bigint> {
    // `ma` with N would store flags 0: a number that comes back as text. incr, add, incr says the same in either protocol.
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const counted = await this.count(command, key, delta, options)
      if (counted !== null) return counted
      if ((await this.store('add', key, encoded, exptime, options)) === 'STORED')
        return BigInt(encoded.bytes.toString())
    }
    throw new ClientError(
      'SERVER_ERROR',
      `the key "${key.word}" came and went ${ROUNDS_MAX} times during one ${command}`,
    )
  }
}

/** An item that vanishes between two commands twice in a row is bad luck; ten times is something else. */
const ROUNDS_MAX = 10

export const isUnsupported = (error: unknown): boolean => error instanceof ClientError && error.code === 'UNSUPPORTED'
