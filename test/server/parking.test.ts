/** Requests whose key must be taken first: one take a key and worker, the others in order behind it. */
import t from 'tap'
import type { TestNode } from './harness.js'
import { set, TestTier, value } from './harness.js'

/** A control plane that grants when it is told to. */
function takes(node: TestNode) {
  const grant = (count = 1) => {
    const needs = node.posted('need')
    for (const { ticket, key } of needs.splice(granted, count)) {
      granted++
      node.control.installAbsent(key, node.engine.epoch())
      node.tell({ type: 'granted', ticket })
    }
  }
  let granted = 0
  return { grant, needed: () => node.posted('need').map(({ key }) => Buffer.from(key).toString()) }
}

t.test('one take, then everybody in order', async t => {
  const tier = new TestTier(1)
  const node = tier.nodes[0]!
  tier.publish(node, 1, [1], true)
  const { grant, needed } = takes(node)
  const clients = Array.from({ length: 5 }, () => tier.client(node))
  for (const [i, client] of clients.entries()) {
    client.send(`${set('k', `${i}`)}incr k 10\r\nget k\r\n`)
    tier.until(() => node.stat('parked_requests') === i + 1, 'parked')
  }
  t.same(needed(), ['k'])
  grant()
  tier.until(() => clients.every(client => client.text.includes('END')), 'all answers')
  t.match(clients[4]!.text, /^STORED\r\n\d+\r\nVALUE k 0 \d+\r\n/)
  t.same(needed(), ['k'])
  t.equal(node.stat('takes'), 1)
})

t.test('refused, and too late', async t => {
  const tier = new TestTier(1)
  const node = tier.nodes[0]!
  tier.publish(node, 1, [1], true)
  const client = tier.client(node)
  client.send(`get a\r\nset a 0 0 1 noreply\r\n1\r\nget b\r\n`)
  node.onControl = message => {
    if (message.type === 'need') node.tell({ type: 'refused', ticket: message.ticket, reason: 'node n9 is not there' })
  }
  const refused = 'SERVER_ERROR node n9 is not there\r\n'
  tier.until(() => client.size >= refused.length * 2, 'two refusals')
  t.equal(client.take(), refused + refused)
  node.onControl = () => {}
  const other = tier.client(node)
  client.send('get c\r\n')
  tier.world.runFor(3000)
  other.send('get c\r\n')
  tier.until(() => client.whole, 'an error')
  const late = "SERVER_ERROR the key's previous node cannot be reached\r\n"
  t.equal(client.take(), late)
  t.equal(other.size, 0, 'it came later, and may wait longer')
  t.equal(node.posted('forget').length, 0)
  tier.until(() => other.whole, 'an error')
  t.equal(other.text, late)
  t.equal(node.posted('forget').length, 1)
})

t.test('the request of a client that went away is never applied', async t => {
  const tier = new TestTier(2)
  const [first, second] = tier.nodes as [TestNode, TestNode]
  tier.publish(first, 1, [1, 2])
  tier.publish(second, 1, [1, 2], true)
  const { grant } = takes(second)
  const key = tier.key(1, 2)
  for (const node of [second, first]) {
    const client = tier.client(node)
    client.send(set(key, 'late'))
    const parked = second.stat('parked_requests')
    tier.until(() => second.stat('parked_requests') > parked, 'parked')
    client.connection.destroy()
    tier.until(() => node.stat('curr_connections') === 0, 'gone')
  }
  tier.until(() => second.stat('requests_dropped') === 0, 'nothing dropped yet')
  tier.world.runFor(100)
  grant()
  tier.world.runFor(100)
  t.equal(second.stat('requests_dropped'), 2)
  const client = tier.client(first)
  client.send(`get ${key}\r\n`)
  tier.until(() => client.whole, 'an answer')
  t.equal(client.text, 'END\r\n')
})

t.test('granted, but it lives elsewhere by now: passed on', async t => {
  const tier = new TestTier(2)
  const [first, second] = tier.nodes as [TestNode, TestNode]
  tier.publish(second, 1, [1, 2])
  tier.publish(first, 1, [1, 1], true)
  const key = tier.key(1, 2)
  const client = tier.client(first)
  client.send(set(key, 'v'))
  tier.until(() => first.posted('need').length === 1, 'need')
  tier.publishAll(2, [1, 2])
  first.tell({ type: 'granted', ticket: first.posted('need')[0]!.ticket })
  tier.until(() => client.whole, 'an answer')
  t.equal(client.take(), 'STORED\r\n')
  t.equal(second.stat('curr_items'), 1)
})

t.test('keys of a get of many are taken together', async t => {
  const tier = new TestTier(2)
  const [first, second] = tier.nodes as [TestNode, TestNode]
  tier.publish(first, 1, [1, 2], true)
  tier.publish(second, 1, [1, 2], true)
  const ours = takes(first)
  const theirs = takes(second)
  const keys = [tier.key(0, 2), tier.key(1, 2), tier.key(0, 2, 1), tier.key(1, 2, 1)]
  const client = tier.client(first)
  client.send(`get ${keys.join(' ')}\r\n`)
  tier.until(() => ours.needed().length === 2 && theirs.needed().length === 2, 'all asked for at once')
  const writer = tier.client(second)
  writer.send(set(keys[1]!, 'written first'))
  ours.grant(2)
  tier.world.runFor(50)
  t.equal(client.size, 0)
  theirs.grant(2)
  tier.until(() => client.whole && writer.whole, 'an answer')
  t.equal(client.text, 'END\r\n')
  client.send(`get ${keys.join(' ')}\r\n`)
  tier.until(() => client.text.split('END\r\n').length > 2, 'a second answer')
  t.equal(client.text, `END\r\n${value(keys[1]!, 'written first')}END\r\n`)
})

t.test('a data link keeps the order of a key, whatever becomes of the route', async t => {
  for (let seed = 1; seed <= 30; seed++) {
    const tier = new TestTier(3, seed)
    const [first, second, third] = tier.nodes as [TestNode, TestNode, TestNode]
    const key = tier.key(1, 2)
    tier.publish(first, 1, [1, 2])
    tier.publish(second, 1, [1, 2], true)
    tier.publish(third, 1, [1, 2], true)
    const { grant } = takes(second)
    const client = tier.client(first)
    let expected = ''
    for (let i = 0; i < 20; i++) expected += i === 0 ? 'STORED\r\n' : `${i}\r\n`
    client.send(set(key, '0') + `incr ${key} 1\r\n`.repeat(19))
    tier.until(() => second.posted('need').length === 1, 'need')
    tier.world.runFor(tier.world.random() * 5)
    grant()
    tier.world.runFor(tier.world.random() * 3)
    // From here on the second node passes everything on to the third, which has taken the key.
    tier.publish(second, 2, [1, 3])
    const record = second.control.handOver(Buffer.from(key), 2)
    tier.publish(third, 2, [1, 3], true)
    if (record) third.control.install(record, 2)
    third.onControl = message => {
      if (message.type !== 'need') return
      third.control.installAbsent(message.key, 2)
      third.tell({ type: 'granted', ticket: message.ticket })
    }
    tier.until(() => client.size >= expected.length, `all answers, got ${client.text}`)
    if (client.text !== expected) t.equal(client.text, expected, `seed ${seed}`)
  }
})
