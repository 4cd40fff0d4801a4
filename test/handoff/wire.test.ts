import t from 'tap'
import { decode, encode, type Message } from '../../lib/handoff/wire.js'

const bytes = (text: string) => Buffer.from(text, 'latin1')
const messages: Message[] = [
  { type: 'resume', source: '17', ack: 4 },
  { type: 'handed', seq: 3, generation: 9, records: [bytes('one'), bytes(''), bytes('\x00\xff')] },
  { type: 'take', id: 1, generation: 9, ack: 0, key: bytes('kéy') },
  { type: 'taken', id: 1, seq: 1, generation: 9, key: bytes('k'), record: bytes('value') },
  { type: 'taken', id: 2, seq: 0, generation: 9, key: bytes('k'), record: null },
  { type: 'take', id: 2 ** 40, generation: 9, ack: 2 ** 33, kept: 0, key: bytes('k') },
  { type: 'taken', id: 3, seq: 0, generation: 9, blind: 8, key: bytes('k'), record: null },
  { type: 'taken', id: 4, seq: 7, generation: 9, key: bytes(''), record: bytes('') },
  { type: 'declined', id: 2, reason: 'no "reason"' },
  { type: 'pull', id: 3, generation: 9, ack: 2, bytesMax: 65536 },
  {
    ...{ type: 'batch', id: 3, seq: 0, generation: 9, state: 'done', fraction: 1, lagMs: 0.5, lossy: [2, 5] },
    records: [],
  },
  { type: 'ack', ack: 2 },
  { type: 'tell' },
  { type: 'topology', text: '{}' },
  { type: 'clock', id: 5, version: '7' },
  { type: 'clocked', id: 5, version: '17592186044417' },
  { type: 'flush', id: 6, version: '17592186044417', delaySec: 0 },
  { type: 'flushed', id: 6 },
  { type: 'greet' },
  { type: 'greeting', version: '7', flushed: '0', flushInSec: 0 },
  { type: 'ask', id: 1, question: 'items' },
  { type: 'told', id: 1, text: 'STAT items:1:number 2\r\nEND\r\n' },
  { type: 'hear', id: 3 },
  { type: 'heard', id: 3 },
]

t.test('every message comes back as it went', async t => {
  for (const message of messages) t.same(decode(encode(message)), message, message.type)
})

t.test('what no peer sends is an error, never a crash or a hang', async t => {
  t.throws(() => decode(bytes('')))
  t.throws(() => decode(bytes('\xff\xff\xff\xff\x00\x00\x00\x00')), { message: /head of 4294967295 bytes/ })
  t.throws(() => decode(encode({ type: 'steal' } as unknown as Message)), { message: /unknown handoff message steal/ })
  const take: Message = { type: 'take', id: 1, generation: 9, ack: 0, key: bytes('k') }
  for (const [field, at] of Object.entries({ id: 8, 'place in the stream': 16 })) {
    for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
      const spoilt = Buffer.from(encode(take))
      spoilt.writeDoubleLE(value, at)
      t.throws(() => decode(spoilt), { message: `a take has a ${field} that is none` }, `${field} ${value}`)
    }
  }
  const unknown = Buffer.from(encode(take))
  unknown.writeUInt32LE(3, 4)
  t.throws(() => decode(unknown), { message: /unknown kind 3/ })
  t.throws(() => decode(Buffer.concat([encode(take), bytes('x')])), { message: /another length/ })
  for (const message of messages) {
    const whole = encode(message)
    for (let length = 0; length < whole.length; length++) {
      t.throws(() => decode(whole.subarray(0, length)), `${message.type} cut at ${length}`)
    }
  }
})
