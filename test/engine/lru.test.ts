/** HOT, WARM, COLD, TEMP and the flat list (PROTOCOL D15): where items are, when they move, what the maintainer's visits do. */
import t from 'tap'
import type { ClassStats } from '../../lib/engine/contract.js'
import { audit } from './audit.js'
import { alone, type Driver, START } from './driver.js'

const value = 'x'.repeat(1000)
const store = (driver: Driver, name: string, exptime = 0) =>
  driver.send(`set ${name} 0 ${exptime} 1000\r\n${value}\r\n`)
const has = (driver: Driver, name: string) => driver.send(`get ${name}\r\n`) !== 'END\r\n'
const theClass = (driver: Driver): ClassStats =>
  driver.engine.classes().find(({ lists }) => lists.some(list => list.count > 0))!
const counts = (driver: Driver) => theClass(driver).lists.map(list => list.count)
const figure = (driver: Driver, name: string) => Number(theClass(driver).figures.get(name))
/** The maintainer's visits until there is nothing more to do. */
const juggle = (driver: Driver) => {
  const index = theClass(driver).id - 1
  while (driver.engine.housekeeping.juggle(index) > 0);
}

t.test('idle items flow to COLD, active ones to WARM, and the shares are kept', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  for (let i = 1000; i < 2000; i++) store(driver, `k${i}`)
  for (let i = 1000; i < 1100; i++) driver.send(`get k${i} k${i}\r\n`)
  t.same(counts(driver), [1000, 0, 0, 0])
  juggle(driver)
  t.same(counts(driver), [200, 100, 700, 0], 'HOT has its 20 in a hundred')
  t.equal(figure(driver, 'moves_to_warm'), 100)
  t.equal(figure(driver, 'moves_to_cold'), 700)
  driver.engine.housekeeping.tune({ hotPercent: 5, warmPercent: 5 })
  juggle(driver)
  t.same(counts(driver), [50, 50, 900, 0], 'other shares, at once')
  t.same(audit(driver.engine), [])
})

t.test('an item of COLD that is read for the second time is in WARM at once', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  for (let i = 0; i < 100; i++) store(driver, `k${100 + i}`)
  juggle(driver)
  t.same(counts(driver), [20, 0, 80, 0])
  driver.send('get k100\r\n')
  t.same(counts(driver), [20, 0, 80, 0], 'the first read says nothing yet')
  driver.send('get k100\r\n')
  t.same(counts(driver), [20, 1, 79, 0])
  t.equal(figure(driver, 'moves_to_warm'), 1)
  driver.send('add k101 0 0 1\r\nx\r\n')
  t.same(counts(driver), [20, 1, 79, 0], 'an add that found it is no read')
})

t.test('HOT and WARM age out: their tails are never older than factors of COLD’s', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  const { engine } = driver
  const { housekeeping } = engine
  housekeeping.tune({ hotPercent: 40, warmPercent: 40, hotFactor: 0.5, warmFactor: 2 })
  for (let i = 0; i < 10; i++) store(driver, `old${i}`)
  driver.send('get old9 old9\r\n')
  juggle(driver)
  t.same(counts(driver), [4, 0, 6, 0], 'the first of them are in COLD')
  engine.setTime(START + 100)
  for (let i = 0; i < 3; i++) store(driver, `new${i}`)
  juggle(driver)
  t.same(counts(driver), [3, 1, 9, 0], 'older than half of 100 seconds left HOT, the active one to WARM')
  engine.setTime(START + 140)
  juggle(driver)
  t.same(counts(driver), [3, 1, 9, 0], 'age 40 of 140 may stay')
  engine.setTime(START + 100 + 110)
  juggle(driver)
  t.same(counts(driver), [0, 1, 12, 0], 'age 110 of 210 may not')
})

