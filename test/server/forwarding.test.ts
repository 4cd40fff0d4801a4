/** Requests of keys that live at other nodes: passed on, merged, held, refused, in the order they were asked. */
import t from 'tap'
import { Fence } from '../../lib/server/fence.js'
import { type RawClient, set, TestTier, value } from './harness.js'

function asker(tier: TestTier, client: RawClient) {
  return (bytes: string, expected: string): string => {
    client.send(bytes)
    tier.until(() => client.size >= expected.length, `${JSON.stringify(expected.slice(0, 100))}, got ${client.text}`)
    return client.take()
  }
}

t.test('requests are passed on to the owner, pipelined, answered in order', async t => {
  const tier = new TestTier(3)
  tier.publishAll(1, [1, 2, 3])
  const client = tier.client(tier.nodes[0]!)
  let sent = ''
  let expected = ''
  for (let i = 0; i < 500; i++) {
    const key = tier.key(i % 3 === 0 ? i % 2 : 2 - (i % 2), 3, i % 7)
    sent += set(key, `v${i}`)
    expected += 'STORED\r\n'
    sent += `set ${key} 0 0 2 noreply\r\n${i % 90 < 10 ? `0${i % 90}` : i % 90}\r\nincr ${key} 5\r\nget ${key}\r\n`
    const number = String((i % 90) + 5)
    const padded = number.padEnd(2, ' ')
    expected += `${number}\r\n${value(key, padded)}END\r\n`
  }
  t.equal(asker(tier, client)(sent, expected), expected)
  t.ok(tier.nodes[0]!.stat('forwarded_requests') > 1000)
  t.equal(tier.nodes[0]!.stat('curr_items') + tier.nodes[1]!.stat('curr_items') > 0, true)
})

t.test('a request that came with the very route that is published waits until the node may act by it', async t => {
  const fence = new Fence()
  const tier = new TestTier(2, 1, { fence: fence.words })
  const [first, second] = tier.nodes as [(typeof tier.nodes)[0], (typeof tier.nodes)[0]]
  tier.publishAll(1, [1, 2])
  const client = tier.client(first)
  const ask = asker(tier, client)
  const key = tier.key(1, 2)
  ask(set(key, '1'), 'STORED\r\n')
  // The second node stood still, was away, and is back: its route is published before its lease is written down and its planes are told.
  second.tell({ type: 'lease', lapsed: 'a majority does not answer' })
  fence.set(1)
  second.control.publish({
    ...{ epoch: 2, self: 2, points: Uint32Array.of(2 ** 31 - 1, 0xffffffff), owners: Uint16Array.of(1, 2) },
    ...{ tenures: Uint32Array.of(2, 2), settled: Uint8Array.of(1, 1) },
  })
  first.tell({ type: 'lease', lapsed: null })
  tier.publish(first, 2, [1, 2])
  client.send(`get ${key}\r\n`)
  tier.world.runFor(50)
  t.equal(client.text, '', 'no answer, and no error')
  fence.set(Number.POSITIVE_INFINITY)
  second.tell({ type: 'route', epoch: 2, self: 2, nodes: tier.peers })
  const expected = `${value(key, '1')}END\r\n`
  t.equal(ask('', expected), expected)
})

t.test('large values, and a value that is too large, cross nodes', async t => {
  const tier = new TestTier(2)
  tier.publishAll(1, [1, 2])
  const ask = asker(tier, tier.client(tier.nodes[0]!))
  const key = tier.key(1, 2)
  const large = 'x'.repeat(900_000)
  t.equal(ask(set(key, large), 'STORED\r\n'), 'STORED\r\n')
  const expected = `${value(key, large)}END\r\n`
  t.ok(ask(`get ${key}\r\n`, expected) === expected)
  const refused = 'SERVER_ERROR object too large for cache\r\nMN\r\n'
  t.equal(ask(`${set(key, 'y'.repeat(1_500_000))}mn\r\n`, refused), refused)
  t.equal(ask(`get ${key}\r\n`, 'END\r\n'), 'END\r\n')
})

