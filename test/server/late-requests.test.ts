/** A request that another node passes on is executed in time or never, by the clock of the node that passed it on. */
import t from 'tap'
import { set, type TestNode, TestTier, value } from './harness.js'

const LATE = 'SERVER_ERROR the request came too late to be executed\r\n'

function pair(): { tier: TestTier; first: TestNode; second: TestNode; key: string } {
  const tier = new TestTier(2)
  tier.publishAll(1, [1, 2])
  const [first, second] = tier.nodes as [TestNode, TestNode]
  return { tier, first, second, key: tier.key(1, 2) }
}

function ask(tier: TestTier, node: TestNode, bytes: string): string {
  const client = tier.client(node)
  client.send(bytes)
  tier.until(() => client.whole, `an answer to ${JSON.stringify(bytes)}`)
  client.connection.destroy()
  return client.text
}

t.test('a failed write that hung on its way does not come up after a later one (torture, seed 4)', async t => {
  const { tier, first, second, key } = pair()
  t.equal(ask(tier, first, set(key, 'first')), 'STORED\r\n')
  tier.world.cut(first.host, second.host)
  const impatient = tier.client(first)
  impatient.send(set(key, 'old'))
  tier.until(() => first.stat('forwarded_requests') === 2, 'sent')
  tier.world.runFor(4500)
  impatient.connection.destroy()
  t.equal(ask(tier, second, set(key, 'new')), 'STORED\r\n', 'by another way')
  tier.world.heal(first.host, second.host)
  tier.until(() => second.stat('requests_dropped') === 1, 'refused')
  tier.world.runFor(1000)
  t.equal(ask(tier, first, `get ${key}\r\n`), `${value(key, 'new')}END\r\n`)
})

t.test('who does not answer is given up with its link; what else was sent there waits for its own time', async t => {
  const { tier, first, second, key } = pair()
  t.equal(ask(tier, first, set(key, 'first')), 'STORED\r\n')
  tier.world.cut(first.host, second.host)
  const began = tier.world.now
  const one = tier.client(first)
  one.send(set(key, 'one'))
  tier.until(() => first.stat('forwarded_requests') === 2, 'sent')
  tier.world.runFor(3000)
  const other = tier.client(first)
  other.send(set(key, 'other'))
  const sentence = 'SERVER_ERROR node n2 did not answer in time\r\n'
  tier.until(() => one.whole, 'an error')
  t.equal(one.text, sentence)
  t.ok(tier.world.now - began >= 5000 && tier.world.now - began < 5500, `${tier.world.now - began} ms`)
  tier.world.runFor(2000)
  t.equal(other.size, 0, 'it may still be executed')
  tier.until(() => other.whole, 'an error')
  t.equal(other.text, sentence)
  tier.world.heal(first.host, second.host)
  t.equal(ask(tier, first, `get ${key}\r\n`), `${value(key, 'first')}END\r\n`, 'by a new link')
  t.equal(first.stat('forwarded_errors'), 2)
})

t.test('what waits for a generation, or for its key, is not executed after its time either', async t => {
  const { tier, first, second, key } = pair()
  tier.publish(first, 2, [1, 2])
  const client = tier.client(first)
  client.send(set(key, 'held'))
  tier.until(() => second.posted('heard').length > 0, 'held')
  tier.world.runFor(4100)
  tier.publish(second, 2, [1, 2])
  tier.until(() => client.whole, 'an answer')
  t.equal(client.take(), LATE)

  tier.publish(first, 3, [1, 2])
  tier.publish(second, 3, [1, 2], true)
  const local = tier.client(second)
  local.send(set(key, 'local'))
  tier.until(() => second.posted('need').length === 1, 'a take')
  tier.world.runFor(500)
  client.send(set(key, 'parked'))
  const late = "SERVER_ERROR the key's previous node cannot be reached\r\n"
  tier.until(() => client.whole, 'an answer')
  t.equal(client.text, late, 'its own time was over before that of the one that came first')
  t.equal(local.size, 0)
  tier.until(() => local.whole, 'an answer')
  t.equal(first.stat('forwarded_errors'), 0, 'the link was not given up')
})

t.test('clocks that drift apart for hours: what is fresh is executed, what is late is not', async t => {
  for (const rate of [0.9999, 1.0001]) {
    const { tier, first, second, key } = pair()
    // Its 32 bits are over in the middle of it.
    const clock = () => 2 ** 32 - 3_600_000 + tier.world.now * rate
    Object.assign(first.plane.loop, { clock })
    t.equal(ask(tier, first, set(key, 'first')), 'STORED\r\n')
    for (let hour = 1; hour <= 5; hour++) {
      tier.world.runFor(3_600_000)
      t.equal(ask(tier, first, set(key, `v${hour}`)), 'STORED\r\n', `fresh after ${hour} hours`)
    }
    tier.world.cut(first.host, second.host)
    const client = tier.client(first)
    client.send(set(key, 'late'))
    tier.until(() => first.stat('forwarded_requests') === 7, 'sent')
    tier.world.runFor(4010)
    tier.world.heal(first.host, second.host)
    tier.until(() => client.whole, 'an answer')
    t.equal(client.text, LATE)
  }
})
