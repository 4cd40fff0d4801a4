import fc from 'fast-check'
import t from 'tap'
import { decodeReply, decodeRequest, encodeStore } from '../../lib/tier/embedded-wire.js'
import { parseStoreUrl } from '../../lib/tier/store.js'
import { emptyTopology } from '../../lib/tier/topology.js'
import { checkTopology, parseTopology } from '../../lib/tier/validate.js'
import { withNode } from '../../lib/tier/wishes.js'

const self = { id: 'a', host: '127.0.0.1', port: 1, peerHost: '127.0.0.1', peerPort: 2, dataPort: 3, weight: 1 }
const registered = withNode(emptyTopology('test'), { ...self, incarnation: '1' })
const sample = registered.ok ? registered.topology! : emptyTopology('none')

t.test('a document says what is wrong with it', async t => {
  const problem = (change: object) => {
    const checked = checkTopology({ ...sample, ...change })
    return checked.ok ? 'fine' : checked.problem
  }
  t.equal(problem({}), 'fine')
  t.match(problem({ format: 2 }), /^format: /)
  t.match(problem({ nodes: [{ ...sample.nodes[0], port: 70_000 }] }), /^nodes.0.port: /)
  t.equal(problem({ nodes: [sample.nodes[0], { ...sample.nodes[0], id: 'b' }] }), 'two nodes have the same number')
  t.equal(problem({ nodes: [sample.nodes[0], { ...sample.nodes[0], number: 2 }] }), 'two nodes have the same id')
  t.equal(problem({ epoch: 3 }), 'the epoch is 3, but the newest generation is 0')
  const servers = [{ number: 9, host: 'h', port: 1, weight: 1 }]
  t.equal(
    problem({ epoch: 1, generations: [{ epoch: 1, servers, away: [] }] }),
    'generation 1 names node number 9, which is not listed',
  )
  t.equal(parseTopology('{"half'), null)
  t.same(parseTopology(JSON.stringify(sample)), sample)
})

t.test('whatever a peer sends is understood or refused, never a surprise', async t => {
  const text = JSON.stringify({ op: 'compareAndSet', expected: 1, topology: sample })
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(text.length), fc.string(), (from, to, patch) => {
      const bytes = Buffer.from(text.slice(0, from) + patch + text.slice(to))
      for (const decode of [decodeRequest, decodeReply]) {
        try {
          decode(bytes)
        } catch (error) {
          if (!(error instanceof Error)) throw error
        }
      }
    }),
    { numRuns: 500 },
  )
  t.same(decodeRequest(encodeStore({ op: 'compareAndSet', expected: 1, topology: sample })), JSON.parse(text))
  t.throws(() => decodeRequest(Buffer.from('{"op":"shutdown"}')))
})

t.test('store urls', async t => {
  const sentence = (text: string) => {
    const parsed = parseStoreUrl(text)
    return parsed.ok ? parsed.url.address : parsed.sentence
  }
  t.same(sentence('embedded://127.0.0.1:9999'), { host: '127.0.0.1', port: 9999 })
  t.same(sentence('embedded://[::1]:1'), { host: '::1', port: 1 })
  for (const wrong of [
    '127.0.0.1:9999',
    'embedded://',
    'embedded://host',
    'embedded://host:0',
    'embedded://h:70000',
    'zk://h:1',
  ]) {
    t.equal(sentence(wrong), `"${wrong}" is no topology store: give embedded://host:port`)
  }
  t.match(sentence('etcd://127.0.0.1:2379/tier'), /etcd comes later/)
})
