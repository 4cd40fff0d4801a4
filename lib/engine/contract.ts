/**
 * What the host side of the engine offers (lib/engine/engine.ts implements it over the wasm of lib/engine/assembly).
 * One Arena a process; one Engine a thread (workers 0..threads-1 and the control thread, index `threads`), all over the
 * same shared memory. Plain numbers and byte ranges: no promise, no clock, no socket.
 *
 *   arena   | control block | locks | per-thread areas: turn block, rx, tx, scratch, stats | route slots | hash | slab pages |
 *
 * Authority rule (DESIGN 8): every operation on a key looks at the route table *after* taking the key's lock. So once the
 * control plane has published a route and then locks a key to hand it over, no thread can still act on that key by the old route.
 */

export interface EngineOptions {
  /** -m, megabytes of item memory. */
  memoryLimitMb: number
  /** -I, bytes; default 1 MiB. */
  itemSizeMax?: number
  /** Bytes of the largest chunk, at most 1 MiB: larger items are chains. Default 512 KiB, or half of -I where that is less. */
  slabChunkMax?: number
  /** Up to how much cache_memlimit may go, in megabytes: address space, which costs nothing until it is used. Default: -m. */
  memoryReserveMb?: number
  /** -f */
  growthFactor?: number
  /** -n */
  chunkSizeMin?: number
  /** -t: number of worker threads; one more engine is always there for the control thread. */
  threads: number
  /** -M turns it off. */
  evictions?: boolean
  /** -C turns it off. */
  cas?: boolean
  /** -F turns it off. */
  flushEnabled?: boolean
  /** What `version` answers after "VERSION ". */
  versionText: string
  /** Capacity of a route slot in points (all nodes, all unretired generations). Default 1 << 18. */
  routePointsMax?: number
  /** Bytes of each thread's log for watchers, rounded up to a power of two. Default 64 KiB. */
  logBytes?: number
  /** The clock may be moved by `debugtime`, as in memcached's debug builds. */
  debug?: boolean
  /** -D: what ends a prefix in `stats detail`, one character. Default a colon. */
  prefixDelimiter?: string
  /** -o hashpower: log2 of the buckets that the hash table begins with. Default 16. */
  hashPower?: number
}

/** Structured-cloneable: goes to workers as workerData. */
export interface Arena {
  memory: WebAssembly.Memory
  module: WebAssembly.Module
  options: Required<EngineOptions>
}

/** Why `run` came back. The numbers are shared with the wasm: append only. */
export const Stop = {
  /** Every whole request was executed; what is left of the input (if any) is the start of a line. */
  done: 0,
  /** A storage command's header was consumed and an item allocated; its value is not all here. Receive `fillLength` more bytes at `fillOffset`, then call `finish`, which says it again while there are more pieces. */
  value: 1,
  /** tx is full: send it, then run again from `consumed` with `resume` as returned. */
  full: 2,
  /** A command that the host executes (stats, flush_all in a tier, ...): the line is at requestOffset/requestLength, not consumed. */
  slow: 3,
  /** The request's key lives at node `owner`: not consumed. */
  forward: 4,
  /** The request's key is ours but must be taken first: not consumed. */
  take: 5,
  /** A get/gets/gat/gats line of several keys of which at least one is not ours or must be taken: not consumed. */
  multi: 6,
  /** quit, or a line memcached closes on: send tx, then close. */
  close: 7,
  /** tx ends with the line before a large value. Send tx, then every piece of the value (`nextPiece`), `release` the handle, then go on as after `full`. */
  pieces: 8,
  /** The request's key is ours, but in a guarded arc: the control thread executes it. Not consumed. */
  guard: 9,
} as const
export type Stop = (typeof Stop)[keyof typeof Stop]

/** Result of a turn; one object per Engine, overwritten by each call. Offsets are into the shared memory. */
export interface Turn {
  stop: Stop
  /** Input bytes done with, from the start of the range given. */
  consumed: number
  /** Bytes of replies now in tx, from its start. */
  txLength: number
  /** Opaque; pass to the next run of the same connection (0 for a fresh one). Carries: in the middle of a multi-get, swallowing n bytes of a refused value, ... */
  resume: number
  /**
   * forward/take/guard/multi/slow: the request. For storage commands `requestLength` counts line + value + \r\n, and may reach beyond the
   * input: the host collects the rest. `lineLength` is the line alone, with its terminator.
   */
  requestOffset: number
  requestLength: number
  lineLength: number
  /** forward/take/guard: the (first) key. */
  keyOffset: number
  keyLength: number
  /** forward: node number of the authority. */
  owner: number
  /** 1 when the request asked for no reply. */
  noreply: number
  /** Epoch of the route table the decision was made by. */
  epoch: number
  /** value: lineLength > 0 says that `finish` wants a copy of the request's line (an `ms`). Where the missing bytes go, how many (the value's trailing \r\n included), and the handle for `finish`/`abandon`. */
  fillOffset: number
  fillLength: number
  handle: number
  /** close: because of what the client sent, not because it asked for it. */
  refused: boolean
}

