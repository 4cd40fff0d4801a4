/**
 * Reads what the threads wrote down for watchers (lib/engine/assembly/log.ts has the rings and entries). One reader an
 * arena: what it has read is gone. Never waits, and never makes a thread wait.
 */
import type { Arena } from './contract.js'
import { computeLayout, LOG_HEAD, threadArea } from './layout.js'

/** memcached's words of `watch` (PROTOCOL D11), and their bits. */
export const STREAMS = {
  ...{ fetchers: 1, mutations: 2, evictions: 4, connevents: 8, deletions: 16, sysevents: 32 },
  ...{ rawcmds: 64, proxyreqs: 128, proxyevents: 256, proxyuser: 512 },
} as const satisfies Record<string, number>
/** Not a stream: figures by prefix. */
export const PREFIXES = 1 << 16

/** In the order of lib/engine/assembly/log.ts. */
export const ENTRY_TYPES = ['', 'item_get', 'item_store', 'eviction', 'deleted', 'text'] as const
export type EntryType = (typeof ENTRY_TYPES)[number]

export interface LogEntry {
  type: EntryType
  /** The bit of its stream. */
  stream: number
  /** Grows by one with each entry of any thread. */
  number: bigint
  seconds: number
  microseconds: number
  status: number
  command: number
  slabClass: number
  /** Seconds to live; -1 (eviction) or 0 (item_store): for ever. */
  ttl: number
  /** Seconds since it was last accessed. */
  la: number
  bytes: number
  connection: number
  /** The key, or the host's own words. */
  text: Buffer
}

const ENTRY = 48
const SKIP = 255

export class LogReader {
  readonly #view: DataView
  readonly #heads: Uint32Array[]
  readonly #seenDropped: number[]
  readonly #logBytes: number

  constructor({ memory, options }: Arena) {
    const layout = computeLayout(options)
    this.#view = new DataView(memory.buffer)
    this.#logBytes = layout.logBytes
    this.#heads = Array.from(
      { length: options.threads + 1 },
      (_, thread) => new Uint32Array(memory.buffer, threadArea(layout, thread).log, LOG_HEAD / 4),
    )
    this.#seenDropped = this.#heads.map(head => head[2]!)
  }

  /** Hands out what came since, thread by thread, each thread's in order. Returns how many entries. */
  read(take: (entry: LogEntry) => void): number {
    let count = 0
    for (const head of this.#heads) {
      const end = Atomics.load(head, 0)
      for (let at = head[1]!; at !== end; ) {
        const place = head.byteOffset + LOG_HEAD + (at & (this.#logBytes - 1))
        if (this.#view.getUint8(place + 4) !== SKIP) {
          take(this.#entry(place))
          count++
        }
        at = (at + this.#view.getUint32(place, true)) >>> 0
        Atomics.store(head, 1, at)
      }
    }
    return count
  }

  /** Entries that found no room since this was last asked. */
  dropped(): number {
    let sum = 0
    this.#heads.forEach((head, thread) => {
      const dropped = head[2]!
      sum += (dropped - this.#seenDropped[thread]!) >>> 0
      this.#seenDropped[thread] = dropped
    })
    return sum
  }

  #entry(at: number): LogEntry {
    const view = this.#view
    const length = view.getUint32(at + 44, true)
    const text = Buffer.alloc(length)
    text.set(new Uint8Array(view.buffer, at + ENTRY, length))
    return {
      type: ENTRY_TYPES[view.getUint8(at + 4)] ?? '',
      stream: view.getUint32(at + 40, true),
      number: view.getBigUint64(at + 8, true),
      seconds: view.getUint32(at + 32, true),
      microseconds: view.getUint32(at + 36, true),
      status: view.getUint8(at + 5),
      command: view.getUint8(at + 6),
      slabClass: view.getUint8(at + 7),
      ttl: view.getInt32(at + 16, true),
      la: view.getInt32(at + 20, true),
      bytes: view.getUint32(at + 24, true),
      connection: view.getUint32(at + 28, true),
      text,
    }
  }
}
