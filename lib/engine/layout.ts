/**
 * The arena's addresses, computed once from the options and written where lib/engine/assembly/layout.ts reads them.
 * Every number here has its counterpart there; knows nothing of items, keys or requests.
 *
 *   64 KiB | control block | locks | slab classes | thread areas | route slots | page table | prefixes | hash table | slab pages
 *
 * Nothing is zeroed that is not used yet: a page of memory costs something from the first item in it.
 */
import type { EngineOptions } from './contract.js'
import { initialiseLru } from './lru-words.js'

export const CONTROL = 65536
const CONTROL_BYTES = 4096
const BUCKETS = 2048
/** Striped locks on the key's hash. */
const STRIPES = 4096
export const CLASS_STRIDE = 256
/** In a class: its LRU lists, and in each of them. */
export const LISTS_AT = 32
export const LIST_STRIDE = 16
export const LIST_COUNT = 8
const CLASSES_MAX = 63
export const RX_BYTES = 65536
/** What tx holds beyond the largest value that goes through it, and scratch beyond what it is for. */
const AREA_SLACK = 65536
/** A line that has not ended yet, a batch of records, the request of the largest item that is no chain. */
const SCRATCH_BYTES = 1 << 20
export const THREAD_HEAD = 12288
/** Route tables: one in force, one just replaced, and two for threads that are slow to leave a turn. */
const ROUTE_SLOTS = 4
const ITEM_HEADER = 48
const MEGABYTE = 1 << 20
export const PAGE_SIZE = MEGABYTE
/** An item of the longest key fits in a chunk, so that the head of a chain does. */
const SLAB_CHUNK_MAX_LEAST = 512
/** The hash table grows at this load, as memcached's (lib/engine/assembly/table.ts). */
const ITEMS_PER_BUCKET = 1.5
/** Never fewer buckets than stripes; more than 2^28 would be a gigabyte of them. */
const HASH_POWER_MIN = 12
const HASH_POWER_MAX = 28
/** -I: PROTOCOL D2. */
const ITEM_SIZE_MIN = 1024
const ITEM_SIZE_MAX = 1 << 30
const ADDRESSABLE = 2 ** 32
const VERSION_TEXT_MAX = 64
/** Words of the control block from here on are behind the version's text. */
const MORE_WORDS = 40
const PAGE_LIMIT_WORD = 131
/** In the control block: the words about logs and prefixes (lib/engine/assembly/layout.ts). */
const LOG_WORDS = CONTROL + 3072
export const LOG_HEAD = 64
/** Of each thread: what its loop receives before it tells whose it is. */
export const AHEAD_BYTES = 65536
/** From LOG_WORDS on. */
export const CONTROL_WORDS = {
  streams: 64,
  logNumber: 128,
  prefixDelimiter: 200,
  clockShift: 256,
  clockStopped: 260,
  verbosity: 264,
} as const
export const controlWord = (name: keyof typeof CONTROL_WORDS): number => LOG_WORDS + CONTROL_WORDS[name]
/** Prefixes with their figures; when it is full, new prefixes are not counted. */
const PREFIX_BYTES = 4 << 20

export interface Layout {
  /** The words of the control block that the engine reads, by number. */
  words: number[]
  moreWords: number[]
  /** Pages that -m allows; and that cache_memlimit may allow. */
  pageLimit: number
  pagesMax: number
  chunkSizes: number[]
  classes: number
  threadAreas: number
  threadStride: number
  txBytes: number
  scratchBytes: number
  routes: number
  routeStride: number
  routePoints: number
  /** Of one thread's log, behind its head: a power of two. */
  logBytes: number
  pageTable: number
  prefixes: number
  hash: number
  pages: number
  /** Of the table as it begins, and as far as it can grow. */
  buckets: number
  bucketsMax: number
  /** Of the whole memory, in wasm pages. */
  wasmPages: number
}

const align = (value: number, to: number) => Math.ceil(value / to) * to

export function fullOptions(options: EngineOptions): Required<EngineOptions> {
  const { itemSizeMax = MEGABYTE, memoryLimitMb } = options
  return {
    ...{ itemSizeMax, growthFactor: 1.25, chunkSizeMin: 48, evictions: true, cas: true, flushEnabled: true },
    ...{ routePointsMax: 1 << 18, hashPower: 16, memoryReserveMb: memoryLimitMb },
    slabChunkMax: Math.max(SLAB_CHUNK_MAX_LEAST, Math.min(PAGE_SIZE / 2, Math.floor(itemSizeMax / 16) * 8)),
    ...{ logBytes: 65536, debug: false, prefixDelimiter: ':' },
    ...options,
  }
}

