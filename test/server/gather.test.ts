/** One question to every member: answered by all, by some before the time is up, or not at all. */
import t from 'tap'
import { Gather, TEXT_BYTES_MAX } from '../../lib/server/gather.js'

function gather(members: number[]) {
  const asked: string[] = []
  const done: { ticket: number; question: string; texts: [number, string][] }[] = []
  const refused: number[] = []
  const it = new Gather({
    members: () => members,
    send: (member, message) => {
      if (message.type === 'ask') asked.push(`${member}: ${message.question}`)
      return true
    },
    done: (ticket, question, texts) => done.push({ ticket, question, texts: [...texts] }),
    refused: ticket => refused.push(ticket),
  })
  return { it, asked, done, refused }
}

t.test('alone, the answer is there at once', async t => {
  const { it, done } = gather([])
  it.start(7, 'items')
  t.same(done, [{ ticket: 7, question: 'items', texts: [] }])
})

t.test('it is over when every member has answered, once', async t => {
  const { it, asked, done } = gather([2, 3])
  it.start(7, '')
  t.same([...it.wanted()], [2, 3])
  it.linkUp(3)
  t.same(asked, ['2: ', '3: ', '3: '])
  it.told(3, 1, 'three')
  it.told(3, 1, 'again')
  it.told(4, 1, 'a stranger')
  it.told(2, 99, 'an old question')
  t.same(done, [])
  it.told(2, 1, 'two')
  t.same(done, [
    {
      ticket: 7,
      question: '',
      texts: [
        [3, 'three'],
        [2, 'two'],
      ],
    },
  ])
  t.same([...it.wanted()], [])
})

t.test('who does not answer within a second is left out, and so is an answer that is too long', async t => {
  const { it, done } = gather([2, 3, 4])
  it.tick(5000)
  it.start(1, '')
  it.told(2, 1, 'two')
  it.told(3, 1, 'x'.repeat(TEXT_BYTES_MAX + 1))
  it.tick(5999)
  t.same(done, [])
  it.tick(6000)
  t.same(done, [{ ticket: 1, question: '', texts: [[2, 'two']] }])
  it.told(4, 1, 'late')
  t.equal(done.length, 1)
})

t.test('too many questions at once are refused', async t => {
  const { it, done, refused } = gather([2])
  for (let ticket = 0; ticket < 70; ticket++) it.start(ticket, '')
  t.same(refused, [64, 65, 66, 67, 68, 69])
  for (let id = 1; id <= 64; id++) it.told(2, id, '')
  t.equal(done.length, 64)
})