t.test('a get of many keys is merged in the order asked', async t => {
  const tier = new TestTier(3)
  tier.publishAll(1, [1, 2, 3])
  const ask = asker(tier, tier.client(tier.nodes[0]!))
  const keys = Array.from({ length: 300 }, (_, i) => tier.key(i % 3, 3, i))
  for (const [i, key] of keys.entries()) if (i % 5 !== 4) t.equal(ask(set(key, `v${i}`), 'STORED\r\n'), 'STORED\r\n')
  const all = keys.flatMap((key, i) => (i % 5 === 4 ? [] : [value(key, `v${i}`)])).join('')
  t.equal(ask(`get ${keys.join(' ')}\r\n`, `${all}END\r\n`), `${all}END\r\n`)
  const [a = '', b = '', c = ''] = keys
  const twice = `${value(b, 'v1')}${value(a, 'v0')}${value(b, 'v1')}${value(c, 'v2')}END\r\n`
  t.equal(ask(`get ${b} ${a} nothing ${b} ${c}\r\n`, twice), twice)
  t.equal(ask(`gat 0 ${b} ${a} ${b} ${c}\r\n`, twice), twice)
  const gets = `gets ${a} ${b}\r\n`
  t.match(
    ask(gets, `${value(a, 'v0')}${value(b, 'v1')} 1 1END\r\n`),
    /^VALUE \S+ 0 2 \d+\r\nv0\r\nVALUE \S+ 0 2 \d+\r\n/,
  )
})

t.test('a broken link: what was sent is answered with an error, what was not goes when it is back', async t => {
  const tier = new TestTier(2)
  const [first, second] = tier.nodes as [(typeof tier.nodes)[0], (typeof tier.nodes)[0]]
  tier.publishAll(1, [1, 2])
  const key = tier.key(1, 2)
  const client = tier.client(first)
  const ask = asker(tier, client)
  ask(set(key, '1'), 'STORED\r\n')
  tier.world.cut(first.host, second.host)
  client.send(`get ${key}\r\nset ${key} 0 0 1 noreply\r\n2\r\n`)
  tier.until(() => first.stat('forwarded_requests') === 3, 'sent')
  tier.world.runFor(20)
  tier.world.breakConnections(first.host, second.host)
  const lost = 'SERVER_ERROR connection to node n2 lost\r\n'
  tier.until(() => client.size >= lost.length, 'an error')
  t.equal(client.take(), lost, 'nothing is said about the one that wanted no reply')
  client.send(`get ${key}\r\n`)
  tier.world.runFor(100)
  tier.world.heal(first.host, second.host)
  tier.until(() => client.whole, 'an answer')
  t.match(client.take(), /^VALUE \S+ 0 1\r\n[12]\r\nEND\r\n$/, 'whether the write came through is not known')
})

t.test('a node that cannot be reached, and an owner that nobody knows', async t => {
  const tier = new TestTier(2)
  const [first, second] = tier.nodes as [(typeof tier.nodes)[0], (typeof tier.nodes)[0]]
  tier.publish(first, 1, [1, 2])
  tier.world.crash(second.host)
  const key = tier.key(1, 2)
  const client = tier.client(first)
  client.send(`get ${key}\r\nget ${key} other\r\n`)
  const sentence = 'SERVER_ERROR node n2 (10.0.0.2:11211) cannot be reached\r\n'
  const before = tier.world.now
  tier.until(() => client.size >= sentence.length * 2, 'two errors')
  t.equal(client.take(), sentence + sentence)
  t.ok(tier.world.now - before >= 5000)

  tier.publish(first, 2, [1, 7])
  client.send(`get ${key}\r\n`)
  tier.world.runFor(100)
  t.equal(client.size, 0)
  tier.publish(first, 3, [1, 1])
  tier.until(() => client.whole, 'an answer')
  t.equal(client.take(), 'END\r\n', 'the next route names another owner: us')
  t.equal(first.stat('forwarded_errors'), 2)
})

t.test('two nodes that each think the other is the owner', async t => {
  const tier = new TestTier(2)
  const [first, second] = tier.nodes as [(typeof tier.nodes)[0], (typeof tier.nodes)[0]]
  tier.publish(first, 1, [2, 2])
  tier.publish(second, 1, [1, 1])
  const ask = asker(tier, tier.client(first))
  const sentence = 'SERVER_ERROR too many hops\r\n'
  t.equal(ask('get k\r\n', sentence), sentence)
  t.equal(first.stat('hops_refused') + second.stat('hops_refused'), 1)
})

