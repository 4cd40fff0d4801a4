/** What the engine says of whose a request is, beside the host's own parser and the route of the key. */
import t from 'tap'
import { Engine } from '../../lib/engine/engine.js'
import { shapeOf } from '../../lib/server/request.js'
import { smallArena } from './driver.js'

const OWNERS = 5

function routed(): Engine {
  const engine = new Engine(smallArena(), 0)
  const points = Uint32Array.from({ length: 100 }, (_, i) => Math.floor(((i + 1) * 2 ** 32) / 100) - 1)
  engine.publish({
    ...{ epoch: 7, self: 9, points, owners: Uint16Array.from(points, (_, i) => i % OWNERS) },
    ...{ tenures: new Uint32Array(100).fill(1), settled: new Uint8Array(100).fill(1) },
  })
  return engine
}

const PLAIN = [
  ...['get key\r\n', 'get  key  \r\n', 'gets key\n', 'delete key\r\n', 'delete key noreply\r\n', 'incr key 5\r\n'],
  ...['decr key 1 noreply\r\n', 'touch key 0\r\n', 'set key 0 0 3\r\nabc\r\n', 'set key 0 0 3 noreply\r\nabc\r\n'],
  ...['add key 0 0 0\r\n\r\n', 'cas key 1 2 3 4\r\nabc\r\n', 'append key 0 0 1\r\na\r\n', 'prepend key 0 0 1\r\na\r\n'],
  ...[
    'replace key 0 0 5\r\nget a\r\n',
    'mg key v\r\n',
    'mg key\r\n',
    'ms key 3 T0\r\nabc\r\n',
    'md key q\r\n',
    'ma key\r\n',
  ],
  ...['me key\r\n', `get ${'k'.repeat(250)}\r\n`],
]
const OTHERS = [
  ...[
    ' get key\r\n',
    'get a b\r\n',
    'get\r\n',
    'version\r\n',
    'quit\r\n',
    'stats\r\n',
    'nonsense key\r\n',
    'mn\r\n',
    '\r\n',
    'mx k\r\n',
  ],
  ...[
    'set key 0 0 x\r\nabc\r\n',
    'set key 0 0\r\nabc\r\n',
    'set key 0 0 -1\r\n',
    'set key 0 0 99999999999\r\n',
    'set key 0 0 2147483646\r\n',
  ],
  ...[
    'mg a2V5 b\r\n',
    'ms a2V5 3 b\r\nabc\r\n',
    `get ${'k'.repeat(251)}\r\n`,
    'gat 0 key\r\n',
    'ms key\r\n',
    'ms key x\r\nabc\r\n',
  ],
  `get ${'k '.repeat(40)}\r\n`,
]

t.test('a whole request of one key is found as the host finds it, and its owner as the route has it', async t => {
  const engine = routed()
  const { offset } = engine.rx
  const look = (text: string) => {
    const bytes = Buffer.from(text, 'latin1')
    engine.bytes.set(bytes, offset)
    return engine.ownerOfRequest(offset, bytes.length)
  }
  for (const text of PLAIN) {
    const shape = shapeOf(Buffer.from(text, 'latin1'))!
    for (const behind of ['', 'get other\r\n', 'x']) {
      t.equal(look(text + behind), text.length, text)
      t.equal(shape.length, text.length, text)
      t.equal(engine.turn.owner, engine.route(shape.key).owner, text)
      t.equal(engine.turn.epoch, 7)
      t.equal(engine.turn.noreply !== 0, text.includes(' noreply\r\n'), text)
    }
    for (let length = 0; length < text.length; length++) t.equal(look(text.slice(0, length)), 0, `${length} of ${text}`)
  }
  for (const text of OTHERS) t.equal(look(text), 0, text)
})

t.test('alone there is no owner to tell', async t => {
  const engine = new Engine(smallArena(), 0)
  engine.bytes.set(Buffer.from('get key\r\n'), engine.rx.offset)
  t.equal(engine.ownerOfRequest(engine.rx.offset, 9), 0)
})

t.test('owners of all keys of a line, however many', async t => {
  const engine = routed()
  for (const count of [1, 2, 100, 4095, 4096, 4097, 10_000]) {
    const keys = Array.from({ length: count }, (_, i) => `key-${i}`)
    const text = Buffer.from(`gets  ${keys.join(' ')} \r\n`)
    const found: string[] = []
    let wrong = 0
    engine.ownersOfKeys(text, 4, text.length - 2, (from, to, owner) => {
      const key = text.subarray(from, to)
      found.push(key.toString('latin1'))
      if (owner !== engine.ownerOf(text, from, to)) wrong++
    })
    t.same(found, keys)
    t.equal(wrong, 0)
  }
})
