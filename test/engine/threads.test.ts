/** Two worker threads over one arena, on the same few keys: totals are exact, nothing is torn. */
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { Engine } from '../../lib/engine/engine.js'
import { Driver, START, smallArena } from './driver.js'

t.test('two threads on the same keys', async t => {
  const arena = smallArena({ memoryLimitMb: 8 })
  const engine = new Engine(arena, 2)
  engine.setTime(START)
  const driver = new Driver(engine)
  // A counter is touched all the time, so that it is never evicted.
  for (const name of ['counter', 'c0', 'c1', 'c2', 'c3', 'c4'])
    driver.send(`set ${name} 0 0 1\r\n0\r\nget ${name} ${name}\r\n`)
  const counted = await Promise.all(
    [0, 1].map(
      thread =>
        new Promise<number>((resolve, reject) => {
          const worker = new Worker(new URL('./hammer.js', import.meta.url), { workerData: { arena, thread } })
          worker.once('message', resolve)
          worker.once('error', reject)
        }),
    ),
  )
  const total = counted[0]! + counted[1]!
  t.equal(Number(/\r\n(\d+) *\r\n/.exec(driver.send('get counter\r\n'))?.[1]), total)
  const parts = [0, 1, 2, 3, 4].map(i => Number(/\r\n(\d+) *\r\n/.exec(driver.send(`get c${i}\r\n`))?.[1]))
  t.equal(
    parts.reduce((a, b) => a + b),
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
})
