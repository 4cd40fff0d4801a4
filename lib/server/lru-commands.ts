/**
 * `lru`, `lru_crawler` and the statistics that show single items (PROTOCOL D4, D9, D10). What they change is shared by all
 * threads; a crawl is the control thread's, a dump is made here, part by part, as the client takes it.
 */
import type { DumpKind, EngineApi, LruSettings } from '../engine/contract.js'
import type { ReplyStream } from './request.js'

export interface LruHost {
  readonly engine: EngineApi
  /** False: -X. */
  readonly dumps: boolean
  /** -o track_sizes */
  readonly tracksSizes: boolean
  /** Unix seconds. */
  now(): number
  /** The crawler is claimed: the control plane crawls these classes, from 0 up. */
  crawl(classes: number[]): void
}

export type LruReply = Buffer | ReplyStream

const line = (text: string): Buffer => Buffer.from(`${text}\r\n`)
const OK = line('OK')
const ERROR = line('ERROR')
const BAD_LINE = line('CLIENT_ERROR bad command line format')
const DISABLED = line('CLIENT_ERROR lru crawler disabled')
const BUSY = line('BUSY currently processing crawler request')
const BAD_CLASS = line('BADCLASS invalid class id')
const NOT_STARTED = line('NOTSTARTED no items to crawl')

/** Class ids are below it, as memcached's are. */
const CLASS_IDS = 64
const ALL_CLASSES = (1n << BigInt(CLASS_IDS)) - 1n
const CRAWLER_SLEEP_MAX_US = 1_000_000
const PERCENT_SUM_MAX = 80
const SIZE_STEP = 32

// --- lru

export function lruCommand(words: readonly string[], { engine }: LruHost): Buffer {
  const { housekeeping } = engine
  const [, verb, first] = words
  const { maintainer } = housekeeping.lru()
  if (verb === 'tune' && words.length >= 6) return tune(words.slice(2, 6), engine)
  if (verb === 'mode' && maintainer && (first === 'flat' || first === 'segmented')) {
    housekeeping.tune({ segmented: first === 'segmented' })
    return OK
  }
  if (verb === 'temp_ttl' && maintainer && /^[+-]?\d{1,9}$/.test(first ?? '')) {
    housekeeping.tune({ temporaryTtl: Number(first) < 0 ? null : Number(first) })
    return OK
  }
  return ERROR
}

function tune(words: readonly string[], { housekeeping }: EngineApi): Buffer {
  const [hotPercent, warmPercent] = words.slice(0, 2).map(unsigned)
  const [hotFactor, warmFactor] = words.slice(2).map(decimal)
  if (hotPercent == null || warmPercent == null || hotFactor == null || warmFactor == null) return ERROR
  if (hotPercent + warmPercent > PERCENT_SUM_MAX) return line('ERROR hot and warm pcts must not exceed 80')
  if (hotFactor <= 0 || warmFactor <= 0) return line('ERROR hot/warm age factors must be greater than 0')
  housekeeping.tune({ hotPercent, warmPercent, hotFactor, warmFactor })
  return OK
}

/** A whole number of 32 bits, or null. */
function unsigned(word: string): number | null {
  return /^\+?\d{1,10}$/.test(word) && Number(word) <= 0xffffffff ? Number(word) : null
}

function decimal(word: string): number | null {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word) ? Number(word) : null
}

// --- lru_crawler

/** `pipelined`: replies of the same connection go out before this one. */
export function crawlerCommand(words: readonly string[], host: LruHost, pipelined: boolean): LruReply {
  const { housekeeping } = host.engine
  const [, verb, argument] = words
  if (words.length === 2 && (verb === 'enable' || verb === 'disable')) {
    return enable(verb === 'enable', housekeeping.lru(), host)
  }
  if (words.length !== 3) return ERROR
  if (verb === 'sleep' || verb === 'tocrawl') return setCrawler(verb, unsigned(argument!), host)
  if (verb !== 'crawl' && verb !== 'metadump' && verb !== 'mgdump') return ERROR
  if (!housekeeping.lru().crawler) return DISABLED
  if (verb !== 'crawl') {
    if (!host.dumps) return line(`ERROR ${verb === 'metadump' ? 'metadump' : 'key dump'} not allowed`)
    if (pipelined) return line(`ERROR cannot pipeline other commands before ${verb}`)
  }
  const classes = classesOf(argument!)
  if (classes === null) return BAD_CLASS
  if (classes === 0n) return NOT_STARTED
  if (verb === 'crawl' && argument === 'hash') return line('ERROR an unknown error happened')
  if (!housekeeping.claimCrawler(verb === 'crawl' ? 'crawl' : 'dump', host.now())) return BUSY
  host.engine.count('lru_crawler_starts', 1)
  if (verb !== 'crawl') return dumpStream(verb, classes, host.engine)
  host.crawl(Array.from({ length: CLASS_IDS }, (_, index) => index).filter(index => (classes >> BigInt(index)) & 1n))
  return OK
}

