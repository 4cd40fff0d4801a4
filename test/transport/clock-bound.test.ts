/** A bound of another clock is never too low, whatever the way took, and close again after each question. */
import t from 'tap'
import { ClockBound, clockWord } from '../../lib/transport/clock-bound.js'
import { mulberry32 } from '../../lib/transport/simulated.js'

t.test('what nobody knows yet is past everything', async t => {
  t.equal(new ClockBound().left(1000, 0), Number.NEGATIVE_INFINITY)
})

t.test('drifting clocks, asked now and then over slow ways: never too low, and close', async t => {
  for (const rate of [0.9999, 1, 1.0001, 1.009]) {
    const random = mulberry32(7)
    // The words wrap in the middle of it.
    const theirs = (ms: number) => 2 ** 32 - 3_600_000 + ms * rate
    const bound = new ClockBound()
    let worst = 0
    for (let now = 0; now < 4 * 3_600_000; now += 2000) {
      const readAt = now + random() * (random() < 0.1 ? 1500 : 5)
      bound.learn(now, clockWord(theirs(readAt)))
      if (now < 60_000) continue
      const looked = now + 1999
      const left = bound.left(clockWord(theirs(looked) + 4000), looked)
      if (left > 4000) t.fail(`rate ${rate}: ${left} ms left of 4000`)
      worst = Math.max(worst, 4000 - left)
    }
    t.ok(worst < 200, `rate ${rate}: ${worst} ms`)
  }
})

t.test('a clock that was not asked for long makes everything look old', async t => {
  const bound = new ClockBound()
  bound.learn(0, 500)
  t.ok(bound.left(1500, 0) > 990)
  const hour = 3_600_000
  t.ok(bound.left(1500 + hour, hour) < -30_000, 'a hundredth of the time')
  bound.learn(hour, 500 + hour)
  t.ok(bound.left(1500 + hour, hour) > 990)
})
