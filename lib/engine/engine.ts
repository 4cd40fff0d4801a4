/**
 * The engine's host side: makes the arena, and wraps one wasm instance a thread as EngineApi (contract.ts has the
 * meaning of every call). Numbers and byte ranges in and out; knows no socket, no clock, no other node.
 *
 * How a connection is served (test/engine/driver.ts does it in forty lines):
 *
 *   bytes -> rx -- run(offset, length, resume) --> done    keep input from `consumed` on: the start of a line
 *                                              --> full    send tx; run again from `consumed`
 *                                              --> value   all input is used up; receive fillLength bytes at
 *                                                          fillOffset, then finish(handle), until that is done
 *                                              --> pieces  send tx, then the pieces of the value; then as full
 *                                              --> others  the request at requestOffset is the host's; in the input
 *                                                          it is the requestLength bytes from `consumed`
 *
 * - turn.resume goes into the next run of the same connection after *every* stop, forward and take included: a value
 *   that is too large travels nowhere, so then requestLength is the line alone and resume swallows the value here.
 * - After stop.full in a retrieval line, `consumed` stands at the line's start: keep the whole line until it is done.
 * - After stop.multi the request is what lies at requestOffset: keys before it were answered in an earlier turn.
 * - An item that is being filled counts for nobody until `finish`; `abandon` gives its chunk back.
 * - finish: a request that must go elsewhere is rebuilt in scratch, so the host must not keep anything there.
 * - `one` on the line alone of such a too large value is right: the answer is the refusal, the old value is deleted.
 *   Then, and for every request run on its own, the resume of that run is dropped.
 */
import { readFileSync } from 'node:fs'
import type {
  Arena,
  ClassStats,
  EngineApi,
  EngineOptions,
  Installed,
  ItemRecord,
  PrefixFigures,
  Range,
  Routed,
  RouteTable,
  Turn,
} from './contract.js'
import { Stop } from './contract.js'
import { Housekeeping, type HousekeepingWasm } from './housekeeping.js'
import {
  CLASS_STRIDE,
  type CONTROL_WORDS,
  computeLayout,
  controlWord,
  fullOptions,
  initialise,
  type Layout,
  RX_BYTES,
  threadArea,
} from './layout.js'
import { initialiseAutomove, Pages, type PagesWasm } from './pages.js'
import { checkRecord, recordHead, recordKeyEnd, recordLength, recordValueEnd, tombstoneOfRecord } from './record.js'
import { SplitGet, type SplitGetWasm } from './split-get.js'

/** In the order of lib/engine/assembly/stats.ts. Append only. */
const ENGINE_COUNTERS = [
  ...[
    'cmd_get',
    'cmd_set',
    'cmd_flush',
    'cmd_touch',
    'cmd_meta',
    'get_hits',
    'get_misses',
    'get_expired',
    'get_flushed',
  ],
  ...['delete_misses', 'delete_hits', 'incr_misses', 'incr_hits', 'decr_misses', 'decr_hits', 'cas_misses', 'cas_hits'],
  ...['cas_badval', 'touch_hits', 'touch_misses', 'store_too_large', 'store_no_memory', 'bytes', 'curr_items'],
  ...[
    'total_items',
    'evictions',
    'reclaimed',
    'expired_unfetched',
    'evicted_unfetched',
    'evicted_active',
    'tombstones',
    'lru_bumps_dropped',
  ],
]

/** What the host counts through `count`. Append only. */
const HOST_COUNTERS = [
  ...['curr_connections', 'total_connections', 'bytes_read', 'bytes_written', 'rejected_connections'],
  ...['forwarded_requests', 'forwarded_errors', 'takes', 'parked_requests', 'parked_refused', 'conn_yields'],
  ...['hops_refused', 'requests_dropped', 'idle_kicks', 'auth_cmds', 'auth_errors'],
  ...['lru_maintainer_juggles', 'lru_crawler_starts', 'log_worker_dropped', 'log_worker_written'],
  ...['log_watcher_skipped', 'log_watcher_sent', 'log_watchers', 'guarded_requests'],
]

/** A name's place in the area: looked up for every read and write of a connection. */
const HOST_COUNTER_AT: ReadonlyMap<string, number> = new Map(HOST_COUNTERS.map((name, index) => [name, index]))

