/** Two worker threads over one arena, on the same few keys: totals are exact, nothing is torn, also while keys leave and come back. */
import t from 'tap'
import type { ItemRecord, RouteTable } from '../../lib/engine/contract.js'
import { Engine } from '../../lib/engine/engine.js'
import { audit } from './audit.js'
import { Driver, hammers, random, START, smallArena } from './driver.js'

const numberOf = (driver: Driver, name: string) => Number(/\r\n(\d+) *\r\n/.exec(driver.send(`get ${name}\r\n`))?.[1])

t.test('the same keys', async t => {
  const arena = smallArena({ memoryLimitMb: 8 })
  const engine = new Engine(arena, 2)
  engine.setTime(START)
  const driver = new Driver(engine)
  for (const name of ['counter', 'c0', 'c1', 'c2', 'c3', 'c4']) driver.send(`set ${name} 0 0 1\r\n0\r\n`)
  const [first, second] = await hammers<number>('mixed', arena)
  const total = first! + second!
  t.equal(numberOf(driver, 'counter'), total)
  const parts = [0, 1, 2, 3, 4].map(i => numberOf(driver, `c${i}`))
  t.equal(
    parts.reduce((sum, part) => sum + part),
    total,
  )
  const stats = engine.stats()
  t.equal(stats.get('incr_hits'), BigInt(2 * total))
  t.ok(stats.get('evictions')! > 0n, `${stats.get('evictions')} evictions meanwhile`)
  let items = 0
  for (let cursor = 0; cursor >= 0; ) {
    const step = engine.keys(1, cursor, 10_000)
    items += step.keys.length
    cursor = step.cursor
  }
  t.equal(BigInt(items), stats.get('curr_items'), 'the figures agree with what is there')
  t.same(audit(engine), [])
})

