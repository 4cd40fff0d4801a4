import t from 'tap'
import { DEFAULT_LIMITS, KEY_COST_BYTES, limitsWithin, Throttle } from '../../lib/handoff/throttle.js'

const limits = { startPerSec: 1000, minPerSec: 100, maxPerSec: 4000, increasePerSec: 500, lateMs: 10 }

t.test('the rate rises while both ends keep up, and stops at its maximum', async t => {
  const throttle = new Throttle(0, limits)
  throttle.observe(1000, 10, 0, 0)
  t.equal(throttle.ratePerSec, 1500)
  for (let second = 2; second < 20; second++) throttle.observe(second * 1000, 10, 0, 0)
  t.equal(throttle.ratePerSec, 4000)
})

t.test('a late loop halves it, once for each sign of load, down to the minimum', async t => {
  const throttle = new Throttle(0, limits)
  throttle.observe(100, 10, 0, 50)
  t.equal(throttle.ratePerSec, 500)
  throttle.observe(105, 10, 0, 50)
  t.equal(throttle.ratePerSec, 500, 'the same moment of load')
  for (let n = 2; n < 20; n++) throttle.observe(n * 100, 10, 0, 50)
  t.equal(throttle.ratePerSec, 100)
})

t.test('bytes cost time', async t => {
  const throttle = new Throttle(0, { ...limits, increasePerSec: 0 })
  t.equal(throttle.waitMs(0), 0)
  throttle.observe(0, 500, 0, 0)
  t.equal(throttle.waitMs(0), 500)
  t.equal(throttle.waitMs(400), 100)
  t.equal(throttle.waitMs(600), 0)
})

t.test('a key costs more than its bytes', async t => {
  const throttle = new Throttle(0, { ...limits, increasePerSec: 0 })
  throttle.observe(0, 500, 2, 0)
  t.equal(throttle.waitMs(0), 500 + 2 * KEY_COST_BYTES)
})

t.test('an operator may hold it below what both ends can bear', async t => {
  const throttle = new Throttle(0, limitsWithin(1000))
  for (let second = 1; second < 20; second++) throttle.observe(second * 1000, 0, 0, 0)
  t.equal(throttle.ratePerSec, 1000)
  t.same(limitsWithin(2 ** 40), DEFAULT_LIMITS)
})

t.test('a batch is as much work whether its values are small or large', async t => {
  const throttle = new Throttle(0, { ...limits, increasePerSec: 0 })
  const batchOf = (valueBytes: number) => {
    for (let n = 0; n < 20; n++) throttle.observe(n, 10 * valueBytes, 10, 0)
    const bytes = throttle.batchBytes()
    return bytes + (bytes / valueBytes) * KEY_COST_BYTES
  }
  const large = batchOf(100_000)
  const small = batchOf(100)
  t.ok(small > large * 0.9 && small < large * 1.1, `${small} and ${large}`)
  batchOf(1)
  t.equal(throttle.batchBytes(), 1024, 'there is a least, or nothing would move')
})
