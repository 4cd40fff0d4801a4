import t from 'tap'
import { decodeRecord, encodeRecord } from '../../lib/engine/record.js'
import { HandedStream, ReceivedMark } from '../../lib/handoff/stream.js'

const record = (text: string) => Buffer.from(text)

t.test('what is not confirmed is sent again, in order, to the same incarnation', async t => {
  const stream = new HandedStream('1', () => 0)
  t.equal(stream.push(8, [record('a')]), 1)
  t.equal(stream.push(8, [record('b'), record('cc')]), 2)
  t.equal(stream.push(8, [record('d')]), 3)
  t.equal(stream.unconfirmedBytes, 5)
  const again = stream.resume('1', 1)
  t.same(
    again.map(handed => handed.seq),
    [2, 3],
  )
  stream.confirm(3)
  t.equal(stream.unconfirmedBytes, 0)
  t.same(stream.resume('1', 3), [])
})

t.test('reply lost in mid-take: another incarnation of the taker never sees the copy', async t => {
  const stream = new HandedStream('1', () => 0)
  stream.push(8, [record('old value')])
  t.same(stream.resume('2', 0), [], 'the old life may have acknowledged something newer')
  t.equal(stream.unconfirmedBytes, 0)
  t.equal(stream.push(8, [record('x')]), 1, 'a new stream begins')
})

t.test('what has lain here is sent again with what is left of its time to live, or as deleted', async t => {
  let now = 100
  const stream = new HandedStream('1', () => now)
  const fields = { value: Buffer.from('x'), flags: 0, version: 7n, fetched: false, active: false }
  const lives = [null, 10, 60]
  stream.push(
    8,
    lives.map((toLiveSec, i) => encodeRecord({ ...fields, key: Buffer.from(`k${i}`), toLiveSec })),
  )
  const left = () =>
    stream.resume('1', 0)[0]!.records.map(record => {
      const { value, toLiveSec, version } = decodeRecord(record)
      return [value !== null, toLiveSec, version]
    })
  now = 104
  t.same(left(), [
    [true, null, 7n],
    [true, 6, 7n],
    [true, 56, 7n],
  ])
  now = 130
  t.same(left(), [
    [true, null, 7n],
    [false, null, 7n],
    [true, 30, 7n],
  ])
  now = 90
  t.same(left()[1], [true, 10, 7n], 'a clock that was set back')
})

t.test('nobody confirms what was never sent', async t => {
  t.throws(() => new HandedStream('1', () => 0).confirm(1))
})

t.test('the taker accepts each number once and without gaps', async t => {
  const mark = new ReceivedMark()
  mark.of('s1')
  t.ok(mark.accept(1))
  t.ok(mark.accept(2))
  t.notOk(mark.accept(2), 'sent again after a broken link')
  t.throws(() => mark.accept(4))
  mark.of('s1')
  t.equal(mark.seq, 2)
  mark.of('s2')
  t.equal(mark.seq, 0, 'another life of the source starts anew')
})