/** By slab class, in a thread's area; and their sums in `stats`. In the order of lib/engine/assembly/stats.ts. */
const CLASS_COUNTERS = [
  ...[
    'hits_to_hot',
    'hits_to_warm',
    'hits_to_cold',
    'hits_to_temp',
    'cmd_set',
    'delete_hits',
    'incr_hits',
    'decr_hits',
  ],
  ...['cas_hits', 'cas_badval', 'touch_hits'],
] as const
const CLASS_COUNTERS_AT = 4096
const CLASS_COUNTERS_STRIDE = 16

/** Of a slab class, behind its lists. In the order of lib/engine/assembly/lru.ts. */
const CLASS_FIGURES = [
  ...['mem_requested', 'evicted', 'evicted_nonzero', 'evicted_time', 'outofmemory', 'reclaimed', 'expired_unfetched'],
  ...['evicted_unfetched', 'evicted_active', 'moves_to_cold', 'moves_to_warm', 'moves_within_lru', 'direct_reclaims'],
  ...['crawler_reclaimed', 'crawler_items_checked', 'lrutail_reflocked'],
] as const
const CLASS_FIGURES_AT = 96
const LISTS_AT = 32
const LISTS = ['hot', 'warm', 'cold', 'temp'] as const
/** Not reset by `stats reset`: what is there, not what has happened. */
const GAUGES = new Set(['bytes', 'curr_items', 'tombstones', 'curr_connections', 'mem_requested', 'log_watchers'])

/** Where they lie in a thread's area (lib/engine/assembly/layout.ts): 64-bit integers, then the host's as doubles. */
const COUNTERS = 256
const HOST_COUNTERS_AT = COUNTERS + 64 * 8
const HOST_COUNTERS_MAX = 64
const TURN = 64
const KEY = 2048
const KEY_MAX = 250
/** Of a line of the host's own for watchers. */
const TEXT_MAX = 1024
/** lib/engine/assembly/prefixes.ts */
const PREFIX_BUCKETS = 1024
const PREFIX_ENTRY = 40
/** Keys that are looked at in one call; what is told of them goes to tx. */
const KEYS_AT_ONCE = 4096
const RESUME_KIND = 2 ** 32
/** In an item (lib/engine/assembly/item.ts). */
const ITEM_TIME = 16

/** The words of the turn block (lib/engine/assembly/turn.ts). */
const Word = {
  ...{ consumed: 1, txLength: 2, resumeKind: 3, resumeValue: 4, requestOffset: 5, requestLength: 6, lineLength: 7 },
  ...{ keyOffset: 8, keyLength: 9, owner: 10, noreply: 11, epoch: 12, fillOffset: 13, fillLength: 14, handle: 15 },
  ...{ point: 16, pointOwner: 17, settled: 18, tenure: 19, written: 20 },
  ...{ microseconds: 21, connection: 22, refused: 23 },
} as const

const INSTALLED: readonly Installed[] = ['installed', 'kept', 'expired', 'no memory']

/** The wasm's exports (lib/engine/assembly/index.ts). Results are i32: addresses are made unsigned by `>>> 0`. */
interface Wasm extends HousekeepingWasm, PagesWasm, SplitGetWasm {
  attach(thread: number): void
  time(): number
  run(offset: number, length: number, kind: number, value: number, txStart: number, single: number): number
  finish(handle: number, txStart: number, lineLength: number): number
  setExecutesGuarded(now: number): void
  abandon(handle: number): void
  nextPiece(handle: number, chunk: number): number
  release(handle: number): void
  setNow(seconds: number): void
  noteText(stream: number, text: number, length: number): void
  lockPrefixes(): number
  unlockPrefixes(): void
  clearPrefixes(): void
  findFreeSlot(): number
  switchTo(slot: number): void
  currentEpoch(): number
  pointOf(keyLength: number): number
  routeOf(keyLength: number): void
  ownerOfRequest(from: number, to: number): number
  ownersOfKeys(from: number, to: number, table: number, entries: number): number
  heldMark(keyLength: number): bigint
  handOver(keyLength: number, before: number): number
  peek(keyLength: number): number
  renew(keyLength: number, oldest: number, mark: number): number
  prepare(): number
  pieceAt(handle: number, offset: number): number
  install(mark: number, isPrepared: number, prepared: number): number
  installAbsent(keyLength: number, mark: number): number
  collect(owner: number, before: number, hot: number, cursor: number, buckets: number, bytesMax: number): number
  listKeys(before: number, cursor: number, buckets: number): number
  sweepTombstones(cursor: number, buckets: number, foreign: boolean): number
  flushed(): bigint
  version(): bigint
  observe(version: bigint): void
  flush(version: bigint): void
  flushAt(seconds: number): void
  flushPendingAt(): number
}

