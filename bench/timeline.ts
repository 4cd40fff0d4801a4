/** What was measured while the load ran: latency by phase, and hits over time. */
import * as hdr from 'hdr-histogram-js'

export type Phase = 'before' | 'during' | 'after'

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

/** Counts of a slice of time. */
interface Slice {
  reads: number
  hits: number
  right: number
}

type Histograms = Record<Phase, hdr.Histogram>

const SLICE_MS = 250

export class Timeline {
  phase: Phase = 'before'
  readonly #all = histograms()
  readonly #byView = new Map<string, Histograms>()
  readonly #slices = new Map<string, Map<number, Slice>>()
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

  /** A request that began in this phase and took so long. */
  latency(phase: Phase, view: string, ms: number): void {
    const microseconds = Math.max(1, Math.round(ms * 1000))
    const ofView = this.#byView.get(view) ?? histograms()
    this.#byView.set(view, ofView)
    this.#all[phase].recordValue(microseconds)
    ofView[phase].recordValue(microseconds)
  }

  /** A read of a key that certainly had a value, by a client that has this server list. */
  read(list: string, found: boolean, right: boolean): void {
    const slices = this.#slices.get(list) ?? new Map<number, Slice>()
    this.#slices.set(list, slices)
    const at = Math.floor(this.#now() / SLICE_MS)
    const counts = slices.get(at) ?? { reads: 0, hits: 0, right: 0 }
    slices.set(at, counts)
    counts.reads++
    if (found) counts.hits++
    if (right) counts.right++
  }

  latencies(): Record<Phase, Latency> {
    return phases(this.#all)
  }

  latenciesByView(): Record<string, Record<Phase, Latency>> {
    return Object.fromEntries([...this.#byView].map(([view, all]) => [view, phases(all)]))
  }

  /** Of the clients with one server list, or of all. */
  hitRates(list?: string): HitRate[] {
    const sum = new Map<number, Slice>()
    for (const [name, slices] of this.#slices) {
      if (list !== undefined && name !== list) continue
      for (const [at, { reads, hits, right }] of slices) {
        const so = sum.get(at) ?? { reads: 0, hits: 0, right: 0 }
        sum.set(at, { reads: so.reads + reads, hits: so.hits + hits, right: so.right + right })
      }
    }
    const zero = this.#marks.during ?? 0
    return [...sum]
      .sort(([a], [b]) => a - b)
      .map(([slice, { reads, hits, right }]) => ({
        at: ((slice + 0.5) * SLICE_MS - zero) / 1000,
        hits: hits / reads,
        right: right / reads,
        reads,
      }))
  }
}

function histograms(): Histograms {
  const empty = () =>
    hdr.build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 })
  return { before: empty(), during: empty(), after: empty() }
}

function phases(all: Histograms): Record<Phase, Latency> {
  const of = (histogram: hdr.Histogram): Latency => {
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
  return { before: of(all.before), during: of(all.during), after: of(all.after) }
}
