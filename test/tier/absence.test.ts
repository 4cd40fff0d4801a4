import fc from 'fast-check'
import t from 'tap'
import { type Findings, whyNotDeclared } from '../../lib/tier/absence.js'
import { standIns } from '../../lib/tier/actors.js'
import { nextTopology, whyWaiting } from '../../lib/tier/controller.js'
import { sessionOf } from '../../lib/tier/fencing.js'
import type { NodeStatus } from '../../lib/tier/store.js'
import {
  type Change,
  EPOCH_MAX,
  emptyTopology,
  isSettled,
  nodeOf,
  runningChange,
  runningChanges,
  type Topology,
} from '../../lib/tier/topology.js'
import { checkTopology } from '../../lib/tier/validate.js'
import type { VotersWanted } from '../../lib/tier/voters.js'
import { withDrain, withFenced, withNode, withReweight, withSettled } from '../../lib/tier/wishes.js'

/** The controller with everything around it played by hand. */
class World {
  topology = emptyTopology('test')
  readonly live = new Map<string, NodeStatus>()
  readonly suspected = new Set<number>()
  readonly over = new Set<string>()
  readonly returnable = new Set<number>()
  leaseMs = 2000
  retired = true

  constructor(...ids: string[]) {
    for (const id of ids) this.start(id)
    this.run()
    this.fence()
  }

  /** Of all nodes. */
  lives = 0

  start(id: string, weight = 1): void {
    const port = 12_000 + id.charCodeAt(0)
    const incarnation = String(++this.lives)
    const outcome = withNode(this.topology, {
      ...{ id, host: '127.0.0.1', port, peerHost: '127.0.0.1', peerPort: port + 1000, dataPort: port + 2000 },
      ...{ weight, incarnation },
    })
    if (!outcome.ok) throw new Error(outcome.sentence)
    this.topology = outcome.topology ?? this.topology
    this.live.set(id, { incarnation, epoch: EPOCH_MAX })
  }

  /** Every node says that it acts by a lease. */
  fence(): void {
    for (const { id } of this.topology.nodes) {
      this.topology = withFenced(this.topology, id, this.topology.fencing?.since ?? 0) ?? this.topology
    }
  }

  step(): boolean {
    const findings: Findings = {
      isOn: true,
      wallClock: 1_750_000_000,
      suspicion: node => (this.suspected.has(node) ? 'not heard for 3 s' : null),
      isOver: (node, session) => this.over.has(`${node}:${session}`),
      mayReturn: node => this.returnable.has(node.number),
    }
    const voters: VotersWanted = {
      leaseMs: this.leaseMs,
      isAlive: node => this.live.has(node.id),
      isRetired: () => this.retired,
    }
    const next = nextTopology(this.topology, this.live, { findings, voters })
    if (!next) return false
    const checked = checkTopology(JSON.parse(JSON.stringify(next)))
    if (!checked.ok) throw new Error(checked.problem)
    if (next.epoch > this.topology.epoch + 1) throw new Error('an epoch was skipped')
    for (const generation of next.generations) {
      const known = this.topology.generations.find(one => one.epoch === generation.epoch)
      if (known && JSON.stringify(known) !== JSON.stringify(generation)) throw new Error('a generation was altered')
    }
    this.topology = next
    return true
  }

  run(): void {
    for (let steps = 0; this.step(); steps++) if (steps > 200) throw new Error('the controller does not come to rest')
  }

  /** Silent, promised away, one lease later. */
  away(id: string): void {
    this.live.delete(id)
    const { number } = this.node(id)
    this.suspected.add(number)
    this.returnable.delete(number)
    this.run()
    this.over.add(`${number}:${sessionOf(this.node(id))}`)
    this.run()
  }

  back(id: string): void {
    this.live.set(id, { incarnation: '1', epoch: EPOCH_MAX })
    const { number } = this.node(id)
    this.suspected.delete(number)
    this.returnable.add(number)
    this.run()
  }

