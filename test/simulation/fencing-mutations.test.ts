/** Would the simulation of fencing notice? Each mutation breaks one rule, and some seed must show two who act for one arc. */
import t from 'tap'
import { type FencingOptions, FORGOTTEN_PROMISE, type fencingHistory as History, OLD_VOTERS } from './fencing.js'
import { type Edit, type Mutation, mutated } from './mutated.js'

const tier = (name: string, find: string, replace: string): Edit => ({ file: `lib/tier/${name}.js`, find, replace })

/** The first seed that catches each; the test starts there, and goes on to others when the simulation has changed. */
const MUTATIONS: (Mutation & { seed: number; options?: FencingOptions })[] = [
  {
    rule: 'a node is published as away one lease after the last promise',
    seed: 1,
    edits: [tier('declaration', 'now - asked.enoughAt >= leaseOverMs(leaseMs)', 'true')],
  },
  {
    rule: 'a majority promises: the store alone is not enough',
    seed: 23,
    edits: [tier('declaration', 'isMajority(voters, voter => asked.promised.has(voter))', 'true')],
  },
  {
    rule: 'a majority vouches: one voter alone is not enough',
    seed: 1,
    edits: [
      tier(
        'lease',
        'isMajority(voters, voter => (this.#vouched.get(voter) ?? Number.NEGATIVE_INFINITY) >= at)',
        'true',
      ),
    ],
  },
  {
    rule: 'a lease counts from the question, not from the answer',
    seed: 6,
    edits: [tier('lease', 'Math.max(askedAt,', 'Math.max(now,')],
  },
  {
    rule: 'a voter that started again does not vouch before it knows what it promised',
    seed: 3,
    edits: [tier('voter', 'if (!this.#knows)', 'if (false)')],
    options: FORGOTTEN_PROMISE,
  },
  {
    rule: 'forgets its promises: a voter that started again and only waits one lease before it vouches',
    seed: 3,
    edits: [
      tier('voter', 'if (!this.#knows)', 'if (false)'),
      {
        file: 'test/simulation/fencing.js',
        find: 'peer.voter.vouch(request)',
        replace:
          "(peer.voter.knows || this.now - peer.startedAt > AWAY_AFTER_MS * 0.4 ? peer.voter.vouch(request) : 'waits')",
      },
    ],
    options: FORGOTTEN_PROMISE,
  },
  {
    rule: 'a promise is about the session, and stands for the next life of the node too',
    seed: 1,
    edits: [tier('voter', 'if (session <= (this.#promises.get(node) ?? -1))', 'if (false)')],
  },
  {
    rule: 'clocks may differ in speed: the controller waits longer than a lease (by 20% here, as 1% would need luck)',
    seed: 23,
    edits: [
      tier('fencing', 'export const DRIFT_MAX = 0.01', 'export const DRIFT_MAX = 0.2'),
      tier('fencing', 'Math.ceil((leaseMs * (1 + DRIFT_MAX)) / (1 - DRIFT_MAX)) + GRAIN_MS', 'leaseMs'),
    ],
  },
  {
    rule: 'the old voters are needed until nobody can act by them any more',
    seed: 1,
    edits: [tier('voters', 'wanted.isRetired(fencing.previous.term)', 'true')],
    options: OLD_VOTERS,
  },
]

const SEEDS = 100

for (const mutation of MUTATIONS) {
  t.test(mutation.rule, async t => {
    const { exports, remove } = await mutated<{ fencingHistory: typeof History }>(
      mutation,
      ['lib/tier', 'lib/handoff', 'lib/ketama', 'lib/transport', 'test/simulation/fencing.js'],
      'test/simulation/fencing.js',
    )
    t.teardown(remove)
    for (let turn = 0; turn < SEEDS; turn++) {
      const seed = mutation.seed + turn
      const { violations } = exports.fencingHistory(seed, mutation.options)
      const found = violations.find(violation => violation.includes('act for the same arc'))
      if (found === undefined) continue
      t.pass(`caught by seed ${seed}: ${found}`)
      return
    }
    t.fail(`no history of ${SEEDS} notices`)
  })
}
