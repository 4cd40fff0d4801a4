/** Fencing: never two who may act for one arc. A failing seed prints itself; `SEEDS=100000` for a long night. */
import t from 'tap'
import { AWAY_AFTER_MS, type FencingWorld, FORGOTTEN_PROMISE, fencingHistory, OLD_VOTERS } from './fencing.js'

const SEEDS = Number(process.env.SEEDS ?? 25)

t.test(`${SEEDS} seeds: pauses, cuts, restarts, drifting clocks`, { timeout: 1000 * Math.max(240, SEEDS) }, async t => {
  let changes = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const history = fencingHistory(seed)
    changes += history.changes
    for (const violation of history.violations) t.fail(`seed ${seed}: ${violation}`)
  }
  t.ok(changes > SEEDS * 4, `${changes} generations`)
})

t.test('left to old voters, and to a voter that forgot its promise: nobody acts twice', async t => {
  for (let seed = 1; seed <= 5; seed++) {
    t.same(fencingHistory(seed, OLD_VOTERS).violations, [])
    t.same(fencingHistory(seed, FORGOTTEN_PROMISE).violations, [])
  }
})

const actingNow = (world: FencingWorld) =>
  world.members.filter(member => world.acts(member)).map(member => member.number)

t.test('losing the store alone stops nobody', async t => {
  const script = (world: FencingWorld) => {
    const before = actingNow(world)
    world.kill(world.store)
    for (let second = 0; second < 30; second++) {
      world.pass(1000)
      t.same(actingNow(world), before)
      t.equal(world.silentTicks, 0)
    }
  }
  t.same(fencingHistory(7, { nodes: 3, faults: false, script }).violations, [])
})

t.test('a lone cut-off node falls silent by itself, within a lease, and another acts within the time', async t => {
  const script = (world: FencingWorld) => {
    const [alone] = actingNow(world)
    for (const { number } of [world.store, ...world.members]) {
      if (number === alone) continue
      world.cut(alone!, number)
      world.cut(number, alone!)
    }
    world.pass(AWAY_AFTER_MS * 0.45)
    t.same(actingNow(world), [])
    world.pass(AWAY_AFTER_MS * 0.65)
    t.equal(actingNow(world).length, 1)
    t.notSame(actingNow(world), [alone])
  }
  t.same(fencingHistory(3, { nodes: 4, faults: false, script }).violations, [])
})
