/**
 * The search of a ring that is asked often: the circle is cut into equal buckets, about one a point, and each knows the
 * first point that is not before it. What is left is a step or two, whatever the number of points.
 *
 *   bucket of hash = hash >>> shift      starts[bucket] <= answer <= starts[bucket + 1]
 */
import type { Points } from './points.js'

export class Finder {
  readonly #values: Uint32Array
  /** Owner of each point, and once more the first one's: what comes after the last point. */
  readonly #owners: Uint16Array
  readonly #starts: Uint32Array
  readonly #shift: number

  constructor({ values, owners }: Points) {
    this.#values = values
    this.#owners = new Uint16Array(owners.length + 1)
    this.#owners.set(owners)
    this.#owners[owners.length] = owners[0]!
    let bits = 1
    while (bits < 20 && 2 ** bits < values.length) bits++
    const shift = 32 - bits
    const starts = new Uint32Array(2 ** bits + 1).fill(values.length)
    let filled = 0 // buckets that know their first point
    for (let point = 0; point < values.length; point++) {
      const bucket = values[point]! >>> shift
      while (filled <= bucket) starts[filled++] = point
    }
    this.#shift = shift
    this.#starts = starts
  }

  /** Index of the server that owns a position. */
  ownerAt(hash: number): number {
    const values = this.#values
    const bucket = hash >>> this.#shift
    let low = this.#starts[bucket]!
    let high = this.#starts[bucket + 1]!
    while (low < high) {
      const middle = (low + high) >>> 1
      if (values[middle]! < hash) low = middle + 1
      else high = middle
    }
    return this.#owners[low]!
  }
}
