/** The report of `bench outage` as people read it. Pure: a report in, lines out. */
import { bytesText, table } from '../lib/cli/output.js'
import { WRONGS } from './checker.js'
import { OUTAGE_PHASES, type OutageReport, type OutageRun } from './outage.js'

export function outageText({ options, machine, runs, passed }: OutageReport): string {
  const { how, keys, threads, loop, awayAfterSec, outageMs, rate } = options
  const bytes = Math.max(...runs.map(run => run.bytes))
  return [
    `outage, ${how}, ${threads} threads, loop ${loop}; ${machine.cpus} x ${machine.cpu}, Node ${machine.node}`,
    `${keys} keys (${bytesText(bytes)}), ${rate} requests/s, away after ${awayAfterSec} s, outage of ${seconds(outageMs)}`,
    '',
    'From the fault until the node is declared away; from its return until it is back and all is settled:',
    table(
      [
        'seed',
        'node',
        'declared',
        'back',
        'settled',
        'direct errors',
        'errors before declared',
        'longest',
        'elsewhere',
      ],
      runs.map(({ seed, absent, declaredMs, backMs, settledMs, errorCounts, longestErrorMs }) => [
        ...[seed, absent, seconds(declaredMs), seconds(backMs), seconds(settledMs), errorCounts.direct],
        ...[errorCounts.failing, seconds(longestErrorMs), errorCounts.forbidden],
      ]),
    ),
    '',
    'Keys with a wrong answer, while the load ran or at the end; missed: answers that may be, as only the absent node knew:',
    table(
      ['seed', 'checked', 'missed', ...WRONGS, 'missing at the end'],
      runs.map(run => [run.seed, run.checked, run.missed, ...WRONGS.map(kind => run.wrongKeys[kind]), missingOf(run)]),
    ),
    '',
    'p99 of requests, ms, by the phase in which they began:',
    latencyTable(runs),
    '',
    ...errorLines(runs),
    passed
      ? 'clean: nothing lost, stale, resurrected, late or wrong, no errors where there must be none'
      : 'NOT clean, see above',
  ].join('\n')
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

/** Keys that every view misses alike. */
const missingOf = ({ atTheEnd }: OutageRun): number =>
  Math.max(0, ...Object.values(atTheEnd).map(({ missed }) => missed))

function latencyTable(runs: OutageRun[]): string {
  const phases = OUTAGE_PHASES.filter(phase => runs.some(({ latency }) => latency[phase].requests > 0))
  return table(
    ['seed', ...phases],
    runs.map(({ seed, latency }) => [seed, ...phases.map(phase => latency[phase].p99Ms.toFixed(1))]),
  )
}

/** Each text once, over all runs. */
function errorLines(runs: OutageRun[]): string[] {
  const counts = new Map<string, number>()
  const count = (where: string, texts: Record<string, number>) => {
    for (const [text, times] of Object.entries(texts)) {
      const line = `${where}: ${text}`
      counts.set(line, (counts.get(line) ?? 0) + times)
    }
  }
  for (const { errors, direct } of runs) {
    for (const phase of OUTAGE_PHASES) count(phase, errors[phase])
    count('direct', direct)
  }
  if (counts.size === 0) return []
  return [
    'Errors:',
    table(
      ['times', 'error'],
      [...counts].map(([line, times]) => [times, line]),
    ),
    '',
  ]
}
