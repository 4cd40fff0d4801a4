/**
 * What an arena holds, as ranges of its memory: what a warm restart writes to a file and puts into a fresh arena of the same
 * layout. Everything that belongs to a life stays behind: routes, turns, watchers, settings. Pure: no file.
 *
 *   | versions, flushes, page lists, table size | slab classes | counters of each thread | page table | hash table | pages in use |
 *
 * Nobody may be using the arena meanwhile, and no lock may be held.
 */
import type { Arena } from './contract.js'
import { CONTROL, computeLayout, PAGE_SIZE, THREAD_HEAD } from './layout.js'

export interface ImageRange {
  offset: number
  length: number
}

// In the control block (lib/engine/assembly/layout.ts).
const VERSIONS: ImageRange = { offset: CONTROL + 256, length: 132 }
const PAGES: ImageRange = { offset: CONTROL + 516, length: 28 }
const PAGES_CUT = CONTROL + 516
const TABLE: ImageRange = { offset: CONTROL + 2048, length: 8 }
const BUCKETS_WANTED = CONTROL + 2052
/** In a thread's area: the engine's counters, and those by slab class. What the host counts is of one life. */
const COUNTERS: readonly ImageRange[] = [
  { offset: 256, length: 512 },
  { offset: 4096, length: THREAD_HEAD - 4096 },
]
const LOCKS = CONTROL + 4096

/** Everything that must be the same for the addresses to mean the same, by the names of EngineOptions. */
export function imageLayout({ options }: Arena): Record<string, number | boolean> {
  const { memoryLimitMb, memoryReserveMb, itemSizeMax, slabChunkMax, growthFactor, chunkSizeMin, threads, cas } =
    options
  const { routePointsMax, logBytes, hashPower } = options
  const { pages } = computeLayout(options)
  return {
    ...{ memoryLimitMb, itemSizeMax, growthFactor, chunkSizeMin, threads, cas, hashPower },
    ...{ slabChunkMax, memoryReserveMb, routePointsMax, logBytes, pages },
  }
}

/** The parts whose place does not depend on what is in them; of a fresh arena the same as of the one that was saved. */
export function fixedRanges({ options }: Arena): ImageRange[] {
  const layout = computeLayout(options)
  const threads = Array.from({ length: options.threads + 1 }, (_, thread) => {
    const area = layout.threadAreas + thread * layout.threadStride
    return COUNTERS.map(({ offset, length }) => ({ offset: area + offset, length }))
  })
  const classes = { offset: layout.classes, length: layout.threadAreas - layout.classes }
  const pageTable = { offset: layout.pageTable, length: layout.prefixes - layout.pageTable }
  return [VERSIONS, PAGES, TABLE, classes, ...threads.flat(), pageTable]
}

/** Hash table and pages, as far as the fixed parts, which must be there already, say that they are used. */
export function usedRanges(arena: Arena): ImageRange[] {
  const layout = computeLayout(arena.options)
  const { buffer } = arena.memory
  const [buckets, wanted] = new Uint32Array(buffer, BUCKETS_WANTED - 4, 2)
  const [pages] = new Uint32Array(buffer, PAGES_CUT, 1)
  const length = Math.min(Math.max(buckets!, wanted!), layout.bucketsMax) * 4
  return [
    { offset: layout.hash, length },
    { offset: layout.pages, length: Math.min(pages!, layout.pagesMax) * PAGE_SIZE },
  ]
}

/** Is some lock held, by a thread that was ended in the middle of something? */
export function isLocked(arena: Arena): boolean {
  const layout = computeLayout(arena.options)
  const locks = new Uint32Array(arena.memory.buffer, LOCKS, (layout.classes - LOCKS) / 4)
  const [pageLock] = new Uint32Array(arena.memory.buffer, CONTROL + 512, 1)
  return pageLock !== 0 || locks.some(word => word !== 0)
}
