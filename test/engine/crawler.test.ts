/** Crawls free what is dead wherever it is in its list; dumps show what a get would find, and nothing else. */
import t from 'tap'
import type { DumpKind } from '../../lib/engine/contract.js'
import type { Engine } from '../../lib/engine/engine.js'
import { audit } from './audit.js'
import { alone, type Driver, key, START } from './driver.js'

const HOT = 0
const COLD = 2
const store = (driver: Driver, name: string, exptime = 0) => driver.send(`set ${name} 0 ${exptime} 2\r\nok\r\n`)
const crawlAll = ({ housekeeping }: Engine, index: number, list: number) => {
  housekeeping.beginCrawl(index, list)
  while (housekeeping.crawl(index, 10));
  return housekeeping.endCrawl(index)
}
const dumped = ({ housekeeping }: Engine, kind: DumpKind, classes = 2n ** 63n - 1n) => {
  const place = housekeeping.beginDump()
  const parts: Buffer[] = []
  for (let part = housekeeping.dump(kind, classes, place); part; part = housekeeping.dump(kind, classes, place)) {
    parts.push(part)
  }
  return Buffer.concat(parts).toString('latin1')
}
const lines = (text: string) => text.split('\n').filter(Boolean).sort()

t.test('dead items between living ones are freed, the rest is counted by its minutes', async t => {
  const driver = alone()
  const { engine } = driver
  for (let i = 0; i < 30; i++) store(driver, `forever${i}`)
  for (let i = 0; i < 30; i++) store(driver, `short${i}`, 1)
  for (let i = 0; i < 30; i++) store(driver, `minutes${i}`, 60 * i + 30)
  for (let i = 0; i < 30; i++) store(driver, `hours${i}`, 7200)
  driver.send('get short0\r\n')
  engine.setTime(START + 2)
  const found = crawlAll(engine, 0, HOT)
  t.match(found, { seen: 90, withoutExptime: 30, reclaimed: 30 })
  t.same(found.minutes.slice(0, 31), [...Array(30).fill(1), 0])
  t.equal(engine.stats().get('curr_items'), 90n)
  t.equal(engine.stats().get('crawler_reclaimed'), 30n)
  t.equal(engine.stats().get('crawler_items_checked'), 120n)
  t.equal(engine.stats().get('expired_unfetched'), 29n)
  t.same(audit(engine), [])
  driver.send('flush_all\r\n')
  t.match(crawlAll(engine, 0, HOT), { seen: 0, reclaimed: 90 })
  t.equal(engine.stats().get('curr_items'), 0n)
})

t.test('a list that changes under the crawl', async t => {
  const driver = alone()
  const { engine } = driver
  for (let i = 0; i < 100; i++) store(driver, `k${i}`)
  const { housekeeping } = engine
  housekeeping.beginCrawl(0, HOT)
  t.ok(housekeeping.crawl(0, 10))
  for (let i = 5; i < 20; i++) driver.send(`delete k${i}\r\n`)
  t.ok(housekeeping.crawl(0, 10))
  driver.send('delete k30\r\n')
  housekeeping.juggle(0)
  t.notOk(housekeeping.crawl(0, 1000))
  const { seen } = housekeeping.endCrawl(0)
  t.ok(seen >= 10 + 10 && seen <= 84, `${seen} items were met, none twice`)
  store(driver, 'late', 1)
  engine.setTime(START + 2)
  t.match(crawlAll(engine, 0, HOT), { reclaimed: 1 })
  t.equal(crawlAll(engine, 0, HOT).seen + crawlAll(engine, 0, COLD).seen, 84)
  t.same(audit(engine), [])
})

t.test('lines of a metadump and of an mgdump', async t => {
  const driver = alone()
  const { engine } = driver
  driver.send('set a%b 7 100 3\r\nabc\r\nget a%b\r\nms AP8= 2 b\r\nhi\r\nset dead 0 1 1\r\nx\r\n')
  engine.setTime(START + 1)
  t.same(lines(dumped(engine, 'metadump')), [
    `key=%00%FF exp=-1 la=${START} cas=2 fetch=no cls=1 size=63 flags=0`,
    `key=a%25b exp=${START + 100} la=${START} cas=1 fetch=yes cls=1 size=69 flags=7`,
  ])
  t.same(lines(dumped(engine, 'mgdump')), ['mg AP8= b\r', 'mg a%b\r'])
  t.equal(dumped(engine, 'metadump', 2n), '', 'another class')
  const sizes = Buffer.from(dumped(engine, 'sizes'), 'latin1')
  t.same([sizes.readUInt32LE(0), sizes.readUInt32LE(4)].sort(), [63, 69])
})

