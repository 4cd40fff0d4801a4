/**
 * The host side of what is done beside requests (contract.ts has the meaning of every call): LRU visits, growth of the
 * hash table, crawls, dumps. Slices of bounded work; whoever calls decides when. Knows no socket and no clock.
 */
import type { Arena, Crawled, CrawlerUse, DumpKind, DumpPlace, HousekeepingApi, LruSettings } from './contract.js'
import { CLASS_STRIDE, CONTROL, type Layout, LIST_COUNT, LIST_STRIDE, LISTS_AT } from './layout.js'
import { readLru, writeLru } from './lru-words.js'

/** The wasm's exports of this room (lib/engine/assembly/index.ts). Results are i32. */
export interface HousekeepingWasm {
  juggle(slabClass: number): number
  wantGrowth(items: bigint): number
  grow(steps: number): number
  bucketCount(): number
  beginCrawl(slabClass: number, list: number): void
  crawl(slabClass: number, items: number): number
  endCrawl(slabClass: number): void
  dump(kind: number, classes: bigint, buckets: number, cursor: number): number
  cachedump(slabClass: number, limit: number): number
}

interface Place {
  arena: Arena
  layout: Layout
  wasm: HousekeepingWasm
  /** Offset of this thread's scratch. */
  scratch: number
  /** Bytes that the last dump wrote there. */
  written: () => number
  items: () => bigint
  stored: () => bigint
  evicted: () => bigint
}

/** Buckets split in one step of growth. */
const SPLITS_PER_STEP = 2048
const BUCKETS_WANTED = CONTROL + 2052
/** The claim of the crawler: 0 or a use; behind it, when it was last refused. */
const CRAWLER = CONTROL + 2176
const USES: readonly CrawlerUse[] = ['idle', 'crawl', 'dump']
const CRAWLED = CONTROL + 2304
const MINUTES = 60
const DUMPS: readonly DumpKind[] = ['metadump', 'mgdump', 'sizes']

export class Housekeeping implements HousekeepingApi {
  readonly #place: Place
  readonly #crawler: Int32Array

  constructor(place: Place) {
    this.#place = place
    this.#crawler = new Int32Array(place.arena.memory.buffer, CRAWLER, 2)
  }

  lru(): LruSettings {
    return readLru(this.#place.arena.memory)
  }

  tune(changes: Partial<LruSettings>): void {
    writeLru(this.#place.arena.memory, changes)
  }

  juggle(slabClass: number): number {
    return this.#place.wasm.juggle(slabClass)
  }

  listCount(slabClass: number, list: number): number {
    const { arena, layout } = this.#place
    const at = layout.classes + slabClass * CLASS_STRIDE + LISTS_AT + list * LIST_STRIDE + LIST_COUNT
    return new Uint32Array(arena.memory.buffer, at, 1)[0]!
  }

  grow(): boolean {
    const { wasm, items } = this.#place
    return wasm.wantGrowth(items()) !== 0 && wasm.grow(SPLITS_PER_STEP) !== 0
  }

  stored(): bigint {
    return this.#place.stored()
  }

  evicted(): bigint {
    return this.#place.evicted()
  }

  hashPower(): number {
    return Math.log2(this.#bucketsWanted())
  }

  isGrowing(): boolean {
    return this.#place.wasm.bucketCount() >>> 0 < this.#bucketsWanted()
  }

  #bucketsWanted(): number {
    return new Uint32Array(this.#place.arena.memory.buffer, BUCKETS_WANTED, 1)[0]!
  }

  crawlerUse(): CrawlerUse {
    return USES[Atomics.load(this.#crawler, 0)]!
  }

  claimCrawler(use: 'crawl' | 'dump', unixSeconds: number): boolean {
    if (Atomics.compareExchange(this.#crawler, 0, 0, USES.indexOf(use)) === 0) return true
    Atomics.store(this.#crawler, 1, Math.floor(unixSeconds))
    return false
  }

  crawlerRefusedAt(): number {
    return Atomics.load(this.#crawler, 1) >>> 0
  }

  releaseCrawler(): void {
    Atomics.store(this.#crawler, 0, 0)
  }

  beginCrawl(slabClass: number, list: number): void {
    this.#place.wasm.beginCrawl(slabClass, list)
  }

  crawl(slabClass: number, items: number): boolean {
    return this.#place.wasm.crawl(slabClass, items) !== 0
  }

  endCrawl(slabClass: number): Crawled {
    const { wasm, arena } = this.#place
    wasm.endCrawl(slabClass)
    const [seen, withoutExptime, reclaimed, , ...minutes] = new Uint32Array(
      arena.memory.buffer.slice(CRAWLED, CRAWLED + 16 + MINUTES * 4),
    )
    return { seen: seen!, withoutExptime: withoutExptime!, reclaimed: reclaimed!, minutes }
  }

  beginDump(): DumpPlace {
    return { buckets: this.#place.wasm.bucketCount() >>> 0, cursor: 0 }
  }

  dump(kind: DumpKind, classes: bigint, place: DumpPlace): Buffer | null {
    if (place.cursor >= place.buckets) return null
    const { wasm, written } = this.#place
    place.cursor = wasm.dump(DUMPS.indexOf(kind), classes, place.buckets, place.cursor) >>> 0
    return this.#scratch(written())
  }

  cachedump(slabClass: number, limit: number): Buffer {
    return this.#scratch(this.#place.wasm.cachedump(slabClass, limit))
  }

  #scratch(length: number): Buffer {
    const { arena, scratch } = this.#place
    return Buffer.from(arena.memory.buffer.slice(scratch, scratch + length))
  }
}
