/** What `watch sysevents` tells (PROTOCOL D11), in memcached's words: what a process does with its memory by itself. Pure text. */
import type { Crawled } from '../engine/contract.js'
import type { CrawlVerdict } from './crawl-schedule.js'

const LISTS = ['hot', 'warm', 'cold', 'temp']

/** A list of a class (from 1) was crawled because the schedule said so; `elapsedSec` is how long that took. */
export function crawledLine(
  slabClass: number,
  list: number,
  { seen, reclaimed }: Crawled,
  { worth, expiring, nextSec }: CrawlVerdict,
  elapsedSec: number,
): string {
  const next = `low_mark=${worth} next_reclaims=${expiring} since_run=0 next_run=${nextSec}`
  return `type=lru_crawler crawler=${slabClass} lru=${LISTS[list]} ${next} elapsed=${elapsedSec} examined=${seen} reclaimed=${reclaimed}`
}

/** Automove asked for a page; 0 is the global pool. */
export const movedLine = (source: number, target: number, ok: boolean): string =>
  `type=slab_move src=${source} dst=${target} state=${ok ? 'ok' : 'fail'}`