let compiled: WebAssembly.Module | null = null

function compile(): WebAssembly.Module {
  try {
    compiled ??= new WebAssembly.Module(readFileSync(new URL('./engine.wasm', import.meta.url)))
    return compiled
  } catch (error) {
    if (!(error instanceof WebAssembly.CompileError)) throw error
    throw new Error(
      `this processor cannot run the engine, which needs vectors in WebAssembly (on x64: SSE4.1): ${error.message}`,
    )
  }
}

/** Throws an Error with one plain sentence when the options do not fit. */
export function createArena(options: EngineOptions): Arena {
  const full = fullOptions(options)
  let memory: WebAssembly.Memory
  try {
    memory = memoryFor(full)
  } catch (error) {
    // The system does not promise so much more than -m: then there is no room to grow.
    if (!(error instanceof RangeError) || full.memoryReserveMb <= full.memoryLimitMb) throw error
    full.memoryReserveMb = full.memoryLimitMb
    memory = memoryFor(full)
  }
  initialise(memory, full, false)
  initialiseAutomove(memory)
  return { memory, module: compile(), options: full }
}

function memoryFor(options: Required<EngineOptions>): WebAssembly.Memory {
  const { wasmPages } = computeLayout(options)
  return new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages, shared: true })
}

/** The same memory for a new life: everything stored and counted is gone. Nobody may be using the arena. */
export function resetArena(arena: Arena): void {
  initialise(arena.memory, arena.options, true)
  initialiseAutomove(arena.memory)
}

/** A lock that is taken and somebody sleeps (lib/engine/assembly/locks.ts): a sleeper looks again after this long, whatever happened to its wake-up. */
const LOCK_AWAITED = 2
const LOCK_SLEEP_MS = 1

/** Instances hold nothing but addresses and the time, so lives of one arena may share them. */
const instances = new WeakMap<WebAssembly.Memory, Wasm[]>()

function instanceOf(arena: Arena, thread: number): Wasm {
  const known = instances.get(arena.memory) ?? []
  instances.set(arena.memory, known)
  const words = new Int32Array(arena.memory.buffer)
  known[thread] ??= new WebAssembly.Instance(arena.module, {
    env: {
      memory: arena.memory,
      abort: () => {
        throw new Error('the engine met a state that cannot be')
      },
    },
    host: {
      sleep: (address: number) => Atomics.wait(words, address >>> 2, LOCK_AWAITED, LOCK_SLEEP_MS),
    },
  }).exports as unknown as Wasm
  return known[thread]
}

export class Engine implements EngineApi {
  readonly arena: Arena
  readonly pages: Pages
  readonly splitGet: SplitGet
  readonly bytes: Uint8Array
  readonly rx: Range
  readonly tx: Range
  readonly scratch: Range
  readonly turn: Turn
  readonly housekeeping: Housekeeping
  readonly #wasm: Wasm
  readonly #layout: Layout
  readonly #words: Uint32Array
  readonly #hostCounters: Float64Array
  readonly #keyAt: number
  #keyTable: Uint32Array | null = null
  readonly #streams: Uint32Array

