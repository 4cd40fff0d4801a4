/**
 * Whole tiers in virtual time. One seed, with a readable trace:
 *   node dist/test/simulation/replay-tier.js SEED [plain|restarts]
 */
import t from 'tap'
import { tierHistory } from './load.js'

const seeds = Number(process.env.SEEDS ?? 500)
for (const mode of ['plain', 'restarts'] as const) {
  t.test(`${seeds} seeds, ${mode}`, async t => {
    let requests = 0
    for (let seed = 1; seed <= seeds; seed++) {
      const history = tierHistory(seed, { flushes: true, restarts: mode === 'restarts' })
      requests += history.requests
      for (const violation of history.violations) {
        t.fail(`seed ${seed}: ${violation}\n  node dist/test/simulation/replay-tier.js ${seed} ${mode}`)
      }
    }
    t.ok(requests > seeds * 50, `${requests} requests`)
  })
}
