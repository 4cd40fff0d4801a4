/**
 * Ours and its peers under the same load, alternately in one run: whatever else the machine does meets all of them. Every
 * round measures each of them once, the first of a round is another one each time; a ratio is made of two measurements of one
 * round, and its spread over the rounds is the answer's own measure of how much to believe it.
 */
import { execFileSync } from 'node:child_process'
import { cpus, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Sentence } from '../../lib/cli/output.js'
import { type Contender, type Cores, startOurRouter, startOurs, startPeer } from './contender.js'
import { type LoadOptions, type LoadReport, runLoad } from './load-run.js'
import { checkPinning } from './pinning.js'
import type { Template } from './template.js'
import type { Workload } from './workload.js'

export interface CompareOptions
  extends Pick<
    LoadOptions,
    'processes' | 'seed' | 'warmUpMs' | 'durationMs' | 'requests' | 'rate' | 'verify' | 'loop'
  > {
  workloads: Workload[]
  peers: Template[]
  /** Words added to `continuum server`. */
  ours: string
  rounds: number
  cores: Cores
  say(line: string): void
}

export type Measurement = Omit<LoadReport, 'workload'>

export interface Series {
  name: string
  rounds: Measurement[]
  /** Why there are no more rounds. */
  failed: string | null
}

export interface Spread {
  median: number
  min: number
  max: number
}

export interface Ratio {
  peer: string
  /** Ours over theirs: more is better. */
  throughput: Spread | null
  /** Processor time a request, ours over theirs: less is better. */
  cpu: Spread | null
}

export interface Comparison {
  workload: Workload
  /** Ours first. */
  series: Series[]
  ratios: Ratio[]
}

export interface CompareReport {
  comparisons: Comparison[]
  machine: { cpus: number; cpu: string; node: string; loadAverage: number[]; commit: string }
  settings: { rounds: number; durationMs: number; rate: number; processes: number; ours: string; peers: string[] }
  isRight: boolean
}

export async function compare(options: CompareOptions): Promise<CompareReport> {
  const { workloads, rounds, durationMs, rate, processes, ours, peers, cores } = options
  checkPinning({ '--server-core': cores.server, '--load-core': cores.load })
  const comparisons: Comparison[] = []
  for (const workload of workloads) comparisons.push(await compareOne(workload, options))
  return {
    comparisons,
    machine: machine(),
    settings: { rounds, durationMs, rate, processes, ours, peers: peers.map(({ text }) => text) },
    isRight: comparisons.every(({ series }) =>
      series.every(({ failed, rounds }) => failed === null && rounds.every(({ isRight }) => isRight)),
    ),
  }
}

async function compareOne(workload: Workload, options: CompareOptions): Promise<Comparison> {
  const { peers, ours, rounds, cores, say } = options
  const contenders: Contender[] = []
  try {
    const memoryMb = workload.memoryMb
    const backends = Math.max(0, ...peers.map(peer => peer.backends))
    const mine = backends > 0 ? startOurRouter(ours, memoryMb, cores, backends) : startOurs(ours, memoryMb, cores)
    contenders.push(await started(mine))
    for (const peer of peers) contenders.push(await started(startPeer(peer, memoryMb, cores)))
    const series = named(contenders).map((name): Series => ({ name, rounds: [], failed: null }))
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < contenders.length; turn++) {
        const place = (round + turn) % contenders.length
        const one = series[place]!
        if (one.failed !== null) continue
        await measure(one, contenders[place]!, workload, round, options)
        say(lineOf(workload, one, round))
      }
    }
    const [first, ...others] = series
    return { workload, series, ratios: others.map(other => ratioOf(first!, other)) }
  } finally {
    for (const contender of contenders) await contender.stop()
  }
}

/** A server that does not start is its flags' fault, or its absence: a sentence, not a stack. */
function started(contender: Promise<Contender>): Promise<Contender> {
  return contender.catch((error: Error) => {
    throw new Sentence(error.message.replaceAll(/\s+/g, ' '))
  })
}

/** Each run has values of its own: what an earlier one left would be seen as wrong. */
async function measure(
  series: Series,
  { port, pid }: Contender,
  workload: Workload,
  round: number,
  options: CompareOptions,
): Promise<void> {
  const { processes, seed, warmUpMs, durationMs, requests, rate, verify, loop, cores } = options
  const target = { host: '127.0.0.1', port }
  const common = { target, workload, processes, warmUpMs, durationMs, requests, rate, verify, loop }
  try {
    const { workload: _, ...measurement } = await runLoad({
      ...common,
      seed: seed + round,
      serverPids: [pid],
      core: cores.load,
    })
    series.rounds.push(measurement)
  } catch (error) {
    if (!(error instanceof Sentence)) throw error
    series.failed = error.message
  }
}

function lineOf({ name }: Workload, { name: who, rounds, failed }: Series, round: number): string {
  const last = rounds.at(-1)
  const what = failed ?? `${Math.round(last?.requestsPerSec ?? 0)} requests/s`
  return `${name}, round ${round + 1}, ${who}: ${what}`
}

/** Two peers of one name get numbers. */
function named(contenders: Contender[]): string[] {
  const names = contenders.map(({ name }) => name)
  return names.map((name, i) => (names.indexOf(name) === names.lastIndexOf(name) ? name : `${name} ${i}`))
}

export function ratioOf(ours: Series, peer: Series): Ratio {
  const throughputs: number[] = []
  const cpus: number[] = []
  for (let round = 0; round < Math.min(ours.rounds.length, peer.rounds.length); round++) {
    const [a, b] = [ours.rounds[round]!, peer.rounds[round]!]
    if (b.requestsPerSec > 0) throughputs.push(a.requestsPerSec / b.requestsPerSec)
    if (a.serverCpuUsPerRequest && b.serverCpuUsPerRequest) {
      cpus.push(a.serverCpuUsPerRequest / b.serverCpuUsPerRequest)
    }
  }
  return { peer: peer.name, throughput: spread(throughputs), cpu: spread(cpus) }
}

export function spread(numbers: number[]): Spread | null {
  const sorted = numbers.filter(Number.isFinite).sort((a, b) => a - b)
  if (sorted.length === 0) return null
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

function machine(): CompareReport['machine'] {
  const [first] = cpus()
  return {
    cpus: cpus().length,
    cpu: first?.model.trim() ?? 'unknown',
    node: process.version,
    loadAverage: loadavg(),
    commit: commit(),
  }
}

/** Of the clone that this runs from; none in an installed package. */
function commit(): string {
  try {
    const cwd = fileURLToPath(new URL('.', import.meta.url))
    const words = ['describe', '--always', '--dirty']
    return execFileSync('git', words, { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  } catch {
    return 'unknown'
  }
}
