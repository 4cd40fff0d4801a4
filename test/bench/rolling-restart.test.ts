/** The experiment itself, small: real processes, every node of a tier is restarted under load; no miss, no error. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { rollingText } from '../../bench/rolling-report.js'
import { type RollingReport, runRollingRestart } from '../../bench/rolling-restart.js'

t.test('lost 0, stale 0, resurrected 0, wrong 0, errors 0, and every node was restarted', async t => {
  const out = t.testdir({})
  const report = await runRollingRestart({
    ...{ seed: 1, seeds: 1, nodes: 3, keys: 1000, threads: 2, loop: 'auto', valueMax: 50_000, durationMs: 300 },
    ...{ rate: 400, inFlight: 64, memoryMb: 64, out, say: () => {} },
  })
  const run = report.runs[0]!
  t.same({ ...run.wrongKeys }, { lost: 0, stale: 0, resurrected: 0, late: 0, wrong: 0 })
  t.same(run.examples, [])
  t.same(run.errors, {})
  t.same(
    run.restarts.map(({ id }) => id),
    ['n1', 'n2', 'n3'],
  )
  t.equal(Object.keys(run.atTheEnd).length, 3, 'all views were read at the end')
  t.match(rollingText(report), /clean: no miss/)
  const written = JSON.parse(readFileSync(join(out, 'rolling-restart-t2-seed1.json'), 'utf8')) as RollingReport
  t.equal(written.runs[0]!.requests, run.requests)
})
