/** Bytes that nobody should send, to the parsers of the host: requests, frames, messages, topologies, replies. */
import { strict as assert } from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { Generations } from '../../lib/handoff/generations.js'
import { decode, encode, type Message } from '../../lib/handoff/wire.js'
import { BadReply, type Reply, ReplyParser } from '../../lib/protocol/index.js'
import { shapeOf } from '../../lib/server/request.js'
import { emptyTopology, type Topology } from '../../lib/tier/topology.js'
import { checkTopology, parseTopology } from '../../lib/tier/validate.js'
import { encodeFrame, type Frame, FrameDecoder, FrameError, FrameType } from '../../lib/transport/frame.js'
import { COMMANDS } from '../engine/corpus.js'
import { random } from '../engine/driver.js'
import { mutate } from '../engine/fuzz.js'
import { framesOf } from '../engine/legal.js'

const seed = Number(process.env.SEED ?? 3)
const runs = Number(process.env.RUNS ?? 3000)
const config = { seed, numRuns: runs }
const latin1 = (text: string) => Buffer.from(text, 'latin1')

/** Pieces of these sizes, in turn. */
function* pieces(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length
    yield bytes.subarray(at, at + size)
    at += size
  }
}
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })

t.test('a request has the shape that the engine would find', async t => {
  const next = random(seed)
  let shapes = 0
  for (let i = 0; i < runs * 10; i++) {
    let text = COMMANDS[Math.floor(next() * COMMANDS.length)]!
    for (let count = Math.floor(next() * 4); count > 0; count--) text = mutate(next, text)
    if (text.length > 4000) continue
    const shape = shapeOf(latin1(text))
    if (!shape) continue
    shapes++
    const { frames, missing } = framesOf(text)
    const [first] = frames
    const length = frames.length === 1 && missing > 0 ? text.length + missing : first?.end
    if (shape.length !== length)
      t.fail(`SEED=${seed}, input ${i}: ${shape.length}, not ${length}: ${JSON.stringify(text)}`)
  }
  t.ok(shapes > runs, `${shapes} shapes`)
})

t.test('a command behind spaces has no shape: its value would be a request of its own', async t => {
  t.equal(shapeOf(latin1(' set a 0 0 5\r\nhello\r\n')), null)
  t.equal(shapeOf(latin1('set a 0 0 5\r\nhello\r\n'))?.length, 20)
})

t.test('frames come out as they went in, however they are cut', async () => {
  const frame = fc.record({
    type: fc.integer({ min: 0, max: 255 }),
    hops: fc.integer({ min: 0, max: 255 }),
    id: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    epoch: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    clock: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    payload: fc.uint8Array({ maxLength: 200 }),
  })
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 5 }), sizes, (frames, cuts) => {
      const got = framesIn(Buffer.concat(frames.map(encodeFrame)), cuts)
      assert.deepEqual(
        got.frames,
        frames.map(one => ({ ...one, clock: hasClock(one) ? one.clock : 0, payload: [...one.payload] })),
      )
      assert.equal(got.failed, false)
    }),
    config,
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), sizes, (bytes, cuts) => {
      const whole = framesIn(Buffer.from(bytes), [])
      assert.deepEqual(framesIn(Buffer.from(bytes), cuts), whole)
    }),
    config,
  )
})

const hasClock = ({ type }: { type: number }): boolean => type === FrameType.request || type === FrameType.clock

function framesIn(bytes: Buffer, cuts: readonly number[]): { frames: unknown[]; failed: boolean } {
  const decoder = new FrameDecoder(4096)
  const frames: unknown[] = []
  try {
    for (const piece of pieces(bytes, cuts)) {
      decoder.feed(Buffer.from(piece))
      for (let frame: Frame | null = decoder.next(); frame; frame = decoder.next()) {
        frames.push({ ...frame, payload: [...frame.payload] })
      }
    }
  } catch (error) {
    assert.ok(error instanceof FrameError, String(error))
    return { frames, failed: true }
  }
  return { frames, failed: false }
}

const MESSAGES: Message[] = [
  { type: 'resume', source: '17', ack: 4 },
  { type: 'handed', seq: 3, generation: 9, records: [latin1('one'), latin1('')] },
  { type: 'take', id: 1, generation: 9, ack: 0, key: latin1('key') },
  { type: 'taken', id: 1, seq: 1, generation: 9, key: latin1('k'), record: latin1('value') },
  { type: 'declined', id: 2, reason: 'no' },
  { type: 'pull', id: 3, generation: 9, ack: 2, bytesMax: 65536 },
  { type: 'batch', id: 3, seq: 0, generation: 9, state: 'done', fraction: 1, lagMs: 0.5, records: [] },
  { type: 'greeting', version: '7', flushed: '0', flushInSec: 0 },
  { type: 'clocked', id: 5, version: '17592186044417' },
  { type: 'flush', id: 6, version: '17592186044417', delaySec: 0 },
  { type: 'ask', id: 1, question: 'items' },
  { type: 'told', id: 1, text: 'STAT a 1' },
]

