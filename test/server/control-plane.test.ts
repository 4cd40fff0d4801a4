/** The control plane of one node on a simulated loop; its data plane and its store are played by the test. */
import t from 'tap'
import { createArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { ControlPlane } from '../../lib/server/control-plane.js'
import { Fence } from '../../lib/server/fence.js'
import type { ControlPort, ToData } from '../../lib/server/plane.js'
import { emptyTopology, type TierNode, type Topology } from '../../lib/tier/topology.js'
import { SimulatedWorld } from '../../lib/transport/simulated.js'

const LEASE_MS = 2000
const HOST = '10.0.0.1'

function node(number: number): TierNode {
  const host = `10.0.0.${number}`
  return {
    ...{ id: `n${number}`, number, host, port: 11211, peerHost: host, peerPort: 11400, dataPort: 11401, weight: 1 },
    ...{ incarnation: '1', state: 'up', fenced: 1 },
  }
}

/** What both nodes below have alike. */
const PLAIN = {
  identity: { id: 'n1', incarnation: '1' },
  peerListen: { host: HOST, port: 11400 },
  parseTopology: (text: string) => JSON.parse(text) as Topology,
  onSettled: () => {},
  onProgress: () => {},
  report: () => '',
  onEvent: () => {},
}

/** Two nodes; the first is away in the second generation, and back in the third, with its next session. */
function topology(epoch: 1 | 3): Topology {
  const servers = [1, 2].map(number => ({ number, host: `10.0.0.${number}`, port: 11211, weight: 1 }))
  const generations = [1, 2, 3].map(one => ({ epoch: one, servers, away: one === 2 ? [1] : [] })).slice(0, epoch)
  const fencing = { active: true, since: 1, term: 1, named: [], leaseMs: LEASE_MS, serial: epoch }
  const nodes = [{ ...node(1), session: epoch === 1 ? 0 : 1 }, node(2)]
  return { ...emptyTopology('test'), epoch, nodes, generations, fencing }
}

t.test('a node that returns may act before its data planes hear of the route', async t => {
  const world = new SimulatedWorld(1)
  const arena = createArena({ memoryLimitMb: 64, threads: 1, versionText: 'test', routePointsMax: 1 << 12 })
  const engine = new Engine(arena, 1)
  const fence = new Fence()
  const loop = world.loop(HOST, new Uint8Array(1 << 17))
  /** What data planes were told, and whether the node might act at that moment. */
  const told: { what: string; mayAct: boolean }[] = []
  const port: ControlPort = {
    post: (message: ToData) => {
      const what = message.type === 'route' ? `route ${message.epoch}` : message.type
      told.push({ what, mayAct: fence.mayAct(loop) })
      if (message.type === 'drop') world.after(1, () => port.onMessage({ type: 'dropped' }))
    },
    onMessage() {},
  }
  let vouches = true
  const control = new ControlPlane({
    ...{ loop, engine, migrationRate: null, dataPlanes: [port], secret: null },
    ...PLAIN,
    fencing: {
      ...{ fence, votes: null, saveVotes: (_, done) => done(true), onFenced: () => {} },
      store: {
        vouch: (_, done) => {
          if (vouches) world.after(1, () => done(null, null))
        },
        onPromiseAsked: () => {},
      },
    },
  })
  control.start(
    () => {},
    sentence => t.fail(sentence),
  )
  const routes = (epoch: number) => told.filter(({ what }) => what === `route ${epoch}`)
  control.setTopology(topology(1), 1)
  t.ok(
    world.runUntil(() => routes(1).length > 0, 60_000),
    'in force',
  )
  vouches = false
  t.ok(
    world.runUntil(() => !fence.mayAct(loop), 60_000),
    'nobody vouches any more',
  )
  vouches = true
  control.setTopology(topology(3), 1)
  t.ok(
    world.runUntil(() => routes(3).length > 0, 60_000),
    'it is back',
  )
  t.ok(
    told.some(({ what }) => what === 'drop'),
    'in a new life',
  )
  t.same(
    routes(3).filter(({ mayAct }) => !mayAct),
    [],
  )
  control.stop()
})

t.test(
  'a node that begins asks the others for their clocks at once, also when its disk had to be written first',
  async t => {
    const world = new SimulatedWorld(1)
    const arena = createArena({ memoryLimitMb: 64, threads: 1, versionText: 'test', routePointsMax: 1 << 12 })
    const loop = world.loop(HOST, new Uint8Array(1 << 17))
    let askedAt = -1
    world.loop('10.0.0.2', new Uint8Array(1 << 17)).listen(
      { host: '10.0.0.2', port: 11400 },
      () => {
        askedAt = loop.now()
        return { onReadable() {}, onWritable() {}, onClose() {} }
      },
      () => {},
      sentence => t.fail(sentence),
    )
    let noted = false
    const control = new ControlPlane({
      ...{ loop, engine: new Engine(arena, 1), migrationRate: null, secret: null },
      dataPlanes: [{ post() {}, onMessage() {} }],
      ...PLAIN,
      acted: {
        before: null,
        isNoted: () => noted,
        note: (_, then) =>
          world.after(5, () => {
            noted = true
            then()
          }),
      },
    })
    control.start(
      () => {},
      sentence => t.fail(sentence),
    )
    const { fencing: _, ...plain } = topology(1)
    const began = loop.now()
    let begunAt = -1
    control.setTopology(plain, 1)
    control.whenBegun(() => {
      begunAt = loop.now()
    })
    t.ok(
      world.runUntil(() => askedAt >= 0, 60_000),
      'asked',
    )
    t.ok(askedAt - began < 50, `after ${askedAt - began} ms`)
    t.equal(begunAt, -1, 'it has not begun')
    t.ok(
      world.runUntil(() => begunAt >= 0, 60_000),
      'one that does not answer is not there',
    )
    t.equal(control.handoff.epoch, 1, 'what it begins with is in force')
    control.stop()
  },
)

t.test(
  'a route table that no slot was free for is in force soon, also at a node that has nothing else to do',
  async t => {
    const world = new SimulatedWorld(1)
    const arena = createArena({ memoryLimitMb: 64, threads: 1, versionText: 'test', routePointsMax: 1 << 12 })
    const loop = world.loop(HOST, new Uint8Array(1 << 17))
    const engine = new Engine(arena, 1)
    const publish = engine.publish.bind(engine)
    let isInTurn = false
    engine.publish = table => !isInTurn && publish(table)
    const control = new ControlPlane({
      ...{ loop, engine, migrationRate: null, secret: null },
      dataPlanes: [{ post() {}, onMessage() {} }],
      ...PLAIN,
    })
    control.start(
      () => {},
      sentence => t.fail(sentence),
    )
    const { fencing: _, ...whole } = topology(1)
    control.setTopology(whole, 1)
    t.ok(
      world.runUntil(() => control.handoff.epoch === 1, 60_000),
      'in force',
    )
    const servers = whole.generations[0]!.servers.slice(1)
    isInTurn = true
    control.setTopology({ ...whole, epoch: 2, generations: [...whole.generations, { epoch: 2, servers, away: [] }] }, 1)
    world.runFor(40)
    t.equal(control.handoff.epoch, 1, 'not while a thread is in its turn')
    isInTurn = false
    const began = loop.now()
    t.ok(
      world.runUntil(() => control.handoff.epoch === 2, 60_000),
      'the node has left the ring',
    )
    t.ok(loop.now() - began <= 10, `after ${loop.now() - began} ms`)
    control.stop()
  },
)
