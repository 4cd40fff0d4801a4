import fc from 'fast-check'
import t from 'tap'
import { takersBetween } from '../../lib/tier/actors.js'
import { nextTopology, whyWaiting } from '../../lib/tier/controller.js'
import type { NodeStatus } from '../../lib/tier/store.js'
import {
  CHANGES_KEPT_MAX,
  EPOCH_MAX,
  emptyTopology,
  isSettled,
  nodeOf,
  runningChange,
  type Topology,
} from '../../lib/tier/topology.js'
import { checkTopology } from '../../lib/tier/validate.js'
import { withDrain, withNode, withReweight, withSettled } from '../../lib/tier/wishes.js'

/** They act by the newest generation, whichever that is. */
const alive = (...ids: string[]) =>
  new Map<string, NodeStatus>(ids.map(id => [id, { incarnation: '1', epoch: EPOCH_MAX }]))

function registered(topology: Topology, id: string, weight = 1, incarnation = '1'): Topology {
  const port = 12_000 + id.charCodeAt(0)
  const outcome = withNode(topology, {
    ...{ id, host: '127.0.0.1', port, peerHost: '127.0.0.1', peerPort: port + 1000, dataPort: port + 2000 },
    ...{ weight, incarnation },
  })
  if (!outcome.ok) throw new Error(outcome.sentence)
  return outcome.topology ?? topology
}

/** The controller until it has nothing to do; takers settle at once when `settling`. */
function settledBy(topology: Topology, live: Map<string, NodeStatus>, settling = true): Topology {
  let now = topology
  for (let step = 0; step < 1000; step++) {
    const running = runningChange(now)
    const taker = settling ? running?.takers?.find(number => !running.settled?.includes(number)) : undefined
    const next = taker === undefined ? nextTopology(now, live) : withSettled(now, taker, running!.epoch!)
    if (!next) return now
    now = next
  }
  throw new Error('the controller does not come to rest')
}

function threeNodes(): Topology {
  const all = ['a', 'b', 'c'].reduce((topology, id) => registered(topology, id), emptyTopology('test'))
  return settledBy(all, alive('a', 'b', 'c'))
}

t.test('the first ring: everybody that is there enters together, without a migration', async t => {
  const tier = threeNodes()
  t.equal(tier.epoch, 1)
  t.same(
    tier.generations.map(generation => generation.servers.map(server => server.number)),
    [[1, 2, 3]],
  )
  t.same(
    tier.nodes.map(node => node.state),
    ['up', 'up', 'up'],
  )
  t.same(
    tier.changes.map(change => change.state),
    ['done', 'done', 'done'],
  )
  t.ok(isSettled(tier))
})

t.test('the first ring does what was asked before it in the order in which it was asked', async t => {
  const wish = (topology: Topology, outcome: ReturnType<typeof withDrain>) => {
    if (!outcome.ok) throw new Error(outcome.sentence)
    return outcome.topology ?? topology
  }
  let tier = registered(emptyTopology('test'), 'b', 0)
  tier = wish(tier, withReweight(tier, 'b', 1))
  tier = registered(tier, 'c')
  tier = wish(tier, withDrain(tier, 'b'))
  tier = wish(tier, withReweight(tier, 'b', 1))
  tier = wish(tier, withDrain(tier, 'c'))
  const end = settledBy(tier, alive('b', 'c'))
  t.ok(isSettled(end))
  t.same(
    end.changes.map(change => change.state),
    end.changes.map(() => 'done'),
  )
  t.same(
    end.generations.at(-1)?.servers.map(server => server.number),
    [nodeOf(end, 'b')?.number],
  )
})

t.test('what a node was asked last counts, also while the ring waits for another', async t => {
  let tier = settledBy(registered(registered(emptyTopology('test'), 'e', 2), 'a'), alive('a', 'e'))
  for (const [id, weight] of [
    ['e', 0],
    ['e', 2],
    ['a', 0],
  ] as const) {
    const outcome = withReweight(tier, id, weight)
    if (!outcome.ok) throw new Error(outcome.sentence)
    tier = outcome.topology ?? tier
  }
  const end = settledBy(tier, alive('a', 'e'))
  t.same(
    end.generations.at(-1)?.servers.map(({ number, weight }) => ({ number, weight })),
    [{ number: nodeOf(end, 'e')?.number, weight: 2 }],
  )
})