t.test('dead items at the tails are freed by visits', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  for (let i = 0; i < 700; i++) store(driver, `k${i}`, 5)
  store(driver, 'alive')
  driver.engine.setTime(START + 6)
  juggle(driver)
  const stats = driver.engine.stats()
  t.equal(stats.get('curr_items'), 1n)
  t.equal(stats.get('reclaimed'), 700n)
  t.equal(stats.get('expired_unfetched'), 700n)
  t.same(audit(driver.engine), [])
  driver.send('flush_all\r\n')
  const index = theClass(driver).id - 1
  while (driver.engine.housekeeping.juggle(index) > 0);
  t.equal(driver.engine.stats().get('curr_items'), 0n, 'flushed ones too')
})

t.test('TEMP keeps what lives shortly, beyond any stream of sets, until it expires', async t => {
  const driver = alone({ memoryLimitMb: 2 })
  driver.engine.housekeeping.tune({ temporaryTtl: 61 })
  store(driver, 'canary', 61)
  store(driver, 'longer', 62)
  store(driver, 'past', -1)
  t.same(counts(driver), [2, 0, 0, 1])
  for (let i = 0; i < 5000; i++) store(driver, `k${i}`, 3600)
  t.notOk(has(driver, 'longer'))
  t.ok(has(driver, 'canary'))
  t.equal(counts(driver)[3], 1)
  driver.engine.setTime(START + 61)
  juggle(driver)
  t.equal(counts(driver)[3], 0)
  driver.engine.housekeeping.tune({ temporaryTtl: null })
  store(driver, 'short', 5)
  t.equal(counts(driver)[3], 0, 'off again')
})

t.test('a class full of TEMP has no room, until something of it expires', async t => {
  const driver = alone({ memoryLimitMb: 2 })
  driver.engine.housekeeping.tune({ temporaryTtl: 100 })
  let stored = 0
  while (store(driver, `k${stored}`, 50) === 'STORED\r\n') stored++
  t.ok(stored > 500)
  t.equal(driver.engine.stats().get('evictions'), 0n)
  driver.engine.setTime(START + 50)
  t.equal(store(driver, 'next', 50), 'STORED\r\n')
})

t.test('flat: one list, and a read moves to its head once a minute', async t => {
  const driver = alone({ memoryLimitMb: 1, itemSizeMax: 1 << 19 })
  const { engine } = driver
  engine.housekeeping.tune({ segmented: false })
  store(driver, 'early')
  store(driver, 'late')
  store(driver, 'next')
  engine.setTime(START + 60)
  driver.send('get early\r\n')
  engine.setTime(START + 61)
  driver.send('get late late\r\n')
  for (let i = 0; counts(driver)[2] === i + 3; i++) store(driver, `k${i}`)
  t.same(counts(driver).slice(0, 2), [0, 0])
  t.equal(engine.stats().get('evictions'), 1n)
  t.notOk(has(driver, 'early'), 'read within the minute it was stored in')
  store(driver, 'k')
  t.notOk(has(driver, 'next'), 'never read')
  t.ok(has(driver, 'late'), 'read after more than a minute')
  t.same(audit(engine), [])
})

t.test('from segmented to flat and back', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  for (let i = 0; i < 100; i++) store(driver, `k${i}`)
  driver.send('get k50 k50\r\n')
  driver.engine.housekeeping.tune({ segmented: false })
  juggle(driver)
  t.same(counts(driver), [0, 0, 100, 0])
  driver.engine.housekeeping.tune({ segmented: true })
  store(driver, 'k')
  t.same(counts(driver), [1, 0, 100, 0])
})

t.test('without evictions what is dead makes room, and nothing else', async t => {
  const driver = alone({ memoryLimitMb: 2, evictions: false })
  let stored = 0
  while (store(driver, `k${stored}`, stored < 10 ? 5 : 0) === 'STORED\r\n') stored++
  driver.engine.setTime(START + 5)
  for (let i = 0; i < 10; i++) t.equal(store(driver, `n${i}`), 'STORED\r\n')
  t.equal(store(driver, 'n10'), 'SERVER_ERROR out of memory storing object\r\n')
  t.equal(driver.engine.stats().get('evictions'), 0n)
})