t.test('a request of a newer generation waits until it is known', async t => {
  const tier = new TestTier(3)
  const [first, second] = tier.nodes as [(typeof tier.nodes)[0], (typeof tier.nodes)[0]]
  tier.publishAll(1, [1, 2, 3])
  tier.publish(first, 2, [1, 2, 2])
  const key = tier.key(2, 3)
  const client = tier.client(first)
  client.send(set(key, 'new'))
  tier.until(() => second.posted('heard').length > 0, 'heard')
  t.match(second.posted('heard')[0], { epoch: 2, from: 1 })
  tier.world.runFor(500)
  t.equal(client.size, 0)
  t.equal(second.stat('forwarded_requests'), 0)
  tier.publish(second, 2, [1, 2, 2])
  tier.until(() => client.whole, 'an answer')
  t.equal(client.take(), 'STORED\r\n')
  t.equal(second.stat('curr_items'), 1)
})

t.test('a reply of a newer generation is relayed, and the generation asked for', async t => {
  const tier = new TestTier(2)
  const [first, second] = tier.nodes as [(typeof tier.nodes)[0], (typeof tier.nodes)[0]]
  tier.publishAll(1, [1, 2])
  tier.publish(second, 5, [1, 2])
  const ask = asker(tier, tier.client(first))
  t.equal(ask(`get ${tier.key(1, 2)}\r\n`, 'END\r\n'), 'END\r\n')
  t.match(first.posted('heard'), [{ epoch: 5, from: 2 }])
})

t.test('flush_all and config get cluster in a tier', async t => {
  const tier = new TestTier(2)
  const node = tier.nodes[0]!
  tier.publishAll(3, [1, 2])
  node.onControl = message => {
    if (message.type === 'flush') node.tell({ type: 'done', ticket: message.ticket })
  }
  const ask = asker(tier, tier.client(node))
  t.equal(
    ask('flush_all\r\nflush_all 10 noreply\r\nflush_all -5\r\nflush_all 1\r\nmn\r\n', `${'OK\r\n'.repeat(3)}MN\r\n`),
    `${'OK\r\n'.repeat(3)}MN\r\n`,
  )
  t.same(
    node.posted('flush').map(message => message.delaySec),
    [0, 9, 0, 0],
    'memcached acts one second before: the same in a tier',
  )
  const bad = 'CLIENT_ERROR invalid exptime argument\r\n'
  t.equal(ask('flush_all soon\r\n', bad), bad)
  node.onControl = message => {
    if (message.type === 'flush') node.tell({ type: 'refused', ticket: message.ticket, reason: 'node n2 is silent' })
  }
  t.equal(ask('flush_all\r\n', 'SERVER_ERROR node n2 is silent\r\n'), 'SERVER_ERROR node n2 is silent\r\n')
  const text = '3\n10.0.0.1|10.0.0.1|11211 10.0.0.2|10.0.0.2|11211\n'
  const config = `CONFIG cluster 0 ${text.length}\r\n${text}\r\nEND\r\n`
  t.equal(ask('config get cluster\r\n', config), config)
  const legacy = `VALUE AmazonElastiCache:cluster 0 ${text.length}\r\n${text}\r\nEND\r\n`
  t.equal(ask('get AmazonElastiCache:cluster\r\n', legacy), legacy)
  t.equal(ask('get AmazonElastiCache:clustex\r\n', 'END\r\n'), 'END\r\n')
})

t.test('a peer that reads slowly makes its asker wait, and nothing is lost', async t => {
  const tier = new TestTier(2, 3)
  tier.publishAll(1, [1, 2])
  const clients = Array.from({ length: 6 }, () => tier.client(tier.nodes[0]!))
  const large = 'z'.repeat(100_000)
  for (const [i, client] of clients.entries()) {
    const key = tier.key(1, 2, i)
    client.send(set(key, large).repeat(10) + `get ${key}\r\n`.repeat(30))
  }
  const expected = 10 * 8 + 30 * (value(tier.key(1, 2), large).length + 5)
  tier.until(() => clients.every(client => client.size > expected - 100), 'all answers')
  t.notOk(clients.some(client => client.text.includes('ERROR')))
})
