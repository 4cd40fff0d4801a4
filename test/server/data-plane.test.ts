/** The data plane of a node that begins a new life: nothing from the one before is executed. */
import t from 'tap'
import { set, TestTier, value } from './harness.js'

t.test(
  'a late write: connections that nobody accepted before a node returned go, with what was asked on them',
  async t => {
    const tier = new TestTier(1)
    const node = tier.nodes[0]!
    tier.publish(node, 1, [1])
    const served = tier.client(node)
    served.send(set('k', 'new'))
    tier.until(() => served.text === 'STORED\r\n', 'stored')
    const before = node.stat('total_connections')
    const waiting = Array.from({ length: 50 }, () => tier.client(node))
    for (const client of waiting) client.send(set('k', 'old'))
    // The others come one after the other, within two milliseconds.
    tier.until(() => node.stat('total_connections') > before, 'the first of them')
    node.tell({ type: 'drop', since: null })
    tier.until(() => node.posted('dropped').length === 1, 'dropped')
    tier.until(() => served.closed && waiting.every(client => client.closed), 'all are closed')
    t.same(new Set(waiting.map(client => client.text)), new Set(['']))
    const later = tier.client(node)
    later.send('get k\r\n')
    tier.until(() => later.text.endsWith('END\r\n'), 'accepted again')
    t.equal(later.text, `${value('k', 'new')}END\r\n`)
  },
)
