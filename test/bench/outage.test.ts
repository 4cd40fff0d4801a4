/** The experiment itself, small: real processes, a node is paused, a node is killed and started again, the coordinator is killed, under load. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type OutageOptions, type OutageReport, runOutage } from '../../bench/outage.js'
import { outageText } from '../../bench/outage-report.js'

const SMALL: OutageOptions = {
  how: 'pause',
  seed: 1,
  seeds: 1,
  keys: 1000,
  threads: 2,
  loop: 'auto',
  valueMax: 50_000,
  durationMs: 300,
  awayAfterSec: 4,
  outageMs: 5000,
  coordinatorMs: 5000,
  rate: 400,
  inFlight: 128,
  memoryMb: 64,
  out: null,
  logs: null,
  say: () => {},
}

const SEEDS = { pause: 1, kill: 2, coordinator: 3 } as const

for (const how of ['pause', 'kill', 'coordinator'] as const) {
  t.test(`${how}: what was written meanwhile is there, nothing is wrong, nobody else sees errors`, async t => {
    const out = how === 'pause' ? t.testdir({}) : null
    const report = await runOutage({ ...SMALL, how, out, seed: SEEDS[how] })
    const run = report.runs[0]!
    t.same({ ...run.wrongKeys }, { lost: 0, stale: 0, resurrected: 0, late: 0, wrong: 0 })
    t.same(run.examples, [])
    const { failing: _, ...elsewhere } = run.errors
    t.same(elsewhere, { before: {}, joining: {}, away: {}, returning: {}, after: {} })
    t.ok(
      report.passed,
      `${run.errorCounts.failing} errors before it was away, the longest after ${run.longestErrorMs} ms`,
    )
    t.ok(run.missed > 0, 'what only the absent node knew was missed')
    t.equal(Object.keys(run.atTheEnd).length, 5, 'all views were read at the end')
    const missing = Object.values(run.atTheEnd).map(({ missed }) => missed)
    if (how !== 'kill') t.same(missing, [0, 0, 0, 0, 0], 'a node that was paused still knows everything')
    else t.ok(missing[0]! > 0, 'the memory of a killed node is gone')
    t.match(outageText(report), /nothing lost/)
    if (out === null) return
    const written = JSON.parse(readFileSync(join(out, 'outage-pause-t2-seed1.json'), 'utf8')) as OutageReport
    t.equal(written.runs[0]!.absent, run.absent)
  })
}
