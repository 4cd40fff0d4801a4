/**
 * Histories of the pure handoff against the model store, with an oracle for each key. All are run in CI (seeds.ts). One seed:
 *   node dist/test/simulation/replay.js SEED [plain|cuts|restarts|pauses|crashes|asides]
 */
import t from 'tap'
import { history } from './handoff.js'
import { seedsOf } from './seeds.js'

const modes = {
  plain: {},
  cuts: { cuts: true },
  restarts: { cuts: true, restarts: true },
  pauses: { cuts: true, absence: 'pauses' },
  crashes: { cuts: true, absence: 'crashes' },
  asides: { cuts: true, absence: 'asides' },
} as const
const SEEDS_PER_MODE = { plain: 300, cuts: 400, restarts: 300, pauses: 120, crashes: 120, asides: 120 } as const

/** Histories that failed once: what was wrong. */
const FOUND: readonly [mode: keyof typeof modes, seed: number, what: string][] = [
  ['crashes', 409278, 'a note in a log that lost something since was taken for a safe copy'],
  ['crashes', 410040, 'a node that had not heard that it acts no more acted beside one that was blind'],
  ['crashes', 453416, 'what a log had lost was a miss, and came back from a home that had another log'],
  ['crashes', 460409, 'a write that was refused, as its sync failed, was undone, read, and there in the next life'],
  ['crashes', 462399, 'a note in a log that lost something since was taken for a safe copy'],
  ['crashes', 600607, 'a node that had waited until others had heard took what it only kept for a home that was back'],
  ['crashes', 601814, 'a node that had waited until others had heard took what it only kept for a home that was back'],
  ['asides', 700818, 'what was set aside after a refused write was overwritten by an older value of the source'],
  ['crashes', 802257, 'what a flush that failed half-way took at a stand-in came up again at the home'],
  ['pauses', 720996, 'a value that waited in a link did not expire'],
  ['crashes', 713456, 'a file that a broken disk did not remove became a part of the next log, after a loss of power'],
  [
    'pauses',
    701645,
    'a log lost a key while another node was asked for it, and what that one had forgotten was the value',
  ],
  ['pauses', 1007521, 'what a source answered blind first, and then had lost, came back after it had been a miss'],
  ['pauses', 1012460, 'what a source answered blind first, and then had lost, came back after it had been a miss'],
  ['pauses', 1026699, 'what a source answered blind first, and then had lost, came back after it had been a miss'],
  ['pauses', 1010956, 'a home was not told of what its stand-in evicted on its way out, and counted its older value'],
]

t.setTimeout(0)
for (const [mode, seed, what] of FOUND)
  t.test(`${what} (${mode}, seed ${seed})`, async t => t.same(history(seed, modes[mode]).violations, []))

for (const mode of ['plain', 'cuts', 'restarts', 'pauses', 'crashes', 'asides'] as const) {
  const seeds = seedsOf(SEEDS_PER_MODE[mode])
  t.test(`${seeds} histories, ${mode}`, { timeout: 1000 * Math.max(240, seeds) }, async t => {
    const totals = { requests: 0, takes: 0 }
    for (let seed = 1; seed <= seeds; seed++) {
      const { violations, requests, takes } = history(seed, modes[mode])
      totals.requests += requests
      totals.takes += takes
      for (const violation of violations) {
        t.fail(`seed ${seed}: ${violation}\n  node dist/test/simulation/replay.js ${seed} ${mode}`)
      }
    }
    t.ok(totals.takes > seeds * 10, `${totals.takes} takes in ${totals.requests} requests`)
  })
}
