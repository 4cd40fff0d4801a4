/**
 * The engine's ownership rules on a plain Map: one item a key, marks, versions, tombstones, route tables. Small enough to be
 * read beside DESIGN 8; the pure handoff runs on it in handoff.test.ts, thousands of histories in seconds.
 */
import { createHash } from 'node:crypto'
import type { RouteTable } from '../../lib/engine/contract.js'
import { decodeRecord, encodeRecord, recordHead, tombstoneOfRecord } from '../../lib/engine/record.js'
import type { HandoffStore } from '../../lib/handoff/handoff.js'
import { search } from '../../lib/ketama/points.js'
import { apply, type Op } from './oracle.js'

interface Held {
  /** undefined: a tombstone. */
  value: string | undefined
  version: bigint
  mark: number
  /** Second of this node's clock; null: never. */
  expiresAt?: number | null
}

export type Served =
  | { stop: 'done'; reply: string }
  | { stop: 'forward'; owner: number }
  | { stop: 'take' }
  | { stop: 'guard' }

const isRead = ({ verb }: Op): boolean => verb === 'get' || verb === 'gets'
const text = (key: Uint8Array) => Buffer.from(key).toString('latin1')

/** Of the few keys that histories have. */
const points = new Map<string, number>()
/** Few, so that a walk takes many batches and much happens between them. */
const WALK_BUCKETS = 8

export class ModelStore implements HandoffStore {
  readonly items = new Map<string, Held>()
  #route: RouteTable | null = null
  /** Threads are in the middle of turns, by the tables that there are: none can be published. */
  isInTurn = false
  #clock = 0n
  #flushed = 0n
  readonly #nowSec: () => number

  constructor(nowSec: () => number = () => 0) {
    this.#nowSec = nowSec
  }

  now(): number {
    return this.#nowSec()
  }

  serve(name: string, op: Op): Served {
    const route = this.#route!
    const key = Buffer.from(name, 'latin1')
    const arc = this.#arc(key)
    const owner = route.owners[arc]!
    if (owner !== route.self) return { stop: 'forward', owner }
    const held = this.#live(name)
    const informed = (held?.mark ?? -1) >= route.tenures[arc]!
    if (route.settled[arc] === 2 && !(informed && isRead(op))) return { stop: 'guard' }
    if (!route.settled[arc] && !informed) return { stop: 'take' }
    const before = this.#valueOf(held)
    const { reply, value } = apply(op, before)
    if (value !== before || op.verb === 'set' || op.verb === 'delete') this.#write(name, value, op, held)
    else if (held) held.mark = route.epoch
    return { stop: 'done', reply }
  }

  /** A request of a guarded arc, on what counts in the present tenure: what is older stays put aside until a write. */
  serveGuarded(name: string, op: Op): string {
    const held = this.#live(name)
    const before = this.isInformed(name) ? this.#valueOf(held) : undefined
    const { reply, value } = apply(op, before)
    if (value !== before || op.verb === 'set' || op.verb === 'delete') this.#write(name, value, op, held)
    return reply
  }

  #write(name: string, value: string | undefined, { verb, toLiveSec }: Op, held: Held | undefined): void {
    const kept = verb === 'append' || verb === 'incr' ? (held?.expiresAt ?? null) : null
    const expiresAt = toLiveSec === undefined ? kept : this.#nowSec() + toLiveSec
    this.items.set(name, { value, version: this.#tick(), mark: this.#route!.epoch, expiresAt })
  }

  /** What a request sees. */
  #valueOf(held: Held | undefined): string | undefined {
    const expiresAt = held?.expiresAt ?? null
    return expiresAt !== null && expiresAt <= this.#nowSec() ? undefined : held?.value
  }

