/** Stepping aside in the document: what a node had is remembered, and given back to its next life, once. */
import t from 'tap'
import { nextTopology } from '../../lib/tier/controller.js'
import { currentGeneration, emptyTopology, nodeOf, type Topology } from '../../lib/tier/topology.js'
import { type Outcome, withDrain, withNode, withSettled, withStepAside } from '../../lib/tier/wishes.js'

const self = (id: string, incarnation: string, weight = 1) => ({
  ...{ id, host: '127.0.0.1', port: 11_000 + id.charCodeAt(0), peerHost: '127.0.0.1', peerPort: 1, dataPort: 2 },
  ...{ weight, incarnation },
})

const after = (topology: Topology, outcome: Outcome): Topology => {
  if (!outcome.ok) throw new Error(outcome.sentence)
  return outcome.topology ?? topology
}

/** Everything that can be done is done; takers settle at once, unless they are held back. */
function run(first: Topology, settles = true): Topology {
  let topology = first
  for (;;) {
    const live = new Map(topology.nodes.map(node => [node.id, { epoch: topology.epoch } as never]))
    const next = nextTopology(topology, live)
    if (next) topology = next
    else {
      const running = topology.changes.find(change => change.state === 'running')
      if (!running || !settles) return topology
      for (const taker of running.takers ?? []) topology = withSettled(topology, taker, running.epoch!) ?? topology
    }
  }
}

const ring = (topology: Topology) =>
  currentGeneration(topology)!.servers.map(({ number, weight }) => `${idOf(topology, number)}:${weight}`)
const idOf = (topology: Topology, number: number) => topology.nodes.find(node => node.number === number)!.id

function tier(): Topology {
  let topology = emptyTopology('shop')
  for (const id of ['a', 'b', 'c']) topology = after(topology, withNode(topology, self(id, '1', id === 'b' ? 3 : 1)))
  return run(topology)
}

t.test('handed over, stopped, started again', async t => {
  let topology = run(after(tier(), withStepAside(tier(), 'b')))
  t.same(ring(topology), ['a:1', 'c:1'])
  t.match(nodeOf(topology, 'b'), { aside: 3, state: 'gone', weight: 0 })
  t.match(withStepAside(topology, 'b'), { ok: false, sentence: 'node "b" has stepped aside already' })
  topology = after(topology, withNode(topology, self('b', '1', 7)))
  t.same(ring(run(topology)), ['a:1', 'c:1'], 'the same life says nothing new')
  topology = run(after(topology, withNode(topology, { ...self('b', '2', 7), standby: true })))
  t.same(ring(topology), ['a:1', 'c:1', 'b:3'])
  t.equal(nodeOf(topology, 'b')!.aside, undefined)
  topology = run(after(topology, withDrain(topology, 'b')))
  topology = run(after(topology, withNode(topology, self('b', '3', 2))))
  t.same(ring(topology), ['a:1', 'c:1', 'b:2'], 'a drained node comes back as it says itself')
})

t.test('started again before everything had moved: it comes back behind that', async t => {
  const started = run(after(tier(), withStepAside(tier(), 'b')), false)
  t.match(started.changes.at(-1), { kind: 'drain', state: 'running' })
  const again = after(started, withNode(started, self('b', '2')))
  t.match(again.changes.at(-1), { kind: 'join', weight: 3, state: 'queued' })
  t.equal(nodeOf(again, 'b')!.aside, undefined)
  t.same(ring(run(again)), ['a:1', 'c:1', 'b:3'])
})

t.test('the last node, an unknown one, and one that is no part of the ring cannot', async t => {
  let topology = tier()
  for (const id of ['a', 'b']) topology = run(after(topology, withStepAside(topology, id)))
  t.match(withStepAside(topology, 'c'), { ok: false, sentence: /^node "c" is the last one with weight/ })
  t.match(withStepAside(topology, 'x'), { ok: false, sentence: /^there is no node "x" in this tier/ })
  const router = after(topology, withNode(topology, self('r', '1', 0)))
  t.match(withStepAside(router, 'r'), { ok: false, sentence: /^node "r" is not in the ring/ })
})
