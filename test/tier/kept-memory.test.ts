/** tier step-aside --quick in the document, and whether the file that a node leaves by it may be believed. */
import t from 'tap'
import type { Findings } from '../../lib/tier/absence.js'
import { nextTopology } from '../../lib/tier/controller.js'
import { sessionOf } from '../../lib/tier/fencing.js'
import {
  type MemoryOwner,
  ownerOf,
  whyForgotten,
  whyNotBelieved,
  withoutKept,
  withQuickStepAside,
} from '../../lib/tier/kept-memory.js'
import type { NodeState } from '../../lib/tier/node-file.js'
import { emptyTopology, nodeOf, type Topology } from '../../lib/tier/topology.js'
import { checkTopology } from '../../lib/tier/validate.js'
import {
  type Outcome,
  withDrain,
  withFenced,
  withNode,
  withReweight,
  withSettled,
  withStepAside,
} from '../../lib/tier/wishes.js'

const NOW = 1_750_000_000

class Tier {
  topology: Topology = emptyTopology('shop')
  /** Every lease of an announced session is over. */
  isOver = true
  isOn = true

  constructor(...ids: string[]) {
    for (const id of ids) this.start(id, '1')
    this.run()
    for (const id of ids) this.topology = withFenced(this.topology, id, this.topology.fencing!.since)!
  }

  start(id: string, incarnation: string, keeps = true): void {
    const port = 12_000 + id.charCodeAt(0)
    const reached = { host: '127.0.0.1', port, peerHost: '127.0.0.1', peerPort: port + 1000, dataPort: port + 2000 }
    this.wish(topology => withNode(topology, { id, ...reached, weight: 1, incarnation, keeps }))
  }

  wish(asked: (topology: Topology) => Outcome): void {
    const outcome = asked(this.topology)
    if (!outcome.ok) throw new Error(outcome.sentence)
    this.topology = outcome.topology ?? this.topology
  }

  /** Everybody is heard all the time, and takers settle unless they are away. */
  run(settles = true): void {
    for (let steps = 0; steps < 200; steps++) {
      const { epoch } = this.topology
      const live = new Map(this.topology.nodes.map(node => [node.id, { incarnation: node.incarnation, epoch }]))
      const findings: Findings = {
        ...{ wallClock: NOW, isOn: this.isOn, suspicion: () => null },
        ...{ isOver: () => this.isOver, mayReturn: () => true },
      }
      const voters = { leaseMs: 2000, isAlive: () => true, isRetired: () => true }
      const next = nextTopology(this.topology, live, { findings, voters })
      if (next) {
        const checked = checkTopology(JSON.parse(JSON.stringify(next)))
        if (!checked.ok) throw new Error(checked.problem)
        this.topology = checked.value
        continue
      }
      const before = this.topology
      for (const { state, epoch, takers = [] } of settles ? before.changes : [])
        if (state === 'running')
          for (const taker of takers) this.topology = withSettled(this.topology, taker, epoch!) ?? this.topology
      if (this.topology === before) return
    }
    throw new Error('it does not come to rest')
  }

  node(id: string) {
    return nodeOf(this.topology, id)!
  }

  /** b has stepped aside: what its disk says and its file's head. */
  left(): { owner: MemoryOwner; state: NodeState } {
    this.wish(topology => withQuickStepAside(topology, 'b', NOW))
    this.run()
    const owner = ownerOf(this.topology, 'b', '1')
    if (typeof owner === 'string') throw new Error(owner)
    return { owner, state: { id: 'b', incarnation: '1', versionReserved: '7', topology: this.topology } }
  }
}

t.test('asked for, announced, away though it is heard, back in its next life', async t => {
  const tier = new Tier('a', 'b', 'c')
  tier.isOver = false
  const session = sessionOf(tier.node('b'))
  tier.wish(topology => withQuickStepAside(topology, 'b', NOW))
  tier.run()
  t.match(tier.node('b'), { kept: { incarnation: '1' }, declaring: { since: NOW } }, 'it is not withdrawn')
  t.equal(tier.node('b').away, undefined)
  t.equal(ownerOf(tier.topology, 'b', '1'), 'this node is not away because of tier step-aside --quick')
  tier.isOver = true
  tier.run()
  t.match(tier.node('b'), { kept: { incarnation: '1' }, state: 'away', away: { epoch: 2 } })
  t.same(ownerOf(tier.topology, 'b', '1'), { tier: 'shop', node: 'b', incarnation: '1', base: 1, epoch: 2 })
  t.match(ownerOf(tier.topology, 'b', '2'), /another life/)
  tier.start('b', '1')
  tier.run()
  t.ok(tier.node('b').away, 'the same life says nothing new')
  t.equal(whyForgotten(tier.topology, 'b', '2', '1'), null)
  tier.start('b', '2')
  t.equal(tier.node('b').kept, undefined)
  t.equal(whyForgotten(tier.topology, 'b', '2', '1'), null, 'its own entry')
  t.match(whyForgotten(tier.topology, 'b', '3', '1'), /another life/)
  tier.run()
  t.match(tier.node('b'), { state: 'up', away: undefined, session: session + 1 })
  t.equal(tier.topology.generations.length, 1)
})

