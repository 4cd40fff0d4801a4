import t from 'tap'
import { ControllerLoop } from '../../lib/tier/controller-loop.js'
import { EmbeddedStore, MemoryFile } from '../../lib/tier/embedded-store.js'
import { Membership } from '../../lib/tier/membership.js'
import { LEASE_MS, type TopologyStore } from '../../lib/tier/store.js'
import { emptyTopology, isSettled, nodeOf, runningChange, type Topology } from '../../lib/tier/topology.js'
import { withDrain } from '../../lib/tier/wishes.js'
import { HandLoop } from './hand-loop.js'

function makeTier(file = new MemoryFile(), loop = new HandLoop()) {
  const events: string[] = []
  const store = new EmbeddedStore({ loop, file, first: emptyTopology('test') })
  const controller = new ControllerLoop(store, loop, sentence => events.push(sentence))
  controller.start()
  return { loop, file, store, controller, events }
}

interface Heard {
  membership: Membership
  topologies: Topology[]
  number: number
  refused: string[]
  errors: string[]
}

/** The embedded store seen by one node: its lease has a holder of its own, which can be cut. */
function linkTo(store: EmbeddedStore): TopologyStore & { cut(): void } {
  const holder = {}
  let dead = false
  return {
    read: callback => store.read((error, value) => dead || callback(error, value)),
    compareAndSet: (revision, topology, callback) =>
      store.compareAndSet(revision, topology, (error, done) => dead || callback(error, done)),
    watch: onChange => store.watch(value => dead || onChange(value)),
    keepAlive: (id, status) => dead || store.renew(id, status, holder),
    statuses: callback => store.statuses((error, live) => dead || callback(error, live)),
    close: () => {},
    cut() {
      dead = true
      store.drop(holder)
    },
  }
}

function join(
  loop: HandLoop,
  store: TopologyStore,
  id: string,
  options: { incarnation?: string; known?: Topology; port?: number } = {},
): Heard {
  const port = options.port ?? 12_000 + id.charCodeAt(0)
  const self = { id, host: '127.0.0.1', port, peerHost: '127.0.0.1', peerPort: 1, dataPort: 2, weight: 1 }
  const membership = new Membership({
    ...{ store, loop, known: options.known ?? null },
    self: { ...self, incarnation: options.incarnation ?? '1' },
  })
  const heard: Heard = { membership, topologies: [], number: -1, refused: [], errors: [] }
  membership.start({
    onTopology(topology, number) {
      heard.topologies.push(topology)
      heard.number = number
      membership.setStatus({ epoch: topology.epoch })
      if (runningChange(topology)?.takers?.includes(number)) membership.reportSettled(topology.epoch)
    },
    onRefused: sentence => heard.refused.push(sentence),
    onError: sentence => heard.errors.push(sentence),
  })
  return heard
}

t.test('nodes that start together make the first ring together; a later one joins', async t => {
  const { loop, store, events } = makeTier()
  const nodes = ['a', 'b', 'c'].map(id => join(loop, linkTo(store), id))
  loop.pass(2000)
  t.equal(store.value.topology.epoch, 1)
  t.same(
    nodes.map(node => node.number),
    [1, 2, 3],
  )
  t.same(nodes[0]?.topologies.at(-1), store.value.topology, 'everybody hears the newest')
  const late = join(loop, linkTo(store), 'd')
  loop.pass(5000)
  t.equal(store.value.topology.epoch, 2)
  t.ok(isSettled(store.value.topology))
  t.equal(late.topologies.at(-1)?.generations.length, 1)
  t.same(events, [
    'generation 1 with 3 nodes: the first ring',
    'generation 2 with 4 nodes: join d',
    'join d is settled: generation 2 stands alone',
  ])
  t.equal(nodes.flatMap(node => [...node.refused, ...node.errors]).length, 0)
})

t.test('a second node with the same id is refused while the first one is alive', async t => {
  const { loop, store } = makeTier()
  const first = join(loop, linkTo(store), 'b', { port: 11_212 })
  loop.pass(1000)
  const second = join(loop, linkTo(store), 'b', { port: 11_213, incarnation: '2' })
  loop.pass(LEASE_MS * 3)
  t.same(second.refused, ['node id "b" is already in the tier at 127.0.0.1:11212 and alive'])
  t.same(second.topologies, [])
  t.same(first.refused, [])
  t.equal(nodeOf(store.value.topology, 'b')?.incarnation, '1')
})

t.test('a second node is refused also when it remembers the tier, as a copied data directory does', async t => {
  const { loop, store } = makeTier()
  join(loop, linkTo(store), 'b', { port: 11_212 })
  loop.pass(1000)
  const second = join(loop, linkTo(store), 'b', { port: 11_213, incarnation: '2', known: store.value.topology })
  loop.pass(LEASE_MS * 3)
  t.same(second.refused, ['node id "b" is already in the tier at 127.0.0.1:11212 and alive'])
  t.same(second.topologies, [])
})