t.test('the same keys, while the control thread juggles, crawls and dumps', async t => {
  const arena = smallArena({ memoryLimitMb: 8, hashPower: 12 })
  const engine = new Engine(arena, 2)
  const { housekeeping } = engine
  engine.setTime(START)
  const driver = new Driver(engine)
  for (const name of ['counter', 'c0', 'c1', 'c2', 'c3', 'c4']) driver.send(`set ${name} 0 0 1\r\n0\r\n`)
  let isOver = false
  const running = hammers<number>('mixed', arena).finally(() => {
    isOver = true
  })
  const classes = engine.classes().length
  let crawled = 0
  let dumped = 0
  for (let round = 0; !isOver; round++) {
    housekeeping.grow()
    for (let index = 0; index < classes; index++) housekeeping.juggle(index)
    housekeeping.beginCrawl(round % classes, round % 4)
    while (housekeeping.crawl(round % classes, 1000));
    crawled += housekeeping.endCrawl(round % classes).seen
    const place = housekeeping.beginDump()
    for (let part = housekeeping.dump('metadump', 2n ** 63n - 1n, place); part && !isOver; ) {
      dumped += part.length
      part = housekeeping.dump('metadump', 2n ** 63n - 1n, place)
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  const total = (await running).reduce((sum, part) => sum + part)
  t.equal(numberOf(driver, 'counter'), total)
  t.ok(crawled > 1000 && dumped > 100_000, `${crawled} items crawled, ${dumped} bytes dumped`)
  t.same(audit(engine), [])
})

t.test(
  'the same keys, in chunks and chains whose pages move, while items are evicted, juggled, crawled and rehashed',
  async t => {
    const arena = smallArena({ memoryLimitMb: 12, slabChunkMax: 4096, growthFactor: 2, hashPower: 12 })
    const engine = new Engine(arena, 2)
    const { housekeeping, pages } = engine
    engine.setTime(START)
    const driver = new Driver(engine)
    for (const name of ['counter', 'c0', 'c1', 'c2', 'c3', 'c4']) driver.send(`set ${name} 0 0 1\r\n0\r\n`)
    let isOver = false
    const running = hammers<number>('mixed', arena).finally(() => {
      isOver = true
    })
    const classes = engine.classes().length
    const next = random(5)
    for (let round = 0; !isOver; round++) {
      const sources = engine.classes().filter(one => one.pages > 1)
      const from = sources[Math.floor(next() * sources.length)]
      if (from) pages.reassign(from.id, next() < 0.5 ? 1 + Math.floor(next() * classes) : 0)
      for (let i = 0; i < 20 && pages.moveSlice(200) !== 'rest'; i++);
      housekeeping.grow()
      for (let index = 0; index < classes; index++) housekeeping.juggle(index)
      housekeeping.beginCrawl(classes - 1 - (round % classes), round % 4)
      for (let i = 0; i < 20; i++) {
        housekeeping.crawl(classes - 1 - (round % classes), 20)
        pages.moveSlice(20)
      }
      housekeeping.endCrawl(classes - 1 - (round % classes))
      await new Promise(resolve => setImmediate(resolve))
    }
    const total = (await running).reduce((sum, part) => sum + part)
    t.equal(numberOf(driver, 'counter'), total)
    while (pages.isMoving) pages.moveSlice(1000)
    const stat = (name: string) => Number(engine.stats().get(name))
    t.ok(stat('slabs_moved') > 10 && stat('slab_reassign_chunk_rescues') > 10, `${stat('slabs_moved')} pages moved`)
    t.ok(stat('evictions') > 100, `${stat('evictions')} evictions meanwhile`)
    t.same(audit(engine), [])
  },
)

t.test('keys that leave and come back: every increment counts once', async t => {
  const arena = smallArena({ memoryLimitMb: 8 })
  const engine = new Engine(arena, 2)
  engine.setTime(START)
  const driver = new Driver(engine, () => 'ELSEWHERE\r\n')
  const half = (epoch: number, owner: number, settled: number): RouteTable => ({
    ...{ epoch, self: 1, points: Uint32Array.of(2 ** 31, 2 ** 32 - 1), owners: Uint16Array.of(1, owner) },
    ...{ tenures: Uint32Array.of(1, epoch), settled: Uint8Array.of(1, settled) },
  })
  engine.publish(half(1, 1, 1))
  for (let i = 0; i < 40; i++) driver.send(`set k${i} 0 0 8\r\n1       \r\n`)
  const stop = new SharedArrayBuffer(12)
  const publish = (table: RouteTable) => {
    while (!engine.publish(table)) {
      // Some thread is still inside a turn that began three tables ago.
    }
  }
  const hammered = hammers<number[]>('moving', arena, stop)
  let moved = 0
  let epoch = 1
  const progress = new Int32Array(stop)
  const enough = () => moved > 5000 && [1, 2].every(place => Atomics.load(progress, place) > 5_000)
  while (!enough()) {
    publish(half(++epoch, 2, 1))
    const away: ItemRecord[] = []
    for (let cursor = 0; cursor >= 0; ) {
      const step = engine.collect(2, epoch, 1, cursor, 4000, 300)
      away.push(...step.records)
      cursor = step.cursor
    }
    publish(half(++epoch, 1, 0))
    for (const record of away) engine.install(record, epoch)
    publish(half(epoch, 1, 1))
    moved += away.length
    if (epoch % 20 === 1) await new Promise(resolve => setImmediate(resolve))
  }
  Atomics.store(new Int32Array(stop), 0, 1)
  const [first, second] = await hammered
  t.ok(epoch > 10, `${moved} keys moved, in ${epoch} epochs`)
  for (let i = 0; i < 40; i++) {
    const expected = 1 + first![i]! + second![i]!
    if (numberOf(driver, `k${i}`) !== expected) t.equal(numberOf(driver, `k${i}`), expected, `k${i}`)
  }
  for (const counts of [first!, second!])
    t.ok(
      counts.some(count => count > 0),
      'both threads took part',
    )
})
