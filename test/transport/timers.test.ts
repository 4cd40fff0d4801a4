/** Timers run in the order of their time, then of their setting, however many were cleared. */
import t from 'tap'
import { mulberry32 } from '../../lib/transport/simulated.js'
import { TimerHeap } from '../../lib/transport/timers.js'

t.test('against a sorted list', async t => {
  const seed = Number(process.env.SEED ?? 5)
  const random = mulberry32(seed)
  const heap = new TimerHeap()
  let expected: { at: number; order: number }[] = []
  const ran: number[] = []
  const timers: ReturnType<TimerHeap['add']>[] = []
  for (let order = 0; order < 5000; order++) {
    const at = Math.floor(random() * 500)
    timers.push(heap.add(at, () => ran.push(order)))
    expected.push({ at, order })
    if (random() < 0.7) {
      const gone = Math.floor(random() * timers.length)
      heap.clear(timers[gone]!)
      expected = expected.filter(one => one.order !== gone)
    }
  }
  t.equal(heap.size, expected.length)
  for (let now = 0; now < 500; now++) for (let task = heap.takeDue(now); task; task = heap.takeDue(now)) task()
  expected.sort((a, b) => a.at - b.at || a.order - b.order)
  t.same(
    ran,
    expected.map(one => one.order),
    `SEED=${seed}`,
  )
  t.equal(heap.size, 0)
  t.equal(heap.first(), undefined)
})

t.test('a timer that ran or was cleared is cleared without effect', async t => {
  const heap = new TimerHeap()
  const timer = heap.add(1, () => {})
  heap.takeDue(1)
  heap.clear(timer)
  t.equal(heap.size, 0)
  heap.add(2, () => {})
  t.equal(heap.size, 1)
})