  settle(id: string): void {
    const { number } = this.node(id)
    for (const { epoch } of this.topology.generations) {
      this.topology = withSettled(this.topology, number, epoch) ?? this.topology
    }
    this.run()
  }

  settleAll(): void {
    for (const { id } of this.topology.nodes) this.settle(id)
  }

  wish(outcome: { ok: boolean; topology?: Topology | null; sentence?: string }): void {
    if (!outcome.ok) throw new Error(outcome.sentence)
    this.topology = outcome.topology ?? this.topology
    this.run()
  }

  node(id: string) {
    return nodeOf(this.topology, id)!
  }

  get newest() {
    return this.topology.generations.at(-1)!
  }

  get epochs(): number[] {
    return this.topology.generations.map(generation => generation.epoch)
  }
}

t.test('suspected, announced, declared away, back: three steps and two generations', async t => {
  const world = new World('a', 'b', 'c')
  t.match(world.topology.fencing, { active: true, term: 1, named: [1, 2], leaseMs: 2000 })
  world.live.delete('b')
  world.suspected.add(2)
  world.run()
  t.match(world.node('b'), { state: 'up', declaring: { since: 1_750_000_000, reason: 'not heard for 3 s' } })
  t.equal(world.topology.epoch, 1, 'nothing is declared before the voters have promised')
  world.over.add('2:0')
  world.run()
  t.match(world.node('b'), { state: 'away', away: { epoch: 2, since: 1_750_000_000, reason: 'not heard for 3 s' } })
  t.equal(world.node('b').declaring, undefined)
  t.same(world.newest.away, [2])
  t.same(world.epochs, [1, 2])
  const change = runningChanges(world.topology)[0]
  t.match(change, { kind: 'away', node: 'b', epoch: 2, takers: [1, 3] })
  t.same(standIns(world.topology, world.newest, 2), [1, 3])
  world.settle('a')
  world.settle('c')
  t.same(world.epochs, [1, 2], 'while b is away, the generation that it was there in stays, whatever is reported')
  world.back('b')
  t.match(world.node('b'), { state: 'returning', session: 1 })
  t.equal(world.node('b').away, undefined)
  t.same(world.newest.away, [])
  world.settleAll()
  t.same(world.epochs, [3])
  t.ok(isSettled(world.topology))
  t.equal(world.node('b').state, 'up')
})

t.test('refuted: the announcement goes, and with it what was promised about the session', async t => {
  const world = new World('a', 'b', 'c')
  world.suspected.add(2)
  world.run()
  world.suspected.delete(2)
  world.run()
  t.equal(world.node('b').declaring, undefined)
  t.equal(world.node('b').session, 1)
  world.suspected.add(2)
  world.over.add('2:0')
  world.run()
  t.equal(world.topology.epoch, 1, 'old promises are about the old session')
})

t.test('never the last actor, and nobody who has not said that it is fenced', async t => {
  const world = new World('a', 'b')
  world.start('r', 0)
  world.away('a')
  world.away('b')
  t.same(world.newest.away, [1])
  t.equal(whyNotDeclared(world.topology, world.node('b')), 'no other node could stand in for it')
  t.equal(whyNotDeclared(world.topology, world.node('r')), 'it holds nothing')
  const fresh = new World('a', 'b')
  fresh.start('c')
  fresh.run()
  fresh.settleAll()
  fresh.away('c')
  t.same(fresh.newest.away, [])
  t.equal(whyNotDeclared(fresh.topology, fresh.node('c')), 'it has not said that it acts by a lease')
})

t.test('both of two suspected nodes are not announced when nobody would be left', async t => {
  const world = new World('a', 'b')
  world.suspected.add(1).add(2)
  world.run()
  t.same(
    world.topology.nodes.map(node => node.declaring !== undefined),
    [true, false],
  )
})

