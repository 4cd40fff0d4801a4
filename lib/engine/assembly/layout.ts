/**
 * Where everything is. The host (lib/engine/layout.ts) computes the addresses once and writes them into the control
 * block; each thread's instance copies them into globals when it attaches. Knows addresses only, no rule.
 *
 *   64 KiB | control block | locks | slab classes | thread areas | route slots | page table | hash table | slab pages
 *
 * Below 64 KiB lie this module's own constants. Addresses are u32 and compared unsigned: the memory may be 4 GiB.
 */

/** Append only: the host writes these words by number. */
export const CONTROL: u32 = 65536

// Words that the host wrote.
const THREADS: u32 = 1
const STRIPE_MASK: u32 = 2
const LOCKS: u32 = 3
const CLASSES: u32 = 4
const CLASS_COUNT: u32 = 5
const THREAD_AREAS: u32 = 6
const THREAD_STRIDE: u32 = 7
const RX_SIZE: u32 = 8
const TX_SIZE: u32 = 9
const SCRATCH_SIZE: u32 = 10
const ROUTES: u32 = 11
const ROUTE_STRIDE: u32 = 12
const ROUTE_SLOTS: u32 = 13
const ROUTE_POINTS_MAX: u32 = 14
const HASH: u32 = 15
const BUCKETS_MAX: u32 = 16
const PAGES: u32 = 17
const PAGE_SIZE: u32 = 18
const PAGES_MAX: u32 = 20
const ITEM_SIZE_MAX: u32 = 21
const SWITCHES: u32 = 22
const VERSION_LENGTH: u32 = 23
// 24 to 39 hold the version's text.
const PAGE_TABLE: u32 = 40

export const VERSION_TEXT: u32 = CONTROL + 96

// State that changes, a cache line each.
export const VERSION_COUNTER: u32 = CONTROL + 256
export const FLUSHED_VERSION: u32 = CONTROL + 320
export const FLUSH_AT: u32 = CONTROL + 384
export const STARTED_AT: u32 = CONTROL + 388
export const CURRENT_ROUTE: u32 = CONTROL + 448
export const PAGE_LOCK: u32 = CONTROL + 512
/** Pages that were ever handed out: those behind them were never touched. */
export const PAGES_CUT: u32 = CONTROL + 516
/** Pages that classes and the global pool have. */
export const PAGES_USED: u32 = CONTROL + 520
/** How many there may be: -m, or what cache_memlimit said. The host writes it at the start. */
export const PAGE_LIMIT: u32 = CONTROL + 524
export const POOL_HEAD: u32 = CONTROL + 528
export const POOL_COUNT: u32 = CONTROL + 532
export const RELEASED_HEAD: u32 = CONTROL + 536
/** 1 after the limit was lowered below what is used, until that much has left. */
export const SHRINKING: u32 = CONTROL + 540

// The hash table (table.ts): buckets in use, and how many it is growing to.
export const BUCKETS: u32 = CONTROL + 2048
export const BUCKETS_WANTED: u32 = CONTROL + 2052
// What the LRU lists obey (lru.ts); the host writes these words at any time.
export const SEGMENTED: u32 = CONTROL + 2112
export const HOT_PERCENT: u32 = CONTROL + 2116
export const WARM_PERCENT: u32 = CONTROL + 2120
/** Seconds; -1: no TEMP list. */
export const TEMPORARY_TTL: u32 = CONTROL + 2124
export const HOT_FACTOR: u32 = CONTROL + 2128
export const WARM_FACTOR: u32 = CONTROL + 2136
// What the host has for itself up to 2303 (lib/engine/housekeeping.ts). What one crawl of a list found (crawler.ts).
export const CRAWLED: u32 = CONTROL + 2304

// What is written down for watchers and by prefix (log.ts, prefixes.ts). Two words that the host wrote, then state.
const LOG_SIZE: u32 = CONTROL + 3072
const PREFIX_AREA: u32 = CONTROL + 3076
/** Bits of the streams that somebody wants; 0: nothing is written down. */
export const LOG_STREAMS: u32 = CONTROL + 3136
/** Number of the newest log entry of all threads, 64 bits. */
export const LOG_NUMBER: u32 = CONTROL + 3200
export const PREFIX_LOCK: u32 = CONTROL + 3264
export const PREFIX_END: u32 = CONTROL + 3268
export const PREFIX_DELIMITER: u32 = CONTROL + 3272
/** debugtime: seconds by which the clock was moved, and the second at which it stands still (0: it goes). */
export const CLOCK_SHIFT: u32 = CONTROL + 3328
export const CLOCK_STOPPED: u32 = CONTROL + 3332
/** How much the host says on its log, 0 to 3 (PROTOCOL D3, verbosity). */
export const VERBOSITY: u32 = CONTROL + 3336

