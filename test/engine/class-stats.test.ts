/** Figures by slab class: what is there adds up, what happens is counted where the item lies, a reset leaves what is there. */
import t from 'tap'
import type { Engine } from '../../lib/engine/engine.js'
import { alone, random } from './driver.js'

const sum = (engine: Engine, figure: string) =>
  engine.classes().reduce((total, { figures }) => total + figures.get(figure)!, 0n)

t.test('requested memory is the bytes of what is held, whatever happened', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  const next = random(3)
  for (let i = 0; i < 30_000; i++) {
    const key = `k${Math.floor(next() * 40_000)}`
    const value = 'v'.repeat(Math.floor(10 ** (next() * 4.5)))
    const verb = Math.floor(next() * 8)
    if (verb === 0) driver.send(`delete ${key}\r\n`)
    else if (verb === 1) driver.send(`append ${key} 0 0 3\r\nabc\r\n`)
    else if (verb === 2) driver.send(`ms ${key} 2 E${i} T100\r\n10\r\n`)
    else if (verb === 3) driver.send(`ma ${key} N0 E${i} D99999\r\n`)
    else if (verb === 4) driver.send(`md ${key} x I E${i}\r\nincr ${key} 1\r\n`)
    else if (verb === 5) driver.send(`get ${key}\r\nmd ${key} I E7\r\nincr ${key} 5\r\n`)
    else driver.send(`set ${key} 0 0 ${value.length}\r\n${value}\r\n`)
  }
  const { engine } = driver
  const stats = engine.stats()
  t.ok(stats.get('evictions')! > 0n, `${stats.get('evictions')} evictions`)
  t.equal(sum(engine, 'mem_requested'), stats.get('bytes'))
  t.equal(sum(engine, 'evicted'), stats.get('evictions'))
  t.equal(sum(engine, 'reclaimed'), stats.get('reclaimed'))
  const items = engine.classes().reduce((total, { lists }) => total + lists.reduce((n, list) => n + list.count, 0), 0)
  t.equal(BigInt(items), stats.get('curr_items'))
  for (const { pages, chunksPerPage, freeChunks, lists } of engine.classes()) {
    const used = pages * chunksPerPage - freeChunks
    const held = lists.reduce((n, list) => n + list.count, 0)
    if (used !== held) t.equal(used, held, 'used chunks are the items')
  }
})

t.test('hits are counted at the item’s class and list; reset keeps what is there', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  const { engine } = driver
  driver.send('set small 0 0 1\r\nx\r\nget small small none\r\nmg small v\r\ngat 0 small\r\ntouch small 0\r\n')
  driver.send(`set large 0 0 5000\r\n${'x'.repeat(5000)}\r\nget large\r\ncas small 0 0 1 1\r\n2\r\nincr small 1\r\n`)
  driver.send('gets small\r\ncas small 0 0 1 77\r\n3\r\ndecr small 1\r\ndelete large\r\n')
  const [small, large] = engine.classes().filter(({ counters }) => counters.get('cmd_set')! > 0n)
  t.match(Object.fromEntries(small!.counters), {
    ...{ hits_to_hot: 4n, hits_to_cold: 0n, cmd_set: 3n, touch_hits: 2n, cas_hits: 1n, cas_badval: 1n },
    ...{ incr_hits: 1n, decr_hits: 1n, delete_hits: 0n },
  })
  t.match(Object.fromEntries(large!.counters), { hits_to_hot: 1n, cmd_set: 1n, delete_hits: 1n })
  t.match(Object.fromEntries(engine.stats()), {
    get_hits: 5n,
    get_misses: 1n,
    cmd_set: 4n,
    touch_hits: 2n,
    cmd_get: 6n,
  })
  engine.resetStats()
  t.match(Object.fromEntries(engine.stats()), { get_hits: 0n, cmd_get: 0n, total_items: 0n, curr_items: 1n })
  t.equal(sum(engine, 'mem_requested'), engine.stats().get('bytes'))
})