t.test('messages of peers: an error with a sentence, or a message with the fields that it must have', async t => {
  const next = random(seed)
  let good = 0
  for (let i = 0; i < runs * 5; i++) {
    const message = MESSAGES[i % MESSAGES.length]!
    let text = Buffer.from(encode(message)).toString('latin1')
    for (let count = Math.floor(next() * 3); count > 0; count--) text = mutate(next, text).slice(0, 10_000)
    let decoded: Message
    try {
      decoded = decode(latin1(text))
    } catch (error) {
      assert.ok(error instanceof Error)
      continue
    }
    good++
    const example = MESSAGES.find(one => one.type === decoded.type)
    if (!example) continue
    for (const [name, value] of Object.entries(example)) {
      const got = (decoded as Record<string, unknown>)[name]
      const isSame = typeof got === typeof value || (name === 'record' && got === null)
      if (!isSame) t.fail(`SEED=${seed}, input ${i}: ${decoded.type} has ${name} ${String(got)}`)
    }
    if ('version' in decoded) BigInt(decoded.version)
  }
  t.ok(good > runs, `${good} messages`)
})

const topology: Topology = {
  ...emptyTopology('fuzz'),
  epoch: 2,
  nodes: [1, 2].map(number => ({
    ...{
      id: `n${number}`,
      number,
      host: '127.0.0.1',
      port: 11210 + number,
      peerHost: '127.0.0.1',
      peerPort: 1,
      dataPort: 2,
    },
    ...{ weight: 1, incarnation: '5', state: 'up' as const },
  })),
  generations: [1, 2].map(epoch => ({
    epoch,
    servers: Array.from({ length: epoch }, (_, i) => ({
      number: i + 1,
      host: '127.0.0.1',
      port: 11211 + i,
      weight: 1,
    })),
    away: [],
  })),
  changes: [{ id: 1, kind: 'join', node: 'n2', weight: 1, state: 'running', epoch: 2, takers: [2], settled: [] }],
}

t.test('topology documents: what passes can be worked with', async t => {
  const next = random(seed)
  const text = JSON.stringify(topology)
  let good = 0
  for (let i = 0; i < runs; i++) {
    let changed = text
    for (let count = Math.floor(next() * 3); count > 0; count--) changed = mutate(next, changed).slice(0, 10_000)
    const parsed = parseTopology(changed)
    if (!parsed) continue
    good++
    assert.ok(checkTopology(parsed).ok)
    if (parsed.generations.length > 0) {
      const { dialect, pointsPerServer } = parsed
      new Generations(parsed.generations, { dialect, pointsPerServer }).routeTable(1, () => false)
    }
  }
  t.ok(good > runs / 10, `${good} documents`)
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      parseTopology(JSON.stringify(value))
    }),
    config,
  )
})

t.test('replies: cut anywhere they are the same, or the same is wrong with them', async () => {
  const line = fc.constantFrom(
    ...[
      'STORED\r\n',
      'END\r\n',
      'VALUE a 0 3\r\nabc\r\n',
      'VALUE a 1 2 7\r\nab\r\n',
      'STAT pid 1\r\n',
      '17\r\n',
      'ERROR\r\n',
    ],
    ...[
      'VALUE a 0 -1\r\n',
      'VALUE a 0 99999999999\r\n',
      'SERVER_ERROR no\r\n',
      'HD\r\n',
      '\r\n',
      '\n',
      'VALUE\r\n',
      'OK',
    ],
  )
  const noise = fc.uint8Array({ maxLength: 12 }).map(bytes => Buffer.from(bytes).toString('latin1'))
  const stream = fc.array(fc.oneof({ weight: 5, arbitrary: line }, noise), { maxLength: 12 })
  fc.assert(
    fc.property(stream, sizes, (parts, cuts) => {
      const bytes = latin1(parts.join(''))
      assert.deepEqual(repliesIn(bytes, cuts), repliesIn(bytes, []))
    }),
    config,
  )
})

function repliesIn(bytes: Buffer, cuts: readonly number[]): unknown[] {
  const replies: unknown[] = []
  const parser = new ReplyParser((reply: Reply) => replies.push(JSON.stringify(reply, bigints)))
  try {
    for (const piece of pieces(bytes, cuts)) parser.push(Buffer.from(piece))
  } catch (error) {
    assert.ok(error instanceof BadReply, String(error))
    replies.push(error.message)
  }
  return replies
}

const bigints = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)