t.test('several are away at once; each returns by itself', async t => {
  const world = new World('a', 'b', 'c', 'd')
  world.away('b')
  world.away('c')
  t.same(world.newest.away, [2, 3])
  t.same(standIns(world.topology, world.newest, 2).sort(), [1, 4])
  world.back('b')
  t.same(world.newest.away, [3])
  t.same(world.epochs, [1, 2, 3, 4])
  world.settleAll()
  t.same(world.epochs, [1, 2, 3, 4], 'nobody was away in generation 1, and in none since')
  world.back('c')
  world.settleAll()
  t.same(world.epochs, [5])
  t.ok(isSettled(world.topology))
})

t.test('an outage does not wait behind the migration that it holds up', async t => {
  const world = new World('a', 'b', 'c')
  world.start('d')
  world.run()
  t.match(runningChange(world.topology), { kind: 'join', node: 'd', epoch: 2 })
  world.away('b')
  t.same(world.epochs, [1, 2, 3])
  t.same(world.newest.away, [2])
  t.equal(runningChange(world.topology)?.node, 'd', 'the join goes on')
  world.back('b')
  t.same(world.epochs, [1, 2, 3, 4])
  world.settleAll()
  t.same(world.epochs, [4])
})

t.test('a change of the ring may begin during an outage, one at a time', async t => {
  const world = new World('a', 'b', 'c')
  world.away('b')
  world.start('d')
  world.run()
  t.match(runningChange(world.topology), { kind: 'join', node: 'd', epoch: 3 })
  t.same(world.newest.away, [2])
  world.wish(withReweight(world.topology, 'a', 2))
  const queued = world.topology.changes.at(-1)!
  t.match(whyWaiting(world.topology, queued, world.live), /^waits for change \d+ \(join d\)$/)
  world.settleAll()
  t.equal(runningChange(world.topology)?.kind, 'join', 'generation 2 stays, and so does what came after')
  world.back('b')
  world.settleAll()
  world.settleAll()
  t.ok(isSettled(world.topology))
  t.same(
    world.newest.servers.map(server => server.weight),
    [2, 1, 1, 1],
  )
})

t.test('given up: a node that is away and is drained; what only it knew is lost', async t => {
  const world = new World('a', 'b', 'c')
  world.start('d')
  world.run()
  world.away('b')
  const outcome = withDrain(world.topology, 'b')
  t.match(outcome, { ok: true, givesUp: true })
  world.wish(outcome)
  t.same(world.newest.servers.map(server => server.number).sort(), [1, 3, 4])
  t.same(world.newest.away, [])
  t.same(world.newest.lost, [2], 'it does not wait for the join of d, which b holds up')
  t.match(world.node('b'), { session: 1, state: 'draining' })
  t.match(withDrain(world.topology, 'b'), { ok: false, sentence: /^node "b" is already being drained/ })
  world.settleAll()
  t.match(world.node('b'), { weight: 0, state: 'gone' })
  t.ok(isSettled(world.topology))
  world.start('b')
  t.match(world.node('b'), { session: 1, state: 'joining' }, 'its sessions are not forgotten')
})

t.test('the last one that is there keeps the tier: nobody can be given up for it', async t => {
  const world = new World('a', 'b')
  world.away('a')
  t.match(withDrain(world.topology, 'b'), { ok: true }, 'it may be asked for')
  world.wish(withDrain(world.topology, 'b'))
  t.match(
    whyWaiting(world.topology, world.topology.changes.at(-1)!, world.live),
    'waits for another node with weight',
    'but waits for a',
  )
  t.equal(world.newest.servers.length, 2)
})

t.test('a node that leaves the ring may go away in the middle of it', async t => {
  const world = new World('a', 'b', 'c')
  world.wish(withDrain(world.topology, 'b'))
  world.away('b')
  t.match(world.node('b'), { state: 'away' })
  t.same(world.newest.away, [2])
  t.same(
    world.newest.servers.map(server => server.number),
    [1, 3],
  )
  world.back('b')
  t.match(world.node('b'), { state: 'draining' })
  world.settleAll()
  t.match(world.node('b'), { state: 'gone' })
})

