/** Which key is asked next: any with the same chance, popular ones more often (Zipf), or one after the other. */
import { randomFrom } from '../random.js'

export type KeyOrder = { kind: 'uniform' } | { kind: 'zipf'; exponent: number } | { kind: 'sequential' }
export type ParsedKeyOrder = { ok: true; order: KeyOrder } | { ok: false; why: string }

/** Zipf is drawn beforehand and walked in circles: a draw costs one read. */
const DRAWS = 1 << 20
/** Spreads popular keys over the numbers; a prime that no key count has. */
const STRIDE = 2_654_435_761

export interface KeyPicker {
  next(): number
}

export function parseKeyOrder(text: string): ParsedKeyOrder {
  if (text === 'uniform' || text === 'sequential') return { ok: true, order: { kind: text } }
  const zipf = /^zipf(?::(\d+(?:\.\d+)?))?$/.exec(text)
  const exponent = Number(zipf?.[1] ?? '0.99')
  if (!zipf || exponent > 5) return { ok: false, why: 'it must be uniform, sequential or zipf:<exponent of at most 5>' }
  return { ok: true, order: { kind: 'zipf', exponent } }
}

/** `first`: where a walk one after the other begins. */
export function keyPicker(order: KeyOrder, keys: number, seed: number, first: number): KeyPicker {
  if (order.kind === 'sequential') return new Sequential(keys, first)
  return order.kind === 'zipf' ? new Zipf(keys, order.exponent, seed) : new Uniform(keys, seed)
}

/** xorshift32, never 0. */
export class Xorshift {
  #state: number

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1
  }

  /** 32 bits, unsigned. */
  next(): number {
    let state = this.#state
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    this.#state = state
    return state >>> 0
  }
}

class Uniform implements KeyPicker {
  readonly #random: Xorshift
  readonly #scale: number

  constructor(keys: number, seed: number) {
    this.#random = new Xorshift(seed)
    this.#scale = keys / 2 ** 32
  }

  next(): number {
    return Math.floor(this.#random.next() * this.#scale)
  }
}

class Sequential implements KeyPicker {
  readonly #keys: number
  #at: number

  constructor(keys: number, first: number) {
    this.#keys = keys
    this.#at = first % keys
  }

  next(): number {
    const key = this.#at
    this.#at = key + 1 === this.#keys ? 0 : key + 1
    return key
  }
}

class Zipf implements KeyPicker {
  readonly #draws: Uint32Array
  #at = 0

  constructor(keys: number, exponent: number, seed: number) {
    const sums = new Float64Array(keys)
    let sum = 0
    for (let rank = 0; rank < keys; rank++) {
      sum += 1 / (rank + 1) ** exponent
      sums[rank] = sum
    }
    const random = randomFrom(seed)
    this.#draws = Uint32Array.from({ length: DRAWS }, () => keyOfRank(rankOf(sums, random() * sum), keys))
  }

  next(): number {
    const at = this.#at
    this.#at = (at + 1) & (DRAWS - 1)
    return this.#draws[at]!
  }
}

export function keyOfRank(rank: number, keys: number): number {
  return Number((BigInt(rank) * BigInt(STRIDE)) % BigInt(keys))
}

/** The first rank whose sum is over the number drawn. */
function rankOf(sums: Float64Array, drawn: number): number {
  let low = 0
  let high = sums.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sums[middle]! > drawn) high = middle
    else low = middle + 1
  }
  return low
}
