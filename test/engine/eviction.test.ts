/** What leaves when -m is reached: in the order stored what nobody reads, last what is read regularly (PROTOCOL D15). */
import t from 'tap'
import { createArena, resetArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { alone, Driver, START, smallArena } from './driver.js'

const has = (driver: Driver, name: string) => driver.send(`get ${name}\r\n`) !== 'END\r\n'
const value = 'x'.repeat(1000)
const store = (driver: Driver, name: string) => driver.send(`set ${name} 0 0 1000\r\n${value}\r\n`)

t.test('never read: out in the order stored', async t => {
  const driver = alone({ memoryLimitMb: 4 })
  for (let i = 0; i < 10_000; i++) store(driver, `k${i}`)
  const stats = driver.engine.stats()
  t.ok(stats.get('evictions')! > 5000n)
  t.equal(stats.get('evicted_unfetched'), stats.get('evictions'))
  t.equal(stats.get('curr_items'), 10_000n - stats.get('evictions')!)
  const first = Number(stats.get('evictions'))
  for (let i = 0; i < 10_000; i++) if (has(driver, `k${i}`) !== i >= first) t.fail(`k${i}`)
  t.ok(stats.get('bytes')! < 4n << 20n)
})

t.test('read regularly: survives any stream of sets', async t => {
  const driver = alone({ memoryLimitMb: 4 })
  for (let i = 0; i < 50; i++) store(driver, `hot${i}`)
  for (let i = 0; i < 50_000; i++) {
    store(driver, `cold${i}`)
    if (i % 10 === 0) driver.send(`get hot${(i / 10) % 50}\r\n`)
  }
  for (let i = 0; i < 50; i++) if (!has(driver, `hot${i}`)) t.fail(`hot${i}`)
  t.pass('all fifty are there')
})

t.test('everything active: still room for what is new', async t => {
  const driver = alone({ memoryLimitMb: 2 })
  for (let i = 0; i < 5000; i++) {
    t.equal(store(driver, `k${i}`), 'STORED\r\n')
    driver.send(`get k${i} k${i} k${i}\r\n`)
  }
  t.ok(has(driver, 'k4999'))
})

t.test('expired items go first at the tail', async t => {
  const driver = alone({ memoryLimitMb: 2 })
  for (let i = 0; i < 1000; i++) driver.send(`set old${i} 0 5 1000\r\n${value}\r\n`)
  driver.engine.setTime(START + 5)
  for (let i = 0; i < 1500; i++) store(driver, `k${i}`)
  t.equal(driver.engine.stats().get('evictions'), 0n)
  t.ok(driver.engine.stats().get('reclaimed')! > 400n)
})

t.test('values of every size fit in a full cache', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  for (let round = 0; round < 3; round++) {
    for (let size = 1; size <= 1_000_000; size = Math.ceil(size * 1.2)) {
      const big = 'y'.repeat(size)
      if (driver.send(`set k${round}.${size} 0 0 ${size}\r\n${big}\r\n`) !== 'STORED\r\n') t.fail(`${size}`)
      if (driver.send(`get k${round}.${size}\r\n`).length < size) t.fail(`${size} is not there`)
    }
  }
  t.pass('all stored, all read')
})

t.test('items larger than a page', async t => {
  const driver = alone({ memoryLimitMb: 64, itemSizeMax: 8 << 20 })
  for (let i = 0; i < 40; i++) {
    const size = 7_000_000 - i * 150_000
    t.equal(driver.send(`set k${i} 0 0 ${size}\r\n${String(i % 10).repeat(size)}\r\n`), 'STORED\r\n')
    t.match(driver.send(`get k${i}\r\n`), new RegExp(`^VALUE k${i} 0 ${size}\r\n${i % 10}+\r\nEND\r\n$`))
  }
  t.ok(driver.engine.stats().get('bytes')! < 128n << 20n)
  t.equal(store(driver, 'small'), 'STORED\r\n')
})

