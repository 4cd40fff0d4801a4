/**
 * The words of the control block that say how the LRU lists are kept, as lib/engine/assembly/layout.ts reads them. Any
 * thread writes them at any time; a turn under way may have seen the older ones.
 */
import type { LruSettings } from './contract.js'

const CONTROL = 65536
const SEGMENTED = 2112
const HOT_PERCENT = 2116
const WARM_PERCENT = 2120
const TEMPORARY_TTL = 2124
const HOT_FACTOR = 2128
const WARM_FACTOR = 2136
/** These are the host's alone. */
const MAINTAINER = 2144
const CRAWLER = 2148
const CRAWLER_SLEEP = 2152
const CRAWLER_TOCRAWL = 2156

export const LRU_DEFAULTS: LruSettings = {
  ...{ segmented: true, hotPercent: 20, warmPercent: 40, hotFactor: 0.2, warmFactor: 2, temporaryTtl: null },
  ...{ maintainer: true, crawler: true, crawlerSleepUs: 100, crawlerTocrawl: 0 },
}

export function initialiseLru(memory: WebAssembly.Memory): void {
  writeLru(memory, LRU_DEFAULTS)
}

export function writeLru(memory: WebAssembly.Memory, changes: Partial<LruSettings>): void {
  const view = new DataView(memory.buffer, CONTROL)
  const { segmented, hotPercent, warmPercent, hotFactor, warmFactor, temporaryTtl } = changes
  if (segmented !== undefined) view.setUint32(SEGMENTED, segmented ? 1 : 0, true)
  if (hotPercent !== undefined) view.setUint32(HOT_PERCENT, hotPercent, true)
  if (warmPercent !== undefined) view.setUint32(WARM_PERCENT, warmPercent, true)
  if (hotFactor !== undefined) view.setFloat64(HOT_FACTOR, hotFactor, true)
  if (warmFactor !== undefined) view.setFloat64(WARM_FACTOR, warmFactor, true)
  if (temporaryTtl !== undefined) view.setInt32(TEMPORARY_TTL, temporaryTtl ?? -1, true)
  const { maintainer, crawler, crawlerSleepUs, crawlerTocrawl } = changes
  if (maintainer !== undefined) view.setUint32(MAINTAINER, maintainer ? 1 : 0, true)
  if (crawler !== undefined) view.setUint32(CRAWLER, crawler ? 1 : 0, true)
  if (crawlerSleepUs !== undefined) view.setUint32(CRAWLER_SLEEP, crawlerSleepUs, true)
  if (crawlerTocrawl !== undefined) view.setUint32(CRAWLER_TOCRAWL, crawlerTocrawl, true)
}

export function readLru(memory: WebAssembly.Memory): LruSettings {
  const view = new DataView(memory.buffer, CONTROL)
  const ttl = view.getInt32(TEMPORARY_TTL, true)
  return {
    segmented: view.getUint32(SEGMENTED, true) !== 0,
    hotPercent: view.getUint32(HOT_PERCENT, true),
    warmPercent: view.getUint32(WARM_PERCENT, true),
    hotFactor: view.getFloat64(HOT_FACTOR, true),
    warmFactor: view.getFloat64(WARM_FACTOR, true),
    temporaryTtl: ttl < 0 ? null : ttl,
    maintainer: view.getUint32(MAINTAINER, true) !== 0,
    crawler: view.getUint32(CRAWLER, true) !== 0,
    crawlerSleepUs: view.getUint32(CRAWLER_SLEEP, true),
    crawlerTocrawl: view.getUint32(CRAWLER_TOCRAWL, true),
  }
}