/** A slab class (memcached's `stats slabs` and `stats items`). */
export interface ClassStats {
  /** 1 is the class of the smallest chunks. */
  id: number
  chunkSize: number
  chunksPerPage: number
  pages: number
  freeChunks: number
  /** hot, warm, cold, temp; `tailTime`: when the list's oldest item was last accessed, Unix seconds. */
  lists: { name: string; count: number; tailTime: number | null }[]
  /** cmd_set, hits_to_hot, delete_hits ...: summed over threads. */
  counters: Map<string, bigint>
  /** evicted, mem_requested, moves_to_cold ... */
  figures: Map<string, bigint>
}

/** What a slab class has and lacks: what decides about pages. */
export interface ClassNeed {
  id: number
  pages: number
  chunksPerPage: number
  freeChunks: number
  /** Since the start. */
  evicted: number
  refused: number
  /** When the oldest item of its COLD list was last accessed, Unix seconds; null: the list is empty. */
  coldTailTime: number | null
}

export interface PrefixFigures {
  prefix: string
  get: bigint
  hit: bigint
  set: bigint
  del: bigint
}

/** How the LRU lists are kept (PROTOCOL D15). Shared by all threads; in force at once. */
export interface LruSettings {
  /** Somebody visits the lists in the background. */
  maintainer: boolean
  /** False: one list a class, as `lru mode flat`. */
  segmented: boolean
  /** Shares of HOT and WARM in a class's bytes. */
  hotPercent: number
  warmPercent: number
  /** Most age of their tails, as a factor of the age of COLD's. */
  hotFactor: number
  warmFactor: number
  /** Items that live no longer, in seconds, begin in TEMP; null: there is no such list. */
  temporaryTtl: number | null
  /** `lru_crawler enable`: crawls and dumps may begin. */
  crawler: boolean
  /** Pause between two slices of a crawl, in microseconds, and how many items of a list it looks at; 0: all. */
  crawlerSleepUs: number
  crawlerTocrawl: number
}

/** What one crawl of a list found there alive, and what it freed. */
export interface Crawled {
  seen: number
  withoutExptime: number
  reclaimed: number
  /** How many expire in minute 0, 1 ... 59 from now. */
  minutes: number[]
}

export type DumpKind = 'metadump' | 'mgdump' | 'sizes'

/** Place in a walk over the whole store. */
export interface DumpPlace {
  /** Of the table when the walk began. */
  readonly buckets: number
  cursor: number
}

/** Who has the crawler: one at a time of a whole process. */
export type CrawlerUse = 'idle' | 'crawl' | 'dump'

/** What one node keeps, beside requests. Slices are bounded: well under a millisecond each. */
export interface HousekeepingApi {
  lru(): LruSettings
  tune(changes: Partial<LruSettings>): void
  /** The control thread's: one visit of a class's lists. How many items were freed or moved. */
  juggle(slabClass: number): number
  /** Items in a list (0 HOT, 1 WARM, 2 COLD, 3 TEMP) of a class. */
  listCount(slabClass: number, list: number): number

  /** The control thread's: one step of the hash table's growth, which begins when there are 1.5 items a bucket. True: more to do. */
  grow(): boolean
  /** Items ever stored: while it stands still nothing grows. */
  stored(): bigint
  /** Items ever evicted: while it stands still there is memory left. */
  evicted(): bigint
  /** Of the buckets that there are, or will be when the growth that goes on is done. */
  hashPower(): number
  isGrowing(): boolean

  crawlerUse(): CrawlerUse
  /** False: somebody has the crawler already; that this was asked for at `unixSeconds` is remembered. */
  claimCrawler(use: 'crawl' | 'dump', unixSeconds: number): boolean
  releaseCrawler(): void
  /** When somebody last asked in vain, Unix seconds; 0: never. */
  crawlerRefusedAt(): number
  /** The control thread's, holding the claim: begins with a list; goes on for so many items, false at its end. */
  beginCrawl(slabClass: number, list: number): void
  crawl(slabClass: number, items: number): boolean
  endCrawl(slabClass: number): Crawled