/** One plain sentence for options that no arena can be made of. */
function refuse(options: Required<EngineOptions>): string | null {
  const { memoryLimitMb, itemSizeMax, growthFactor, chunkSizeMin, slabChunkMax, versionText, hashPower } = options
  if (!Number.isInteger(memoryLimitMb) || memoryLimitMb < 1) {
    return `-m ${memoryLimitMb} is not a whole number of megabytes from 1 up`
  }
  if (!(itemSizeMax >= ITEM_SIZE_MIN && itemSizeMax <= ITEM_SIZE_MAX)) {
    return `-I ${itemSizeMax} is out of bounds: an item may have 1024 bytes to 1 GiB at most`
  }
  if (itemSizeMax > (memoryLimitMb * MEGABYTE) / 2) {
    return `-m ${memoryLimitMb} is too small: the largest item (-I ${itemSizeMax}) may be half of it at most`
  }
  if (!(growthFactor > 1)) return `-f ${growthFactor} is not a factor above 1`
  if (!(slabChunkMax >= SLAB_CHUNK_MAX_LEAST && slabChunkMax <= PAGE_SIZE && slabChunkMax % 8 === 0)) {
    return `slab_chunk_max ${slabChunkMax} is not a multiple of 8 from ${SLAB_CHUNK_MAX_LEAST} to ${PAGE_SIZE}`
  }
  if (!(chunkSizeMin >= 1 && chunkSizeMin <= slabChunkMax / 2)) {
    return `-n ${chunkSizeMin} is not a size between 1 byte and half of the largest chunk`
  }
  if (!(Number.isInteger(hashPower) && hashPower >= HASH_POWER_MIN && hashPower <= HASH_POWER_MAX)) {
    return `-o hashpower=${hashPower} is not a whole number from ${HASH_POWER_MIN} to ${HASH_POWER_MAX}`
  }
  if (versionText.length > VERSION_TEXT_MAX) return `the version text "${versionText}" is longer than 64 bytes`
  return null
}

/** Sizes as memcached's: by the factor, 8-byte aligned; the last class has the largest chunks that there are. */
function chunkSizesOf({ growthFactor, chunkSizeMin, slabChunkMax }: Required<EngineOptions>): number[] {
  const sizes: number[] = []
  const largest = slabChunkMax
  let size = ITEM_HEADER + chunkSizeMin
  while (sizes.length < CLASSES_MAX - 1 && size < largest / growthFactor) {
    const aligned = align(size, 8)
    if (aligned !== sizes.at(-1)) sizes.push(aligned)
    size = aligned * growthFactor
  }
  sizes.push(largest)
  return sizes
}