t.test('a dump comes in bounded parts, each key once', async t => {
  const driver = alone({ memoryLimitMb: 64 })
  const name = (i: number) => `${i}.${'\x01'.repeat(200)}`
  for (let i = 0; i < 5000; i++) store(driver, name(i))
  const { housekeeping } = driver.engine
  const place = housekeeping.beginDump()
  const seen: string[] = []
  for (let part = housekeeping.dump('metadump', 2n ** 63n - 1n, place); part; ) {
    if (part.length > 65_536) t.fail(`a part of ${part.length} bytes`)
    seen.push(...part.toString().split('\n').slice(0, -1))
    part = housekeeping.dump('metadump', 2n ** 63n - 1n, place)
  }
  t.equal(new Set(seen).size, 5000)
  t.equal(seen.length, 5000)
})

t.test('what is not this node’s is not shown: tombstones, keys that moved, leftovers of an earlier tenure', async t => {
  const driver = alone()
  const { engine } = driver
  const table = (epoch: number, owner: number, settled: number) => ({
    ...{ epoch, self: 1, points: Uint32Array.of(2 ** 31, 2 ** 32 - 1), owners: Uint16Array.of(1, owner) },
    ...{ tenures: Uint32Array.of(1, epoch), settled: Uint8Array.of(1, settled) },
  })
  engine.publish(table(1, 1, 1))
  for (let i = 0; i < 100; i++) store(driver, `k${i}`)
  t.equal(lines(dumped(engine, 'mgdump')).length, 100)
  const stays = (name: string) => engine.point(key(name)) <= 2 ** 31
  const ours = Array.from({ length: 100 }, (_, i) => `k${i}`).filter(stays)
  t.ok(ours.length > 20 && ours.length < 80)
  engine.publish(table(2, 2, 1))
  t.same(lines(dumped(engine, 'mgdump')), ours.map(name => `mg ${name}\r`).sort(), 'the other half moved')
  engine.publish(table(3, 1, 0))
  t.same(
    lines(dumped(engine, 'mgdump')),
    ours.map(name => `mg ${name}\r`).sort(),
    'what came back has to be taken first',
  )
  const back = Array.from({ length: 100 }, (_, i) => `k${i}`).find(name => !stays(name))!
  engine.installAbsent(key(back), 3)
  t.equal(engine.held(key(back)), 3)
  t.equal(lines(dumped(engine, 'mgdump')).length, ours.length, 'a remembered absence')
  while (engine.housekeeping.juggle(0) > 0);
  const shown = engine.housekeeping.cachedump(0, 0).toString()
  const names = [...shown.matchAll(/ITEM (\S+) /g)].map(match => match[1]!)
  t.ok(names.length > 0 && names.every(name => ours.includes(name)), `${names.length} in COLD, all of them ours`)
})

t.test('cachedump: COLD from its head, as many as asked for', async t => {
  const driver = alone()
  const { engine } = driver
  const { housekeeping } = engine
  for (let i = 10; i < 20; i++) store(driver, `k${i}`, i === 10 ? 500 : 0)
  t.equal(housekeeping.cachedump(0, 0).length, 0, 'HOT is not shown')
  housekeeping.tune({ segmented: false })
  while (housekeeping.juggle(0) > 0);
  t.equal(housekeeping.cachedump(0, 2).toString(), 'ITEM k19 [2 b; 0 s]\r\nITEM k18 [2 b; 0 s]\r\n')
  t.match(housekeeping.cachedump(0, 0).toString(), new RegExp(`ITEM k10 \\[2 b; ${START + 500} s\\]\r\n$`))
  t.equal(housekeeping.cachedump(62, 0).length, 0, 'no such class')
})

t.test('the crawler is claimed once at a time', async t => {
  const { housekeeping } = alone().engine
  t.equal(housekeeping.crawlerUse(), 'idle')
  t.ok(housekeeping.claimCrawler('dump', START))
  t.equal(housekeeping.crawlerUse(), 'dump')
  t.equal(housekeeping.crawlerRefusedAt(), 0)
  t.notOk(housekeeping.claimCrawler('crawl', START + 5))
  t.equal(housekeeping.crawlerRefusedAt(), START + 5)
  housekeeping.releaseCrawler()
  t.ok(housekeeping.claimCrawler('crawl', START))
})
