/**
 * Where the newest record of each key of one hint log is: a table in typed arrays, 36 bytes a slot, so that a million
 * hinted keys are some 70 MB and no work for the garbage collector. Keys are known by 64 bits of a keyed hash: clients, who
 * choose the keys, cannot make two of them meet.
 *
 *   64 shards by the hash's first bits; in each: open addressing, linear probing, at most 3/4 full
 *   slot: | hash u32, u32 | segment + 1, 0: empty | offset | length | generation | version u32, u32 | state + to << 8 |
 *
 * A shard grows by itself, so that no call is long. Pure.
 */
import { createHash } from 'node:crypto'

/** What a hint says of its key. */
export const HintState = { value: 0, deleted: 1, handed: 2 } as const
export type HintState = (typeof HintState)[keyof typeof HintState]

export interface KeyHash {
  high: number
  low: number
}

export interface IndexEntry {
  /** Of the segment, in this process. */
  segment: number
  offset: number
  /** Bytes of the whole record. */
  length: number
  generation: number
  version: bigint
  state: HintState
  /** Node number, for `handed`. */
  to: number
}

const STRIDE = 9
const SLOTS_MIN = 16

interface Shard {
  slots: Uint32Array
  mask: number
  used: number
}

export function hashKey(seed: Uint8Array, key: Uint8Array): KeyHash {
  const digest = createHash('sha256').update(seed).update(key).digest()
  return { high: digest.readUInt32LE(0), low: digest.readUInt32LE(4) }
}

export class HintIndex {
  /** Made when the first key comes. */
  #shards: Shard[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  get(hash: KeyHash): IndexEntry | null {
    const shard = this.#shard(hash)
    const slot = find(shard, hash)
    return shard.slots[slot + 2] === 0 ? null : entryAt(shard.slots, slot)
  }

  has(hash: KeyHash): boolean {
    const shard = this.#shard(hash)
    return shard.slots[find(shard, hash) + 2] !== 0
  }

  /** Gives back what was there before. */
  set(hash: KeyHash, entry: IndexEntry): IndexEntry | null {
    const shard = this.#shard(hash)
    let slot = find(shard, hash)
    const before = shard.slots[slot + 2] === 0 ? null : entryAt(shard.slots, slot)
    if (!before) {
      this.#size++
      shard.used++
      if (shard.used * 4 > (shard.mask + 1) * 3) {
        grow(shard)
        slot = find(shard, hash)
      }
    }
    write(shard.slots, slot, hash, entry)
    return before
  }

  /** Gives back what was there. */
  delete(hash: KeyHash): IndexEntry | null {
    const shard = this.#shard(hash)
    const slot = find(shard, hash)
    if (shard.slots[slot + 2] === 0) return null
    const before = entryAt(shard.slots, slot)
    this.#remove(shard, slot / STRIDE)
    return before
  }

  /** The record was copied. False: it is not the newest of its key any more. */
  move(hash: KeyHash, from: { segment: number; offset: number }, to: { segment: number; offset: number }): boolean {
    const { slots, mask, used } = this.#shard(hash)
    const slot = find({ slots, mask, used }, hash)
    if (slots[slot + 2] !== from.segment + 1 || slots[slot + 3] !== from.offset) return false
    slots[slot + 2] = to.segment + 1
    slots[slot + 3] = to.offset
    return true
  }

  /** Removes every entry whose version is not above `version`. */
  flush(version: bigint, removed: (entry: IndexEntry) => void): void {
    for (const shard of this.#made()) {
      for (let place = 0; place <= shard.mask; ) {
        const slot = place * STRIDE
        if (shard.slots[slot + 2] === 0 || versionAt(shard.slots, slot) > version) {
          place++
          continue
        }
        removed(entryAt(shard.slots, slot))
        this.#remove(shard, place) // another entry may have come here: look again
      }
    }
  }

  /** In no order. The table must not be changed meanwhile. */
  *entries(): Generator<{ hash: KeyHash; entry: IndexEntry }> {
    for (const { slots } of this.#made()) {
      for (let slot = 0; slot < slots.length; slot += STRIDE) {
        if (slots[slot + 2] === 0) continue
        yield { hash: { high: slots[slot]!, low: slots[slot + 1]! }, entry: entryAt(slots, slot) }
      }
    }
  }

  clear(): void {
    this.#shards = []
    this.#size = 0
  }

  #shard(hash: KeyHash): Shard {
    const number = hash.high >>> 26
    const made = this.#shards[number]
    if (made) return made
    const shard = { slots: new Uint32Array(SLOTS_MIN * STRIDE), mask: SLOTS_MIN - 1, used: 0 }
    this.#shards[number] = shard
    return shard
  }

  #made(): Shard[] {
    return this.#shards.filter(shard => shard !== undefined)
  }

  /** Closes the gap: those behind it that may not stay behind an empty slot move up. */
  #remove(shard: Shard, place: number): void {
    const { slots, mask } = shard
    let gap = place
    for (let next = (gap + 1) & mask; slots[next * STRIDE + 2] !== 0; next = (next + 1) & mask) {
      const wanted = slots[next * STRIDE + 1]! & mask
      if (((next - wanted) & mask) < ((next - gap) & mask)) continue
      slots.copyWithin(gap * STRIDE, next * STRIDE, (next + 1) * STRIDE)
      gap = next
    }
    slots.fill(0, gap * STRIDE, (gap + 1) * STRIDE)
    shard.used--
    this.#size--
  }
}

/** Word of the key's slot, or of the empty one where it would be. */
function find({ slots, mask }: Shard, hash: KeyHash): number {
  let place = hash.low & mask
  for (;;) {
    const slot = place * STRIDE
    if (slots[slot + 2] === 0 || (slots[slot] === hash.high && slots[slot + 1] === hash.low)) return slot
    place = (place + 1) & mask
  }
}

function grow(shard: Shard): void {
  const old = shard.slots
  shard.mask = (shard.mask + 1) * 2 - 1
  shard.slots = new Uint32Array((shard.mask + 1) * STRIDE)
  for (let slot = 0; slot < old.length; slot += STRIDE) {
    if (old[slot + 2] === 0) continue
    const place = find(shard, { high: old[slot]!, low: old[slot + 1]! })
    shard.slots.set(old.subarray(slot, slot + STRIDE), place)
  }
}

function versionAt(slots: Uint32Array, slot: number): bigint {
  return (BigInt(slots[slot + 7]!) << 32n) | BigInt(slots[slot + 6]!)
}

function entryAt(slots: Uint32Array, slot: number): IndexEntry {
  return {
    segment: slots[slot + 2]! - 1,
    offset: slots[slot + 3]!,
    length: slots[slot + 4]!,
    generation: slots[slot + 5]!,
    version: versionAt(slots, slot),
    state: (slots[slot + 8]! & 255) as HintState,
    to: slots[slot + 8]! >>> 8,
  }
}

function write(slots: Uint32Array, slot: number, hash: KeyHash, entry: IndexEntry): void {
  slots[slot] = hash.high
  slots[slot + 1] = hash.low
  slots[slot + 2] = entry.segment + 1
  slots[slot + 3] = entry.offset
  slots[slot + 4] = entry.length
  slots[slot + 5] = entry.generation
  slots[slot + 6] = Number(entry.version & 0xffffffffn)
  slots[slot + 7] = Number(entry.version >> 32n)
  slots[slot + 8] = entry.state | (entry.to << 8)
}
