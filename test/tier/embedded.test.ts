import t, { type Test } from 'tap'
import { Coordinator } from '../../lib/tier/coordinator.js'
import { EmbeddedClient } from '../../lib/tier/embedded-client.js'
import { MemoryFile } from '../../lib/tier/embedded-store.js'
import { Membership } from '../../lib/tier/membership.js'
import { type NodeStatus, parseStoreUrl, type TopologyStore, type Versioned } from '../../lib/tier/store.js'
import { emptyTopology, isSettled, type Topology } from '../../lib/tier/topology.js'
import type { Loop } from '../../lib/transport/loop.js'
import { createNetLoop } from '../../lib/transport/net.js'

const HOST = '127.0.0.1'
const first = emptyTopology('test')

function netLoop(t: Test): Loop {
  const loop = createNetLoop({ memory: new Uint8Array(0) })
  t.teardown(() => loop.stop())
  return loop
}

async function coordinate(t: Test, options: { file?: MemoryFile; secret?: string; port?: number } = {}) {
  const { file = new MemoryFile(), secret = null, port: wanted = 0 } = options
  const loop = netLoop(t)
  const events: string[] = []
  const self = { id: 'coordinator', incarnation: '1' }
  const listen = { host: HOST, port: wanted }
  const onEvent = (sentence: string) => events.push(sentence)
  const coordinator = new Coordinator({ loop, file, first, listen, secret, self, onEvent })
  const port = await new Promise<number>((resolve, reject) =>
    coordinator.start(resolve, text => reject(new Error(text))),
  )
  return { coordinator, port, events, file, stop: () => loop.stop() }
}

function client(t: Test, port: number, options: { secret?: string; requestTimeoutMs?: number } = {}): EmbeddedClient {
  const parsed = parseStoreUrl(`embedded://${HOST}:${port}`)
  if (!parsed.ok) throw new Error(parsed.sentence)
  const { secret = null, requestTimeoutMs = 2000 } = options
  const self = { id: 'cli', incarnation: '1' }
  const made = new EmbeddedClient({ loop: netLoop(t), url: parsed.url, secret, self, requestTimeoutMs })
  t.teardown(() => made.close())
  return made
}

const read = (store: TopologyStore) =>
  new Promise<Versioned | string>(resolve => store.read((error, value) => resolve(value ?? error ?? 'nothing')))
const set = (store: TopologyStore, revision: number, topology: Topology) =>
  new Promise<boolean | string>(resolve =>
    store.compareAndSet(revision, topology, (error, done) => resolve(error ?? done)),
  )
const statuses = (store: TopologyStore) =>
  new Promise<Map<string, NodeStatus>>(resolve => store.statuses((_, live) => resolve(live)))

async function until<T>(look: () => T | Promise<T>, isIt: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await look()
    if (isIt(value)) return value
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

t.test('read, compare-and-set, watch', async t => {
  const { port } = await coordinate(t)
  const [one, other] = [client(t, port), client(t, port)]
  t.same(await read(one), { revision: 0, topology: first })
  const seen: number[] = []
  other.watch(value => seen.push(value.revision))
  await until(
    () => seen.length,
    length => length === 1,
  )
  t.equal(await set(one, 0, { ...first, tier: 'renamed' }), true)
  t.equal(await set(other, 0, { ...first, tier: 'late' }), false, 'somebody was faster')
  await until(
    () => seen.at(-1),
    revision => revision === 1,
  )
  t.match(await read(other), { revision: 1, topology: { tier: 'renamed' } })
  const late: number[] = []
  const end = other.watch(value => late.push(value.revision))
  await until(
    () => late.length,
    length => length === 1,
  )
  end()
  t.equal(await set(other, 1, first), true)
  await until(
    () => seen.at(-1),
    revision => revision === 2,
  )
  t.same(late, [1], 'an ended watch is silent; its neighbour heard the own change too')
  t.match(await set(one, 2, { ...first, epoch: -1 }), /^the request was not understood \(epoch: /)
})

t.test('a lease ends with its connection', async t => {
  const { port } = await coordinate(t)
  const [node, twin, other] = [client(t, port), client(t, port), client(t, port)]
  node.keepAlive('a', { incarnation: '1', epoch: 4 })
  await until(
    () => statuses(other),
    live => live.has('a'),
  )
  twin.keepAlive('a', { incarnation: '2', epoch: 9 })
  await read(twin)
  t.same((await statuses(other)).get('a'), { incarnation: '1', epoch: 4 }, 'who has the lease keeps it')
  node.close()
  await until(
    () => statuses(other),
    live => !live.has('a'),
  )
})

t.test('a store that is not there, and one that comes later', async t => {
  const { port, stop } = await coordinate(t)
  stop()
  const early = client(t, port, { requestTimeoutMs: 300 })
  t.equal(await read(early), `the topology store embedded://${HOST}:${port} does not answer (connection refused)`)
  const patient = client(t, port, { requestTimeoutMs: 20_000 })
  const answer = read(patient)
  const seen: number[] = []
  early.watch(value => seen.push(value.revision))
  early.keepAlive('a', { incarnation: '1', epoch: 0 })
  const second = await coordinate(t, { port })
  t.same(await answer, { revision: 0, topology: first })
  await until(
    () => statuses(patient),
    live => live.has('a'),
  )
  await until(
    () => seen.length,
    length => length > 0,
  )
  t.same(seen, [0], 'watch and lease were taken up again')
  second.stop()
})

t.test('the wrong secret is refused on both sides, and counted', async t => {
  const { port, coordinator, events } = await coordinate(t, { secret: 'right' })
  t.same(await read(client(t, port, { secret: 'right' })), { revision: 0, topology: first })
  const answer = await read(client(t, port, { secret: 'wrong' }))
  t.match(answer, new RegExp(`^the topology store embedded://${HOST}:${port} refused the link: .*secret`))
  await until(
    () => coordinator.refused,
    refused => refused > 0,
  )
  t.match(events[0], /^a link to the topology store was refused: .*secret/)
})

t.test('a whole tier over real links, its coordinator killed and started again', async t => {
  const file = new MemoryFile()
  let running = await coordinate(t, { file })
  const { port } = running
  const heard = new Map<string, Topology>()
  const start = (id: string, at: number) => {
    const self = { id, host: HOST, port: at, peerHost: HOST, peerPort: 1, dataPort: 2, weight: 1, incarnation: '1' }
    const store = client(t, port)
    const membership = new Membership({ store, loop: netLoop(t), self })
    membership.start({
      onTopology(topology, number) {
        heard.set(id, topology)
        membership.setStatus({ epoch: topology.epoch })
        if (topology.changes.some(change => change.takers?.includes(number))) membership.reportSettled(topology.epoch)
      },
      onRefused: sentence => t.fail(sentence),
    })
    t.teardown(() => membership.stop())
  }
  for (const [index, id] of ['a', 'b', 'c'].entries()) start(id, 4000 + index)
  await until(
    () => heard.get('a')?.epoch,
    epoch => epoch === 1,
  )
  running.stop()
  running = await coordinate(t, { file, port })
  start('d', 4003)
  await until(() => [...heard.values()].every(topology => topology.epoch === 2 && isSettled(topology)), Boolean)
  t.same(
    running.coordinator.store.value.topology.nodes.map(node => node.state),
    ['up', 'up', 'up', 'up'],
  )
})
