/** What a change will need is known before it is in force. */
import t from 'tap'
import { comingSources, nextServers } from '../../lib/server/coming-change.js'
import { nextTopology } from '../../lib/tier/controller.js'
import { EPOCH_MAX, emptyTopology, type Topology } from '../../lib/tier/topology.js'
import { type Outcome, withDrain, withNode, withReweight, withSettled } from '../../lib/tier/wishes.js'

const after = (topology: Topology, outcome: Outcome): Topology => {
  if (!outcome.ok) throw new Error(outcome.sentence)
  return outcome.topology ?? topology
}

const withNodes = (first: Topology, ...ids: string[]) =>
  ids.reduce((topology, id) => {
    const at = { host: '127.0.0.1', port: 11_000 + id.charCodeAt(0), peerHost: '127.0.0.1', peerPort: 1, dataPort: 2 }
    return after(topology, withNode(topology, { id, ...at, weight: 2, incarnation: '1' }))
  }, first)

/** What was asked for is running. */
const begun = (topology: Topology) => {
  const live = new Map(topology.nodes.map(({ id }) => [id, { incarnation: '1', epoch: EPOCH_MAX }]))
  let now = topology
  for (let next = nextTopology(now, live); next; next = nextTopology(now, live)) now = next
  return now
}

const all = [1, 2, 3]
const tier = () => begun(withNodes(emptyTopology('test'), 'a', 'b', 'c'))
const sources = (topology: Topology) => [...all, 4].map(self => comingSources(topology, self))

t.test('the ring of the change that is asked for', async t => {
  t.same(nextServers(tier()), [], 'nothing is asked for')
  const joining = withNodes(tier(), 'd')
  t.same(nextServers(joining), begun(joining).generations.at(-1)!.servers)
})

t.test('nodes that keys come from, by who gains and who loses', async t => {
  t.same(sources(tier()), [[], [], [], []], 'one generation')
  t.same(sources(begun(withNodes(tier(), 'd'))), [[], [], [], [1, 2, 3]], 'a join')
  t.same(sources(begun(after(tier(), withDrain(tier(), 'b')))), [[2], [], [2], []], 'a drain')
  t.same(sources(begun(after(tier(), withReweight(tier(), 'c', 1)))), [[3], [3], [], []], 'a lower weight')
  t.same(sources(begun(after(tier(), withReweight(tier(), 'c', 4)))), [[], [], [1, 2], []], 'a higher one')
})

t.test('a change that is over asks for nothing', async t => {
  let topology = begun(after(tier(), withDrain(tier(), 'b')))
  for (const taker of [1, 3]) topology = withSettled(topology, taker, topology.epoch)!
  t.same(sources(begun(topology)), [[], [], [], []])
})