  beginDump(): DumpPlace
  /** The next part of lines (metadump, mgdump) or sizes (u32 each) of the classes in `classes` (a bit each); null at the end. May be empty. */
  dump(kind: DumpKind, classes: bigint, place: DumpPlace): Buffer | null
  /** Lines of COLD, from its head, at most `limit` (0: all) and 2 MiB. Not a slice: as in memcached, the class waits meanwhile, some milliseconds. */
  cachedump(slabClass: number, limit: number): Buffer
}

export interface Range {
  readonly offset: number
  readonly length: number
}

/** An item (or a tombstone) outside the store, as it travels between nodes: see lib/engine/record.ts for the bytes. Opaque to everyone but the engine and tests. */
export type ItemRecord = Uint8Array

/** What the engine knows of ownership. Arcs refined over all unretired generations: arc i is (points[i-1], points[i]], wrapping. */
export interface RouteTable {
  epoch: number
  /** This node's number; items of arcs whose owner is another number are not ours. */
  self: number
  /** Ascending, distinct. One entry (any value) = the whole circle. Hash of a key: md5 word 0, little endian. */
  points: Uint32Array
  /** Node number that is the actor of the current generation. */
  owners: Uint16Array
  /** For arcs of ours: first epoch of our present tenure. An item of an unsettled arc counts only if its mark is >= this. */
  tenures: Uint32Array
  /**
   * 1 = nothing left to take for this arc (or not ours). 2 = guarded: unsettled, and somebody who is away would have to be
   * asked: reads of what is held are answered, everything else stops with `guard`.
   */
  settled: Uint8Array
}

export interface Routed {
  point: number
  owner: number
  settled: boolean
  tenure: number
}

/** Outcome of `install`. */
export type Installed = 'installed' | 'kept' | 'expired' | 'no memory'

/** What the page mover says to `slabs reassign`. */
export type Reassigned = 'ok' | 'busy' | 'bad class' | 'no spare' | 'same'

/** memcached's -o slab_reassign and slab_automove*, which commands change. */
export interface AutomoveSettings {
  reassign: boolean
  /** 0 off, 1 by ages and free chunks, 2 whenever a class evicts. */
  mode: number
  /** Seconds that are looked at. */
  window: number
  /** A class gets a page when its oldest item is younger than this share of the oldest class's. */
  ratio: number
  freeRatio: number
}

/** Pages of 1 MiB and the page mover. Any thread. Classes are memcached's: from 1, and 0 is the global pool. */
export interface PagesApi {
  /** Asks for a page of class `source` (-1: any) for class `target`; somebody must call `moveSlice` then. */
  reassign(source: number, target: number): Reassigned
  /** Works off a part of what is asked for, `budget` looks at a chunk or kilobytes copied. rest: nothing to do; wait: what is left is held by others. */
  moveSlice(budget: number): 'rest' | 'more' | 'wait'
  readonly isMoving: boolean
  /** Gives up one page of the pool that is too many for the limit: its bytes are nobody's while `giveBack` runs. False: there is none. */
  release(giveBack: (offset: number, length: number) => void): boolean
  readonly limitMb: number
  /** Acts at once; what is above it must be moved to the pool and released. False: that much was not laid out. */
  setLimit(megabytes: number): boolean
  /** Of classes and the pool. */
  readonly used: number
  readonly inPool: number
  /** The limit was lowered, and there are still more pages than it allows. */
  readonly mustShrink: boolean
  readonly automove: AutomoveSettings
  setAutomove(settings: Partial<AutomoveSettings>): void
  figures(): [string, bigint][]
  resetFigures(): void
}

/** One line's answer: `length` bytes of `reply` from `from` on, VALUE blocks and END. */
export interface SplitList {
  readonly reply: Uint8Array | null
  readonly from: number
  readonly length: number
}

/** What the merge needs of a get that was split. */
export interface KeptGet {
  /** The request, and behind it its keys, from `keysAt` on. */
  readonly bytes: Buffer
  readonly lineBytes: number
  readonly keysAt: number
  readonly count: number
}

/** A get of many keys that do not all live here (lib/engine/split-get.ts). Any thread; between `split` and `keep` the engine runs nothing. */
export interface SplitGetApi {
  /**
   * Splits the request at [offset, offset + length) into one line for each node, of 100 keys at most, and one of any number for `self`. How many
   * lines; 0: not for the engine to split. Their texts lie in scratch.
   */
  split(offset: number, length: number, self: number): number
  owner(line: number): number
  textOffset(line: number): number
  textLength(line: number): number
  /** Bytes that `keep` wants. */
  readonly keepBytes: number
  keep(bytes: Buffer): KeptGet
  /** Room that `merge` must have, with what it may write too much. */
  mergedMax(lists: readonly SplitList[]): number
  /** Can the engine merge these? */
  fits(kept: KeptGet, lists: readonly SplitList[]): boolean
  /** Puts the lines' lists together at `to`, in the order of the request's keys. How many bytes; -1: a list is not what was asked for. */
  merge(kept: KeptGet, lists: readonly SplitList[], to: number): number
}