t.test('a node enters the ring once it acts by the newest generation: others would wait for it meanwhile', async t => {
  const asked = registered(threeNodes(), 'd')
  const live = alive('a', 'b', 'c')
  live.set('d', { incarnation: '1', epoch: 0 })
  t.equal(nextTopology(asked, live), null)
  t.equal(whyWaiting(asked, asked.changes.at(-1)!, live), 'waits for node d, which is not at generation 1 yet')
  live.set('d', { incarnation: '1', epoch: 1 })
  t.equal(nextTopology(asked, live)?.epoch, 2)
  live.set('a', { incarnation: '1', epoch: 0 })
  t.equal(nextTopology(asked, live)?.epoch, 2, 'who is in the ring already is not waited for')
})

t.test('a join: running until every taker has settled', async t => {
  const asked = registered(threeNodes(), 'd')
  t.equal(nodeOf(asked, 'd')?.state, 'joining')
  t.equal(nextTopology(asked, alive('a', 'b', 'c')), null, 'not before the node is there')
  t.match(whyWaiting(asked, asked.changes.at(-1)!, alive('a', 'b', 'c')), 'node d, which does not answer')
  const live = alive('a', 'b', 'c', 'd')
  const running = nextTopology(asked, live)!
  t.equal(running.epoch, 2)
  t.same(runningChange(running)?.takers, [4], 'nobody but the newcomer gains')
  t.equal(running.generations.length, 2)
  t.notOk(isSettled(running))
  t.equal(nextTopology(running, live), null)
  const done = nextTopology(withSettled(running, 4, 2)!, live)!
  t.same(
    done.generations.map(generation => generation.epoch),
    [2],
  )
  t.equal(nodeOf(done, 'd')?.state, 'up')
  t.equal(withSettled(done, 4, 2), null, 'reports of history change nothing')
})

t.test('a drain: the node goes to weight 0 at once and is gone in the end', async t => {
  const tier = threeNodes()
  const asked = withDrain(tier, 'b')
  if (!asked.ok) throw new Error(asked.sentence)
  const live = alive('a', 'b', 'c')
  const running = nextTopology(asked.topology!, live)!
  t.match(nodeOf(running, 'b'), { weight: 0, state: 'draining' })
  t.same(runningChange(running)?.takers?.sort(), [1, 3])
  const gone = settledBy(running, live)
  t.match(nodeOf(gone, 'b'), { weight: 0, state: 'gone' })
  t.match(withDrain(gone, 'b'), { ok: false, sentence: 'node "b" is not in the ring, so there is nothing to drain' })
  const back = settledBy(registered(gone, 'b', 1, '2'), live)
  t.match(nodeOf(back, 'b'), { weight: 1, state: 'up', number: 2, incarnation: '2' }, 'started again it joins again')
})

t.test('one change runs, the others wait and start in order', async t => {
  let tier = threeNodes()
  for (const [id, weight] of [
    ['a', 3],
    ['c', 2],
  ] as const) {
    const outcome = withReweight(tier, id, weight)
    if (!outcome.ok) throw new Error(outcome.sentence)
    tier = outcome.topology!
  }
  const live = alive('a', 'b', 'c')
  const first = nextTopology(tier, live)!
  t.equal(runningChange(first)?.node, 'a')
  t.equal(whyWaiting(first, first.changes.at(-1)!, live), 'waits for change 4 (reweight a)')
  const end = settledBy(first, live)
  t.same(
    end.generations.at(-1)?.servers.map(server => server.weight),
    [3, 1, 2],
  )
  t.equal(end.epoch, 3)
})

t.test('wishes that cannot be', async t => {
  const tier = threeNodes()
  const sentence = (outcome: { ok: boolean; sentence?: string }) => (outcome.ok ? 'went through' : outcome.sentence)
  t.equal(sentence(withDrain(tier, 'x')), 'there is no node "x" in this tier (nodes: a, b, c)')
  t.equal(sentence(withReweight(tier, 'a', 1)), 'node "a" has weight 1 already')
  t.equal(sentence(withReweight(tier, 'a', 1.5)), 'weight 1.5 must be a whole number from 0 to 1000000')
  t.equal(sentence(withReweight(tier, 'a', -1)), 'weight -1 must be a whole number from 0 to 1000000')
  t.equal(
    sentence(withReweight({ ...tier, dialect: 'continuum' }, 'a', 105)),
    'weight 105 must be a whole number from 0 to 104',
    'where weights are numbers of points, a tier stays below what a ring can hold',
  )
  const twice = withDrain(tier, 'a')
  t.equal(
    sentence(twice.ok ? withDrain(twice.topology!, 'a') : twice),
    'node "a" is already being drained (change 4 is queued)',
  )
  let last = tier
  for (const id of ['a', 'b']) {
    const outcome = withDrain(last, id)
    if (outcome.ok) last = outcome.topology!
  }
  t.equal(
    sentence(withDrain(last, 'c')),
    'node "c" is the last one with weight: it cannot be drained before another joins',
  )
})

