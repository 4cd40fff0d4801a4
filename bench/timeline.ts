/** What was measured while the load ran: latency by phase, and hits over time. */
import * as hdr from 'hdr-histogram-js'

export type Phase = 'before' | 'during' | 'after'
export const PHASES: readonly Phase[] = ['before', 'during', 'after']

export interface Latency {
  requests: number
  p50Ms: number
  p95Ms: number
  p99Ms: number
  p999Ms: number
  maxMs: number
}

export interface HitRate {
  /** Seconds since the change began; below 0 before it. */
  at: number
  /** Of reads of keys that had been written: part that found something. */
  hits: number
  /** Part that found what was written last. */
  right: number
  reads: number
}

const SLICE_MS = 250

export class Timeline {
  phase: Phase = 'before'
  readonly #histograms = new Map(
    PHASES.map(phase => [
      phase,
      hdr.build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 }),
    ]),
  )
  readonly #slices = new Map<number, { reads: number; hits: number; right: number }>()
  readonly #marks: Partial<Record<Phase, number>> = {}
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
    this.#marks.before = now()
  }

  enter(phase: Phase): void {
    this.phase = phase
    this.#marks[phase] = this.#now()
  }

  /** Duration of the change. */
  get duringMs(): number {
    return (this.#marks.after ?? this.#now()) - (this.#marks.during ?? this.#now())
  }

  latency(phase: Phase, ms: number): void {
    this.#histograms.get(phase)!.recordValue(Math.max(1, Math.round(ms * 1000)))
  }

  /** A read of a key that certainly had a value. */
  read(found: boolean, right: boolean): void {
    const slice = Math.floor(this.#now() / SLICE_MS)
    const counts = this.#slices.get(slice) ?? { reads: 0, hits: 0, right: 0 }
    this.#slices.set(slice, counts)
    counts.reads++
    if (found) counts.hits++
    if (right) counts.right++
  }

  latencies(): Record<Phase, Latency> {
    const of = (phase: Phase): Latency => {
      const histogram = this.#histograms.get(phase)!
      const ms = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1000
      return {
        requests: histogram.totalCount,
        p50Ms: ms(50),
        p95Ms: ms(95),
        p99Ms: ms(99),
        p999Ms: ms(99.9),
        maxMs: histogram.maxValue / 1000,
      }
    }
    return { before: of('before'), during: of('during'), after: of('after') }
  }

  hitRates(): HitRate[] {
    const zero = this.#marks.during ?? 0
    return [...this.#slices]
      .sort(([a], [b]) => a - b)
      .map(([slice, { reads, hits, right }]) => ({
        at: ((slice + 0.5) * SLICE_MS - zero) / 1000,
        hits: hits / reads,
        right: right / reads,
        reads,
      }))
  }
}
