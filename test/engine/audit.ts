/**
 * Looks over a whole arena in which nobody works: is every item in its bucket and in exactly one list, are the free lists
 * sane, does every chunk belong to one of them, do the figures add up? The addresses are those of lib/engine/layout.ts and of
 * lib/engine/assembly (item.ts, lru.ts, table.ts). For tests; a difference is a sentence.
 */
import type { EngineApi } from '../../lib/engine/contract.js'
import { CLASS_STRIDE, computeLayout, type Layout } from '../../lib/engine/layout.js'

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
const LIST_SHIFT = 8
/** Words of a slab class. */
const CLASS = {
  lock: 0,
  chunkSize: 4,
  chunksPerPage: 8,
  freeHead: 12,
  freeCount: 16,
  carve: 20,
  carveEnd: 24,
  pages: 28,
}
const LISTS_AT = 32
const LISTS = 4
const MEM_REQUESTED_AT = 96
/** Of the words that the engine reads: where its locks begin. They end where the classes begin. */
const LOCKS_WORD = 3
/** Findings that are told; more say the same. */
const FINDINGS_MAX = 10

export interface AuditOptions {
  /** Values that connections are in the middle of receiving: chunks that are in no list. */
  filling?: number
}

/** What is wrong, in sentences; empty: nothing. */
export function audit(engine: EngineApi, options: AuditOptions = {}): string[] {
  return new Audit(engine).run(options.filling ?? 0)
}

class Audit {
  readonly #engine: EngineApi
  readonly #layout: Layout
  readonly #view: DataView
  readonly #findings: string[] = []
  readonly #inTable = new Set<number>()
  readonly #inLists = new Set<number>()
  readonly #freed = new Set<number>()

  constructor(engine: EngineApi) {
    this.#engine = engine
    this.#layout = computeLayout(engine.arena.options)
    this.#view = new DataView(engine.arena.memory.buffer)
  }

  run(filling: number): string[] {
    this.#locks()
    this.#table()
    for (let index = 0; index < this.#layout.chunkSizes.length; index++) this.#class(index)
    for (const address of this.#inTable) {
      if (!this.#inLists.has(address)) this.#say(`item ${address} is in the table and in no list`)
    }
    this.#chunks(filling)
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
    const chunkSize = chunkSizes[this.#view.getUint8(at + SLAB_CLASS)]
    if (this.#bucketOf(this.#word(at + HASH)) !== bucket) this.#say(`item ${at} is in the wrong bucket ${bucket}`)
    if (!(bits & LINKED) || bits & FREE) this.#say(`item ${at} in the table has the bits ${bits.toString(2)}`)
    if (keyLength < 1 || keyLength > 250) this.#say(`item ${at} has a key of ${keyLength} bytes`)
    if (chunkSize === undefined || this.#sizeOf(at) > chunkSize) this.#say(`item ${at} does not fit in its chunk`)
    const end = at + HEADER + keyLength + this.#word(at + BYTES)
    if (!(bits & TOMBSTONE) && this.#view.getUint16(end, true) !== 0x0a0d)
      this.#say(`the value of item ${at} has no end`)
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
    for (let at = this.#word(base + CLASS.freeHead); at !== 0; at = this.#word(at + HASH_NEXT)) {
      if (this.#freed.has(at)) {
        this.#say(`chunk ${at} is met twice in a free list`)
        break
      }
      free++
      this.#freed.add(at)
      if (!(this.#bits(at) & FREE)) this.#say(`chunk ${at} in a free list has the bits ${this.#bits(at).toString(2)}`)
      if (this.#view.getUint8(at + SLAB_CLASS) !== index) this.#say(`chunk ${at} is in the free list of another class`)
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

  /** No two overlap, and none is lost. */
  #chunks(filling: number): void {
    const { chunkSizes, classes } = this.#layout
    const all = [...this.#inTable, ...this.#freed].sort((a, b) => a - b)
    for (const [i, address] of all.entries()) {
      const size = chunkSizes[this.#view.getUint8(address + SLAB_CLASS)] ?? 0
      if (all[i + 1] !== undefined && address + size > all[i + 1]!)
        this.#say(`chunks ${address} and ${all[i + 1]} overlap`)
    }
    let cut = 0
    for (const [index, size] of chunkSizes.entries()) {
      const base = classes + index * CLASS_STRIDE
      const notCut = Math.floor((this.#word(base + CLASS.carveEnd) - this.#word(base + CLASS.carve)) / size)
      cut += this.#word(base + CLASS.pages) * this.#word(base + CLASS.chunksPerPage) - notCut
    }
    if (cut !== all.length + filling) {
      this.#say(`${cut} chunks were given out, ${all.length} are in the table or free, and ${filling} are being filled`)
    }
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
