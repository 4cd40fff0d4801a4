/** Many seeds of one kind of simulated tier, as one test. A failing seed prints the command that replays it. */
import t from 'tap'
import { MODES, type Mode, tierHistory } from './load.js'
import { seedsOf } from './seeds.js'

export function battery(mode: Mode, usual: number): void {
  t.setTimeout(0)
  const seeds = seedsOf(usual)
  t.test(`${seeds} seeds, ${mode}`, { timeout: 1000 * Math.max(240, seeds) }, async t => {
    let requests = 0
    for (let seed = 1; seed <= seeds; seed++) {
      const history = tierHistory(seed, { flushes: true, ...MODES[mode] })
      requests += history.requests
      for (const violation of history.violations) {
        t.fail(`seed ${seed}: ${violation}\n  node dist/test/simulation/replay-tier.js ${seed} ${mode}`)
      }
    }
    t.ok(requests > seeds * 50, `${requests} requests, each answer checked`)
  })
}