export interface EngineApi {
  readonly arena: Arena
  readonly pages: PagesApi
  readonly splitGet: SplitGetApi
  /** The whole memory. */
  readonly bytes: Uint8Array
  /** This thread's receive area (64 KiB), reply area (>= slabChunkMax + 64 KiB), and scratch (>= 1 MiB + 64 KiB). */
  readonly rx: Range
  readonly tx: Range
  readonly scratch: Range
  /** 64 KiB for this thread's loop, which may receive into them before it tells whose it is (`lookAhead`). */
  readonly ahead: Range
  readonly turn: Turn

  /** Unix seconds for this and later turns of this thread. */
  setTime(unixSeconds: number): void
  /**
   * Executes requests in [offset, offset+length). Replies go to tx from `txStart` (0: tx is empty).
   * `one`: execute exactly one request, then stop with done. Returns this.turn (also when forwarded requests run for a peer).
   */
  run(offset: number, length: number, resume: number, txStart?: number, one?: boolean): Turn
  /**
   * [offset, offset+length) will be run soon: where the key of its first request is, is read by the next `lookAtAll`, together with
   * those of others. Nothing is executed, and nothing is wrong when it is not run. At most 32 of them count.
   */
  lookAhead(offset: number, length: number): void
  lookAtAll(): void
  /**
   * From now on this thread executes requests of guarded arcs whose key was acquired, or no more: what is held of an earlier tenure
   * is put aside, and a deletion leaves a tombstone whatever it met. The control thread alone.
   */
  executesGuarded(now: boolean): void
  /**
   * What was asked for is in its place (host filled it): the next piece is wanted (value), or the item is stored. Returns a Turn: value, done, or close;
   * or, when the route changed meanwhile, forward/take with the whole request rebuilt in scratch (requestOffset/requestLength), consumed 0; with
   * a handle, scratch has the request's line alone (lineLength): read the value by `nextPiece`, then `abandon` it. Replies are appended at txStart.
   */
  finish(handle: number, line?: Uint8Array | null, txStart?: number): Turn
  /** The connection went away while its value was being received. */
  abandon(handle: number): void
  /** The chunk after this one (0: the first) of a large value; its bytes are fillLength at turn.fillOffset. 0: there are no more. They stay where they are until `release`. */
  nextPiece(handle: number, chunk: number): number
  /** A large value was sent, or need not be. */
  release(handle: number): void

