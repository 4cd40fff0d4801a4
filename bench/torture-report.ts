/** The report of `bench torture` as people read it. Pure: a report in, lines out. */
import { table } from '../lib/cli/output.js'
import { WRONGS } from './checker.js'
import { TORTURE_PHASES, type TortureReport } from './torture.js'

export function tortureText(report: TortureReport): string {
  const { options, machine, rounds, skipped, passed } = report
  const { seed, keys, threads, loop, awayAfterSec, rate } = options
  const count = (errors: Record<string, number>) => Object.values(errors).reduce((sum, times) => sum + times, 0)
  return [
    `torture, seed ${seed}, ${threads} threads, loop ${loop}; ${machine.cpus} x ${machine.cpu}, Node ${machine.node}`,
    `${keys} keys, ${rate} requests/s, away after ${awayAfterSec} s; the load generator itself stood still for ${seconds(report.stoodStillMs)} at most`,
    ...(report.stoodStillMs > leaseMs(awayAfterSec)
      ? [
          `that is longer than a lease (${seconds(leaseMs(awayAfterSec))}): nodes that stand still so long refuse, and errors say nothing`,
        ]
      : []),
    ...skipped.map(line => `not tried: ${line}`),
    '',
    table(
      ['round', 'what happened', 'lasted', 'declared away', 'settled after'],
      rounds.map(({ faults, lastedMs, away, settledMs }, i) => [
        ...[i + 1, faults.join('; '), seconds(lastedMs), away.join(' ') || '-', seconds(settledMs)],
      ]),
    ),
    '',
    'Keys with a wrong answer, while the load ran or at the end; missed: answers that may be; errors by phase:',
    table(
      ['requests', 'checked', 'missed', ...WRONGS, ...TORTURE_PHASES],
      [
        [
          ...[report.requests, report.checked, report.missed, ...WRONGS.map(kind => report.wrongKeys[kind])],
          ...TORTURE_PHASES.map(phase => count(report.errors[phase])),
        ],
      ],
    ),
    '',
    ...report.examples,
    ...Object.entries(report.errors.calm).map(([text, times]) => `calm: ${times} times ${text}`),
    passed
      ? 'clean: nothing acknowledged is lost, stale, resurrected, late or wrong, no errors between the faults'
      : 'NOT clean, see above',
  ].join('\n')
}

/** lib/tier/outages.ts. */
const leaseMs = (awayAfterSec: number): number => awayAfterSec * 400
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
