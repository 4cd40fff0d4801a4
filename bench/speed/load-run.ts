/** One run of the load: its processes fill, go together, measure; their numbers become one report. */
import { build } from 'hdr-histogram-js'
import type { Address } from '../../lib/transport/loop.js'
import type { GeneratorOptions, Measured } from './generator.js'
import { GeneratorProcess } from './generator-process.js'
import { type Counts, sum } from './tally.js'
import type { Workload } from './workload.js'

export interface LoadOptions {
  target: Address
  workload: Workload
  processes: number
  seed: number
  warmUpMs: number
  durationMs: number
  requests: number
  rate: number
  verify: boolean
  loop: GeneratorOptions['loop']
  serverPids: number[]
  core: number | null
}

export interface Latency {
  meanUs: number
  p50Us: number
  p90Us: number
  p99Us: number
  p999Us: number
  p9999Us: number
  maxUs: number
}

export interface LoadReport {
  workload: Workload
  loop: string
  seconds: number
  requestsPerSec: number
  keysPerSec: number
  counts: Counts
  ever: Counts
  hitShare: number
  examples: string[]
  latency: Latency
  /** Of one core, the busiest process of the load: at 1 the load is what limits. */
  loadCpuShare: number
  /** Of one core, all given servers; null when none was given. */
  serverCpuShare: number | null
  serverCpuUsPerRequest: number | null
  unsent: number
  /** Open loop: of the time measured, the part for which a process of the load stood still itself, at most; and for how long at once. */
  stalledShare: number
  longestStallMs: number
  /** No value was wrong or stale, and no request failed. */
  isRight: boolean
}

const LONGEST_US = 120_000_000

export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { target, workload, seed, warmUpMs, durationMs, requests, rate, verify, loop, serverPids, core } = options
  const processes = Math.min(options.processes, workload.connections)
  const generators = Array.from({ length: processes }, (_, process) => {
    // One of them reads the servers' processor time; the others would count it again.
    const pids = process === 0 ? serverPids : []
    const common = { target, workload, process, processes, seed, warmUpMs, durationMs, requests, verify, loop }
    return new GeneratorProcess({ ...common, rate: rate / processes, serverPids: pids }, core)
  })
  try {
    const [kind = ''] = await Promise.all(generators.map(generator => generator.filled))
    for (const generator of generators) generator.go()
    const measured = await Promise.all(generators.map(generator => generator.measured))
    return report(options, kind, measured)
  } finally {
    for (const generator of generators) generator.end()
  }
}

function report({ workload, serverPids }: LoadOptions, loop: string, measured: Measured[]): LoadReport {
  const counts = sum(measured.map(one => one.counts))
  const ever = sum(measured.map(one => one.ever))
  const perSec = (of: (counts: Counts) => number) =>
    measured.reduce((rate, one) => rate + of(one.counts) / one.seconds, 0)
  const [first] = measured
  const serverSeconds = first!.serverCpu.reduce((total, seconds) => total + seconds, 0)
  const hasServer = serverPids.length > 0
  const requestsPerSec = perSec(({ requests }) => requests)
  return {
    workload,
    loop,
    seconds: first!.seconds,
    requestsPerSec,
    keysPerSec: perSec(({ reads, writes }) => reads * workload.multiGet + writes),
    counts,
    ever,
    hitShare: counts.hits + counts.misses > 0 ? counts.hits / (counts.hits + counts.misses) : 1,
    examples: measured.flatMap(one => one.examples),
    latency: latencyOf(measured),
    loadCpuShare: Math.max(...measured.map(one => one.ownCpu / one.seconds)),
    serverCpuShare: hasServer ? serverSeconds / first!.seconds : null,
    serverCpuUsPerRequest: hasServer ? (serverSeconds / first!.seconds / requestsPerSec) * 1e6 : null,
    unsent: measured.reduce((total, one) => total + one.unsent, 0),
    stalledShare: Math.max(...measured.map(one => one.stalledMs / 1000 / one.seconds)),
    longestStallMs: Math.max(...measured.map(one => one.longestStallMs)),
    isRight: ever.wrong === 0 && ever.stale === 0 && ever.errors === 0,
  }
}

function latencyOf(measured: Measured[]): Latency {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_US,
    numberOfSignificantValueDigits: 3,
  })
  for (const { latencies } of measured) {
    for (const [microseconds, count] of latencies) histogram.recordValueWithCount(microseconds, count)
  }
  const at = (percentile: number) => histogram.getValueAtPercentile(percentile)
  return {
    meanUs: histogram.mean,
    p50Us: at(50),
    p90Us: at(90),
    p99Us: at(99),
    p999Us: at(99.9),
    p9999Us: at(99.99),
    maxUs: histogram.maxValue,
  }
}
