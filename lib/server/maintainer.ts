/**
 * What a node does beside requests, on the control plane's thread, in slices: the LRU lists keep their shares, expired
 * items at their tails are freed, the hash table grows, lists are crawled. Sleeps longer and longer while there is nothing
 * to do, up to a second; a class that had work is visited again soon.
 */
import type { Crawled, EngineApi } from '../engine/contract.js'
import { STREAMS } from '../engine/log-reader.js'
import type { Loop, Timer } from '../transport/loop.js'
import { CrawlSchedule } from './crawl-schedule.js'
import { crawledLine } from './sys-events.js'

export interface MaintainerOptions {
  loop: Loop
  /** The control thread's own engine. */
  engine: EngineApi
  /** False: the hash table stays as it began. */
  hashExpands: boolean
}

const SLEEP_MIN_MS = 1
const SLEEP_MAX_MS = 1000
/** While items move between lists that others are evicted from, those are looked at so often. */
const SLEEP_MAX_BUSY_MS = 20
/** Items that a visit of a class dealt with: from here on it comes sooner the next time; and below which, later. */
const MOVES_MANY = 200
const MOVES_FEW = 20
/**
 * While nothing is evicted the lists are only kept ready, and whatever is due is done together, so often at most: on a processor that
 * requests use, each time that this thread wakes holds them up for a fifth of a millisecond.
 */
const SLEEP_CALM_MS = 100
const CRAWLS_PER_SLICE = 1000
/** No crawl begins by itself for so long after somebody asked in vain, seconds. */
const COURTESY_SEC = 60
const LISTS = 4

/** A visit of a class: when the next one is due, and how long the last pause was. */
interface Visits {
  dueMs: number
  pauseMs: number
}

interface Crawl {
  /** Lists still to be crawled: class * 4 + list. */
  lists: number[]
  /** Of the first of them; null: it has not begun. */
  itemsLeft: number | null
  /** When the first of them began, in seconds. */
  beganAt: number
  /** Begun by the schedule, which hears what was found. */
  scheduled: boolean
}

export class Maintainer {
  readonly #options: MaintainerOptions
  readonly #visits: Visits[]
  readonly #schedule = new CrawlSchedule()
  #crawl: Crawl | null = null
  #crawlDueMs = 0
  #scheduledAt = 0
  #stored = 0n
  #evicted = 0n
  #timer: Timer | null = null
  #stopped = false

  constructor(options: MaintainerOptions) {
    this.#options = options
    this.#visits = options.engine.classes().map(() => ({ dueMs: 0, pauseMs: 0 }))
  }

