/**
 * Looks over a whole arena in which nobody works: is every item in its bucket and in exactly one list, are chains whole and
 * the free lists sane, does every chunk belong to one of them, do the figures add up? Pages are audit-pages.ts's. The
 * addresses are those of lib/engine/layout.ts and of lib/engine/assembly (item.ts, chunked.ts, lru.ts, table.ts). For tests;
 * a difference is a sentence.
 */
import type { EngineApi } from '../../lib/engine/contract.js'
import { CLASS_STRIDE, computeLayout, type Layout } from '../../lib/engine/layout.js'
import { auditPages } from './audit-pages.js'

/** Words and bytes of an item. */
const HASH_NEXT = 0
const LRU_PREV = 4
const LRU_NEXT = 8
const BYTES = 36
const KEY_LENGTH = 40
const SLAB_CLASS = 41
const BITS = 42
const HASH = 44
const HEADER = 48
const LINKED = 1
const TOMBSTONE = 8
const FREE = 64
const OWN_CAS = 1024
const CHUNK = 2048
const CHAINED = 4096
/** Words behind the key of a chained item, and their length; words of a chunk of a chain. */
const CHAIN_HEAD = 16
const CHAIN_READERS = 4
const PREV = 4
const HEAD = 8
const USED = 36
const LIST_SHIFT = 8
/** Words of a slab class. */
const CLASS = { lock: 0, freeHead: 12, freeCount: 16 }
const LISTS_AT = 32
const LISTS = 4
const MEM_REQUESTED_AT = 96
/** Of the words that the engine reads: where its locks begin. They end where the classes begin. */
const LOCKS_WORD = 3
/** Findings that are told; more say the same. */
const FINDINGS_MAX = 10

export interface AuditOptions {
  /** Chunks of values that connections are in the middle of receiving, or still read: they are in no list. */
  filling?: number
  /** Connections that are in the middle of sending a value of the table from its chunks. */
  readers?: number
}

/** What is wrong, in sentences; empty: nothing. */
export function audit(engine: EngineApi, options: AuditOptions = {}): string[] {
  return new Audit(engine).run(options.filling ?? 0, options.readers ?? 0)
}

class Audit {
  readonly #engine: EngineApi
  readonly #layout: Layout
  readonly #view: DataView
  readonly #findings: string[] = []
  readonly #inTable = new Set<number>()
  readonly #inLists = new Set<number>()
  readonly #freed = new Set<number>()
  /** The class of every chunk that was met. */
  readonly #chunks = new Map<number, number>()
  #readers = 0

  constructor(engine: EngineApi) {
    this.#engine = engine
    this.#layout = computeLayout(engine.arena.options)
    this.#view = new DataView(engine.arena.memory.buffer)
  }

  run(filling: number, readers: number): string[] {
    this.#locks()
    this.#table()
    for (let index = 0; index < this.#layout.chunkSizes.length; index++) this.#class(index)
    for (const address of this.#inTable) {
      if (!this.#inLists.has(address)) this.#say(`item ${address} is in the table and in no list`)
    }
    if (this.#readers !== readers) this.#say(`${this.#readers} readers are counted, and there are ${readers}`)
    auditPages(this.#engine, this.#chunks, filling, finding => this.#say(finding))
    this.#figures()
    return this.#findings
  }

  #say(finding: string): void {
    if (this.#findings.length < FINDINGS_MAX) this.#findings.push(finding)
  }

  #word(address: number): number {
    return this.#view.getUint32(address, true)
  }

  #bits(address: number): number {
    return this.#view.getUint16(address + BITS, true)
  }

  #sizeOf(address: number): number {
    const own = this.#bits(address) & OWN_CAS ? 8 : 0
    return HEADER + this.#view.getUint8(address + KEY_LENGTH) + this.#word(address + BYTES) + 2 + own
  }

  #locks(): void {
    const { words, classes } = this.#layout
    for (let address = words[LOCKS_WORD]!; address < classes; address += 4) {
      if (this.#word(address) !== 0) this.#say(`the lock at ${address} was left locked`)
    }
  }

  #table(): void {
    const { hash } = this.#layout
    const buckets = this.#engine.buckets()
    for (let bucket = 0; bucket < buckets; bucket++) {
      for (let at = this.#word(hash + bucket * 4); at !== 0; at = this.#word(at + HASH_NEXT)) {
        if (this.#inTable.has(at)) {
          this.#say(`item ${at} is met twice in the table, bucket ${bucket}`)
          break
        }
        this.#inTable.add(at)
        this.#item(at, bucket)
      }
    }
  }