  #format(name: string, held: Held): Uint8Array {
    const value = this.#valueOf(held)
    const expiresAt = held.expiresAt ?? null
    const toLiveSec = value === undefined || expiresAt === null ? null : expiresAt - this.#nowSec()
    return encodeRecord({
      ...{ key: Buffer.from(name, 'latin1'), value: value === undefined ? null : Buffer.from(value, 'latin1') },
      ...{ flags: 0, version: held.version, toLiveSec, fetched: false, active: false },
    })
  }

  /** Is something held of the present tenure? */
  isInformed(name: string): boolean {
    return (this.#live(name)?.mark ?? -1) >= this.#route!.tenures[this.#arc(Buffer.from(name, 'latin1'))]!
  }

  isGuarded(name: string): boolean {
    return this.#route?.settled[this.#arc(Buffer.from(name, 'latin1'))] === 2
  }

  publish(table: RouteTable): boolean {
    if (this.isInTurn) return false
    this.#route = table
    return true
  }

  point(key: Uint8Array): number {
    const name = text(key)
    let point = points.get(name)
    if (point === undefined) {
      point = createHash('md5').update(key).digest().readUInt32LE(0)
      points.set(name, point)
    }
    return point
  }

  held(key: Uint8Array): number {
    return this.#live(text(key))?.mark ?? -1
  }

  handOver(key: Uint8Array, before: number): Uint8Array | null {
    const name = text(key)
    const held = this.#live(name)
    if (!held || held.mark >= before) return null
    this.items.delete(name)
    return this.#format(name, held)
  }

  peek(key: Uint8Array): Uint8Array | null {
    const held = this.#live(text(key))
    return held ? this.#format(text(key), held) : null
  }

  renew(key: Uint8Array, oldest: number, mark: number): boolean {
    const held = this.#live(text(key))
    if (!held || held.mark < oldest) return false
    held.mark = Math.max(held.mark, mark)
    return true
  }

  recordKey(record: Uint8Array): Uint8Array {
    return recordHead(record).key
  }

  isDeletion(record: Uint8Array): boolean {
    return recordHead(record).tombstone
  }

  tombstoneOf(record: Uint8Array): Uint8Array {
    return tombstoneOfRecord(record)
  }

  install(record: Uint8Array, mark: number) {
    const { key, value, version, toLiveSec } = decodeRecord(record)
    const name = text(key)
    this.observe(version)
    if (version <= this.#flushed) return 'expired'
    const held = this.#live(name)
    if (held && held.mark >= mark && held.version >= version) return 'kept'
    const expiresAt = toLiveSec === null ? null : this.#nowSec() + toLiveSec
    this.items.set(name, { value: value ? text(value) : undefined, version, mark, expiresAt })
    return 'installed'
  }

  installAbsent(key: Uint8Array, mark: number): boolean {
    const name = text(key)
    const held = this.#live(name)
    if (!held || held.mark < mark) this.items.set(name, { value: undefined, version: 0n, mark })
    return true
  }

  collect(owner: number, before: number, pass: 0 | 1, cursor: number, buckets: number, bytesMax: number) {
    const { keys, cursor: next } = this.keys(before, cursor, Math.min(buckets, WALK_BUCKETS))
    const records: Uint8Array[] = []
    let bytes = 0
    for (const { key } of keys) {
      if (this.#route!.owners[this.#arc(key)] !== owner) continue
      if (pass === 0 && key.length % 2 === 0) continue // as if it had not been read
      const record = this.handOver(key, before)
      if (record) records.push(record)
      bytes += record?.length ?? 0
      if (bytes > bytesMax) throw new Error('a batch is small here')
    }
    return { records, cursor: next }
  }

  /** Buckets are ranges of the key's point. */
  keys(before: number, cursor: number, buckets: number) {
    const end = Math.min(this.buckets(), cursor + Math.min(buckets, WALK_BUCKETS))
    const keys: { key: Uint8Array; mark: number }[] = []
    for (const [name, { mark }] of this.items) {
      const key = Buffer.from(name, 'latin1')
      const bucket = this.point(key) >>> 26
      if (bucket >= cursor && bucket < end && mark < before) keys.push({ key, mark })
    }
    return { keys, cursor: end === this.buckets() ? -1 : end }
  }

  buckets(): number {
    return 64
  }

  sweepTombstones(_cursor: number, _buckets: number, foreign: boolean): number {
    for (const [name, { value }] of this.items) {
      const arc = this.#arc(Buffer.from(name, 'latin1'))
      const isForeign = this.#route!.owners[arc] !== this.#route!.self
      if ((value === undefined && this.#route!.settled[arc]) || (foreign && isForeign)) this.items.delete(name)
    }
    return -1
  }

  version(): bigint {
    return this.#clock
  }

  observe(version: bigint): void {
    if (version > this.#clock) this.#clock = version
  }

  flushed(): bigint {
    return this.#flushed
  }

  flush(version: bigint): void {
    if (version > this.#flushed) this.#flushed = version
    for (const [name, { version: own }] of this.items) if (own <= this.#flushed && own > 0n) this.items.delete(name)
  }

  #tick(): bigint {
    const epoch = BigInt(this.#route!.epoch) << 44n
    this.#clock = (this.#clock > epoch ? this.#clock : epoch) + 1n
    return this.#clock
  }

  #live(name: string): Held | undefined {
    return this.items.get(name)
  }

  #arc(key: Uint8Array): number {
    return search(this.#route!.points, this.point(key))
  }
}
