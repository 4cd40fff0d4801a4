/**
 * The arena's addresses, computed once from the options and written where lib/engine/assembly/layout.ts reads them.
 * Every number here has its counterpart there; knows nothing of items, keys or requests.
 *
 *   64 KiB | control block | locks | slab classes | thread areas | route slots | hash table | slab pages
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
const CLASSES_MAX = 63
export const RX_BYTES = 65536
/** What tx and scratch hold beyond the largest item. */
const AREA_SLACK = 65536
const THREAD_HEAD = 12288
/** Route tables: one in force, one just replaced, and two for threads that are slow to leave a turn. */
const ROUTE_SLOTS = 4
const ITEM_HEADER = 48
const MEGABYTE = 1 << 20
const PAGE_SIZE = MEGABYTE
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

export interface Layout {
  /** The words of the control block that the engine reads, by number. */
  words: number[]
  chunkSizes: number[]
  classes: number
  threadAreas: number
  threadStride: number
  txBytes: number
  routes: number
  routeStride: number
  routePoints: number
  hash: number
  /** Of the table as it begins, and as far as it can grow. */
  buckets: number
  bucketsMax: number
  /** Of the whole memory, in wasm pages. */
  wasmPages: number
}

const align = (value: number, to: number) => Math.ceil(value / to) * to

export function fullOptions(options: EngineOptions): Required<EngineOptions> {
  return {
    ...{ itemSizeMax: MEGABYTE, growthFactor: 1.25, chunkSizeMin: 48, evictions: true, cas: true, flushEnabled: true },
    ...{ routePointsMax: 1 << 18, hashPower: 16 },
    ...options,
  }
}

/** One plain sentence for options that no arena can be made of. */
function refuse(options: Required<EngineOptions>): string | null {
  const { memoryLimitMb, itemSizeMax, growthFactor, chunkSizeMin, versionText, hashPower } = options
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
  if (!(chunkSizeMin >= 1 && chunkSizeMin <= itemSizeMax / 2)) {
    return `-n ${chunkSizeMin} is not a size between 1 byte and half of the largest item`
  }
  if (!(Number.isInteger(hashPower) && hashPower >= HASH_POWER_MIN && hashPower <= HASH_POWER_MAX)) {
    return `-o hashpower=${hashPower} is not a whole number from ${HASH_POWER_MIN} to ${HASH_POWER_MAX}`
  }
  if (versionText.length > VERSION_TEXT_MAX) return `the version text "${versionText}" is longer than 64 bytes`
  return null
}

/** Sizes as memcached's: by the factor, 8-byte aligned; the last class is a whole page, or the largest item if that is more. */
function chunkSizesOf({ growthFactor, chunkSizeMin, itemSizeMax }: Required<EngineOptions>): number[] {
  const sizes: number[] = []
  const largest = Math.max(PAGE_SIZE, align(itemSizeMax, 8))
  let size = ITEM_HEADER + chunkSizeMin
  while (sizes.length < CLASSES_MAX - 1 && align(size, 8) <= largest / growthFactor) {
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
  const { memoryLimitMb, itemSizeMax, routePointsMax, versionText } = options
  const threads = options.threads + 1
  const chunkSizes = chunkSizesOf(options)
  const pageLimit = (memoryLimitMb * MEGABYTE) / PAGE_SIZE
  // A class that has no page may take one beyond -m; larger chunks than a page take a run of pages each.
  const pagesMax = chunkSizes.reduce((sum, size) => sum + Math.ceil(size / PAGE_SIZE), pageLimit)
  const buckets = 2 ** options.hashPower
  const itemsMax = (memoryLimitMb * MEGABYTE) / chunkSizes[0]!
  const bucketsMax = Math.max(buckets, 2 ** Math.ceil(Math.log2(itemsMax / ITEMS_PER_BUCKET)))

  const locks = CONTROL + CONTROL_BYTES
  const classes = locks + STRIPES * 4
  const threadAreas = classes + (CLASSES_MAX + 1) * CLASS_STRIDE
  const txBytes = align(itemSizeMax + AREA_SLACK, 4096)
  const threadStride = THREAD_HEAD + RX_BYTES + 2 * txBytes
  const routes = threadAreas + threads * threadStride
  const routePoints = 64 + align(threads, 16) * 4
  const routeStride = align(routePoints + routePointsMax * 11, 64)
  const hash = align(routes + ROUTE_SLOTS * routeStride, 4096)
  const pages = hash + bucketsMax * 4
  const end = align(pages + pagesMax * PAGE_SIZE + 65536, 65536)
  if (end > ADDRESSABLE) {
    const more = `run more nodes on this machine, for instance ${Math.ceil(memoryLimitMb / 2048)} with -m 2048`
    throw new Error(`-m ${memoryLimitMb} does not fit in one node, which can address 4 GiB in all: ${more}`)
  }
  const switches = (options.evictions ? 1 : 0) | (options.cas ? 2 : 0) | (options.flushEnabled ? 4 : 0)
  const words = [
    ...[1, threads, STRIPES - 1, locks, classes, chunkSizes.length, threadAreas, threadStride],
    ...[RX_BYTES, txBytes, txBytes, routes, routeStride, ROUTE_SLOTS, routePointsMax, hash, bucketsMax],
    ...[pages, PAGE_SIZE, pageLimit, pagesMax, itemSizeMax, switches, versionText.length],
  ]
  return {
    ...{ words, chunkSizes, classes, threadAreas, threadStride, txBytes, routes, routeStride, routePoints },
    ...{ hash, buckets, bucketsMax, wasmPages: end / 65536 },
  }
}

/** Makes a fresh memory ready; `used`: it had a life before. */
export function initialise(memory: WebAssembly.Memory, options: Required<EngineOptions>, used: boolean): void {
  const layout = computeLayout(options)
  const bytes = new Uint8Array(memory.buffer)
  if (used) {
    bytes.fill(0, CONTROL, layout.threadAreas)
    for (let thread = 0; thread <= options.threads; thread++) {
      const area = layout.threadAreas + thread * layout.threadStride
      bytes.fill(0, area, area + THREAD_HEAD)
    }
    for (let slot = 0; slot < ROUTE_SLOTS; slot++) {
      const start = layout.routes + slot * layout.routeStride
      bytes.fill(0, start, start + layout.routePoints)
    }
    bytes.fill(0, layout.hash, layout.hash + layout.bucketsMax * 4)
  }
  new Uint32Array(memory.buffer, CONTROL, layout.words.length).set(layout.words)
  bytes.set(Buffer.from(options.versionText, 'latin1'), CONTROL + 96)
  new Uint32Array(memory.buffer, CONTROL + BUCKETS, 2).fill(layout.buckets)
  initialiseLru(memory)
  layout.chunkSizes.forEach((chunkSize, index) => {
    const slabClass = new Uint32Array(memory.buffer, layout.classes + index * CLASS_STRIDE, 8)
    slabClass[1] = chunkSize
    slabClass[2] = Math.max(1, Math.floor(PAGE_SIZE / chunkSize))
  })
}

export function threadArea(layout: Layout, thread: number) {
  const base = layout.threadAreas + thread * layout.threadStride
  const rx = base + THREAD_HEAD
  return { base, rx, tx: rx + RX_BYTES, scratch: rx + RX_BYTES + layout.txBytes }
}
