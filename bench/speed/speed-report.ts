/** Reports of load and comparison as people read them. Pure: a report in, lines out. */
import { table } from '../../lib/cli/output.js'
import type { LoadReport } from './load-run.js'

/** From here on the load itself is what limits. */
export const LOAD_IS_BUSY = 0.95

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
  if (unsent > 0) lines.push(`${unsent} requests were due and had not left: the server is slower than the rate`)
  return lines.join('\n')
}

function serverPart({ serverCpuShare, serverCpuUsPerRequest }: LoadReport): string {
  if (serverCpuShare === null || serverCpuUsPerRequest === null) return ''
  return `, server ${percent(serverCpuShare)}, ${serverCpuUsPerRequest.toFixed(2)} us a request`
}

export const ms = (microseconds: number): string => (microseconds / 1000).toFixed(3)
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
export const perSec = (rate: number): string => Math.round(rate).toLocaleString('en-US')
