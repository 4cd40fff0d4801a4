/** Reports of load and comparison as people read them. Pure: a report in, lines out. */
import { table } from '../../lib/cli/output.js'
import type { CompareReport, Comparison, Measurement, Series, Spread } from './compare.js'
import { spread } from './compare.js'
import type { LoadReport } from './load-run.js'

/** From here on the load itself is what limits. */
export const LOAD_IS_BUSY = 0.95
/** Open loop: of all requests; less is what was under way at the end. */
const UNSENT_MANY = 0.001

export function loadText(report: LoadReport): string {
  const { workload, counts, ever, latency, seconds, loop, unsent } = report
  const lines = [
    `${workload.name}: ${workload.description}; ${seconds.toFixed(1)} s, loop ${loop}`,
    `${perSec(report.requestsPerSec)} requests/s, ${perSec(report.keysPerSec)} keys/s; ${counts.reads} reads, ${counts.writes} writes, ${percent(report.hitShare)} hits`,
    table(
      ['latency ms', 'p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max'],
      [
        [
          `mean ${ms(latency.meanUs)}`,
          ...[latency.p50Us, latency.p90Us, latency.p99Us, latency.p999Us, latency.p9999Us, latency.maxUs].map(ms),
        ],
      ],
    ),
    `checked values, filling and warming up included: ${ever.hits}; wrong ${ever.wrong}, stale ${ever.stale}, errors ${ever.errors}`,
    ...report.examples,
    `processor: load ${percent(report.loadCpuShare)} of a core${serverPart(report)}`,
  ]
  if (report.stalledShare > 0) {
    const longest = report.longestStallMs.toFixed(1)
    lines.push(
      `the load itself stood still for ${percent(report.stalledShare)} of the time, ${longest} ms at most: not counted`,
    )
  }
  if (unsent > UNSENT_MANY * counts.requests)
    lines.push(`${unsent} requests were due and had not left: the server is slower than the rate`)
  return lines.join('\n')
}

export function compareText({ comparisons, machine, settings }: CompareReport): string {
  const rows = comparisons.flatMap(({ workload, series: [ours, ...peers], ratios }) =>
    peers.map((peer, i) => {
      const ratio = ratios[i]!
      return [
        workload.name,
        peer.name,
        ...[requests(ours!), requests(peer), spreadText(ratio.throughput)],
        ...[cpu(ours!), cpu(peer), spreadText(ratio.cpu)],
        ...[
          settings.rate > 0 ? p999(ours!) : p99(ours!),
          settings.rate > 0 ? p999(peer) : p99(peer),
          percentText(ours!, one => one.loadCpuShare),
          percentText(peer, one => one.loadCpuShare),
        ],
      ]
    }),
  )
  const head = [
    'workload',
    'peer',
    'ours req/s',
    'peer',
    'ratio (min - max)',
    'ours us CPU/req',
    'peer',
    'ratio (min - max)',
  ]
  return [
    `${settings.rounds} rounds of ${settings.durationMs / 1000} s; ${machine.cpus} x ${machine.cpu}, Node ${machine.node}, commit ${machine.commit}`,
    'Medians. Throughput ratio: more is better for ours; CPU ratio: less is.',
    table(
      [...head, settings.rate > 0 ? 'ours p99.9 ms (min - max)' : 'ours p99 ms', 'peer', 'load CPU ours', 'peer'],
      rows,
    ),
    ...comparisons.flatMap(comparison => remarks(comparison, settings.rate > 0)),
  ].join('\n')
}

/** What a reader has to know before believing a row. */
function remarks({ workload, series }: Comparison, isOpen: boolean): string[] {
  return series.flatMap(one => {
    const lines: string[] = []
    const about = `${workload.name}, ${one.name}`
    if (one.failed !== null) lines.push(`${about}: ${one.failed}`)
    const sums = one.rounds.map(({ ever }) => ever.wrong + ever.stale + ever.errors)
    const bad = sums.reduce((total, count) => total + count, 0)
    if (bad > 0)
      lines.push(`${about}: ${bad} wrong, stale or failed answers: ${one.rounds.flatMap(r => r.examples)[0]}`)
    // An open loop is busy all the time.
    if (!isOpen && one.rounds.some(isLoadTheLimit))
      lines.push(`${about}: the load had no more processor; its throughput is a lower bound`)
    const hits = median(one, ({ hitShare }) => hitShare)
    if (hits !== null && hits < 0.999) lines.push(`${about}: ${percent(hits)} of what was read was there`)
    return lines
  })
}

function isLoadTheLimit({ loadCpuShare, serverCpuShare }: Measurement): boolean {
  return loadCpuShare > LOAD_IS_BUSY && (serverCpuShare ?? 0) < LOAD_IS_BUSY
}

function median({ rounds }: Series, of: (one: Measurement) => number | null): number | null {
  return spread(rounds.flatMap(round => of(round) ?? []))?.median ?? null
}

const requests = (series: Series): string =>
  text(
    median(series, one => one.requestsPerSec),
    perSec,
  )
const cpu = (series: Series): string =>
  text(
    median(series, one => one.serverCpuUsPerRequest),
    us => us.toFixed(2),
  )
const p99 = (series: Series): string =>
  text(
    median(series, one => one.latency.p99Us),
    ms,
  )
const p999 = ({ rounds }: Series): string => spreadText(spread(rounds.map(({ latency }) => latency.p999Us / 1000)))
const percentText = (series: Series, of: (one: Measurement) => number): string => text(median(series, of), percent)
const text = (number: number | null, words: (number: number) => string): string =>
  number === null ? '-' : words(number)
const spreadText = (one: Spread | null): string =>
  one === null ? '-' : `${one.median.toFixed(2)} (${one.min.toFixed(2)} - ${one.max.toFixed(2)})`

function serverPart({ serverCpuShare, serverCpuUsPerRequest }: LoadReport): string {
  if (serverCpuShare === null || serverCpuUsPerRequest === null) return ''
  return `, server ${percent(serverCpuShare)}, ${serverCpuUsPerRequest.toFixed(2)} us a request`
}

export const ms = (microseconds: number): string => (microseconds / 1000).toFixed(3)
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
export const perSec = (rate: number): string => Math.round(rate).toLocaleString('en-US')