t.test('voters: one that is away is replaced, in two steps; a tier of one is not fenced', async t => {
  const world = new World('a', 'b', 'c')
  world.retired = false
  world.away('b')
  t.match(world.topology.fencing, { term: 2, named: [1, 3], previous: { term: 1, named: [1, 2] } })
  world.start('d')
  world.run()
  t.equal(world.topology.fencing?.term, 2, 'not before the old set is retired')
  world.retired = true
  world.run()
  t.same(world.topology.fencing?.previous, undefined)
  t.match(world.topology.fencing, { term: 2, named: [1, 3] }, 'never three')
  world.back('b')
  world.settleAll()
  t.match(world.topology.fencing, { term: 3, named: [1, 2, 3, 4] })
  for (const id of ['b', 'c', 'd']) {
    world.wish(withDrain(world.topology, id))
    world.settleAll()
  }
  t.equal(world.topology.fencing?.active, false)
  world.start('e')
  world.run()
  t.ok(world.topology.fencing?.active)
  t.ok(world.topology.fencing!.since > 3, 'terms only grow')
  world.away('e')
  t.same(world.newest.away, [], 'nobody is fenced for this period yet')
})

t.test('switched off, fencing ends as soon as nobody is away', async t => {
  const world = new World('a', 'b', 'c')
  world.away('b')
  world.leaseMs = 0
  world.run()
  t.ok(world.topology.fencing?.active)
  world.back('b')
  world.settleAll()
  t.equal(world.topology.fencing?.active, false)
  world.suspected.add(2)
  world.run()
  t.equal(world.node('b').declaring, undefined)
})

t.test(
  'any order of outages, returns and wishes: documents stay sound, somebody always acts, and all settles in the end',
  async () => {
    const ids = ['a', 'b', 'c', 'd']
    const step = fc.record({
      kind: fc.constantFrom(
        'away',
        'away',
        'back',
        'back',
        'suspect',
        'heard',
        'start',
        'drain',
        'reweight',
        'settle',
        'fence',
      ),
      id: fc.constantFrom(...ids),
      weight: fc.integer({ min: 1, max: 3 }),
    })
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), steps => {
        const world = new World('a', 'b', 'c')
        for (const { kind, id, weight } of steps) {
          const node = nodeOf(world.topology, id)
          if (kind === 'start') world.start(id, weight)
          else if (!node) continue
          else if (kind === 'away') world.away(id)
          else if (kind === 'back') world.back(id)
          else if (kind === 'settle') {
            // One that is away says nothing, and one that takes from it has not settled.
            if (world.newest.away.length === 0) world.settle(id)
          } else if (kind === 'fence') world.fence()
          else if (kind === 'suspect') world.suspected.add(node.number)
          else if (kind === 'heard') world.suspected.delete(node.number)
          else {
            const outcome = kind === 'drain' ? withDrain(world.topology, id) : withReweight(world.topology, id, weight)
            if (outcome.ok) world.topology = outcome.topology ?? world.topology
          }
          world.run()
        }
        for (const { id } of world.topology.nodes) world.back(id)
        for (let round = 0; round < 20; round++) world.settleAll()
        if (!isSettled(world.topology)) throw new Error('something is left over')
        // Somebody else may have been given up after the last but one was asked to leave.
        const mayWait = (change: Change) =>
          whyWaiting(world.topology, change, world.live)?.endsWith('another node with weight')
        const open = world.topology.changes.filter(change => change.state !== 'done' && !mayWait(change))
        if (open.length > 0) throw new Error(`left over: ${JSON.stringify(open)}`)
        for (const { id, state, away, declaring } of world.topology.nodes) {
          if (away || declaring || (state !== 'up' && state !== 'gone')) throw new Error(`${id} ended ${state}`)
        }
      }),
      { numRuns: 100 },
    )
  },
)
