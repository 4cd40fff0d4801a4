/**
 * The experiment itself: real processes are paused, killed, cut off, and have full disks, under load. Short, unless
 * TORTURE_MINUTES says otherwise; SEED decides what happens.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FAULTS, type Fault } from '../../bench/faults.js'
import { runTorture, type TortureOptions, type TortureReport } from '../../bench/torture.js'
import { tortureText } from '../../bench/torture-report.js'

const MINUTES_MAX = 30
const minutes = Math.min(MINUTES_MAX, Number(process.env.TORTURE_MINUTES ?? 0))
const seed = Number(process.env.SEED ?? 1)

/** A duration of 0: one round, however long the machine takes to begin it. */
const options = (faults: readonly Fault[], durationMs: number): TortureOptions => ({
  ...{ seed, faults, durationMs, keys: 500, threads: 2, loop: 'auto', valueMax: 20_000, awayAfterSec: 4 },
  ...{ rate: 300, inFlight: 64, memoryMb: 64, out: null, logs: null, say: line => t.comment(line) },
})

const runs: [string, TortureOptions][] =
  minutes > 0
    ? [['everything', options(FAULTS, minutes * 60_000)]]
    : [
        ['the disk of a stand-in is full', options(['full'], 0)],
        ['a node is cut off', options(['isolate'], 0)],
        ['what one node says does not arrive at another', options(['oneway'], 0)],
      ]

for (const [what, wanted] of runs) {
  t.test(`${what}: nothing acknowledged is wrong, no errors between the faults`, { timeout: 2_400_000 }, async t => {
    const out = t.testdir({})
    const report = await runTorture({ ...wanted, out })
    t.comment(tortureText(report))
    t.same(report.wrongKeys, { lost: 0, stale: 0, resurrected: 0, late: 0, wrong: 0 })
    t.same(report.examples, [])
    t.same(report.errors.calm, {})
    t.ok(report.passed)
    t.ok(report.rounds.length > 0 || report.skipped.length > 0, 'one round at least, however late it began')
    const written = JSON.parse(readFileSync(join(out, `torture-t2-seed${seed}.json`), 'utf8')) as TortureReport
    t.equal(written.rounds.length, report.rounds.length)
  })
}
