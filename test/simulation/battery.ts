/** Many seeds of one kind of simulated tier, as one test. A failing seed prints the command that replays it. */
import t from 'tap'
import { tierHistory } from './load.js'

export const MODES = {
  /** Changes that overlap, chains, back and forth; topologies that come late or only from peers. */
  plain: {},
  /** The same, and nodes that come back with empty memory. */
  restarts: { restarts: true },
  /** The real coordinator and memberships, the coordinator killed and restarted. */
  coordinator: { coordinator: true, durationMs: 2500 },
  /** And nodes restarted too. */
  both: { coordinator: true, restarts: true, durationMs: 2500 },
} as const
export type Mode = keyof typeof MODES

/** `SEEDS=100000` for a long night. */
export function battery(mode: Mode, usual: number): void {
  const seeds = Number(process.env.SEEDS ?? usual)
  t.test(`${seeds} seeds, ${mode}`, async t => {
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