t.test('append and incr in a full class', async t => {
  const driver = alone({ memoryLimitMb: 2 })
  for (let i = 0; i < 3000; i++) store(driver, `k${i}`)
  t.equal(driver.send('set a 0 0 1\r\nx\r\n'), 'STORED\r\n')
  for (let i = 0; i < 2000; i++) t.equal(driver.send('append a 0 0 1\r\ny\r\n'), 'STORED\r\n')
  t.match(driver.send('get a\r\n'), /VALUE a 0 2001/)
})

t.test('a reset arena is as new', async t => {
  const arena = smallArena()
  for (let life = 0; life < 5; life++) {
    const engine = new Engine(arena, 0)
    engine.setTime(START)
    const driver = new Driver(engine)
    t.equal(driver.send('get a\r\nset a 0 0 1\r\n1\r\ngets a\r\n'), 'END\r\nSTORED\r\nVALUE a 0 1 1\r\n1\r\nEND\r\n')
    for (let i = 0; i < 9000; i++) store(driver, `k${i}`)
    engine.publish({
      ...{ epoch: 9, self: 1, points: Uint32Array.of(0), owners: Uint16Array.of(2) },
      ...{ tenures: Uint32Array.of(0), settled: Uint8Array.of(1) },
    })
    resetArena(arena)
  }
})

t.test('options that do not fit get a sentence', async t => {
  const options = { threads: 1, versionText: 'x' }
  const cases: [object, RegExp][] = [
    [
      { memoryLimitMb: 8192 },
      /^-m 8192 does not fit in one node, .*: run more nodes on this machine, for instance 4 with -m 2048$/,
    ],
    [{ memoryLimitMb: 0 }, /^-m 0 is not a whole number of megabytes from 1 up$/],
    [{ memoryLimitMb: 1 }, /^-m 1 is too small: the largest item \(-I 1048576\) may be half of it at most$/],
    [{ memoryLimitMb: 1.5 }, /^-m 1.5 is not/],
    [{ memoryLimitMb: 64, itemSizeMax: 100 }, /^-I 100 is out of bounds/],
    [{ memoryLimitMb: 64, growthFactor: 1 }, /^-f 1 is not a factor above 1$/],
    [{ memoryLimitMb: 64, chunkSizeMin: 0 }, /^-n 0 is not/],
  ]
  for (const [more, message] of cases) {
    t.throws(() => createArena({ memoryLimitMb: 64, ...options, ...more }), { message })
  }
  t.ok(createArena({ ...options, memoryLimitMb: 1, itemSizeMax: 1 << 19 }), 'but small ones do')
})

t.test('addresses above 2 GiB', async t => {
  const driver = alone({ memoryLimitMb: 3000 })
  // Half of the memory is skipped by saying that its pages are used; nothing of it is ever touched.
  const words = new Uint32Array(driver.engine.arena.memory.buffer, 65536, 256)
  words[516 / 4] = 2500
  for (let i = 0; i < 2000; i++) store(driver, `k${i}`)
  const header = `set big 0 0 500000\r\n`
  const { engine } = driver
  engine.bytes.set(Buffer.from(header), engine.rx.offset)
  const turn = engine.run(engine.rx.offset, header.length, 0)
  t.ok(turn.fillOffset > 2 ** 31, `an item at ${turn.fillOffset}`)
  engine.bytes.fill(122, turn.fillOffset, turn.fillOffset + turn.fillLength - 2)
  engine.bytes.set(Buffer.from('\r\n'), turn.fillOffset + turn.fillLength - 2)
  engine.finish(turn.handle)
  t.match(driver.send('get big\r\n'), /^VALUE big 0 500000\r\nzzz/)
  for (let i = 0; i < 2000; i++) if (!has(driver, `k${i}`)) t.fail(`k${i}`)
  for (let i = 0; i < 2000; i++) driver.send(`append k${i} 0 0 1\r\nx\r\ndelete k${i}\r\n`)
  t.equal(engine.stats().get('curr_items'), 1n)
})
