/** What a generator counts: answers by kind, and how long each took. Adding costs a few integer stores; nothing grows. */

export interface Counts {
  requests: number
  reads: number
  writes: number
  hits: number
  misses: number
  /** Values that nobody wrote to that key. */
  wrong: number
  /** Values older than one acknowledged, or seen, before the request left. */
  stale: number
  errors: number
}

export const noCounts = (): Counts => ({
  requests: 0,
  reads: 0,
  writes: 0,
  hits: 0,
  misses: 0,
  wrong: 0,
  stale: 0,
  errors: 0,
})

/** Latencies to 65 ms are kept to the microsecond, longer ones to a millisecond, the longest as 67 s. */
const FINE = 65_536
const COARSE_SHIFT = 10
const EXAMPLES_MAX = 5

export class Tally {
  readonly counts = noCounts()
  readonly examples: string[] = []
  readonly #fine = new Uint32Array(FINE)
  readonly #coarse = new Uint32Array(FINE)

  latency(ms: number): void {
    const microseconds = ms <= 0 ? 0 : Math.floor(ms * 1000)
    if (microseconds < FINE) this.#fine[microseconds]!++
    else this.#coarse[Math.min(FINE - 1, microseconds >> COARSE_SHIFT)]!++
  }

  example(text: string): void {
    if (this.examples.length < EXAMPLES_MAX) this.examples.push(text)
  }

  /** Forgets latencies; counts go on, whoever measures takes differences. */
  forgetLatencies(): void {
    this.#fine.fill(0)
    this.#coarse.fill(0)
  }

  /** Pairs: microseconds, count. */
  latencies(): [microseconds: number, count: number][] {
    const pairs: [number, number][] = []
    for (let i = 0; i < FINE; i++) if (this.#fine[i]! > 0) pairs.push([i, this.#fine[i]!])
    for (let i = 0; i < FINE; i++) {
      if (this.#coarse[i]! > 0) pairs.push([(i << COARSE_SHIFT) + (1 << (COARSE_SHIFT - 1)), this.#coarse[i]!])
    }
    return pairs
  }
}

export function difference(after: Counts, before: Counts): Counts {
  const result = noCounts()
  for (const name of Object.keys(result) as (keyof Counts)[]) result[name] = after[name] - before[name]
  return result
}

export function sum(all: Counts[]): Counts {
  const result = noCounts()
  for (const counts of all) for (const name of Object.keys(result) as (keyof Counts)[]) result[name] += counts[name]
  return result
}
