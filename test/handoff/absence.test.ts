/** Who is asked while the node to take from is away, and what a log's loss covers. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { askInstead, mayHaveLost } from '../../lib/handoff/absence.js'
import { Generations } from '../../lib/handoff/generations.js'
import { Hearing } from '../../lib/handoff/hearing.js'
import type { Message } from '../../lib/handoff/wire.js'

const RULE = { dialect: 'libmemcached-weighted', pointsPerServer: 4 } as const

/** Generations 1, 2, ...: the nodes of the ring, and which of them are away. */
function picture(...all: [ring: number[], away: number[]][]): Generations {
  const servers = (ring: number[]) => ring.map(number => ({ number, host: `h${number}`, port: 1, weight: 1 }))
  return new Generations(
    all.map(([ring, away], i) => ({ epoch: i + 1, servers: servers(ring), away })),
    RULE,
  )
}

/** Of the first key for which these nodes act, one a generation. */
function arcWith(generations: Generations, actors: number[]): number {
  for (let i = 0; i < 10_000; i++) {
    const arc = generations.arcAt(createHash('md5').update(`key-${i}`).digest().readUInt32LE(0))
    if (actors.every((actor, at) => generations.actor(at + 1, arc) === actor)) return arc
  }
  throw new Error('no such key')
}

const four = [1, 2, 3, 4]
const three = [2, 3, 4]

t.test('who surely knew all when it should have been asked is asked in the place of an absent node', async t => {
  const generations = picture([four, []], [three, []], [three, [2]])
  const arc = arcWith(generations, [1, 2, 4])
  t.same(askInstead(generations, arc, generations.tenure(4, 3, arc)), { node: 1, generation: 2, before: 1 })
})

t.test('who was away meanwhile is not asked: the absent node may have begun without it', async t => {
  const generations = picture([four, []], [three, [1]], [three, [2]])
  const arc = arcWith(generations, [1, 2, 4])
  t.equal(askInstead(generations, arc, generations.tenure(4, 3, arc)), null)
})

t.test('who may have been blind when it was asked is not asked: what it knows since then is older', async t => {
  // Node 1 stands in for 3, and leaves; 2 takes from it, and is away when 4 acts.
  const generations = picture([four, []], [four, [3]], [three, [3]], [three, [3, 2]])
  const arc = arcWith(generations, [3, 1, 2, 4])
  t.equal(askInstead(generations, arc, generations.tenure(4, 4, arc)), null)
})

t.test('nobody is before a node that acts since the base', async t => {
  const generations = picture([four, []], [four, [3]])
  const arc = arcWith(generations, [3, 1])
  t.equal(askInstead(generations, arc, generations.tenure(1, 2, arc)), null)
})

t.test('what a log lost counts for all who may know the key', async t => {
  // Node 4 stands in for 2, while 1, from which 2 took, is away as well.
  const generations = picture([four, []], [three, []], [three, [1, 2]])
  const arc = arcWith(generations, [1, 2, 4])
  t.ok(mayHaveLost(generations, 4, 3, arc, home => home === 1))
  t.ok(mayHaveLost(generations, 4, 3, arc, home => home === 2))
  t.notOk(mayHaveLost(generations, 4, 3, arc, home => home === 3))
})

t.test('who acted before and is there has to hear that another node acts now', async t => {
  const generations = picture([four, []], [four, [3]], [three, [3]], [three, [3, 2]])
  const arc = arcWith(generations, [3, 1, 2, 4])
  const sent: [number, Message][] = []
  const hearing = new Hearing((node, message) => sent.push([node, message]) > 0)
  hearing.linkUp(1, 'a')
  t.equal(hearing.behind(generations, 4, 4, arc), 1, 'not 2 and 3, which are away')
  let heard = 0
  const done = () => {
    heard++
  }
  hearing.whenHeard(1, 4, done)
  hearing.whenHeard(1, 4, done)
  t.same(sent, [[1, { type: 'hear', id: 1 }]], 'one question for all who wait')
  t.equal(hearing.waiting, 2)
  hearing.linkUp(1, 'a')
  t.equal(sent.length, 2, 'again on the next link')
  hearing.onHeard(1, 2)
  t.equal(heard, 0, 'an answer to nothing')
  hearing.onHeard(1, 1)
  t.equal(heard, 2)
  t.equal(hearing.behind(generations, 4, 4, arc), null)
  hearing.linkUp(1, 'b')
  t.equal(hearing.behind(generations, 4, 4, arc), 1, 'another life has to hear anew')
  hearing.hasHeard(1, 2)
  t.equal(hearing.behind(generations, 4, 4, arc), 1, 'of its own generation')
  hearing.hasHeard(1, 3)
  t.equal(hearing.behind(generations, 4, 4, arc), null, 'of the one after it')
  hearing.whenHeard(1, 5, done)
  hearing.lookAgain()
  t.equal(heard, 3, 'there is another picture')
  t.same([...hearing.wanted()], [])
})