function enable(wanted: boolean, { crawler }: LruSettings, { engine }: LruHost): Buffer {
  if (wanted && crawler) return line('ERROR failed to start lru crawler thread')
  engine.housekeeping.tune({ crawler: wanted })
  return OK
}

function setCrawler(verb: 'sleep' | 'tocrawl', value: number | null, { engine }: LruHost): Buffer {
  if (value === null) return BAD_LINE
  if (verb === 'tocrawl') engine.housekeeping.tune({ crawlerTocrawl: value })
  else if (value > CRAWLER_SLEEP_MAX_US) return line('CLIENT_ERROR sleep must be one second or less')
  else engine.housekeeping.tune({ crawlerSleepUs: value })
  return OK
}

/** `all`, `hash` or ids by commas, as a bit each, class 1 being bit 0; null: one of them is no class. */
function classesOf(argument: string): bigint | null {
  if (argument === 'all' || argument === 'hash') return ALL_CLASSES
  let classes = 0n
  for (const word of argument.split(',')) {
    if (word === '') continue
    const id = unsigned(word)
    if (id === null || id < 1 || id >= CLASS_IDS) return null
    classes |= 1n << BigInt(id - 1)
  }
  return classes
}

/** Holds the crawler until the client took the last line, or went away. */
function dumpStream(kind: 'metadump' | 'mgdump', classes: bigint, { housekeeping }: EngineApi): ReplyStream {
  const end = line(kind === 'metadump' ? 'END' : 'EN')
  const walk = walkStream(kind, classes, housekeeping)
  // Both, as memcached does since 1.6.43.
  let first: Buffer | null = OK
  let ended = false
  return {
    next: () => {
      const part = first ?? walk()
      first = null
      if (part || ended) return part
      ended = true
      return end
    },
    close: () => housekeeping.releaseCrawler(),
  }
}

function walkStream(kind: DumpKind, classes: bigint, housekeeping: EngineApi['housekeeping']): () => Buffer | null {
  const place = housekeeping.beginDump()
  return () => housekeeping.dump(kind, classes, place)
}

// --- stats cachedump, stats sizes

/** The words behind `stats cachedump`. */
export function cachedump(words: readonly string[], { engine, dumps }: LruHost): Buffer {
  if (!dumps) return line('CLIENT_ERROR stats cachedump not allowed')
  if (words.length < 2) return line('CLIENT_ERROR bad command line')
  const [id, limit] = words.slice(0, 2).map(unsigned)
  if (id == null || limit == null) return BAD_LINE
  if (id >= CLASS_IDS) return line('CLIENT_ERROR Illegal slab id')
  const shown = id === 0 ? Buffer.alloc(0) : engine.housekeeping.cachedump(id - 1, limit)
  return Buffer.concat([shown, line('END')])
}

/** How many items there are of each size, in steps of 32 bytes: counted when it is asked for, so it costs nobody else anything. */
export function sizes({ engine, tracksSizes }: LruHost): LruReply {
  if (!tracksSizes) return line('STAT sizes_status disabled\r\nEND')
  const counts = new Map<number, number>()
  const walk = walkStream('sizes', ALL_CLASSES, engine.housekeeping)
  let ended = false
  return {
    next: () => {
      if (ended) return null
      const part = walk()
      if (!part) {
        ended = true
        const lines = [...counts].sort(([a], [b]) => a - b).map(([size, count]) => `STAT ${size} ${count}\r\n`)
        return line(`${lines.join('')}END`)
      }
      for (let at = 0; at < part.length; at += 4) {
        const size = Math.ceil(part.readUInt32LE(at) / SIZE_STEP) * SIZE_STEP
        counts.set(size, (counts.get(size) ?? 0) + 1)
      }
      return part.subarray(0, 0)
    },
    close: () => {},
  }
}