t.test('registrations that cannot be', async t => {
  const tier = threeNodes()
  const self = { host: '127.0.0.1', peerHost: '127.0.0.1', peerPort: 1, dataPort: 2, weight: 1, incarnation: '9' }
  const port = nodeOf(tier, 'a')!.port
  t.match(withNode(tier, { ...self, id: 'b', port: 4000 }), {
    ok: false,
    sentence: /^node "b" is in the ring at 127.0.0.1:12098 and/,
  })
  t.match(withNode(tier, { ...self, id: 'x', port }), {
    sentence: `127.0.0.1:${port} is already the address of node "a"`,
  })
  t.match(withNode(tier, { ...self, id: 'x y', port: 4000 }), { sentence: /^node id "x y" must be/ })
})

t.test('a restart changes nothing but incarnation and peer ports', async t => {
  const tier = threeNodes()
  const again = registered(tier, 'b', 5, '77')
  t.match(nodeOf(again, 'b'), { weight: 1, incarnation: '77', number: 2, state: 'up' }, 'the ring decides the weight')
  t.equal(again.changes.length, tier.changes.length)
  t.equal(registered(again, 'b', 5, '77'), again, 'nothing new, nothing written')
  const router = registered(tier, 'r', 0)
  t.match(nodeOf(router, 'r'), { weight: 0, state: 'up', number: 4 })
  t.ok(isSettled(router))
})

t.test('finished changes are forgotten in the end', async t => {
  let tier = threeNodes()
  const live = alive('a', 'b', 'c')
  for (let weight = 2; weight < CHANGES_KEPT_MAX + 20; weight++) {
    const outcome = withReweight(tier, 'a', weight)
    if (!outcome.ok) throw new Error(outcome.sentence)
    tier = { ...tier, ...settledBy(outcome.topology!, live) }
  }
  t.equal(tier.changes.length, CHANGES_KEPT_MAX)
  t.ok(checkTopology(tier).ok)
})

t.test('any order of wishes ends settled, with what was asked for, and never skips an epoch', async t => {
  const ids = ['a', 'b', 'c', 'd', 'e']
  const step = fc.record({
    kind: fc.constantFrom(
      'node',
      'node',
      'drain',
      'reweight',
      'controller',
      'controller',
      'controller',
      'settle',
      'alive',
    ),
    id: fc.constantFrom(...ids),
    weight: fc.integer({ min: 0, max: 3 }),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), steps => {
      let tier = emptyTopology('test')
      let live = alive(...ids)
      for (const { kind, id, weight } of steps) {
        const before = tier
        if (kind === 'node') tier = registered(tier, id, weight)
        else if (kind === 'alive')
          live = live.has(id) ? alive(...[...live.keys()].filter(one => one !== id)) : alive(...live.keys(), id)
        else if (kind === 'controller') tier = nextTopology(tier, live) ?? tier
        else if (kind === 'settle') {
          const running = runningChange(tier)
          const taker = running?.takers?.find(number => !running.settled?.includes(number))
          if (taker !== undefined) tier = withSettled(tier, taker, tier.epoch) ?? tier
        } else {
          const outcome = kind === 'drain' ? withDrain(tier, id) : withReweight(tier, id, weight)
          if (outcome.ok) tier = outcome.topology ?? tier
        }
        const checked = checkTopology(JSON.parse(JSON.stringify(tier)))
        if (!checked.ok) throw new Error(checked.problem)
        if (tier.epoch > before.epoch + 1) throw new Error('an epoch was skipped')
        const running = runningChange(tier)
        if (running && tier.generations.length > 1) {
          const [old, now] = tier.generations.slice(-2)
          t.equal(JSON.stringify(takersBetween(tier, old!, now!)), JSON.stringify(running.takers))
        }
      }
      const end = settledBy(tier, alive(...ids))
      if (!isSettled(end) || end.changes.some(change => change.state !== 'done'))
        throw new Error('something is left over')
      for (const node of end.nodes) {
        const weight = end.generations.at(-1)?.servers.find(server => server.number === node.number)?.weight ?? 0
        if (weight !== node.weight) throw new Error(`node ${node.id} says ${node.weight}, the ring ${weight}`)
      }
    }),
    { numRuns: 100 },
  )
})
