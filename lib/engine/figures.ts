/**
 * What the engine's threads and slab classes have counted, as sums with names. Each thread writes its own counters, a class's
 * figures are kept under its lock; reading takes no lock. contract.ts has the meaning of the calls.
 */
import type { Arena, ClassNeed, ClassStats } from './contract.js'
import { CLASS_STRIDE, type Layout, LIST_COUNT, LIST_STRIDE, LISTS_AT, threadArea } from './layout.js'

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
/** Of every request: found once. */
const BYTES_READ = HOST_COUNTERS.indexOf('bytes_read')
const BYTES_WRITTEN = HOST_COUNTERS.indexOf('bytes_written')

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
const EVICTED_AT = CLASS_FIGURES_AT + 8 * CLASS_FIGURES.indexOf('evicted')
const REFUSED_AT = CLASS_FIGURES_AT + 8 * CLASS_FIGURES.indexOf('outofmemory')
/** In a class's words. */
const CHUNKS_PER_PAGE_AT = 8
const FREE_COUNT_AT = 16
const CARVE_AT = 20
const CARVE_END_AT = 24
const PAGES_AT = 28
const LIST_TAIL = 4
const LISTS = ['hot', 'warm', 'cold', 'temp'] as const
/** Not reset by `stats reset`: what is there, not what has happened. */
const GAUGES = new Set(['bytes', 'curr_items', 'tombstones', 'curr_connections', 'mem_requested', 'log_watchers'])

/** Where they lie in a thread's area (lib/engine/assembly/layout.ts): 64-bit integers, then the host's as doubles. */
const COUNTERS = 256
const HOST_COUNTERS_AT = COUNTERS + 64 * 8
const HOST_COUNTERS_MAX = 64
/** In an item (lib/engine/assembly/item.ts). */
const ITEM_TIME = 16

export class Figures {
  readonly #arena: Arena
  readonly #layout: Layout
  /** This thread's, of the host. */
  readonly #host: Float64Array

  constructor(arena: Arena, layout: Layout, thread: number) {
    this.#arena = arena
    this.#layout = layout
    const { base } = threadArea(layout, thread)
    this.#host = new Float64Array(arena.memory.buffer, base + HOST_COUNTERS_AT, HOST_COUNTERS_MAX)
  }

  count(name: string, by: number): void {
    const index = HOST_COUNTER_AT.get(name)
    if (index === undefined) throw new Error(`no counter is called "${name}"`)
    this.#host[index]! += by
  }

  countRead(bytes: number): void {
    this.#host[BYTES_READ]! += bytes
  }

  countWritten(bytes: number): void {
    this.#host[BYTES_WRITTEN]! += bytes
  }

  /** One counter of the engine's, of all threads. */
  sum(name: string): bigint {
    const index = ENGINE_COUNTERS.indexOf(name)
    let sum = 0n
    for (let thread = 0; thread <= this.#arena.options.threads; thread++) {
      const at = threadArea(this.#layout, thread).base + COUNTERS + index * 8
      sum += new BigInt64Array(this.#arena.memory.buffer, at, 1)[0]!
    }
    return sum
  }

  /** Of all threads and classes. */
  all(): Map<string, bigint> {
    const { buffer } = this.#arena.memory
    const threads = this.#arena.options.threads + 1
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
    ])
  }

  classes(): ClassStats[] {
    const { memory, options } = this.#arena
    const view = new DataView(memory.buffer)
    return this.#layout.chunkSizes.map((chunkSize, index) => {
      const base = this.#classAt(index)
      const lists = LISTS.map((name, list) => {
        const at = base + LISTS_AT + list * LIST_STRIDE
        return { name, count: view.getUint32(at + LIST_COUNT, true), tailTime: tailTime(view, at) }
      })
      const figures = new BigInt64Array(memory.buffer, base + CLASS_FIGURES_AT, CLASS_FIGURES.length)
      const sums = new BigInt64Array(CLASS_COUNTERS.length)
      for (let thread = 0; thread <= options.threads; thread++) {
        const at = threadArea(this.#layout, thread).base + CLASS_COUNTERS_AT + index * CLASS_COUNTERS_STRIDE * 8
        const counters = new BigInt64Array(memory.buffer, at, sums.length)
        for (let i = 0; i < sums.length; i++) sums[i]! += counters[i]!
      }
      return {
        ...{ id: index + 1, chunkSize, ...this.#pagesOf(view, index), lists },
        counters: new Map(CLASS_COUNTERS.map((name, i): [string, bigint] => [name, sums[i]!])),
        figures: new Map(CLASS_FIGURES.map((name, i): [string, bigint] => [name, figures[i]!])),
      }
    })
  }

  /** Asked once a second for as long as a node runs: no map, no name, nothing of classes that are not used. */
  classNeeds(): ClassNeed[] {
    const view = new DataView(this.#arena.memory.buffer)
    const needs: ClassNeed[] = []
    for (let index = 0; index < this.#layout.chunkSizes.length; index++) {
      const base = this.#classAt(index)
      const refused = Number(view.getBigInt64(base + REFUSED_AT, true))
      if (view.getUint32(base + PAGES_AT, true) === 0 && refused === 0) continue
      needs.push({
        ...{ id: index + 1, ...this.#pagesOf(view, index), refused },
        evicted: Number(view.getBigInt64(base + EVICTED_AT, true)),
        coldTailTime: tailTime(view, base + LISTS_AT + LISTS.indexOf('cold') * LIST_STRIDE),
      })
    }
    return needs
  }

  #classAt(index: number): number {
    return this.#layout.classes + index * CLASS_STRIDE
  }

  #pagesOf(view: DataView, index: number): Pick<ClassNeed, 'pages' | 'chunksPerPage' | 'freeChunks'> {
    const base = this.#classAt(index)
    const carved = view.getUint32(base + CARVE_END_AT, true) - view.getUint32(base + CARVE_AT, true)
    const notCarved = Math.floor(carved / this.#layout.chunkSizes[index]!)
    return {
      pages: view.getUint32(base + PAGES_AT, true),
      chunksPerPage: view.getUint32(base + CHUNKS_PER_PAGE_AT, true),
      freeChunks: view.getUint32(base + FREE_COUNT_AT, true) + notCarved,
    }
  }

  reset(): void {
    const { buffer } = this.#arena.memory
    for (let thread = 0; thread <= this.#arena.options.threads; thread++) {
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
      const at = this.#classAt(index) + CLASS_FIGURES_AT
      const figures = new BigInt64Array(buffer, at, CLASS_FIGURES.length)
      CLASS_FIGURES.forEach((name, i) => {
        if (!GAUGES.has(name)) figures[i] = 0n
      })
    }
  }
}

/** Of the list whose words begin at `list`: when its oldest item was last accessed. */
function tailTime(view: DataView, list: number): number | null {
  const tail = view.getUint32(list + LIST_TAIL, true)
  return tail === 0 ? null : view.getUint32(tail + ITEM_TIME, true)
}
