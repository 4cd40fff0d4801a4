/** The small pure parts: times to live, waits, the queue, the reader of replies cut anywhere. */
import fc from 'fast-check'
import t from 'tap'
import { backoffMs } from '../../lib/client/backoff.js'
import { exptimeOf } from '../../lib/client/exptime.js'
import { RequestQueue } from '../../lib/client/request-queue.js'
import { Kind, parseTierConfig, ReplyReader, type WireReply } from '../../lib/protocol/index.js'

t.test('exptimeOf', async t => {
  const now = 1_700_000_000_000
  t.equal(exptimeOf(undefined, now), 0)
  t.equal(exptimeOf(0, now), 0)
  t.equal(exptimeOf(0.2, now), 1)
  t.equal(exptimeOf(2_592_000, now), 2_592_000)
  t.equal(exptimeOf(2_592_001, now), 1_700_000_000 + 2_592_001)
  t.equal(exptimeOf(new Date(now + 1500), now), 1_700_000_002)
  t.equal(exptimeOf(new Date(now), now), -1)
  t.throws(() => exptimeOf(1e10, now), { code: 'BAD_TTL' })
})

t.test('backoffMs', async t => {
  t.equal(
    backoffMs(1, 50, 5000, () => 1),
    50,
  )
  t.equal(
    backoffMs(3, 50, 5000, () => 1),
    200,
  )
  t.equal(
    backoffMs(3, 50, 5000, () => 0),
    100,
  )
  t.equal(
    backoffMs(1000, 50, 5000, () => 1),
    5000,
  )
})

t.test('RequestQueue is an array', async t => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 200 }), steps => {
      const queue = new RequestQueue<{ n: number }>()
      const model: { n: number }[] = []
      steps.forEach((push, n) => {
        if (push) {
          queue.push({ n })
          model.push({ n })
        } else t.same(queue.shift(), model.shift())
        t.equal(queue.length, model.length)
        t.same(queue.peek(), model[0])
      })
      const seen: { n: number }[] = []
      queue.forEach(item => void seen.push(item))
      t.same(seen, model)
      t.same(queue.drain(), model)
      t.equal(queue.length, 0)
    }),
    { numRuns: 30 },
  )
})

interface Seen {
  kind: number
  line: string
  value: string
  key: boolean
  flags: number
  cas: bigint
}

function read(stream: Buffer, size: number): Seen[] {
  const seen: Seen[] = []
  const see = (reply: WireReply) => {
    const isValue = reply.kind === Kind.VALUE
    seen.push({
      ...{ kind: reply.kind, line: reply.line },
      value: reply.kind === Kind.VA || isValue ? reply.copyValue().toString('latin1') : '',
      ...{ key: isValue && reply.keyIs('k'), flags: isValue ? reply.itemFlags : reply.flagNumber(102, -7) },
      cas: isValue ? reply.casUnique : (reply.flagBigInt(99) ?? -1n),
    })
  }
  const reader = new ReplyReader(see)
  // One buffer for all pieces, as a socket has it.
  const buffer = Buffer.alloc(size)
  for (let at = 0; at < stream.length; at += size) {
    const length = stream.copy(buffer, 0, at, at + size)
    reader.push(buffer, length)
  }
  t.notOk(reader.isOpen)
  return seen
}

t.test('replies cut at every byte, out of a buffer that is used again', async t => {
  const stream = Buffer.from(
    'VA 5 c12 f7 t-1 W\r\nhe\r\no\r\nHD\r\nEN O1\r\nVALUE k 3 2 99\r\n\r\n\r\nVALUE kk 0 0\r\n\r\nEND\r\nNOT_STORED\r\n42\r\nSERVER_ERROR no\r\nSTAT a b c\r\nVA 0 f0\r\n\r\n',
  )
  const whole = read(stream, stream.length)
  t.equal(whole.length, 11)
  t.same(whole[0], { kind: Kind.VA, line: 'VA 5 c12 f7 t-1 W', value: 'he\r\no', key: false, flags: 7, cas: 12n })
  t.match(whole[3], { kind: Kind.VALUE, value: '\r\n', key: true, flags: 3, cas: 99n })
  t.same(whole.map(({ kind }) => kind).slice(5, 11), [
    Kind.END,
    Kind.NOT_STORED,
    Kind.NUMBER,
    Kind.ERROR,
    Kind.STAT,
    Kind.VA,
  ])
  for (let size = 1; size < stream.length; size++) t.same(read(stream, size), whole)
  for (const nonsense of ['VA x\r\n', 'VA 1 f0\r\nxy\r\n', 'VALUE k 0\r\n', 'VA 99999999999 f0\r\n']) {
    t.throws(() => read(Buffer.from(nonsense), 100), { code: 'BAD_REPLY' })
  }
})

t.test('the configuration of a tier', async t => {
  const config = { epoch: 3, dialect: 'continuum', pointsPerServer: 160, servers: [{ host: 'a', port: 1, weight: 2 }] }
  t.same(parseTierConfig(JSON.stringify(config)), config)
  for (const bad of ['', '{', '[]', 'null', '{"epoch":1}', JSON.stringify({ ...config, servers: [] })]) {
    t.throws(() => parseTierConfig(bad), { code: 'BAD_SERVER_LIST' })
  }
})
