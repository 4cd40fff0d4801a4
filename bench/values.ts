/**
 * The keys and values of an experiment, all by seed: nothing is stored, any value can be made again, so that a value read
 * tells which write it came from.
 *
 *   24 bytes and more   "<key number>.<version>." and filler
 *   less                letters that depend on key and version; equal ones of two versions are possible
 *   counters            COUNTER_BASE + version, always the same number of digits
 *
 * Sizes: most under 200 bytes, some of some KB, and BIG_KEYS keys up to `valueMax`: the whole stays within some memory.
 * Values are lower-case letters, digits and dots: npm's memcached takes a value apart that has "END" or a backslash in it.
 */
import { mix } from './random.js'

export const COUNTER_BASE = 1_000_000_000
const BIG_KEYS = 20
const SHORT = 24
const FILLER_BYTES = 1 << 20
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

export class Dataset {
  readonly seed: number
  readonly keys: number
  readonly valueMax: number
  readonly #filler: string

  constructor(seed: number, keys: number, valueMax: number) {
    this.seed = seed
    this.keys = keys
    this.valueMax = valueMax
    const bytes = Buffer.alloc(FILLER_BYTES)
    for (let i = 0; i < FILLER_BYTES; i++) bytes[i] = LETTERS.charCodeAt(mix(seed, i, 77) % LETTERS.length)
    this.#filler = bytes.toString('latin1')
  }

  key(index: number): string {
    return `exp${this.seed}:${index}`
  }

  /** Counters are only ever incremented: one key in twenty. */
  isCounter(index: number): boolean {
    return index % 20 === 19
  }

  isBig(index: number): boolean {
    const step = Math.max(20, Math.floor(this.keys / BIG_KEYS))
    return index % step === 7
  }

  sizeOf(index: number, version: number): number {
    const kind = mix(this.seed, index, 1) / 2 ** 32
    const part = mix(this.seed, index, version + 1000) / 2 ** 32
    const between = (low: number, high: number) =>
      Math.min(this.valueMax, low + Math.floor(part * (Math.min(high, this.valueMax) - low + 1)))
    if (this.isBig(index)) return between(1, this.valueMax)
    if (kind < 0.82) return between(1, 200)
    return kind < 0.98 ? between(200, 4000) : between(4000, 32_000)
  }

  valueOf(index: number, version: number): string {
    if (this.isCounter(index)) return String(COUNTER_BASE + version)
    const size = this.sizeOf(index, version)
    const hash = mix(this.seed, index, version + 5000)
    if (size < SHORT) return this.#letters(hash % (FILLER_BYTES - SHORT), size)
    const head = `${index}.${version}.`
    return head + this.#letters(hash % FILLER_BYTES, size - head.length)
  }

  /** Which of the versions low..high this text is, the lowest if several; null if none. */
  versionOf(index: number, text: string, low: number, high: number): number | null {
    if (this.isCounter(index) || text.length >= SHORT) {
      const version = this.isCounter(index) ? Number(text) - COUNTER_BASE : Number(text.split('.', 2)[1])
      const found = Number.isInteger(version) && version >= low && version <= high
      return found && this.valueOf(index, version) === text ? version : null
    }
    for (let version = low; version <= high; version++) if (this.valueOf(index, version) === text) return version
    return null
  }

  #letters(at: number, length: number): string {
    const first = this.#filler.slice(at, at + length)
    return first.length === length ? first : first + this.#filler.slice(0, length - first.length)
  }
}
