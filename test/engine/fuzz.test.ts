/** A few seconds of fuzzing: every setting of the arena, alone and in a tier. `npm run fuzz` goes on for longer. */
import t from 'tap'
import { runRound } from './fuzz.js'
import { framesOf, judge } from './legal.js'

const SEEDS = 12
const INPUTS = 5000

t.test('the judge tells what is wrong', async t => {
  const wrong = (sent: string, replies: string) => judge(framesOf(sent), replies, { host: null })
  t.equal(wrong('get a\r\n', 'VALUE a 0 1\r\nx\r\nEND\r\n'), null)
  t.equal(wrong('set a 0 0 1 noreply\r\nx\r\nmg a q\r\nmn\r\n', 'MN\r\n'), null)
  t.match(wrong('get a\r\n', 'VALUE b 0 1\r\nx\r\nEND\r\n'), /broken list/, 'another key')
  t.match(wrong('get a\r\n', 'VALUE a 0 2\r\nx\r\nEND\r\n'), /broken list/, 'another length')
  t.match(wrong('get a\r\nget a\r\n', 'END\r\n'), /nothing|without an end/, 'one reply for two')
  t.match(wrong('get a\r\n', 'END\r\nEND\r\n'), /more is said/, 'two for one')
  t.match(wrong('set a 0 0 1 noreply\r\nx\r\n', 'STORED\r\n'), /more is said/, 'in spite of noreply')
  t.match(wrong('delete a\r\n', 'STORED\r\n'), /no reply that it may get/)
  t.match(wrong('mg a v\r\n', 'VA 3\r\nab\r\n'), /no reply that it may get/)
  t.equal(framesOf('set a 0 0 5\r\nab').missing, 5)
  t.equal(framesOf('get').missing, -1)
  t.equal(framesOf(`set ${'a'.repeat(2100)}`).closes, true)
})

t.test('mutated commands', async t => {
  const from = Number(process.env.SEED ?? 1)
  for (let seed = from; seed < from + SEEDS; seed++) {
    const { failure, shapes } = runRound({ seed, inputs: INPUTS })
    t.equal(failure, null)
    t.ok(shapes.size > 1000, `${shapes.size} kinds of exchanges`)
  }
})
