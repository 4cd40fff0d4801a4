/** How long values are: always the same, or drawn from a distribution. Key and version decide, so that a reader knows it too. */
import { mix, randomFrom } from '../random.js'

export type Sizes = { kind: 'fixed'; bytes: number } | { kind: 'lognormal'; mean: number; max: number }
export type ParsedSizes = { ok: true; sizes: Sizes; largest: number } | { ok: false; why: string }

const BYTES_MAX = 64 * 1024 * 1024
const DRAWS = 4096
/** Spread of the logarithm: with 1 the median is 0.6 of the mean, and one value in a hundred is over six means. */
const SIGMA = 1

export function parseSizes(text: string): ParsedSizes {
  const fixed = /^(?:fixed:)?(\d{1,9})$/.exec(text)
  if (fixed) {
    const bytes = Number(fixed[1])
    if (bytes > BYTES_MAX) return { ok: false, why: `at most ${BYTES_MAX} bytes` }
    return { ok: true, sizes: { kind: 'fixed', bytes }, largest: bytes }
  }
  const lognormal = /^lognormal:(\d{1,9}):(\d{1,9})$/.exec(text)
  if (!lognormal) return { ok: false, why: 'it must be <bytes>, fixed:<bytes> or lognormal:<mean>:<max>' }
  const [mean, max] = [Number(lognormal[1]), Number(lognormal[2])]
  if (mean < 1 || max < mean) return { ok: false, why: 'the mean must be at least 1 and at most the maximum' }
  if (max > BYTES_MAX) return { ok: false, why: `at most ${BYTES_MAX} bytes` }
  return { ok: true, sizes: { kind: 'lognormal', mean, max }, largest: max }
}

/** Sizes by key and version from a table of draws that the seed decides. */
export class SizeTable {
  readonly largest: number
  readonly #draws: Uint32Array

  constructor(sizes: Sizes, least: number, seed: number) {
    this.#draws = sizes.kind === 'fixed' ? Uint32Array.of(sizes.bytes) : lognormalDraws(sizes, least, seed)
    this.largest = this.#draws.reduce((most, size) => Math.max(most, size), 0)
  }

  of(key: number, version: number): number {
    const draws = this.#draws
    return draws.length === 1 ? draws[0]! : draws[mix(key, version, 5) & (DRAWS - 1)]!
  }
}

function lognormalDraws({ mean, max }: { mean: number; max: number }, least: number, seed: number): Uint32Array {
  const random = randomFrom(seed)
  const middle = Math.log(mean) - SIGMA ** 2 / 2
  return Uint32Array.from({ length: DRAWS }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
    return Math.min(max, Math.max(least, Math.round(Math.exp(middle + SIGMA * normal))))
  })
}
