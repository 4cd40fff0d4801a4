/**
 * Keys and values as bytes. A value tells which key and which write of it it belongs to, and every byte of it can be checked:
 *
 *   key    "key-" 8 hex digits
 *   value  8 hex digits of the key, 8 of the version, then filler: a stretch of a random pool; where it begins depends on
 *          key and version, what is in the pool on the seed, so that a value of an earlier run is seen as wrong
 *
 * Everything lies in the loop's memory; writing and checking allocate nothing.
 */
import { mix, randomFrom } from '../random.js'
import type { SizeTable } from './sizes.js'

export const KEY_BYTES = 12
/** Header, and enough filler to notice a damaged header. */
export const VALUE_BYTES_MIN = 24
const HEADER_BYTES = 16
/** Beginnings of fillers; a power of two. */
const POOL_STARTS = 4096
/** From here on comparing by the runtime's memcmp beats a loop. */
const LOOP_BYTES_MAX = 256
const PREFIX = 0x6b65792d
const HEX = Buffer.from('0123456789abcdef')
const NO_DIGIT = 255
const DIGITS = new Uint8Array(256).fill(NO_DIGIT)
for (let i = 0; i < HEX.length; i++) DIGITS[HEX[i]!] = i

/** versionOf: these bytes are no value that this run wrote to that key. */
export const WRONG = -1

export class Payload {
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #poolAt: number
  readonly #sizes: SizeTable
  readonly #isChecked: boolean

  /** The pool takes `poolBytes(sizes)` bytes of the memory from `poolAt` on. */
  constructor(memory: Uint8Array, poolAt: number, sizes: SizeTable, seed: number, isChecked = true) {
    this.#bytes = Buffer.from(memory.buffer, memory.byteOffset, memory.length)
    this.#view = new DataView(memory.buffer, memory.byteOffset, memory.length)
    this.#poolAt = poolAt
    this.#sizes = sizes
    this.#isChecked = isChecked
    const random = randomFrom(seed)
    const end = poolAt + poolBytes(sizes)
    // Printable, without spaces: a packet dump stays readable.
    for (let at = poolAt; at < end; at++) memory[at] = 33 + Math.floor(random() * 94)
  }

  sizeOf(key: number, version: number): number {
    return this.#sizes.of(key, version)
  }

  /** The place after it. */
  writeKey(at: number, key: number): number {
    this.#view.setUint32(at, PREFIX)
    return this.#writeHex(at + 4, key)
  }

  isKey(at: number, length: number, key: number): boolean {
    return length === KEY_BYTES && this.#view.getUint32(at) === PREFIX && this.#readHex(at + 4) === key
  }

  /** The place after it. */
  writeValue(at: number, key: number, version: number): number {
    const size = this.#sizes.of(key, version)
    const from = this.#fillerOf(key, version)
    this.#writeHex(this.#writeHex(at, key), version)
    this.#bytes.copyWithin(at + HEADER_BYTES, from, from + size - HEADER_BYTES)
    return at + size
  }

  /** Which write of that key left these bytes; WRONG when none did. Without checks only the first bytes are believed. */
  versionOf(at: number, length: number, key: number): number {
    if (length < VALUE_BYTES_MIN) return WRONG
    const version = this.#readHex(at + 8)
    if (!this.#isChecked) return version
    if (version < 0 || this.#readHex(at) !== key || length !== this.#sizes.of(key, version)) return WRONG
    return this.#isFiller(at + HEADER_BYTES, length - HEADER_BYTES, this.#fillerOf(key, version)) ? version : WRONG
  }

  #fillerOf(key: number, version: number): number {
    return this.#poolAt + (mix(key, version, 3) & (POOL_STARTS - 1))
  }

  #isFiller(at: number, length: number, from: number): boolean {
    if (length > LOOP_BYTES_MAX) return this.#bytes.compare(this.#bytes, from, from + length, at, at + length) === 0
    const view = this.#view
    let i = 0
    for (; i + 4 <= length; i += 4) if (view.getInt32(at + i) !== view.getInt32(from + i)) return false
    for (; i < length; i++) if (view.getUint8(at + i) !== view.getUint8(from + i)) return false
    return true
  }

  #writeHex(at: number, number: number): number {
    const bytes = this.#bytes
    for (let i = 0; i < 8; i++) bytes[at + i] = HEX[(number >>> (28 - 4 * i)) & 15]!
    return at + 8
  }

  /** WRONG when it is no number. */
  #readHex(at: number): number {
    const bytes = this.#bytes
    let number = 0
    let seen = 0
    for (let i = 0; i < 8; i++) {
      const digit = DIGITS[bytes[at + i]!]!
      seen |= digit
      number = (number << 4) | digit
    }
    return seen > 15 ? WRONG : number >>> 0
  }
}

export function poolBytes(sizes: SizeTable): number {
  return POOL_STARTS + sizes.largest
}