// Within a thread's area.
const TURN_COUNTER: u32 = 0
const TURN: u32 = 64
const COUNTERS: u32 = 256
const MD5_BLOCK: u32 = 1280
const TOKENS: u32 = 1792
const KEY: u32 = 2048
const CLASS_COUNTERS: u32 = 4096
const RX: u32 = 12288

export let threads: u32 = 0
export let stripeMask: u32 = 0
export let locks: u32 = 0
export let classes: u32 = 0
export let classCount: u32 = 0
export let threadAreas: u32 = 0
export let threadStride: u32 = 0
export let turnCounter: u32 = 0
export let turn: u32 = 0
export let counters: u32 = 0
/** Counters of this thread by slab class: 16 words of 64 bits each. */
export let classCounters: u32 = 0
export let md5Block: u32 = 0
export let tokens: u32 = 0
/** 256 bytes through which the host hands keys in. */
export let keyArea: u32 = 0
export let tx: u32 = 0
export let txEnd: u32 = 0
export let scratch: u32 = 0
export let scratchEnd: u32 = 0
/** This thread's log: a head of 64 bytes and `logSize` bytes, a power of two. */
export let log: u32 = 0
export let logSize: u32 = 0
export let prefixArea: u32 = 0
export let routes: u32 = 0
export let routeStride: u32 = 0
export let routeSlots: u32 = 0
export let routePointsMax: u32 = 0
export let hashTable: u32 = 0
/** The table's size when it has grown as far as it can. */
export let bucketsMax: u32 = 0
export let pages: u32 = 0
export let pageSize: u32 = 0
export let pageTable: u32 = 0
export let pagesMax: u32 = 0
export let itemSizeMax: u32 = 0
export let evictions: bool = false
export let casEnabled: bool = false
export let flushEnabled: bool = false
export let debugEnabled: bool = false
export let versionLength: u32 = 0

function word(index: u32): u32 {
  return load<u32>(CONTROL + (index << 2))
}

export function attachLayout(thread: u32): void {
  threads = word(THREADS)
  stripeMask = word(STRIPE_MASK)
  locks = word(LOCKS)
  classes = word(CLASSES)
  classCount = word(CLASS_COUNT)
  threadAreas = word(THREAD_AREAS)
  threadStride = word(THREAD_STRIDE)
  const area = threadAreas + thread * threadStride
  turnCounter = area + TURN_COUNTER
  turn = area + TURN
  counters = area + COUNTERS
  classCounters = area + CLASS_COUNTERS
  md5Block = area + MD5_BLOCK
  tokens = area + TOKENS
  keyArea = area + KEY
  tx = area + RX + word(RX_SIZE)
  txEnd = tx + word(TX_SIZE)
  scratch = txEnd
  scratchEnd = scratch + word(SCRATCH_SIZE)
  log = scratchEnd
  logSize = load<u32>(LOG_SIZE)
  prefixArea = load<u32>(PREFIX_AREA)
  routes = word(ROUTES)
  routeStride = word(ROUTE_STRIDE)
  routeSlots = word(ROUTE_SLOTS)
  routePointsMax = word(ROUTE_POINTS_MAX)
  hashTable = word(HASH)
  bucketsMax = word(BUCKETS_MAX)
  pages = word(PAGES)
  pageSize = word(PAGE_SIZE)
  pageTable = word(PAGE_TABLE)
  pagesMax = word(PAGES_MAX)
  itemSizeMax = word(ITEM_SIZE_MAX)
  const switches = word(SWITCHES)
  evictions = (switches & 1) != 0
  casEnabled = (switches & 2) != 0
  flushEnabled = (switches & 4) != 0
  debugEnabled = (switches & 8) != 0
  versionLength = word(VERSION_LENGTH)
}

/** Address of another thread's turn counter: odd while that thread is inside a turn. */
export function turnCounterOf(thread: u32): u32 {
  return threadAreas + thread * threadStride + TURN_COUNTER
}
