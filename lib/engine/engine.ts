/**
 * The engine's host side: wraps one wasm instance a thread (arena.ts) as EngineApi (contract.ts has the
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
import { instanceOf, type Wasm } from './arena.js'
import type {
  Arena,
  ClassNeed,
  ClassStats,
  EngineApi,
  Installed,
  ItemRecord,
  PrefixFigures,
  Range,
  Routed,
  RouteTable,
  Turn,
} from './contract.js'
import { Stop } from './contract.js'
import { Figures } from './figures.js'
import { Housekeeping } from './housekeeping.js'
import {
  AHEAD_BYTES,
  type CONTROL_WORDS,
  computeLayout,
  controlWord,
  type Layout,
  RX_BYTES,
  threadArea,
} from './layout.js'
import { Pages } from './pages.js'
import { readPrefixes } from './prefixes.js'
import { checkRecord, recordHead, recordKeyEnd, recordLength, recordValueEnd, tombstoneOfRecord } from './record.js'
import { SplitGet } from './split-get.js'

const TURN = 64
const KEY = 2048
const KEY_MAX = 250
/** Of a line of the host's own for watchers. */
const TEXT_MAX = 1024
/** Keys that are looked at in one call; what is told of them goes to tx. */
const KEYS_AT_ONCE = 4096
const RESUME_KIND = 2 ** 32
/** The words of the turn block (lib/engine/assembly/turn.ts). */
const Word = {
  ...{ consumed: 1, txLength: 2, resumeKind: 3, resumeValue: 4, requestOffset: 5, requestLength: 6, lineLength: 7 },
  ...{ keyOffset: 8, keyLength: 9, owner: 10, noreply: 11, epoch: 12, fillOffset: 13, fillLength: 14, handle: 15 },
  ...{ point: 16, pointOwner: 17, settled: 18, tenure: 19, written: 20 },
  ...{ microseconds: 21, connection: 22, refused: 23 },
} as const

const INSTALLED: readonly Installed[] = ['installed', 'kept', 'expired', 'no memory']

export class Engine implements EngineApi {
  readonly arena: Arena
  readonly pages: Pages
  readonly splitGet: SplitGet
  readonly bytes: Uint8Array
  readonly rx: Range
  readonly tx: Range
  readonly scratch: Range
  readonly ahead: Range
  readonly turn: Turn
  readonly housekeeping: Housekeeping
  readonly #wasm: Wasm
  readonly #layout: Layout
  readonly #words: Uint32Array
  readonly #figures: Figures
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
    this.ahead = { offset: area.ahead, length: AHEAD_BYTES }
    this.#keyAt = area.base + KEY
    this.#streams = this.#control('streams')
    this.#words = new Uint32Array(memory.buffer, area.base + TURN, 32)
    this.#figures = new Figures(arena, this.#layout, thread)
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
      stored: () => this.#figures.sum('total_items'),
      evicted: () => this.#figures.sum('evictions'),
      items: () => this.#figures.sum('curr_items') + this.#figures.sum('tombstones'),
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

  lookAhead(offset: number, length: number): void {
    this.#wasm.addAhead(offset, offset + length)
  }

  lookAtAll(): void {
    this.#wasm.lookAtAll()
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
    return readPrefixes(this.arena.memory, this.#layout.prefixes, this.#wasm)
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

  stats(): Map<string, bigint> {
    return new Map<string, bigint>([
      ...this.#figures.all(),
      ...this.pages.figures(),
      ['hash_power_level', BigInt(this.housekeeping.hashPower())],
      ['hash_bytes', BigInt(this.buckets() * 4)],
      ['hash_is_expanding', this.housekeeping.isGrowing() ? 1n : 0n],
      ['lru_crawler_running', this.housekeeping.crawlerUse() === 'idle' ? 0n : 1n],
    ])
  }

  classes(): ClassStats[] {
    return this.#figures.classes()
  }

  classNeeds(): ClassNeed[] {
    return this.#figures.classNeeds()
  }

  resetStats(): void {
    this.clearPrefixes()
    this.pages.resetFigures()
    this.#figures.reset()
  }

  count(name: string, by: number): void {
    this.#figures.count(name, by)
  }

  countRead(bytes: number): void {
    this.#figures.countRead(bytes)
  }

  countWritten(bytes: number): void {
    this.#figures.countWritten(bytes)
  }
}
