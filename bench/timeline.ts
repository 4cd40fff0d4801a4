/** What was measured while the load ran: latency by phase, and hits over time. */
import * as hdr from 'hdr-histogram-js'

/** Of a change; an experiment may have others. */
export const PHASES = ['before', 'during', 'after'] as const
export type Phase = (typeof PHASES)[number]

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

type Histograms<P extends string> = Record<P, hdr.Histogram>

const SLICE_MS = 250

export class Timeline<P extends string = Phase> {
  phase: P
  readonly #phases: readonly P[]
  readonly #all: Histograms<P>
  readonly #byView = new Map<string, Histograms<P>>()
  readonly #slices = new Map<string, Map<number, Slice>>()
  readonly #marks = new Map<P, number>()
  readonly #now: () => number

  /** It begins in the first phase. */
  constructor(now: () => number, phases: readonly P[]) {
    this.#now = now
    this.#phases = phases
    this.#all = histograms(phases)
    this.phase = phases[0]!
    this.#marks.set(this.phase, now())
  }

  enter(phase: P): void {
    this.phase = phase
    this.#marks.set(phase, this.#now())
  }

  /** Since the present phase began. */
  get phaseMs(): number {
    return this.#now() - this.#marks.get(this.phase)!
  }

  /** From the beginning of one phase to that of another, or to now. */
  msFrom(phase: P, to: P): number {
    const end = this.#marks.get(to) ?? this.#now()
    return end - (this.#marks.get(phase) ?? end)
  }

  /** A request that began in this phase and took so long. */
  latency(phase: P, view: string, ms: number): void {
    const microseconds = Math.max(1, Math.round(ms * 1000))
    const ofView = this.#byView.get(view) ?? histograms(this.#phases)
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

  latencies(): Record<P, Latency> {
    return latenciesOf(this.#phases, this.#all)
  }

  latenciesByView(): Record<string, Record<P, Latency>> {
    return Object.fromEntries([...this.#byView].map(([view, all]) => [view, latenciesOf(this.#phases, all)]))
  }

  /** Of the clients with one server list, or of all; times are from the beginning of the phase. */
  hitRates(from: P, list?: string): HitRate[] {
    const sum = new Map<number, Slice>()
    for (const [name, slices] of this.#slices) {
      if (list !== undefined && name !== list) continue
      for (const [at, { reads, hits, right }] of slices) {
        const so = sum.get(at) ?? { reads: 0, hits: 0, right: 0 }
        sum.set(at, { reads: so.reads + reads, hits: so.hits + hits, right: so.right + right })
      }
    }
    const zero = this.#marks.get(from) ?? 0
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

function histograms<P extends string>(phases: readonly P[]): Histograms<P> {
  const empty = () =>
    hdr.build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 })
  return Object.fromEntries(phases.map(phase => [phase, empty()])) as Histograms<P>
}

function latenciesOf<P extends string>(phases: readonly P[], all: Histograms<P>): Record<P, Latency> {
  return Object.fromEntries(phases.map(phase => [phase, latencyOf(all[phase])])) as Record<P, Latency>
}

function latencyOf(histogram: hdr.Histogram): Latency {
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