export function computeLayout(options: Required<EngineOptions>): Layout {
  const refused = refuse(options)
  if (refused) throw new Error(refused)
  const { memoryLimitMb, memoryReserveMb, itemSizeMax, slabChunkMax, routePointsMax, versionText } = options
  const threads = options.threads + 1
  const chunkSizes = chunkSizesOf(options)
  const pageLimit = (memoryLimitMb * MEGABYTE) / PAGE_SIZE
  const buckets = 2 ** options.hashPower
  // As many as there may be items when cache_memlimit has raised the limit as far as it goes.
  const itemsMax = Math.min(Math.max(memoryLimitMb, memoryReserveMb) * MEGABYTE, ADDRESSABLE) / chunkSizes[0]!
  const bucketsMax = Math.max(buckets, 2 ** Math.ceil(Math.log2(itemsMax / ITEMS_PER_BUCKET)))

  const locks = CONTROL + CONTROL_BYTES
  const classes = locks + STRIPES * 4
  const threadAreas = classes + (CLASSES_MAX + 1) * CLASS_STRIDE
  const txBytes = align(slabChunkMax + AREA_SLACK, 4096)
  const scratchBytes = align(SCRATCH_BYTES + AREA_SLACK, 4096)
  const logBytes = 2 ** Math.min(24, Math.max(12, Math.ceil(Math.log2(options.logBytes))))
  const threadStride = align(THREAD_HEAD + RX_BYTES + txBytes + scratchBytes + LOG_HEAD + logBytes + AHEAD_BYTES, 4096)
  const routes = threadAreas + threads * threadStride
  const routePoints = 64 + align(threads, 16) * 4
  const routeStride = align(routePoints + routePointsMax * 11, 64)
  const pageTable = align(routes + ROUTE_SLOTS * routeStride, 4096)
  const prefixes = pageTable + (ADDRESSABLE / PAGE_SIZE) * 4
  const hash = prefixes + PREFIX_BYTES
  const pages = hash + bucketsMax * 4
  // A class that has no page may take one beyond -m. Room to grow is taken as far as there is any.
  const pagesFit = Math.floor((ADDRESSABLE - 65536 - pages) / PAGE_SIZE)
  const pagesMax = Math.min(pagesFit, Math.max(memoryLimitMb, memoryReserveMb) + chunkSizes.length)
  const end = align(pages + pagesMax * PAGE_SIZE + 65536, 65536)
  if (pagesFit < pageLimit + chunkSizes.length) {
    const more = `run more nodes on this machine, for instance ${Math.ceil(memoryLimitMb / 2048)} with -m 2048`
    throw new Error(`-m ${memoryLimitMb} does not fit in one node, which can address 4 GiB in all: ${more}`)
  }
  const switches =
    (options.evictions ? 1 : 0) | (options.cas ? 2 : 0) | (options.flushEnabled ? 4 : 0) | (options.debug ? 8 : 0)
  const words = [
    ...[1, threads, STRIPES - 1, locks, classes, chunkSizes.length, threadAreas, threadStride],
    ...[RX_BYTES, txBytes, scratchBytes, routes, routeStride, ROUTE_SLOTS, routePointsMax, hash, bucketsMax],
    ...[pages, PAGE_SIZE, pageLimit, pagesMax, itemSizeMax, switches, versionText.length],
  ]
  return {
    ...{ words, moreWords: [pageTable], pageLimit, pagesMax, chunkSizes, classes, threadAreas, threadStride },
    ...{ txBytes, scratchBytes, routes, routeStride, routePoints, logBytes, prefixes },
    ...{ pageTable, pages, hash, buckets, bucketsMax, wasmPages: end / 65536 },
  }
}

/** Makes a fresh memory ready; `used`: it had a life before. */
export function initialise(memory: WebAssembly.Memory, options: Required<EngineOptions>, used: boolean): void {
  const layout = computeLayout(options)
  const bytes = new Uint8Array(memory.buffer)
  const bucketsUsed = new Uint32Array(memory.buffer, CONTROL + BUCKETS, 1)[0]!
  if (used) {
    bytes.fill(0, CONTROL, layout.threadAreas)
    for (let thread = 0; thread <= options.threads; thread++) {
      const area = layout.threadAreas + thread * layout.threadStride
      bytes.fill(0, area, area + THREAD_HEAD)
      bytes.fill(0, threadArea(layout, thread).log, threadArea(layout, thread).log + LOG_HEAD)
    }
    for (let slot = 0; slot < ROUTE_SLOTS; slot++) {
      const start = layout.routes + slot * layout.routeStride
      bytes.fill(0, start, start + layout.routePoints)
    }
    bytes.fill(0, layout.prefixes, layout.hash + Math.max(layout.buckets, bucketsUsed) * 4)
  }
  const control = new Uint32Array(memory.buffer, CONTROL, CONTROL_BYTES / 4)
  control.set(layout.words)
  control.set(layout.moreWords, MORE_WORDS)
  control[PAGE_LIMIT_WORD] = layout.pageLimit
  new Uint32Array(memory.buffer, LOG_WORDS, 2).set([layout.logBytes, layout.prefixes])
  new Uint32Array(memory.buffer, controlWord('prefixDelimiter'), 1)[0] = options.prefixDelimiter.charCodeAt(0)
  bytes.set(Buffer.from(options.versionText, 'latin1'), CONTROL + 96)
  new Uint32Array(memory.buffer, CONTROL + BUCKETS, 2).fill(layout.buckets)
  initialiseLru(memory)
  layout.chunkSizes.forEach((chunkSize, index) => {
    const slabClass = new Uint32Array(memory.buffer, layout.classes + index * CLASS_STRIDE, 8)
    slabClass[1] = chunkSize
    slabClass[2] = Math.floor(PAGE_SIZE / chunkSize)
  })
}

export function threadArea(layout: Layout, thread: number) {
  const base = layout.threadAreas + thread * layout.threadStride
  const rx = base + THREAD_HEAD
  const tx = rx + RX_BYTES
  const log = tx + layout.txBytes + layout.scratchBytes
  return { base, rx, tx, scratch: tx + layout.txBytes, log, ahead: log + LOG_HEAD + layout.logBytes }
}
