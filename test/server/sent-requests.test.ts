/** What was sent to another node and is awaited: numbers, out of order, for long. */
import t from 'tap'
import type { Request } from '../../lib/server/request.js'
import { SentRequests } from '../../lib/server/sent-requests.js'

const request = (): Request => ({ bytes: Buffer.alloc(0), hops: 0, dropped: false, cancel: null, answer() {} })

t.test('each is found once by its number, however many came after it', async t => {
  const sent = new SentRequests()
  const made = Array.from({ length: 20_000 }, () => request())
  t.same(
    made.filter((one, i) => sent.add(one, 0) !== i + 1),
    [],
    'numbers grow by one',
  )
  t.equal(sent.size, made.length)
  t.equal(sent.take(0), null)
  t.equal(sent.take(20_001), null)
  for (const id of [1, 20_000, 4096, 4097, 12_345]) {
    t.equal(sent.take(id), made[id - 1])
    t.equal(sent.take(id), null, 'once')
  }
  t.equal(sent.size, made.length - 5)
  const rest = sent.takeAll()
  t.same(
    rest.map(({ sentId }) => sentId),
    made.map((_, i) => i + 1).filter(id => ![1, 20_000, 4096, 4097, 12_345].includes(id)),
    'the oldest first',
  )
  t.equal(sent.size, 0)
  t.equal(sent.take(7), null)
})

t.test('those whose time is over, wherever they are', async t => {
  const sent = new SentRequests()
  const made = Array.from({ length: 10_000 }, () => request())
  for (const [i, one] of made.entries()) sent.add(one, i % 7)
  const late = sent.takeLate(limit => limit === 3)
  t.same(
    late.map(({ sentId }) => sentId),
    made.map((_, i) => i + 1).filter(id => (id - 1) % 7 === 3),
    'the oldest first',
  )
  t.equal(sent.size, made.length - late.length)
  t.equal(sent.take(4), null)
  t.equal(sent.take(5), made[4])
})