  start(): void {
    this.#sleep(SLEEP_MIN_MS)
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer) this.#options.loop.clearTimer(this.#timer)
    this.#timer = null
  }

  /** All lists of these classes, for whoever claimed the crawler. It is released at the end. */
  crawl(classes: readonly number[]): void {
    const known = classes.filter(index => index < this.#visits.length)
    const lists = known.flatMap(index => Array.from({ length: LISTS }, (_, list) => index * LISTS + list))
    this.#crawl = { lists, itemsLeft: null, beganAt: 0, scheduled: false }
    this.#crawlDueMs = 0
    this.#sleep(0)
  }

  #sleep(afterMs: number): void {
    const { loop } = this.#options
    if (this.#timer) loop.clearTimer(this.#timer)
    this.#timer = null
    if (this.#stopped) return
    this.#timer = loop.setTimer(afterMs, () => {
      this.#timer = null
      this.#wake()
    })
  }

  #wake(): void {
    const { loop, engine } = this.#options
    engine.setTime(loop.wallClock())
    this.#sleep(Math.max(0, Math.min(SLEEP_MAX_MS, this.#grow(), this.#juggle(), this.#goOnCrawling())))
  }

  /** Each of these answers how long it can wait, in ms. */
  #grow(): number {
    const { engine, hashExpands } = this.#options
    if (!hashExpands) return SLEEP_MAX_MS
    if (engine.housekeeping.grow()) return 0
    const stored = engine.housekeeping.stored()
    const wait = stored === this.#stored ? SLEEP_MAX_MS : SLEEP_CALM_MS
    this.#stored = stored
    return wait
  }

  #juggle(): number {
    const { loop, engine } = this.#options
    const { housekeeping } = engine
    if (!housekeeping.lru().maintainer) return SLEEP_MAX_MS
    engine.count('lru_maintainer_juggles', 1)
    const now = loop.now()
    const evicted = housekeeping.evicted()
    const isCalm = evicted === this.#evicted
    const pauseMin = isCalm ? SLEEP_CALM_MS : 0
    this.#evicted = evicted
    let wait = SLEEP_MAX_MS
    for (let index = 0; index < this.#visits.length; index++) {
      const visits = this.#visits[index]!
      if (visits.dueMs <= now) {
        visits.pauseMs = Math.max(pauseMin, nextPause(visits.pauseMs, housekeeping.juggle(index)))
        visits.dueMs = isCalm ? calmly(now + visits.pauseMs) : now + visits.pauseMs
      }
      wait = Math.min(wait, visits.dueMs - now)
    }
    return Math.max(wait, SLEEP_MIN_MS)
  }

  // --- crawls

  #goOnCrawling(): number {
    const { loop, engine } = this.#options
    if (!this.#crawl) this.#beginScheduled()
    if (!this.#crawl) return SLEEP_MAX_MS
    const now = loop.now()
    if (now < this.#crawlDueMs) return this.#crawlDueMs - now
    this.#crawlSlice(this.#crawl)
    const sleepMs = engine.housekeeping.lru().crawlerSleepUs / 1000
    this.#crawlDueMs = now + sleepMs
    return this.#crawl ? sleepMs : SLEEP_MAX_MS
  }

  #crawlSlice(crawl: Crawl): void {
    const { loop, engine } = this.#options
    const { housekeeping } = engine
    let items = CRAWLS_PER_SLICE
    for (let list = crawl.lists[0]; list !== undefined && items > 0; list = crawl.lists[0]) {
      const index = Math.floor(list / LISTS)
      if (crawl.itemsLeft === null) {
        const { crawlerTocrawl } = housekeeping.lru()
        const count = housekeeping.listCount(index, list % LISTS)
        crawl.itemsLeft = crawlerTocrawl > 0 ? Math.min(crawlerTocrawl, count) : count
        crawl.beganAt = Math.floor(loop.wallClock())
        housekeeping.beginCrawl(index, list % LISTS)
      }
      const steps = Math.min(items, crawl.itemsLeft)
      const more = housekeeping.crawl(index, steps)
      items -= steps
      crawl.itemsLeft -= steps
      if (more && crawl.itemsLeft > 0) continue
      const found = housekeeping.endCrawl(index)
      if (crawl.scheduled) this.#plan(list, found, crawl.beganAt)
      crawl.lists.shift()
      crawl.itemsLeft = null
    }
    if (crawl.lists.length > 0) return
    this.#crawl = null
    housekeeping.releaseCrawler()
  }

  #plan(list: number, found: Crawled, beganAt: number): void {
    const { loop, engine } = this.#options
    const now = loop.wallClock()
    const verdict = this.#schedule.done(list, found, now)
    if ((engine.streams() & STREAMS.sysevents) === 0) return
    const elapsedSec = Math.floor(now) - beganAt
    const line = crawledLine(Math.floor(list / LISTS) + 1, list % LISTS, found, verdict, elapsedSec)
    engine.noteText(STREAMS.sysevents, line)
  }

  /** Looked at once a second. */
  #beginScheduled(): void {
    const { loop, engine } = this.#options
    const { housekeeping } = engine
    const now = Math.floor(loop.wallClock())
    if (now === this.#scheduledAt) return
    this.#scheduledAt = now
    const { maintainer, crawler } = housekeeping.lru()
    if (!maintainer || !crawler || housekeeping.crawlerUse() !== 'idle') return
    if (now < housekeeping.crawlerRefusedAt() + COURTESY_SEC) return
    const all = Array.from({ length: this.#visits.length * LISTS }, (_, list) => list)
    const due = all.filter(list => this.#schedule.isDue(list, now))
    const lists = due.filter(list => housekeeping.listCount(Math.floor(list / LISTS), list % LISTS) > 0)
    if (lists.length > 0 && !housekeeping.claimCrawler('crawl', now)) return
    for (const list of due) this.#schedule.begun(list, now)
    if (lists.length === 0) return
    engine.count('lru_crawler_starts', 1)
    this.#crawl = { lists, itemsLeft: null, beganAt: 0, scheduled: true }
    this.#crawlDueMs = 0
  }
}

/**
 * As memcached's, an eighth longer or half as long; but how much a visit found decides: one that found little may come less often
 * than one that could hardly keep up, so that a thread does not wake a thousand times a second for a handful of items each.
 */
function nextPause(pauseMs: number, moves: number): number {
  if (moves >= MOVES_MANY) return pauseMs / 2 < SLEEP_MIN_MS ? 0 : pauseMs / 2
  const most = moves > 0 ? SLEEP_MAX_BUSY_MS : SLEEP_MAX_MS
  if (moves >= MOVES_FEW) return Math.min(most, pauseMs)
  return Math.min(most, pauseMs === 0 ? SLEEP_MIN_MS : pauseMs * 1.125)
}

/** The last of the moments at which all classes are visited that is not after `dueMs`. */
function calmly(dueMs: number): number {
  return Math.floor(dueMs / SLEEP_CALM_MS) * SLEEP_CALM_MS
}
