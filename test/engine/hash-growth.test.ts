/** The hash table grows while it is used: every key is found at each step, walks meet everything, by one thread and by several. */
import t from 'tap'
import { Engine } from '../../lib/engine/engine.js'
import { audit } from './audit.js'
import { alone, type Driver, hammers, START, smallArena } from './driver.js'

const POWER = { hashPower: 12, memoryLimitMb: 16 }
const names = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `k${from + i}`)
const store = (driver: Driver, list: string[]) =>
  driver.send(list.map(name => `set ${name} 0 0 1 noreply\r\nx\r\n`).join(''))
const missing = (driver: Driver, list: string[]) =>
  list.length - (driver.send(`get ${list.join(' ')}\r\n`).match(/VALUE/g)?.length ?? 0)

t.test('begins as asked for, doubles at 1.5 items a bucket, in steps', async t => {
  const driver = alone(POWER)
  const { housekeeping } = driver.engine
  const told = () => ['hash_power_level', 'hash_is_expanding'].map(name => Number(driver.engine.stats().get(name)))
  store(driver, names(0, 6144))
  t.notOk(housekeeping.grow())
  t.same(told(), [12, 0])
  t.equal(driver.engine.stats().get('hash_bytes'), 4096n * 4n)
  store(driver, names(6144, 6145))
  let steps = 0
  while (housekeeping.grow()) {
    steps++
    t.same(told(), [13, 1])
    t.same(audit(driver.engine), [])
    t.equal(missing(driver, names(0, 6145)), 0)
    store(driver, names(6145 + steps, 6146 + steps))
  }
  t.ok(steps > 0)
  t.same(told(), [13, 0])
  t.equal(driver.engine.buckets(), 8192)
  t.equal(missing(driver, names(0, 6145)), 0)
  for (const name of names(0, 6145)) driver.send(`delete ${name}\r\n`)
  t.equal(Number(driver.engine.stats().get('curr_items')), steps, 'everything could be taken out again')
})

t.test('never beyond what -m can hold', async t => {
  const driver = alone(POWER)
  for (let i = 0; i < 180_000; i += 1000) {
    store(driver, names(i, i + 1000))
    while (driver.engine.housekeeping.grow());
  }
  const stats = driver.engine.stats()
  t.ok(stats.get('evictions')! > 0n)
  t.ok(Number(stats.get('curr_items')) <= driver.engine.buckets() * 1.5)
  t.ok(driver.engine.buckets() <= 2 ** 17)
  t.same(audit(driver.engine), [])
  t.throws(() => smallArena({ hashPower: 11 }), { message: '-o hashpower=11 is not a whole number from 12 to 28' })
})

t.test('a handoff walk under which the table grows misses nothing', async t => {
  for (const growEvery of [1, 3]) {
    const driver = alone(POWER)
    const { engine } = driver
    const whole = { points: Uint32Array.of(2 ** 32 - 1), tenures: Uint32Array.of(1), settled: Uint8Array.of(1) }
    engine.publish({ ...whole, epoch: 1, self: 1, owners: Uint16Array.of(1) })
    store(driver, names(0, 20_000))
    engine.publish({ ...whole, epoch: 2, self: 1, owners: Uint16Array.of(2) })
    const listed = new Set<string>()
    let step = 0
    for (let cursor = 0; cursor >= 0; ) {
      const part = engine.keys(2, cursor, 700)
      for (const { key } of part.keys) listed.add(Buffer.from(key).toString())
      cursor = part.cursor
      if (++step % growEvery === 0) engine.housekeeping.grow()
    }
    t.equal(listed.size, 20_000)
    t.ok(engine.buckets() > 4096, `${engine.buckets()} buckets by then`)
    let collected = 0
    for (const pass of [0, 1] as const) {
      for (let cursor = 0; cursor >= 0; ) {
        const part = engine.collect(2, 2, pass, cursor, 900, 50_000)
        collected += part.records.length
        cursor = part.cursor
        if (++step % growEvery === 0) engine.housekeeping.grow()
      }
    }
    t.equal(collected, 20_000)
    t.equal(engine.stats().get('curr_items'), 0n)
  }
})

t.test('a dump under which the table grows shows everything once', async t => {
  for (let growEvery = 1; growEvery <= 4; growEvery++) {
    const driver = alone({ ...POWER, hashPower: 13 })
    const { housekeeping } = driver.engine
    store(driver, names(0, 13_000))
    for (let i = 0; i < growEvery; i++) housekeeping.grow()
    const place = housekeeping.beginDump()
    store(driver, names(13_000, 40_000))
    const seen: string[] = []
    let step = 0
    for (let part = housekeeping.dump('mgdump', 1n, place); part; part = housekeeping.dump('mgdump', 1n, place)) {
      seen.push(...part.toString().split('\r\n').slice(0, -1))
      if (++step % growEvery === 0) housekeeping.grow()
    }
    t.equal(seen.length, 40_000)
    t.equal(new Set(seen).size, 40_000)
  }
})

t.test('two threads at work while the third lets the table grow', async t => {
  const arena = smallArena({ ...POWER, memoryLimitMb: 64 })
  const control = new Engine(arena, 2)
  control.setTime(START)
  const stop = new Int32Array(new SharedArrayBuffer(12))
  const running = hammers<number>('growing', arena, stop.buffer as SharedArrayBuffer)
  // As in a node: the control thread, between other work.
  while (control.buckets() < 2 ** 14 || stop[1]! < 1000 || stop[2]! < 1000) {
    for (let step = 0; step < 50; step++) control.housekeeping.grow()
    for (const { id, lists } of control.classes())
      if (lists.some(list => list.count > 0)) control.housekeeping.juggle(id - 1)
    await new Promise(resolve => setImmediate(resolve))
  }
  Atomics.store(stop, 0, 1)
  const stored = await running
  t.ok(
    stored.every(count => count >= 1000),
    `${stored} items by two threads, all of them there`,
  )
  t.equal(Number(control.stats().get('curr_items')), stored[0]! + stored[1]!)
  t.same(audit(control), [])
})