  #item(at: number, bucket: number): void {
    const { chunkSizes } = this.#layout
    const bits = this.#bits(at)
    const keyLength = this.#view.getUint8(at + KEY_LENGTH)
    const index = this.#view.getUint8(at + SLAB_CLASS)
    const chunkSize = chunkSizes[index]
    if (this.#bucketOf(this.#word(at + HASH)) !== bucket) this.#say(`item ${at} is in the wrong bucket ${bucket}`)
    if (!(bits & LINKED) || bits & FREE) this.#say(`item ${at} in the table has the bits ${bits.toString(2)}`)
    if (keyLength < 1 || keyLength > 250) this.#say(`item ${at} has a key of ${keyLength} bytes`)
    if (bits & CHAINED) {
      if (index !== chunkSizes.length - 1) this.#say(`the chained item ${at} is of class ${index}`)
      this.#chain(at, bits, keyLength)
      return
    }
    this.#chunk(at, index)
    if (chunkSize === undefined || this.#sizeOf(at) > chunkSize) this.#say(`item ${at} does not fit in its chunk`)
    const end = at + HEADER + keyLength + this.#word(at + BYTES)
    if (!(bits & TOMBSTONE) && this.#view.getUint16(end, true) !== 0x0a0d)
      this.#say(`the value of item ${at} has no end`)
  }

  #chunk(at: number, index: number): void {
    if (this.#chunks.has(at)) this.#say(`chunk ${at} is met twice`)
    this.#chunks.set(at, index)
  }

  /** A chain as chunked.ts describes it: each chunk knows its neighbours and its item, and together they have the value. */
  #chain(item: number, bits: number, keyLength: number): void {
    const { chunkSizes } = this.#layout
    const chain = item + HEADER + keyLength
    this.#chunk(
      item,
      chunkSizes.findIndex(size => size >= HEADER + keyLength + CHAIN_HEAD),
    )
    this.#readers += this.#word(chain + CHAIN_READERS)
    let before = 0
    let bytes = 0
    let end: number[] = []
    for (let at = this.#word(chain); at !== 0; at = this.#word(at)) {
      if (this.#chunks.has(at)) {
        this.#say(`chunk ${at} of the chain ${item} is met twice`)
        return
      }
      const index = this.#view.getUint8(at + SLAB_CLASS)
      const used = this.#word(at + USED)
      this.#chunk(at, index)
      if (this.#bits(at) !== CHUNK) this.#say(`chunk ${at} of a chain has the bits ${this.#bits(at).toString(2)}`)
      if (this.#word(at + PREV) !== before) this.#say(`chunk ${at} of a chain does not point back to ${before}`)
      if (this.#word(at + HEAD) !== item) this.#say(`chunk ${at} does not know its item ${item}`)
      if (used < 1 || HEADER + used > (chunkSizes[index] ?? 0)) this.#say(`chunk ${at} cannot have ${used} bytes`)
      end = [...end, ...new Uint8Array(this.#view.buffer, at + HEADER + Math.max(0, used - 2), Math.min(2, used))]
      before = at
      bytes += used
    }
    const expected = this.#word(item + BYTES) + 2
    if (bytes !== expected) this.#say(`the chain ${item} has ${bytes} bytes, and says ${expected}`)
    const [cr, lf] = end.slice(-2)
    if (!(bits & TOMBSTONE) && (cr !== 13 || lf !== 10)) this.#say(`the value of the chain ${item} has no end`)
  }

  /** Of a table that may be growing (table.ts). */
  #bucketOf(hash: number): number {
    const buckets = this.#engine.buckets()
    const whole = 2 ** Math.ceil(Math.log2(buckets))
    return hash % whole < buckets ? hash % whole : hash % (whole / 2)
  }

  #class(index: number): void {
    const base = this.#layout.classes + index * CLASS_STRIDE
    if (this.#word(base + CLASS.lock) !== 0) this.#say(`class ${index} was left locked`)
    let requested = 0
    for (let list = 0; list < LISTS; list++) requested += this.#list(index, list, base + LISTS_AT + list * 16)
    const told = this.#view.getBigInt64(base + MEM_REQUESTED_AT, true)
    if (told !== BigInt(requested)) this.#say(`class ${index} has items of ${requested} bytes, and says ${told}`)
    let free = 0
    let last = 0
    for (let at = this.#word(base + CLASS.freeHead); at !== 0; at = this.#word(at + HASH_NEXT)) {
      if (this.#freed.has(at)) {
        this.#say(`chunk ${at} is met twice in a free list`)
        break
      }
      // The first one's lruPrev says nothing (slab.ts).
      if (free > 0 && this.#word(at + LRU_PREV) !== last)
        this.#say(`the free chunk ${at} does not point back to ${last}`)
      free++
      last = at
      this.#freed.add(at)
      this.#chunk(at, index)
      if (!(this.#bits(at) & FREE)) this.#say(`chunk ${at} in a free list has the bits ${this.#bits(at).toString(2)}`)
    }
    const count = this.#word(base + CLASS.freeCount)
    if (free !== count) this.#say(`class ${index} has ${free} free chunks, and says ${count}`)
  }

  /** The bytes of its items. */
  #list(index: number, list: number, base: number): number {
    let before = 0
    let count = 0
    let bytes = 0
    for (let at = this.#word(base); at !== 0; at = this.#word(at + LRU_NEXT)) {
      if (this.#inLists.has(at)) {
        this.#say(`item ${at} is in a list twice`)
        break
      }
      this.#inLists.add(at)
      count++
      bytes += this.#sizeOf(at)
      if (!this.#inTable.has(at)) this.#say(`item ${at} of list ${list}, class ${index}, is not in the table`)
      if (this.#word(at + LRU_PREV) !== before) this.#say(`item ${at} does not point back to ${before}`)
      if (this.#view.getUint8(at + SLAB_CLASS) !== index) this.#say(`item ${at} is in a list of class ${index}`)
      if (((this.#bits(at) >> LIST_SHIFT) & 3) !== list)
        this.#say(`item ${at} does not know that it is in list ${list}`)
      before = at
    }
    if (this.#word(base + 4) !== before) this.#say(`the tail of list ${list}, class ${index}, is not its last item`)
    if (this.#word(base + 8) !== count) {
      this.#say(`list ${list}, class ${index}, has ${count} items, and says ${this.#word(base + 8)}`)
    }
    if (this.#word(base + 12) !== bytes) {
      this.#say(`list ${list}, class ${index}, has items of ${bytes} bytes, and says ${this.#word(base + 12)}`)
    }
    return bytes
  }

  #figures(): void {
    let items = 0
    let bytes = 0
    for (const at of this.#inTable) {
      if (this.#bits(at) & TOMBSTONE) continue
      items++
      bytes += this.#sizeOf(at)
    }
    const stats = this.#engine.stats()
    const expected = { curr_items: items, bytes, tombstones: this.#inTable.size - items }
    for (const [name, value] of Object.entries(expected)) {
      if (stats.get(name) !== BigInt(value)) this.#say(`${name} is ${stats.get(name)}, and there are ${value}`)
    }
    for (const [name, value] of stats) if (value < 0n) this.#say(`${name} is ${value}`)
  }
}