t.test('a node that was killed comes back with its number, as soon as its lease is gone', async t => {
  const { loop, store } = makeTier()
  const link = linkTo(store)
  join(loop, link, 'b')
  loop.pass(1000)
  link.cut()
  const again = join(loop, linkTo(store), 'b', { incarnation: '2' })
  loop.pass(100)
  t.equal(again.number, 1)
  t.equal(nodeOf(store.value.topology, 'b')?.incarnation, '2')
})

t.test('a lease that nobody renews ends by itself: a dead host is not waited for forever', async t => {
  const { loop, store } = makeTier()
  let dead = false
  const link = linkTo(store)
  join(loop, { ...link, keepAlive: (id, status) => dead || link.keepAlive(id, status) }, 'b')
  loop.pass(1000)
  dead = true
  const again = join(loop, linkTo(store), 'b', { incarnation: '2' })
  loop.pass(LEASE_MS * 1.4)
  t.equal(again.number, 1)
  t.same(again.refused, [])
})

t.test('a coordinator that was killed goes on from its document in the middle of a change', async t => {
  const first = makeTier()
  const links = new Map(['a', 'b', 'c'].map(id => [id, linkTo(first.store)]))
  for (const [id, link] of links) join(first.loop, link, id)
  first.loop.pass(2000)
  const asked = withDrain(first.store.value.topology, 'c')
  t.ok(asked.ok)
  for (const link of links.values()) link.cut()
  if (asked.ok) first.store.compareAndSet(first.store.value.revision, asked.topology!, () => {})
  first.loop.pass(3000)
  t.equal(first.store.value.topology.epoch, 1, 'nobody is alive: the change waits')
  const second = makeTier(first.file)
  t.same(second.store.value, first.store.value)
  const nodes = ['a', 'b', 'c'].map(id => join(second.loop, linkTo(second.store), id))
  second.loop.pass(3000)
  t.equal(nodeOf(second.store.value.topology, 'c')?.state, 'gone')
  t.ok(isSettled(second.store.value.topology))
  t.equal(nodes[0]?.topologies.at(-1)?.epoch, 2)
})

t.test('a document set back to an older one: the nodes register again', async t => {
  const first = makeTier()
  const old = new MemoryFile()
  join(first.loop, linkTo(first.store), 'a')
  first.loop.pass(2000)
  old.text = first.file.text
  const second = makeTier(old, first.loop)
  const survivor = join(first.loop, linkTo(second.store), 'a', { incarnation: '5' })
  join(first.loop, linkTo(second.store), 'b')
  first.loop.pass(3000)
  t.same(survivor.refused, [])
  t.match(nodeOf(second.store.value.topology, 'a'), { incarnation: '5', number: 1 })
  t.equal(second.store.value.topology.epoch, 2)
})

t.test('without a store: refused at the first start, but a node that remembers its tier starts', async t => {
  const loop = new HandLoop()
  const sentence = 'the topology store embedded://127.0.0.1:9999 does not answer (connection refused)'
  const silent: TopologyStore = {
    read: callback => loop.setTimer(5000, () => callback(sentence, null)),
    compareAndSet: (_revision, _topology, callback) => loop.setTimer(5000, () => callback(sentence, false)),
    watch: () => () => {},
    keepAlive: () => {},
    statuses: callback => loop.setTimer(5000, () => callback(sentence, new Map())),
    close: () => {},
  }
  const fresh = join(loop, silent, 'a')
  loop.pass(6000)
  t.same(fresh.refused, [sentence])
  const { store, loop: otherLoop } = makeTier()
  join(otherLoop, linkTo(store), 'a')
  otherLoop.pass(2000)
  const remembering = join(loop, silent, 'a', { known: store.value.topology })
  loop.pass(60_000)
  t.same(remembering.refused, [])
  t.equal(remembering.topologies.length, 1)
  t.same(remembering.errors, ['the topology store does not answer: starting from the last known topology', sentence])
})

t.test('a report of a settled generation is repeated until the document has it', async t => {
  const { loop, store } = makeTier()
  const link = linkTo(store)
  let broken = 3
  const flaky: TopologyStore = {
    ...link,
    compareAndSet(revision, topology, callback) {
      const reports = topology.changes.some(change => (change.settled?.length ?? 0) > 0)
      if (reports && broken-- > 0) loop.soon(() => callback('the link broke', false))
      else link.compareAndSet(revision, topology, callback)
    },
  }
  join(loop, linkTo(store), 'a')
  loop.pass(2000)
  join(loop, flaky, 'b')
  loop.pass(10_000)
  t.equal(store.value.topology.epoch, 2)
  t.ok(isSettled(store.value.topology))
  t.ok(broken < 0)
})
