/**
 * A node that begins with what its last life held (lib/tier/kept-memory.ts). Until a picture is in force nothing acts by that, and it can
 * still be forgotten: then the node is one that began empty, which is always safe.
 */
import type { EngineApi } from '../engine/contract.js'

export interface WarmStart {
  /** Nobody answered who could know of a flush_all since, so all of it was dropped. */
  onForgotten(keys: number): void
}

type WarmStore = Pick<EngineApi, 'keys' | 'buckets' | 'handOver'>

/** Above every mark. */
const MARK_MAX = 0xffff_ffff

/** All that a node holds, before it acts for any of it. How many keys that were. */
export function dropAll(store: WarmStore): number {
  let dropped = 0
  // What one walk leaves, as the table grew or a bucket was too full, the next one meets.
  for (let met = 1; met > 0; dropped += met) met = walk(store)
  return dropped
}

function walk(store: WarmStore): number {
  let met = 0
  for (let cursor = 0; cursor >= 0; ) {
    const part = store.keys(MARK_MAX, cursor, store.buckets())
    for (const { key } of part.keys) store.handOver(key, MARK_MAX)
    met += part.keys.length
    cursor = part.cursor
  }
  return met
}
