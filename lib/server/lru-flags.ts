/** The words of -o about LRU lists, crawler and hash table (PROTOCOL D15), as settings, or one sentence. Pure. */
import type { LruSettings } from '../engine/contract.js'
import { LRU_DEFAULTS } from '../engine/lru-words.js'

export interface LruFlags {
  settings: LruSettings
  hashPower: number
  hashExpands: boolean
  tracksSizes: boolean
}

const HASH_POWER = { otherwise: 16, min: 12, max: 28 }
const PERCENT_MAX = 79
const PERCENT_SUM_MAX = 80

class BadWord extends Error {}

/** `values`: the words that were given, in their order. */
export function lruFlags(values: ReadonlyMap<string, string>): LruFlags | string {
  try {
    return read(values)
  } catch (error) {
    if (error instanceof BadWord) return error.message
    throw error
  }
}

function read(values: ReadonlyMap<string, string>): LruFlags {
  const { maintainer, crawler } = threads(values)
  const whole = (name: string, otherwise: number, min: number, max: number) => {
    const text = values.get(name)
    if (text === undefined) return otherwise
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new BadWord(`-o ${name}=${text}: must be a whole number from ${min} to ${max}`)
  }
  const factor = (name: string, otherwise: number) => {
    const text = values.get(name)
    if (text === undefined) return otherwise
    if (Number(text) > 0 && Number(text) < 1e9) return Number(text)
    throw new BadWord(`-o ${name}=${text}: must be a number greater than 0`)
  }
  const settings: LruSettings = {
    ...{ maintainer, crawler, segmented: maintainer },
    hotPercent: whole('hot_lru_pct', LRU_DEFAULTS.hotPercent, 1, PERCENT_MAX),
    warmPercent: whole('warm_lru_pct', LRU_DEFAULTS.warmPercent, 1, PERCENT_MAX),
    hotFactor: factor('hot_max_factor', LRU_DEFAULTS.hotFactor),
    warmFactor: factor('warm_max_factor', LRU_DEFAULTS.warmFactor),
    temporaryTtl: values.has('temporary_ttl') ? whole('temporary_ttl', 0, 0, 2 ** 31 - 1) : null,
    crawlerSleepUs: whole('lru_crawler_sleep', LRU_DEFAULTS.crawlerSleepUs, 0, 1_000_000),
    crawlerTocrawl: whole('lru_crawler_tocrawl', LRU_DEFAULTS.crawlerTocrawl, 0, 2 ** 32 - 1),
  }
  const { hotPercent, warmPercent, temporaryTtl } = settings
  if (hotPercent + warmPercent > PERCENT_SUM_MAX) {
    throw new BadWord(`-o hot_lru_pct=${hotPercent},warm_lru_pct=${warmPercent}: must not be more than 80 together`)
  }
  if (temporaryTtl !== null && !maintainer) {
    throw new BadWord('-o temporary_ttl: needs the LRU maintainer, which -o turned off')
  }
  return {
    settings,
    hashPower: whole('hashpower', HASH_POWER.otherwise, HASH_POWER.min, HASH_POWER.max),
    hashExpands: !values.has('no_hashexpand'),
    tracksSizes: values.has('track_sizes'),
  }
}

/** The last word counts. `no_modern` is what memcached was before 1.5: one list a class, nobody in the background. */
function threads(values: ReadonlyMap<string, string>): { maintainer: boolean; crawler: boolean } {
  const on = { maintainer: true, crawler: true }
  for (const name of values.keys()) {
    if (name === 'no_modern') Object.assign(on, { maintainer: false, crawler: false })
    else if (name === 'lru_maintainer' || name === 'no_lru_maintainer') on.maintainer = name === 'lru_maintainer'
    else if (name === 'lru_crawler' || name === 'no_lru_crawler') on.crawler = name === 'lru_crawler'
  }
  return on
}
