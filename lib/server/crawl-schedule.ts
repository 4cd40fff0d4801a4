/**
 * When each LRU list is crawled next without being asked, as memcached decides it: at once at first, then when more than
 * one in a hundred of the items that can expire will have expired; at least once an hour. Pure.
 */
import type { Crawled } from '../engine/contract.js'

const MINUTE = 60
const WAIT_MAX_SEC = 60 * MINUTE
/** Between two crawls of a list, whatever it holds. */
const REST_SEC = 5

interface Next {
  /** Unix seconds. */
  at: number
  waitSec: number
}

/** What a crawl of a list led to; what `watch sysevents` tells of it. */
export interface CrawlVerdict {
  /** More items than so many must be about to expire for a crawl to be worth it. */
  worth: number
  /** So many expire in the minutes up to the one in which it is worth it; if in none, in an hour. */
  expiring: number
  /** Seconds from now to the next crawl. */
  nextSec: number
}

export class CrawlSchedule {
  readonly #lists = new Map<number, Next>()

  isDue(list: number, now: number): boolean {
    return now > (this.#lists.get(list)?.at ?? 0)
  }

  /** A crawl of the list begins, which is not due again before it has told something; or it was found empty, and is looked at again after a rest. */
  begun(list: number, now: number): void {
    this.#lists.set(list, { at: now + REST_SEC, waitSec: this.#lists.get(list)?.waitSec ?? 0 })
  }

  done(list: number, { seen, withoutExptime, minutes }: Crawled, now: number): CrawlVerdict {
    const worth = Math.floor((seen - withoutExptime) / 100) + 1
    let waitSec = this.#lists.get(list)?.waitSec ?? 0
    let expiring = 0
    for (const [minute, count] of minutes.entries()) {
      expiring += count
      if (expiring <= worth) continue
      if (waitSec < minute * MINUTE) waitSec += MINUTE
      else if (waitSec >= MINUTE) waitSec -= MINUTE
      break
    }
    if (expiring === 0) waitSec += MINUTE
    waitSec = Math.min(waitSec, WAIT_MAX_SEC)
    const nextSec = waitSec + REST_SEC
    this.#lists.set(list, { at: now + nextSec, waitSec })
    return { worth, expiring, nextSec }
  }
}
