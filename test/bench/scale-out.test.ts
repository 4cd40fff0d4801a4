/** The experiment itself, small: real processes, a node joins, a node is drained; nothing lost, nothing wrong, no errors. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hitRateChart } from '../../bench/chart.js'
import { scaleOutText } from '../../bench/report.js'
import { runScaleOut, type ScaleOutOptions } from '../../bench/scale-out.js'

const SMALL: ScaleOutOptions = {
  seed: 1,
  seeds: 1,
  keys: 2000,
  threads: 2,
  loop: 'auto',
  kind: 'add',
  valueMax: 200_000,
  durationMs: 300,
  rate: 1000,
  inFlight: 16,
  memoryMb: 64,
  peer: false,
  out: null,
  say: () => {},
}

for (const kind of ['add', 'drain'] as const) {
  t.test(`${kind}: lost 0, stale 0, resurrected 0, wrong 0, errors 0`, async t => {
    const out = kind === 'add' ? t.testdir({}) : null
    const report = await runScaleOut({ ...SMALL, kind, out, seed: kind === 'add' ? 1 : 2 })
    const run = report.runs[0]!
    t.same({ ...run.wrongKeys }, { lost: 0, stale: 0, resurrected: 0, late: 0, wrong: 0 })
    t.same(run.examples, [])
    t.same(run.errors, {})
    t.ok(report.passed)
    t.equal(Object.keys(run.atTheEnd).length, 6, 'all views were read at the end')
    t.ok(run.checked >= 6 * SMALL.keys, `${run.checked} answers were checked`)
    t.match(scaleOutText(report), /nothing lost/)
    if (out === null) return
    t.match(readFileSync(report.chart!, 'utf8'), /^<svg [\s\S]*<\/svg>\s*$/)
    t.ok(existsSync(join(out, 'scale-out-add-t2-seed1.json')))
  })
}

t.test('a chart without points is still a chart', async t => {
  const series = [{ name: 'a < b', color: '#000', points: [] }]
  t.match(
    hitRateChart({ title: 'x & y', subtitle: '', bandSeconds: 0, bandLabel: '', series }),
    /x &amp; y[\s\S]*a &lt; b/,
  )
})
