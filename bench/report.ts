/** Reports as people read them: tables. Pure: a report in, lines out. */
import { bytesText, table } from '../lib/cli/output.js'
import { WRONGS } from './checker.js'
import type { ScaleOutReport, SystemReport } from './scale-out.js'

export function scaleOutText({ kind, runs, machine, passed, options }: ScaleOutReport): string {
  const results = table(
    ['system', 'seed', 'keys', 'size', 'change', 'checked', 'lost', 'stale', 'resurrected', 'late', 'wrong', 'errors'],
    runs.map(run => [
      ...[run.system, run.seed, run.keys, bytesText(run.bytes), `${(run.changeMs / 1000).toFixed(1)} s`, run.checked],
      ...[
        run.wrongKeys.lost,
        run.wrongKeys.stale,
        run.wrongKeys.resurrected,
        run.wrongKeys.late,
        run.wrongKeys.wrong,
        run.errorCount,
      ],
    ]),
  )
  const latencies = table(
    ['system', 'seed', 'p50 ms before', 'during', 'after', 'p99 ms before', 'during', 'after', 'p99 during/before'],
    runs.map(({ system, seed, latency: { before, during, after }, p99Ratio }) => [
      ...[system, seed, ms(before.p50Ms), ms(during.p50Ms), ms(after.p50Ms)],
      ...[ms(before.p99Ms), ms(during.p99Ms), ms(after.p99Ms), `${p99Ratio.toFixed(2)}x`],
    ]),
  )
  return [
    `scale-out, ${kind}, ${options.threads} threads, loop ${options.loop}; ${machine.cpus} x ${machine.cpu}, Node ${machine.node}`,
    '',
    'Keys with a wrong answer, while the load ran or at the end:',
    results,
    '',
    'Latency of requests:',
    latencies,
    '',
    'Latency by view (first seed; the router costs a second hop, and memcached has none):',
    viewTable(runs.filter(run => run.seed === options.seed)),
    '',
    'Keys that were not right at the end, through each view (first seed):',
    endTable(runs.filter(run => run.seed === options.seed)),
    '',
    passed ? 'continuum: nothing lost, stale, resurrected or wrong, no errors' : 'continuum: NOT clean, see above',
  ].join('\n')
}

const ms = (value: number): string => value.toFixed(2)

function viewTable(runs: SystemReport[]): string {
  return table(
    ['system', 'view', 'p50 ms before', 'during', 'after', 'p99 ms before', 'during', 'after'],
    runs.flatMap(({ system, latencyByView }) =>
      Object.entries(latencyByView).map(([view, { before, during, after }]) => [
        ...[system, view, ms(before.p50Ms), ms(during.p50Ms), ms(after.p50Ms)],
        ...[ms(before.p99Ms), ms(during.p99Ms), ms(after.p99Ms)],
      ]),
    ),
  )
}

function endTable(runs: SystemReport[]): string {
  return table(
    ['system', 'view', ...WRONGS],
    runs.flatMap(({ system, atTheEnd }) =>
      Object.entries(atTheEnd).map(([view, counts]) => [system, view, ...WRONGS.map(kind => counts[kind])]),
    ),
  )
}
