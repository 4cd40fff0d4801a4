/** The report of `bench rolling-restart` as people read it. Pure: a report in, lines out. */
import { bytesText, table } from '../lib/cli/output.js'
import { WRONGS } from './checker.js'
import { ROLLING_PHASES, type RollingReport, type RollingRun } from './rolling-restart.js'

export function rollingText({ options, machine, runs, passed }: RollingReport): string {
  const { nodes, keys, threads, loop, rate } = options
  const bytes = Math.max(...runs.map(run => run.bytes))
  const errors = runs.flatMap(({ seed, errors }) =>
    Object.entries(errors).map(([text, count]) => `seed ${seed}, ${count} times: ${text}`),
  )
  return [
    `rolling restart of ${nodes} nodes, ${threads} threads, loop ${loop}; ${machine.cpus} x ${machine.cpu}, Node ${machine.node}`,
    `${keys} keys (${bytesText(bytes)}), ${rate} requests/s`,
    '',
    'Each node: until it had handed everything over; from SIGTERM until it was ready again; until all was settled:',
    table(
      ['seed', 'node', 'aside', 'stopped', 'returning'],
      runs.flatMap(({ seed, restarts }) =>
        restarts.map(one => [seed, one.id, seconds(one.asideMs), seconds(one.stoppedMs), seconds(one.returningMs)]),
      ),
    ),
    '',
    'Keys with a wrong answer, while the load ran or at the end; direct: requests sent to a process that was not there:',
    table(
      ['seed', 'requests', 'checked', ...WRONGS, 'errors', 'direct'],
      runs.map(run => [
        ...[run.seed, run.requests, run.checked, ...WRONGS.map(kind => run.wrongKeys[kind])],
        ...[run.errorCount, run.direct],
      ]),
    ),
    '',
    'Latency of requests, ms, by the phase in which they began:',
    table(['seed', 'of', ...ROLLING_PHASES, 'worst / before'], runs.flatMap(latencyRows)),
    '',
    ...errors,
    passed ? 'clean: no miss, nothing stale, resurrected, late or wrong, no errors' : 'NOT clean, see above',
  ].join('\n')
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

function latencyRows({ seed, latency }: RollingRun): (string | number)[][] {
  return (['p50Ms', 'p99Ms', 'maxMs'] as const).map(of => {
    const worst = Math.max(...ROLLING_PHASES.map(phase => latency[phase][of]))
    const ratio = latency.before[of] > 0 ? worst / latency.before[of] : 0
    return [
      seed,
      of.slice(0, -2),
      ...ROLLING_PHASES.map(phase => latency[phase][of].toFixed(1)),
      `${ratio.toFixed(1)}x`,
    ]
  })
}