  // --- ownership. Called by the control thread unless said otherwise.
  /** Puts a route table in force: one atomic switch. False when every slot is still read by some thread in the middle of a turn: try again later. */
  publish(table: RouteTable): boolean
  /** Back to (or start as) a node alone: everything is ours. */
  publishAlone(): void
  /** Current epoch in force (0 alone). Any thread. */
  epoch(): number
  /** Any thread. */
  route(key: Uint8Array): Routed
  /**
   * Length of the request of one key that begins at `offset` of the memory, when it lies whole in `length` bytes: nothing is executed;
   * turn.owner, turn.epoch and turn.noreply say whose it is. 0: it is not whole, not of one key, or the host must look itself. Any thread.
   */
  ownerOfRequest(offset: number, length: number): number
  /** Keys in [from, to) of a line, in order, and their owners by the route in force. Uses tx and scratch. Any thread. */
  ownersOfKeys(
    line: Uint8Array,
    from: number,
    to: number,
    each: (from: number, to: number, owner: number) => void,
  ): void
  /** Owner of the key at [from, to) of `bytes` by the route in force. Any thread. */
  ownerOf(bytes: Uint8Array, from: number, to: number): number
  /** md5 word 0 of the key, any thread. */
  point(key: Uint8Array): number
  /** Mark of what this node holds for the key, item or tombstone; -1 when nothing. */
  held(key: Uint8Array): number
  /** Takes the key out of the store if it is held with a mark < `before`: the record (a copy), a tombstone of it if it is expired or flushed, or null when nothing such is held. */
  handOver(key: Uint8Array, before: number): ItemRecord | null
  /**
   * Stores a record that this node has become the authority for, as of epoch `mark`.
   * 'kept': what is held has a mark >= `mark` and a version >= the record's, and stays. Anything else held is replaced (an older tenure's leftover does not count).
   * A record older than the last flush is 'expired'. The node's version counter never falls behind the record's.
   */
  install(record: ItemRecord, mark: number): Installed
  /** What is held with a mark >= `oldest` counts as of epoch `mark` from now on. False: nothing such is held. */
  renew(key: Uint8Array, oldest: number, mark: number): boolean
  /** The record of what is held for the key, item or tombstone, which stays; a tombstone of it if it is expired or flushed; null: nothing. */
  peek(key: Uint8Array): ItemRecord | null
  recordKey(record: ItemRecord): Uint8Array
  isDeletion(record: ItemRecord): boolean
  /** A record that says of the same key that it was deleted by the write of the same version. */
  tombstoneOf(record: ItemRecord): ItemRecord
  /** As install, for "the source knows nothing": a tombstone of version 0 with the mark, if nothing with a mark >= `mark` is held. False: no memory (harmless: it is taken again at the next touch). */
  installAbsent(key: Uint8Array, mark: number): boolean
  /**
   * Walks the store and takes out what should live elsewhere: items and tombstones with mark < `before` whose current owner is `owner`.
   * `pass` 0 takes only items read since they were stored (the hot ones), 1 takes all. Goes on from `cursor` (0 at first) for at most `buckets` hash buckets
   * or until `bytesMax` are out. Returns the records and the cursor to go on from, -1 at the end of the pass.
   */
  collect(
    owner: number,
    before: number,
    pass: 0 | 1,
    cursor: number,
    buckets: number,
    bytesMax: number,
  ): { records: ItemRecord[]; cursor: number }
  /**
   * Keys, with their marks, of what is held with a mark < `before`, whoever owns it; same walking rule as collect, nothing is taken out.
   * For the rare case that several generations are unsettled at once and the current owner is not the next taker.
   */
  keys(before: number, cursor: number, buckets: number): { keys: { key: Uint8Array; mark: number }[]; cursor: number }
  /** Frees tombstones of settled arcs and, when `foreign`, all that other nodes own; same walking rule as collect. Returns the cursor or -1. */
  sweepTombstones(cursor: number, buckets: number, foreign: boolean): number
  /** Number of hash buckets, for progress; it grows (housekeeping.ts). */
  buckets(): number

  // --- versions: (epoch 20 bits, counter 44 bits), also the items' cas unique. Any thread.
  version(): bigint
  /** Lamport: the next write here gets a version above this. */
  observe(version: bigint): void
  /** Everything with a version <= this is gone, and whatever arrives later with such a version is refused. */
  flush(version: bigint): void
  /** The highest version given to `flush`. */
  flushed(): bigint
  /** flush_all with a delay for a node alone or one member: at `unixSeconds` everything stored until then is gone. 0 cancels. */
  flushAt(unixSeconds: number): void
  /** When a delayed flush_all is to come, Unix seconds; 0: none is. */
  flushPendingAt(): number

  /** Sums over threads, memcached's names (cmd_get, get_hits, curr_items, bytes, evictions, ...) plus forwarded_* counters that the host adds. Any thread. */
  stats(): Map<string, bigint>
  /** One a slab class, smallest first, those without a page too. Any thread; not a moment's picture, as others go on. */
  classes(): ClassStats[]
  /** Of the classes that have a page, or had to refuse; cheap. Any thread; not a moment's picture. */
  classNeeds(): ClassNeed[]
  /** Counters go back to 0; what is there now (items, bytes, connections) is told as before. */
  resetStats(): void
  /** What runs next is this connection's: a number that watchers see. */
  setConnection(number: number): void
  /** What is written down from now on, too: bits of STREAMS (log-reader.ts), and PREFIXES for figures by prefix. Any thread. */
  wantStreams(bits: number): void
  dropStreams(bits: number): void
  streams(): number
  /** Number of the newest log entry. Any thread. */
  logged(): bigint
  /** A line of the host's for watchers of a stream; at most 1 KiB. */
  noteText(stream: number, text: string): void
  /** Figures by prefix, oldest prefix first. Any thread. */
  prefixes(): PrefixFigures[]
  clearPrefixes(): void
  /** How much is said on the log, 0 to 3: by -v or the verbosity command. Any thread. */
  verbosity(): number
  setVerbosity(level: number): void
  /** The engine's clock, Unix seconds. */
  now(): number
  /** What is done beside requests: lists, hash table, crawls, dumps. */
  readonly housekeeping: HousekeepingApi

  /** Adds to a host-kept counter of this thread (names fixed in figures.ts: curr_connections, total_connections, bytes_read, ...). */
  count(name: string, by: number): void
  /** As count of bytes_read and bytes_written. */
  countRead(bytes: number): void
  countWritten(bytes: number): void
}