t.test('refused before anything begins', async t => {
  const whyNot = (topology: Topology, id = 'b') => {
    const outcome = withQuickStepAside(topology, id, NOW)
    return outcome.ok ? 'it is taken' : outcome.sentence
  }
  const fresh = () => new Tier('a', 'b', 'c')
  const tier = fresh()
  t.match(whyNot(tier.topology, 'x'), /there is no node "x"/)
  const { fencing: _, ...plain } = tier.topology
  t.match(whyNot(plain), /cannot leave its memory behind: no node can stand in for another: .* with --away-after 0/)
  tier.start('b', '1', false)
  t.match(whyNot(tier.topology), /it was started without -e, or without --data-dir/)
  const busy = fresh()
  busy.wish(topology => withDrain(topology, 'c'))
  t.match(whyNot(busy.topology), /the tier has not settled/)
  busy.run(false)
  t.match(whyNot(busy.topology), /the tier has not settled/)
  const aside = fresh()
  aside.wish(topology => withStepAside(topology, 'b'))
  t.match(whyNot(aside.topology), /it steps aside already, and hands over everything/)
  const quick = fresh()
  quick.left()
  t.match(whyNot(quick.topology), /it is away/)
  t.match(whyNot(quick.topology, 'a'), /the tier has not settled/, 'one at a time')
  t.match(withStepAside(quick.topology, 'b'), { ok: false, sentence: /is away/ })
  const unfenced = fresh()
  for (const node of unfenced.topology.nodes) delete node.fenced
  t.match(whyNot(unfenced.topology), /it has not said that it acts by a lease/)
})

t.test('called off when the ring changes before others act, or when nobody may be declared away any more', async t => {
  const tier = new Tier('a', 'b', 'c')
  tier.isOver = false
  tier.wish(topology => withQuickStepAside(topology, 'b', NOW))
  tier.wish(topology => withReweight(topology, 'c', 5))
  tier.run()
  t.match(tier.node('b'), { kept: undefined, declaring: undefined, state: 'up' })
  tier.wish(topology => withQuickStepAside(topology, 'b', NOW))
  tier.isOn = false
  tier.run()
  t.match(tier.node('b'), { kept: undefined, declaring: undefined, state: 'up' })
})

t.test('a file that fits, also when the ring has changed meanwhile', async t => {
  const tier = new Tier('a', 'b', 'c')
  const { owner, state } = tier.left()
  t.equal(whyNotBelieved(owner, 'b', state, tier.topology), null)
  tier.start('d', '1')
  tier.run()
  t.equal(tier.topology.generations[0]!.epoch, 1, 'the generation in which it acted is not forgotten')
  t.equal(whyNotBelieved(owner, 'b', state, tier.topology), null)
})

t.test('every file that does not fit has its sentence', async t => {
  const tier = new Tier('a', 'b', 'c')
  const { owner, state } = tier.left()
  const { topology } = tier
  const refused = (
    why: RegExp,
    given: Partial<{ owner: MemoryOwner | null; state: NodeState | null; topology: Topology | null; id: string }>,
  ) => {
    const all = { owner, state, topology, id: 'b', ...given }
    t.match(whyNotBelieved(all.owner, all.id, all.state, all.topology), why)
  }
  refused(/of a node alone/, { owner: null })
  refused(/it is the memory of node "a"/, { owner: { ...owner, node: 'a' } })
  refused(/it is of tier "other", not of "shop"/, { owner: { ...owner, tier: 'other' } })
  refused(/it is of tier "shop", not of "other"/, { topology: { ...topology, tier: 'other' } })
  refused(/nothing in --data-dir says what this node did since/, { state: null })
  refused(/nothing in --data-dir says what this node did since/, { state: { ...state, topology: null } })
  refused(/this node has had another life since/, { state: { ...state, incarnation: '2' } })
  refused(/it is as of generation 1, and this node has heard of generation 2/, { owner: { ...owner, epoch: 1 } })
  refused(/the topology store does not answer/, { topology: null })
  refused(/the tier does not know this node/, { topology: { ...topology, nodes: [] } })
  refused(/it is as of generation 0, and the tier forgot all before 1/, { owner: { ...owner, base: 0 } })
  refused(/there was a flush_all since/, { topology: withoutKept(topology)! })
  t.equal(withoutKept(withoutKept(topology)!), null, 'said once')

  const another = new Tier('a', 'b', 'c')
  another.left()
  another.start('b', '2', false)
  refused(/another life of this node has been in the tier since/, { topology: another.topology })
  another.run()
  refused(/another life of this node has been in the tier since/, { topology: another.topology })
})

t.test('given up, or drained and joined anew: what it held before says nothing', async t => {
  const tier = new Tier('a', 'b', 'c')
  const { owner, state } = tier.left()
  tier.wish(topology => withDrain(topology, 'b'))
  tier.run()
  t.match(whyNotBelieved(owner, 'b', state, tier.topology), /not away because of tier step-aside --quick/)
  tier.start('b', '2')
  tier.run()
  t.match(tier.node('b'), { state: 'up', away: undefined })
  t.match(whyNotBelieved(owner, 'b', state, tier.topology), /another life of this node/)
  // Also if only the generations said so.
  const node = {
    ...tier.node('b'),
    incarnation: '1',
    kept: { incarnation: '1' },
    away: { epoch: 2, since: 1, reason: 'x' },
  }
  const nodes = tier.topology.nodes.map(one => (one.id === 'b' ? node : one))
  const why = whyNotBelieved(owner, 'b', state, { ...tier.topology, nodes })
  t.match(why, /the generations since do not say that this node was away all the time/)
})
