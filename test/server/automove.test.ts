/** Who gives a page to whom, second by second. */
import t from 'tap'
import type { AutomoveSettings } from '../../lib/engine/contract.js'
import { Automove, type ClassSample, dispensable } from '../../lib/server/automove.js'

const SETTINGS: AutomoveSettings = { reassign: true, mode: 1, window: 4, ratio: 0.8, freeRatio: 0.01 }
const sample = (id: number, more: Partial<ClassSample>): ClassSample => ({
  ...{ id, pages: 10, chunksPerPage: 100, freeChunks: 0, evicted: 0, refused: 0, age: 100 },
  ...more,
})

/** What is decided in each second, the samples being made anew for it. */
function run(seconds: number, make: (second: number) => ClassSample[], settings = SETTINGS, evictions = true) {
  const automove = new Automove()
  return Array.from({ length: seconds }, (_, second) => automove.step(make(second), settings, evictions))
}

t.test('the class that evicts young items gets a page of the one with old items', async t => {
  const moves = run(6, s => [sample(1, { evicted: s * 50, age: 20 }), sample(2, { age: 500 }), sample(3, { age: 90 })])
  t.same(moves.slice(0, 3), [null, null, null], 'a window must have passed')
  t.same(moves.slice(3), Array(3).fill({ source: 2, target: 1 }))
})

t.test('none, when ages are alike, when nobody has pages to spare, when the need has passed', async t => {
  const need = (age: number, pages: number) =>
    run(8, s => [sample(1, { evicted: s * 50, age: 90 }), sample(2, { age, pages })]).at(-1)
  t.same(need(120, 10), { source: 2, target: 1 })
  t.same(need(110, 10), null)
  t.same(need(120, 2), null)
  const past = run(8, s => [sample(1, { evicted: Math.min(s, 5) * 50, age: 20 }), sample(2, { age: 500 })])
  t.same(past.slice(6), [null, null])
  t.same(
    run(8, s => [sample(1, { evicted: s * 50, age: 20 }), sample(2, { age: 500 })], { ...SETTINGS, mode: 0 }).at(-1),
    null,
  )
})

t.test('free chunks that nobody needs go to the pool', async t => {
  const moves = run(6, () => [sample(1, {}), sample(7, { freeChunks: 251 })])
  t.same(moves.slice(4), Array(2).fill({ source: 7, target: 0 }))
  t.same(run(9, () => [sample(1, {}), sample(7, { freeChunks: 250 })]).at(-1), null)
  const grows = run(9, s => [sample(7, { freeChunks: 300, pages: 10 + s })])
  t.same(grows.at(-1), null)
})

t.test('a class that could only refuse gets a page at once', async t => {
  const make = (s: number) => [
    sample(1, { pages: 1, refused: s, age: 0 }),
    sample(2, { age: 10 }),
    sample(3, { age: 50 }),
  ]
  t.same(run(2, make), [null, { source: 3, target: 1 }])
  t.same(run(2, make, SETTINGS, false), [null, null], 'with -M nothing is evicted for it')
})

t.test('mode 2: whoever evicts gets a page of anybody', async t => {
  const moves = run(3, s => [sample(1, {}), sample(2, { evicted: s === 2 ? 1 : 0 })], { ...SETTINGS, mode: 2 })
  t.same(moves, [null, null, { source: -1, target: 2 }])
})

t.test('who can do without, when the limit is lower', async t => {
  t.equal(dispensable([sample(1, { age: 5 }), sample(2, { age: 9 }), sample(3, { age: 99, pages: 1 })]), 2)
  t.equal(dispensable([sample(1, { age: 5, freeChunks: 100 }), sample(2, { age: 9 })]), 1)
  t.equal(dispensable([sample(1, { pages: 1 })]), null)
})
