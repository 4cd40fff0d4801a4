/** Gets of many keys that come from a client and live at several nodes, split and merged by the engine: of whole tiers, with what goes wrong. */
import t from 'tap'
import { randomFrom } from '../../bench/random.js'
import { type RawClient, set, type TestNode, TestTier, value } from './harness.js'

const SEED = Number(process.env.SEED ?? 1)

function ask(tier: TestTier, client: RawClient, bytes: string, expected: string): string {
  client.send(bytes)
  tier.until(
    () => client.size >= expected.length,
    `${JSON.stringify(expected.slice(0, 100))}, got ${client.size} bytes`,
  )
  return client.take()
}

/** A tier whose first node has a third of the keys, or none. */
function tierOf(isRouter: boolean): { tier: TestTier; first: TestNode; client: RawClient; arcs: number[] } {
  const tier = new TestTier(4, SEED)
  const arcs = isRouter ? [2, 3, 4] : [1, 2, 3]
  tier.publishAll(1, arcs)
  const first = tier.nodes[0]!
  const client = tier.client(first)
  // Links are dialed by what waits for them.
  for (let arc = 0; arc < 3; arc++) ask(tier, client, set(tier.key(arc, 3), 'x'), 'STORED\r\n')
  return { tier, first, client, arcs }
}

for (const isRouter of [true, false]) {
  t.test(`${isRouter ? 'a router' : 'a node'}: any keys, any sizes, cut anywhere, seed ${SEED}`, async t => {
    const { tier, client } = tierOf(isRouter)
    const random = randomFrom(SEED)
    const draw = (below: number) => Math.floor(random() * below)
    const held = new Map<string, string>()
    for (let i = 0; i < 150; i++) {
      const key = `key${i}`
      const size = [0, 10, 1000, 4090, 30_000][draw(5)]!
      if (i % 4 !== 3) held.set(key, 'END\r\n'.repeat(size / 5))
      if (i % 4 !== 3) ask(tier, client, set(key, held.get(key)!), 'STORED\r\n')
    }
    const hit = (key: string) => (held.has(key) ? value(key, held.get(key)!) : '')
    for (let round = 0; round < 60; round++) {
      const gets = Array.from({ length: 1 + draw(3) }, () => {
        const keys = Array.from({ length: 2 + draw([4, 40, 300][draw(3)]!) }, () => `key${draw(160)}`)
        return { keys, line: `${draw(4) === 0 ? 'gat 0' : 'get'} ${keys.join(' ')}\r\n` }
      })
      const bytes = gets.map(({ line }) => line).join('')
      const cut = draw(bytes.length)
      client.send(bytes.slice(0, cut))
      if (draw(2) === 0) tier.world.runFor(draw(5))
      const expected = gets.map(({ keys }) => `${keys.map(hit).join('')}END\r\n`).join('')
      const got = ask(tier, client, bytes.slice(cut), expected)
      if (got !== expected) t.fail(`round ${round}: ${got.length} bytes, not ${expected.length}`)
    }
    t.match(ask(tier, client, 'gets key0 key1\r\n', `${hit('key0')}${hit('key1')}`), /^VALUE key0 0 \d+ \d+\r\n/)
  })
}

t.test('one of the nodes is lost: the whole line is an error, and the connection goes on', async t => {
  const { tier, first, client } = tierOf(true)
  const keys = [0, 1, 2].map(arc => tier.key(arc, 3))
  const line = `get ${keys.join(' ')}\r\n`
  const third = tier.nodes[2]!
  tier.world.cut(first.host, third.host)
  client.send(`${line}get ${keys[0]}\r\n`)
  tier.world.runFor(50)
  t.equal(client.size, 0)
  tier.world.breakConnections(first.host, third.host)
  const expected = `SERVER_ERROR connection to node n3 lost\r\n${value(keys[0]!, 'x')}END\r\n`
  tier.until(() => client.size >= expected.length, 'an error and an answer')
  t.equal(client.take(), expected)
  client.send(line)
  tier.world.runFor(20)
  tier.world.heal(first.host, third.host)
  const whole = `${keys.map(key => value(key, 'x')).join('')}END\r\n`
  tier.until(() => client.size >= whole.length, 'the answer when the link is back')
  t.equal(client.take(), whole)
})

t.test('the client goes away meanwhile: the others are told, and nobody is answered', async t => {
  const { tier, first, client } = tierOf(true)
  const keys = [0, 1, 2].map(arc => tier.key(arc, 3))
  const third = tier.nodes[2]!
  tier.world.cut(first.host, third.host)
  client.send(`get ${keys.join(' ')}\r\n`)
  tier.until(() => first.stat('forwarded_requests') === 6, 'three lines')
  tier.world.runFor(50)
  client.connection.destroy()
  tier.until(() => first.stat('curr_connections') === 0, 'gone')
  tier.world.heal(first.host, third.host)
  tier.world.runFor(50)
  const whole = `${keys.map(key => value(key, 'x')).join('')}END\r\n`
  t.equal(ask(tier, tier.client(first), `get ${keys.join(' ')}\r\n`, whole), whole)
})

t.test('keys that must be taken first', async t => {
  const { tier, first, client } = tierOf(false)
  tier.publish(first, 2, [1, 2, 3], true)
  for (const node of tier.nodes.slice(1)) tier.publish(node, 2, [1, 2, 3])
  first.onControl = message => {
    if (message.type !== 'need') return
    first.control.installAbsent(message.key, 2)
    first.tell({ type: 'granted', ticket: message.ticket })
  }
  const keys = Array.from({ length: 60 }, (_, i) => tier.key(i % 3, 3, 1 + i))
  const held = keys.filter((_, i) => i % 3 !== 0)
  for (const key of held) ask(tier, client, set(key, 'v'), 'STORED\r\n')
  const expected = `${held.map(key => value(key, 'v')).join('')}END\r\n`
  t.equal(ask(tier, client, `get ${keys.join(' ')}\r\n`, expected), expected)
  t.equal(first.posted('need').length, 20, 'each of them once')
})