  constructor(arena: Arena, thread: number) {
    const { options, memory } = arena
    if (!(thread >= 0 && thread <= options.threads)) throw new Error(`the arena has no place for thread ${thread}`)
    this.arena = arena
    this.bytes = new Uint8Array(memory.buffer)
    this.#layout = computeLayout(options)
    const area = threadArea(this.#layout, thread)
    this.rx = { offset: area.rx, length: RX_BYTES }
    this.tx = { offset: area.tx, length: this.#layout.txBytes }
    this.scratch = { offset: area.scratch, length: this.#layout.scratchBytes }
    this.#keyAt = area.base + KEY
    this.#streams = this.#control('streams')
    this.#words = new Uint32Array(memory.buffer, area.base + TURN, 32)
    this.#hostCounters = new Float64Array(memory.buffer, area.base + HOST_COUNTERS_AT, HOST_COUNTERS_MAX)
    this.turn = {
      ...{ stop: Stop.done, consumed: 0, txLength: 0, resume: 0, requestOffset: 0, requestLength: 0, lineLength: 0 },
      ...{
        keyOffset: 0,
        keyLength: 0,
        owner: 0,
        noreply: 0,
        epoch: 0,
        fillOffset: 0,
        fillLength: 0,
        handle: 0,
        refused: false,
      },
    }
    this.#wasm = instanceOf(arena, thread)
    this.#wasm.attach(thread)
    this.housekeeping = new Housekeeping({
      ...{ arena, layout: this.#layout, wasm: this.#wasm, scratch: area.scratch },
      written: () => this.#words[Word.written]!,
      stored: () => this.#sum('total_items'),
      items: () => this.#sum('curr_items') + this.#sum('tombstones'),
    })
    this.pages = new Pages(memory, this.#wasm)
    const keyCount = () => this.#words[Word.written]!
    this.splitGet = new SplitGet({ memory, wasm: this.#wasm, scratch: this.scratch, keyCount })
  }

  setTime(unixSeconds: number): void {
    const seconds = Math.max(1, Math.floor(unixSeconds))
    this.#words[Word.microseconds] = (unixSeconds - seconds) * 1e6
    this.#wasm.setNow(seconds)
  }

  now(): number {
    return this.#wasm.time() >>> 0
  }

  setConnection(number: number): void {
    this.#words[Word.connection] = number
  }

  run(offset: number, length: number, resume: number, txStart = 0, one = false): Turn {
    const kind = Math.floor(resume / RESUME_KIND)
    const stop = this.#wasm.run(offset, length, kind, resume % RESUME_KIND, txStart, one ? 1 : 0)
    return this.#readTurn(stop as Stop)
  }

  executesGuarded(now: boolean): void {
    this.#wasm.setExecutesGuarded(now ? 1 : 0)
  }

  finish(handle: number, line: Uint8Array | null = null, txStart = 0): Turn {
    if (line) this.bytes.set(line, this.scratch.offset)
    return this.#readTurn(this.#wasm.finish(handle, txStart, line?.length ?? 0) as Stop)
  }

  abandon(handle: number): void {
    this.#wasm.abandon(handle)
  }

  nextPiece(handle: number, chunk: number): number {
    const next = this.#wasm.nextPiece(handle, chunk) >>> 0
    this.turn.fillOffset = this.#words[Word.fillOffset]!
    this.turn.fillLength = this.#words[Word.fillLength]!
    return next
  }

  release(handle: number): void {
    this.#wasm.release(handle)
  }

  #readTurn(stop: Stop): Turn {
    const turn = this.turn
    const words = this.#words
    turn.stop = stop
    turn.consumed = words[Word.consumed]!
    turn.txLength = words[Word.txLength]!
    const kind = words[Word.resumeKind]!
    turn.resume = kind === 0 ? 0 : kind * RESUME_KIND + words[Word.resumeValue]!
    turn.handle = 0
    turn.refused = stop === Stop.close && words[Word.refused] !== 0
    if (turn.refused) words[Word.refused] = 0
    if (stop === Stop.done || stop === Stop.full || stop === Stop.close) return turn
    turn.handle = words[Word.handle]!
    turn.requestOffset = words[Word.requestOffset]!
    turn.requestLength = words[Word.requestLength]!
    turn.lineLength = words[Word.lineLength]!
    turn.keyOffset = words[Word.keyOffset]!
    turn.keyLength = words[Word.keyLength]!
    turn.owner = words[Word.owner]!
    turn.noreply = words[Word.noreply]!
    turn.epoch = words[Word.epoch]!
    turn.fillOffset = words[Word.fillOffset]!
    turn.fillLength = words[Word.fillLength]!
    return turn
  }

  // --- ownership

  publish(table: RouteTable): boolean {
    const { points, owners, tenures, settled } = table
    const pointsMax = this.arena.options.routePointsMax
    if (points.length === 0 || points.length > pointsMax) {
      throw new Error(`a route table of ${points.length} points does not fit: 1 to ${pointsMax} do`)
    }
    const slot = this.#wasm.findFreeSlot() >>> 0
    if (slot === 0) return false
    const buffer = this.arena.memory.buffer
    const at = slot + this.#layout.routePoints
    let unsettled = 0
    let guarded = 0
    for (let arc = 0; arc < settled.length; arc++) {
      if (owners[arc] !== table.self) continue
      if (settled[arc] !== 1) unsettled = 1
      if (settled[arc] === 2) guarded = 1
    }
    new Uint32Array(buffer, slot, 5).set([table.epoch, table.self, points.length, unsettled, guarded])
    new Uint32Array(buffer, at, points.length).set(points)
    new Uint32Array(buffer, at + pointsMax * 4, tenures.length).set(tenures)
    new Uint16Array(buffer, at + pointsMax * 8, owners.length).set(owners)
    this.bytes.set(settled, at + pointsMax * 10)
    this.#wasm.switchTo(slot)
    return true
  }

  publishAlone(): void {
    this.#wasm.switchTo(0)
  }

  epoch(): number {
    return this.#wasm.currentEpoch() >>> 0
  }

  route(key: Uint8Array): Routed {
    this.#wasm.routeOf(this.#putKey(key))
    const words = this.#words
    return {
      point: words[Word.point]!,
      owner: words[Word.pointOwner]!,
      settled: words[Word.settled] !== 0,
      tenure: words[Word.tenure]!,
    }
  }

  ownerOfRequest(offset: number, length: number): number {
    const size = this.#wasm.ownerOfRequest(offset, offset + length) >>> 0
    if (size === 0) return 0
    const { turn } = this
    turn.owner = this.#words[Word.owner]!
    turn.epoch = this.#words[Word.epoch]!
    turn.noreply = this.#words[Word.noreply]!
    return size
  }

  ownersOfKeys(
    line: Uint8Array,
    from: number,
    to: number,
    each: (from: number, to: number, owner: number) => void,
  ): void {
    const { scratch, tx, bytes } = this
    if (to > scratch.length) throw new Error(`a line of ${to} bytes is too long to be looked at`)
    bytes.set(line, scratch.offset)
    this.#keyTable ??= new Uint32Array(this.arena.memory.buffer, tx.offset, 2 * KEYS_AT_ONCE)
    const table = this.#keyTable
    for (let at = from; at < to; ) {
      const start = scratch.offset + at
      const end = this.#wasm.ownersOfKeys(start, scratch.offset + to, tx.offset, KEYS_AT_ONCE) >>> 0
      const words = 2 * this.#words[Word.written]!
      for (let i = 0; i < words; i += 2) {
        const key = at + table[i]!
        const more = table[i + 1]!
        each(key, key + (more & 0xffff), more >>> 16)
      }
      at = end - scratch.offset
    }
  }

  ownerOf(bytes: Uint8Array, from: number, to: number): number {
    const length = to - from
    if (length <= 0 || length > KEY_MAX) throw new Error(`a key of ${length} bytes is no key`)
    for (let i = 0; i < length; i++) this.bytes[this.#keyAt + i] = bytes[from + i]!
    this.#wasm.routeOf(length)
    return this.#words[Word.pointOwner]!
  }

  point(key: Uint8Array): number {
    return this.#wasm.pointOf(this.#putKey(key)) >>> 0
  }

  held(key: Uint8Array): number {
    return Number(this.#wasm.heldMark(this.#putKey(key)))
  }

  handOver(key: Uint8Array, before: number): ItemRecord | null {
    const length = this.#wasm.handOver(this.#putKey(key), before)
    return length === 0 ? null : this.#record(this.scratch.offset)
  }

  peek(key: Uint8Array): ItemRecord | null {
    const length = this.#wasm.peek(this.#putKey(key))
    return length === 0 ? null : this.#record(this.scratch.offset)
  }

  /** The record at `at` in scratch, with its value from the chunks it lies in when it is a large one. */
  #record(at: number): ItemRecord {
    const length = recordLength(this.bytes, at)
    const handle = this.#words[Word.handle]!
    if (handle === 0) return this.bytes.slice(at, at + length)
    const record = new Uint8Array(length)
    const valueAt = recordKeyEnd(this.bytes, at)
    const valueEnd = recordValueEnd(this.bytes, at)
    record.set(this.bytes.subarray(at, at + valueAt))
    let to = valueAt
    for (let chunk = this.nextPiece(handle, 0); chunk !== 0 && to < valueEnd; chunk = this.nextPiece(handle, chunk)) {
      const { fillOffset, fillLength } = this.turn
      const size = Math.min(fillLength, valueEnd - to)
      record.set(this.bytes.subarray(fillOffset, fillOffset + size), to)
      to += size
    }
    record.set(this.bytes.subarray(at + valueAt, at + valueAt + length - valueEnd), valueEnd)
    this.release(handle)
    return record
  }

  renew(key: Uint8Array, oldest: number, mark: number): boolean {
    return this.#wasm.renew(this.#putKey(key), oldest, mark) !== 0
  }

  recordKey(record: ItemRecord): Uint8Array {
    return recordHead(record).key
  }

  isDeletion(record: ItemRecord): boolean {
    return recordHead(record).tombstone
  }

  tombstoneOf(record: ItemRecord): ItemRecord {
    return tombstoneOfRecord(record)
  }

  install(record: ItemRecord, mark: number): Installed {
    checkRecord(record)
    if (record.length > this.arena.options.slabChunkMax / 2) return this.#installLarge(record, mark)
    this.bytes.set(record, this.scratch.offset)
    return INSTALLED[this.#wasm.install(mark, 0, 0)]!
  }

  /** Its value does not go through scratch, where it might not fit, but straight into the item. */
  #installLarge(record: ItemRecord, mark: number): Installed {
    const valueAt = recordKeyEnd(record, 0)
    const valueEnd = recordValueEnd(record, 0)
    const { offset } = this.scratch
    this.bytes.set(record.subarray(0, valueAt), offset)
    this.bytes.set(record.subarray(valueEnd), offset + valueAt)
    const handle = this.#wasm.prepare() >>> 0
    for (let from = valueAt; handle !== 0 && from < valueEnd; ) {
      const size = this.#wasm.pieceAt(handle, from - valueAt)
      const to = this.#words[Word.fillOffset]!
      const part = record.subarray(from, Math.min(valueEnd, from + size))
      this.bytes.set(part, to)
      from += part.length
    }
    return INSTALLED[this.#wasm.install(mark, 1, handle)]!
  }

  installAbsent(key: Uint8Array, mark: number): boolean {
    return this.#wasm.installAbsent(this.#putKey(key), mark) !== 0
  }

  collect(owner: number, before: number, pass: 0 | 1, cursor: number, buckets: number, bytesMax: number) {
    const next = this.#wasm.collect(owner, before, pass === 0 ? 1 : 0, cursor, buckets, Math.min(bytesMax, 2 ** 31))
    const records: ItemRecord[] = []
    const end = this.scratch.offset + this.#words[Word.written]!
    for (let at = this.scratch.offset; at < end; ) {
      const record = this.#record(at)
      records.push(record)
      at += record.length
    }
    return { records, cursor: this.#cursor(next) }
  }

  keys(before: number, cursor: number, buckets: number) {
    const next = this.#wasm.listKeys(before, cursor, buckets)
    const keys: { key: Uint8Array; mark: number }[] = []
    const start = this.scratch.offset
    const view = new DataView(this.arena.memory.buffer, start, this.#words[Word.written]!)
    for (let at = 0; at < view.byteLength; ) {
      const end = at + 5 + view.getUint8(at + 4)
      keys.push({ key: this.bytes.slice(start + at + 5, start + end), mark: view.getUint32(at, true) })
      at = end
    }
    return { keys, cursor: this.#cursor(next) }
  }

  sweepTombstones(cursor: number, buckets: number, foreign: boolean): number {
    return this.#cursor(this.#wasm.sweepTombstones(cursor, buckets, foreign))
  }

  buckets(): number {
    return this.#wasm.bucketCount() >>> 0
  }

  #cursor(next: number): number {
    return next >>> 0 >= this.buckets() ? -1 : next >>> 0
  }

  #putKey(key: Uint8Array): number {
    if (key.length === 0 || key.length > KEY_MAX) throw new Error(`a key of ${key.length} bytes is no key`)
    this.bytes.set(key, this.#keyAt)
    return key.length
  }

  // --- versions

  version(): bigint {
    return BigInt.asUintN(64, this.#wasm.version())
  }

  flushed(): bigint {
    return BigInt.asUintN(64, this.#wasm.flushed())
  }

  observe(version: bigint): void {
    this.#wasm.observe(version)
  }

  flush(version: bigint): void {
    this.#wasm.flush(version)
  }

  flushAt(unixSeconds: number): void {
    this.#wasm.flushAt(Math.max(0, Math.floor(unixSeconds)))
  }

  flushPendingAt(): number {
    return this.#wasm.flushPendingAt() >>> 0
  }

  // --- logs, prefixes, verbosity

  #control(name: keyof typeof CONTROL_WORDS): Uint32Array {
    return new Uint32Array(this.arena.memory.buffer, controlWord(name), 1)
  }

  wantStreams(bits: number): void {
    Atomics.or(this.#streams, 0, bits)
  }

  dropStreams(bits: number): void {
    Atomics.and(this.#streams, 0, ~bits)
  }

  logged(): bigint {
    return new BigUint64Array(this.arena.memory.buffer, controlWord('logNumber'), 1)[0]!
  }

  streams(): number {
    return this.#streams[0]!
  }

  noteText(stream: number, text: string): void {
    if ((this.streams() & stream) === 0) return
    const bytes = Buffer.from(text).subarray(0, TEXT_MAX)
    this.bytes.set(bytes, this.scratch.offset)
    this.#wasm.noteText(stream, this.scratch.offset, bytes.length)
  }

  prefixes(): PrefixFigures[] {
    const start = this.#layout.prefixes + PREFIX_BUCKETS * 4
    const end = this.#wasm.lockPrefixes() >>> 0
    const view = new DataView(this.arena.memory.buffer)
    const found: PrefixFigures[] = []
    for (let at = start; at < end; ) {
      const length = view.getUint32(at + 4, true)
      const text = this.bytes.slice(at + PREFIX_ENTRY, at + PREFIX_ENTRY + length)
      const [get, hit, set, del] = [8, 16, 24, 32].map(figure => view.getBigUint64(at + figure, true))
      found.push({ prefix: Buffer.from(text.buffer).toString('latin1'), get: get!, hit: hit!, set: set!, del: del! })
      at += (PREFIX_ENTRY + length + 15) & ~7
    }
    this.#wasm.unlockPrefixes()
    return found
  }

  clearPrefixes(): void {
    this.#wasm.clearPrefixes()
  }

  verbosity(): number {
    return this.#control('verbosity')[0]!
  }

  setVerbosity(level: number): void {
    this.#control('verbosity')[0] = level
  }

  // --- figures

  /** One counter of the engine's, of all threads. */
  #sum(name: string): bigint {
    const index = ENGINE_COUNTERS.indexOf(name)
    let sum = 0n
    for (let thread = 0; thread <= this.arena.options.threads; thread++) {
      const at = threadArea(this.#layout, thread).base + COUNTERS + index * 8
      sum += new BigInt64Array(this.arena.memory.buffer, at, 1)[0]!
    }
    return sum
  }

  stats(): Map<string, bigint> {
    const { buffer } = this.arena.memory
    const threads = this.arena.options.threads + 1
    const engine = new BigInt64Array(ENGINE_COUNTERS.length)
    const host = new Float64Array(HOST_COUNTERS.length)
    for (let thread = 0; thread < threads; thread++) {
      const { base } = threadArea(this.#layout, thread)
      const counters = new BigInt64Array(buffer, base + COUNTERS, engine.length)
      const hosts = new Float64Array(buffer, base + HOST_COUNTERS_AT, host.length)
      for (let i = 0; i < engine.length; i++) engine[i]! += counters[i]!
      for (let i = 0; i < host.length; i++) host[i]! += hosts[i]!
    }
    const summed = new Map(ENGINE_COUNTERS.map((name, index): [string, bigint] => [name, engine[index]!]))
    const figures = new Map<string, bigint>(CLASS_FIGURES.slice(9).map(name => [name, 0n]))
    for (const { counters, figures: ofClass } of this.classes()) {
      for (const [name, value] of counters) {
        const total = name.startsWith('hits_to_') ? 'get_hits' : name
        summed.set(total, summed.get(total)! + value)
      }
      for (const [name, value] of figures) figures.set(name, value + ofClass.get(name)!)
    }
    return new Map<string, bigint>([
      ...summed,
      ...figures,
      ...HOST_COUNTERS.map((name, index): [string, bigint] => [name, BigInt(host[index]!)]),
      ...this.pages.figures(),
      ['hash_power_level', BigInt(this.housekeeping.hashPower())],
      ['hash_bytes', BigInt(this.buckets() * 4)],
      ['hash_is_expanding', this.housekeeping.isGrowing() ? 1n : 0n],
      ['lru_crawler_running', this.housekeeping.crawlerUse() === 'idle' ? 0n : 1n],
    ])
  }

  classes(): ClassStats[] {
    const { memory, options } = this.arena
    const { classes, chunkSizes } = this.#layout
    return chunkSizes.map((chunkSize, index) => {
      const base = classes + index * CLASS_STRIDE
      const words = new Uint32Array(memory.buffer, base, CLASS_STRIDE / 4)
      const [, , chunksPerPage, , freeCount, carve, carveEnd, pages] = words
      const lists = LISTS.map((name, list) => {
        const [, tail, count] = words.subarray((LISTS_AT >> 2) + list * 4)
        return { name, count: count!, tailTime: tail ? new Uint32Array(memory.buffer, tail + ITEM_TIME, 1)[0]! : null }
      })
      const figures = new BigInt64Array(memory.buffer, base + CLASS_FIGURES_AT, CLASS_FIGURES.length)
      const sums = new BigInt64Array(CLASS_COUNTERS.length)
      for (let thread = 0; thread <= options.threads; thread++) {
        const at = threadArea(this.#layout, thread).base + CLASS_COUNTERS_AT + index * CLASS_COUNTERS_STRIDE * 8
        const counters = new BigInt64Array(memory.buffer, at, sums.length)
        for (let i = 0; i < sums.length; i++) sums[i]! += counters[i]!
      }
      const notCarved = Math.floor((carveEnd! - carve!) / chunkSize)
      return {
        ...{
          id: index + 1,
          chunkSize,
          chunksPerPage: chunksPerPage!,
          pages: pages!,
          freeChunks: freeCount! + notCarved,
          lists,
        },
        counters: new Map(CLASS_COUNTERS.map((name, i): [string, bigint] => [name, sums[i]!])),
        figures: new Map(CLASS_FIGURES.map((name, i): [string, bigint] => [name, figures[i]!])),
      }
    })
  }

  resetStats(): void {
    this.clearPrefixes()
    const { buffer } = this.arena.memory
    this.pages.resetFigures()
    for (let thread = 0; thread <= this.arena.options.threads; thread++) {
      const { base } = threadArea(this.#layout, thread)
      const counters = new BigInt64Array(buffer, base + COUNTERS, ENGINE_COUNTERS.length)
      ENGINE_COUNTERS.forEach((name, i) => {
        if (!GAUGES.has(name)) counters[i] = 0n
      })
      const hosts = new Float64Array(buffer, base + HOST_COUNTERS_AT, HOST_COUNTERS.length)
      HOST_COUNTERS.forEach((name, i) => {
        if (!GAUGES.has(name)) hosts[i] = 0
      })
      new BigInt64Array(buffer, base + CLASS_COUNTERS_AT, this.#layout.chunkSizes.length * CLASS_COUNTERS_STRIDE).fill(
        0n,
      )
    }
    for (let index = 0; index < this.#layout.chunkSizes.length; index++) {
      const at = this.#layout.classes + index * CLASS_STRIDE + CLASS_FIGURES_AT
      const figures = new BigInt64Array(buffer, at, CLASS_FIGURES.length)
      CLASS_FIGURES.forEach((name, i) => {
        if (!GAUGES.has(name)) figures[i] = 0n
      })
    }
  }

  count(name: string, by: number): void {
    const index = HOST_COUNTER_AT.get(name)
    if (index === undefined) throw new Error(`no counter is called "${name}"`)
    this.#hostCounters[index]! += by
  }
}
