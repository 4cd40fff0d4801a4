/** A life that begins in the middle of an outage calls a log void that is not there, unless no earlier life can have had one. */
import t from 'tap'
import { createArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { Handoff } from '../../lib/handoff/handoff.js'
import { type Hints, NO_HINTS } from '../../lib/handoff/hints.js'
import { NO_EFFECTS } from './no-effects.js'

interface Life {
  actedBefore: number | null
  /** Rings by epoch, and who is away, from 1 on. */
  rings: number[][]
  away: number[][]
}

/** Node 1 begins by this picture: the logs that it opens, and whether they are void. */
function opened({ actedBefore, rings, away }: Life): [number, boolean][] {
  const logs: [number, boolean][] = []
  const hints: Hints = { ...NO_HINTS, open: (home, isVoid) => logs.push([home, isVoid]) }
  const engine = new Engine(createArena({ memoryLimitMb: 8, threads: 1, versionText: 'test' }), 0)
  const handoff = new Handoff(engine, NO_EFFECTS, undefined, hints, actedBefore)
  const generations = rings.map((ring, i) => ({
    epoch: i + 1,
    servers: ring.map(number => ({ number, host: `h${number}`, port: 1, weight: 1 })),
    away: away[i]!,
  }))
  const rule = { dialect: 'libmemcached-weighted', pointsPerServer: 4 } as const
  handoff.setTopology({ self: 1, rule, generations, settled: new Set(), members: [] })
  return logs
}

const all = [1, 2, 3]
const outage = { rings: [all, all, all], away: [[], [], [2]] }

t.test('a stand-in that was killed before it heard that it stands in lacks nothing (torture, seed 5)', async t => {
  t.same(opened({ ...outage, actedBefore: 2 }), [[2, false]])
  t.same(opened({ ...outage, actedBefore: 0 }), [[2, false]])
})

t.test('one that may have stood in lacks what its log had', async t => {
  t.same(opened({ ...outage, actedBefore: 3 }), [[2, true]])
  t.same(opened({ ...outage, actedBefore: null }), [[2, true]], 'nothing is known: the disk may be another')
})

t.test('the first outage of the picture counts, also of a node that was back in between', async t => {
  const twice = { rings: [all, all, all, all], away: [[], [2], [], [2]] }
  t.same(opened({ ...twice, actedBefore: 3 }), [[2, true]])
  t.same(opened({ ...twice, actedBefore: 1 }), [[2, false]])
})

t.test('a node in no ring since the outage began cannot have acted in it', async t => {
  const others = [2, 3]
  t.same(opened({ rings: [others, others], away: [[], [2]], actedBefore: null }), [[2, false]])
  t.same(opened({ rings: [all, others], away: [[], [2]], actedBefore: null }), [[2, false]])
  t.same(opened({ rings: [others, others, all], away: [[], [2], [2]], actedBefore: null }), [[2, true]])
})
