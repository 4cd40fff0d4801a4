/**
 * A thousand histories of the pure handoff against the model store, with an oracle for each key. One seed:
 *   node dist/test/simulation/replay.js SEED [plain|cuts|restarts|pauses|crashes]
 */
import t from 'tap'
import { type History, history } from './handoff.js'

const modes = {
  plain: {},
  cuts: { cuts: true },
  restarts: { cuts: true, restarts: true },
  // Not yet clean over thousands of seeds: see docs/ARCHITECTURE.md.
  pauses: { cuts: true, absence: 'pauses' },
  crashes: { cuts: true, absence: 'crashes' },
} as const
const SEEDS_PER_MODE = { plain: 300, cuts: 400, restarts: 300, pauses: 120, crashes: 120 } as const

t.setTimeout(0)
for (const mode of ['plain', 'cuts', 'restarts', 'pauses', 'crashes'] as const) {
  t.test(`${SEEDS_PER_MODE[mode]} histories, ${mode}`, { timeout: 240_000 }, async t => {
    const totals: History = { violations: [], requests: 0, takes: 0 }
    for (let seed = 1; seed <= SEEDS_PER_MODE[mode]; seed++) {
      const { violations, requests, takes } = history(seed, modes[mode])
      totals.requests += requests
      totals.takes += takes
      for (const violation of violations) {
        t.fail(`seed ${seed}: ${violation}\n  node dist/test/simulation/replay.js ${seed} ${mode}`)
      }
    }
    t.ok(totals.takes > SEEDS_PER_MODE[mode] * 10, `${totals.takes} takes in ${totals.requests} requests`)
  })
}
