/** Pages go from class to class while items are read and written: what can be saved is, and figures and chunks add up. */
import { strict as assert } from 'node:assert'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { Stop } from '../../lib/engine/contract.js'
import { Engine } from '../../lib/engine/engine.js'
import { audit } from './audit.js'
import { alone, Driver, random, START, smallArena } from './driver.js'

const value = (i: number, length: number) => `<${i}>`.repeat(Math.ceil(length / 3)).slice(0, length)
const set = (name: string, text: string) => `set ${name} 0 0 ${text.length}\r\n${text}\r\n`
const got = (name: string, text: string) => `VALUE ${name} 0 ${text.length}\r\n${text}\r\nEND\r\n`
const stat = (engine: Engine, name: string) => Number(engine.stats().get(name))
/** memcached's id of the class that has most pages. */
const largest = (engine: Engine) => engine.classes().reduce((a, b) => (b.pages > a.pages ? b : a)).id
const pagesOf = (engine: Engine, id: number) => engine.classes()[id - 1]!.pages

/** Until the mover rests; how often it had to wait. */
function finish(engine: Engine, waitsMax = 5000): number {
  for (let waits = 0; ; ) {
    const outcome = engine.pages.moveSlice(500)
    if (outcome === 'rest') return waits
    if (outcome === 'wait' && ++waits > waitsMax) throw new Error('the mover never rests')
  }
}

/** Pages are somebody's, chunks are items or free, requested memory is what is held. */
function addsUp(engine: Engine): void {
  const stats = engine.stats()
  const classes = engine.classes()
  const pages = classes.reduce((sum, one) => sum + one.pages, 0)
  assert.equal(pages + engine.pages.inPool, engine.pages.used)
  const sum = (figure: string) => classes.reduce((total, { figures }) => total + figures.get(figure)!, 0n)
  assert.equal(sum('mem_requested'), stats.get('bytes'))
  assert.equal(sum('evicted'), stats.get('evictions'))
  const items = classes.reduce((total, { lists }) => total + lists.reduce((n, list) => n + list.count, 0), 0)
  assert.equal(BigInt(items), stats.get('curr_items'))
  assert.deepEqual(audit(engine), [])
  needsAgree(engine)
}

/** What is read once a second says the same as all the figures. */
function needsAgree(engine: Engine): void {
  const used = engine.classes().filter(({ pages, figures }) => pages > 0 || figures.get('outofmemory')! > 0n)
  const needs = used.map(({ id, pages, chunksPerPage, freeChunks, figures, lists }) => ({
    ...{ id, pages, chunksPerPage, freeChunks, refused: Number(figures.get('outofmemory')) },
    evicted: Number(figures.get('evicted')),
    coldTailTime: lists.find(({ name }) => name === 'cold')!.tailTime,
  }))
  assert.ok(needs.length > 0)
  assert.deepEqual(engine.classNeeds(), needs)
}

t.test('items move to free chunks of their class', async t => {
  const driver = alone({ memoryLimitMb: 16 })
  const { engine } = driver
  for (let i = 0; i < 8000; i++) driver.send(set(`k${i}`, value(i, 1000)))
  for (let i = 0; i < 8000; i += 2) driver.send(`delete k${i}\r\n`)
  const id = largest(engine)
  const before = pagesOf(engine, id)
  for (let moved = 1; moved <= 3; moved++) {
    t.equal(engine.pages.reassign(id, 0), 'ok')
    t.equal(engine.pages.isMoving, true)
    t.equal(engine.pages.reassign(id, 0), 'busy')
    t.equal(finish(engine), 0)
    t.equal(pagesOf(engine, id), before - moved)
    t.equal(stat(engine, 'slab_global_page_pool'), moved)
    addsUp(engine)
  }
  t.equal(stat(engine, 'evictions'), 0)
  t.equal(stat(engine, 'slabs_moved'), 3)
  t.ok(stat(engine, 'slab_reassign_rescues') > 1000)
  for (let i = 0; i < 8000; i++) {
    const expected = i % 2 === 0 ? 'END\r\n' : got(`k${i}`, value(i, 1000))
    if (driver.send(`get k${i}\r\n`) !== expected) t.fail(`k${i}`)
  }
  // The rest of its order is as before: what was stored first goes first.
  for (let i = 0; i < 3000; i++) driver.send(set(`large${i}`, value(i, 5000)))
  t.equal(engine.pages.inPool, 0)
  t.equal(engine.pages.used, 16)
  addsUp(engine)
})

t.test('from a full class to another one', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  const { engine } = driver
  for (let i = 0; i < 12_000; i++) driver.send(set(`k${i}`, value(i, 1000)))
  driver.send(set('other', value(1, 3000)))
  const from = largest(engine)
  const to = engine.classes().find(({ pages, id }) => pages === 1 && id > from)!.id
  for (let i = 0; i < 3; i++) {
    const items = stat(engine, 'curr_items')
    t.equal(engine.pages.reassign(from, to), 'ok')
    finish(engine)
    addsUp(engine)
    t.ok(items - stat(engine, 'curr_items') <= engine.classes()[from - 1]!.chunksPerPage, 'a page of items at most')
  }
  t.equal(pagesOf(engine, to), 4)
  t.ok(stat(engine, 'slab_reassign_evictions_nomem') > 0)
  let held = 0
  for (let i = 0; i < 12_000; i++) {
    const answer = driver.send(`get k${i}\r\n`)
    if (answer === 'END\r\n') continue
    held++
    if (answer !== got(`k${i}`, value(i, 1000))) t.fail(`k${i}`)
  }
  t.equal(held + 1, stat(engine, 'curr_items'))
  const perPage = engine.classes()[to - 1]!.chunksPerPage
  const evictions = stat(engine, 'evictions')
  for (let i = 1; i < 4 * perPage; i++) driver.send(set(`other${i}`, value(i, 3000)))
  t.equal(stat(engine, 'evictions'), evictions, 'the pages are used there')
})

t.test('items that are read displace colder ones', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  const { engine } = driver
  const hot = Array.from({ length: 500 }, (_, i) => `hot${i}`)
  for (const name of hot) driver.send(set(name, value(1, 1000)))
  for (let i = 0; i < 12_000; i++) {
    driver.send(set(`k${i}`, value(i, 1000)))
    const name = hot[i % hot.length]!
    if (i % 2 === 0) driver.send(`get ${name} ${hot[(i + 1) % hot.length]} ${hot[(i + 2) % hot.length]}\r\n`)
  }
  const id = largest(engine)
  const held = () => hot.filter(name => driver.send(`mg ${name}\r\n`) !== 'EN\r\n').length
  const before = held()
  t.ok(before > 450)
  while (pagesOf(engine, id) > 3) {
    t.equal(engine.pages.reassign(id, 0), 'ok')
    finish(engine)
  }
  t.equal(held(), before)
  t.ok(stat(engine, 'slab_reassign_evictions_nomem') > 0)
  addsUp(engine)
})

t.test('chains: heads and pieces move, values stay', async t => {
  const driver = alone({ memoryLimitMb: 24, slabChunkMax: 4096 })
  const { engine } = driver
  const length = (i: number) => 5000 + (i % 3) * 4000
  for (let i = 0; i < 800; i++) driver.send(`ms k${i} ${length(i)} E${i}\r\n${value(i, length(i))}\r\n`)
  for (let i = 0; i < 40_000; i++) driver.send(set(`s${i}`, 'x'))
  for (let i = 0; i < 800; i += 2) driver.send(`delete k${i}\r\n`)
  for (let i = 0; i < 40_000; i += 2) driver.send(`delete s${i}\r\n`)
  for (let round = 0; round < 3; round++) {
    for (const { id } of engine.classes()) {
      if (pagesOf(engine, id) < 2) continue
      t.equal(engine.pages.reassign(id, 0), 'ok')
      finish(engine)
      addsUp(engine)
    }
    for (let i = 1; i < 800; i += 2) {
      const answer = driver.send(`mg k${i} c v\r\n`)
      if (answer !== 'EN\r\n' && answer !== `VA ${length(i)} c${i}\r\n${value(i, length(i))}\r\n`) t.fail(`k${i}`)
    }
  }
  t.ok(stat(engine, 'slab_reassign_chunk_rescues') > 100)
  t.ok(stat(engine, 'slab_reassign_rescues') > 100)
  driver.send('flush_all\r\n')
  engine.setTime(START + 2)
  for (let i = 0; i < 800; i++) driver.send(`get k${i}\r\n`)
  for (let i = 0; i < 40_000; i++) driver.send(`get s${i}\r\n`)
  const used = engine.classes().map(({ pages, chunksPerPage, freeChunks }) => pages * chunksPerPage - freeChunks)
  t.ok(used.every(count => count === 0))
})

t.test('memcached’s words for what cannot be moved', async t => {
  const { engine } = alone({ memoryLimitMb: 8 })
  const driver = new Driver(engine)
  driver.send(set('a', value(1, 1000)))
  const id = largest(engine)
  const classes = engine.classes().length
  t.equal(engine.pages.reassign(id, id), 'same')
  t.equal(engine.pages.reassign(id, classes + 1), 'bad class')
  t.equal(engine.pages.reassign(-2, 1), 'bad class')
  t.equal(engine.pages.reassign(id, -1), 'bad class')
  t.equal(engine.pages.reassign(id, 0), 'no spare')
  t.equal(engine.pages.reassign(0, id), 'no spare')
  t.equal(engine.pages.reassign(-1, id), 'bad class')
  for (let i = 0; i < 3000; i++) driver.send(set(`k${i}`, value(i, 1000)))
  t.equal(engine.pages.reassign(-1, id), 'bad class', 'no other class has a page to spare')
  t.equal(engine.pages.reassign(-1, 3), 'ok')
  finish(engine)
  t.equal(pagesOf(engine, 3), 1)
})

t.test('what somebody holds is waited for', async t => {
  const driver = alone({ memoryLimitMb: 8 })
  const { engine } = driver
  // Of the items of every page each other one is being filled.
  const half = Array.from({ length: 1000 }, (_, i) => {
    driver.send(set(`k${i}`, value(i, 1000)))
    const one = new Driver(engine)
    one.send(`set h${i} 0 0 1000\r\nabc`)
    return one
  })
  const id = largest(engine)
  const pages = pagesOf(engine, id)
  t.equal(engine.pages.reassign(id, 0), 'ok')
  let waits = 0
  while (engine.pages.isMoving && waits < 20) if (engine.pages.moveSlice(1000) === 'wait') waits++
  t.equal(waits, 20)
  t.ok(stat(engine, 'slab_reassign_busy_items') > 0)
  for (const [i, one] of half.entries()) t.equal(one.send(`${value(i, 997)}\r\n`), 'STORED\r\n')
  t.equal(finish(engine), 0)
  t.equal(pagesOf(engine, id), pages - 1)
  addsUp(engine)
  const never = Array.from({ length: 6000 }, () => new Driver(engine))
  for (const [i, one] of never.entries()) {
    one.send(`set h${i} 0 0 1000\r\nabc`)
    if (i % 2 === 0) driver.send(`delete k${i / 2}\r\n`)
  }
  const all = pagesOf(engine, id)
  t.equal(engine.pages.reassign(id, 0), 'ok')
  t.ok(finish(engine) > 900, 'the mover gives up')
  t.equal(pagesOf(engine, id), all)
  for (const one of never) one.cut()
  const { freeChunks, chunksPerPage, lists } = engine.classes()[id - 1]!
  const held = lists.reduce((sum, { count }) => sum + count, 0)
  t.equal(held + freeChunks, chunksPerPage * all)
})

t.test('a large value that is being read is let go in the end', async t => {
  const { engine } = alone({ memoryLimitMb: 16, slabChunkMax: 4096 })
  const driver = new Driver(engine)
  for (let i = 0; i < 300; i++) driver.send(set(`k${i}`, value(i, 9000)))
  const handles = Array.from({ length: 300 }, (_, i) => {
    const line = `mg k${i} v\r\n`
    engine.bytes.set(Buffer.from(line), engine.rx.offset)
    const turn = engine.run(engine.rx.offset, line.length, 0)
    assert.equal(turn.stop, Stop.pieces)
    return turn.handle
  })
  const id = largest(engine)
  const pages = pagesOf(engine, id)
  t.equal(engine.pages.reassign(id, 0), 'ok')
  for (let waits = 0; waits < 200; ) if (engine.pages.moveSlice(1000) === 'wait') waits++
  t.ok(stat(engine, 'slab_reassign_busy_deletes') > 50)
  for (const handle of handles) engine.release(handle)
  t.equal(finish(engine), 0)
  t.equal(pagesOf(engine, id), pages - 1)
  addsUp(engine)
})

t.test('a limit that changes: more at once, less by pages that leave', async t => {
  const { engine } = alone({ memoryLimitMb: 8, memoryReserveMb: 32 })
  const driver = new Driver(engine)
  const fill = (from: number, count: number) => {
    for (let i = from; i < from + count; i++) driver.send(set(`k${i}`, value(i, 1000)))
  }
  fill(0, 10_000)
  t.equal(engine.pages.used, 8)
  const before = stat(engine, 'evictions')
  t.ok(before > 0)
  t.equal(engine.pages.setLimit(24), true)
  t.equal(stat(engine, 'limit_maxbytes'), 24 << 20)
  fill(10_000, 10_000)
  t.equal(stat(engine, 'evictions'), before, 'no eviction below the new limit')
  t.equal(engine.pages.setLimit(4000), false)
  t.equal(engine.pages.setLimit(10), true)
  const id = largest(engine)
  const tooMany = engine.pages.used - 10
  const released = new Set<number>()
  while (engine.pages.mustShrink) {
    t.equal(engine.pages.reassign(id, 0), 'ok')
    finish(engine)
    engine.pages.release((offset, length) => {
      engine.bytes.fill(0, offset, offset + length)
      released.add(offset)
    })
  }
  t.equal(engine.pages.used, 10)
  t.ok(tooMany > 5)
  t.equal(released.size, tooMany)
  t.equal(
    engine.pages.release(() => {}),
    false,
  )
  addsUp(engine)
  fill(40_000, 5000)
  t.equal(engine.pages.used, 10)
  engine.pages.setLimit(32)
  fill(30_000, 40_000)
  t.equal(engine.pages.used, 32)
  addsUp(engine)
})

t.test('two threads work on items whose pages move', async t => {
  const arena = smallArena({ memoryLimitMb: 40, slabChunkMax: 16_384 })
  const engine = new Engine(arena, 2)
  engine.setTime(START)
  const driver = new Driver(engine)
  for (const name of ['counter', 'c0', 'c1', 'c2', 'c3', 'c4']) driver.send(`set ${name} 0 0 1\r\n0\r\n`)
  let running = 2
  const goOn = new Int32Array(new SharedArrayBuffer(12)).fill(1, 0, 1)
  const hasMoved = () =>
    stat(engine, 'slabs_moved') > 20 &&
    stat(engine, 'slab_reassign_rescues') > 100 &&
    stat(engine, 'slab_reassign_chunk_rescues') > 10
  const one = (thread: number) =>
    new Promise<number>((resolve, reject) => {
      const worker = new Worker(new URL('./hammer.js', import.meta.url), {
        workerData: { job: 'mixed', arena, thread, stop: goOn.buffer },
        execArgv: [],
      })
      worker.once('message', counted => {
        running--
        resolve(counted)
      })
      worker.once('error', reject)
    })
  const counted = Promise.all([one(0), one(1)])
  const next = random(9)
  while (running > 0) {
    const classes = engine.classes().filter(({ pages }) => pages > 1)
    const from = classes[Math.floor(next() * classes.length)]
    if (from) engine.pages.reassign(from.id, Math.floor(next() * 3) === 0 ? largest(engine) : 0)
    for (let i = 0; i < 50 && engine.pages.moveSlice(200) !== 'rest'; i++);
    if (hasMoved()) Atomics.store(goOn, 0, 0)
    await new Promise(resolve => setImmediate(resolve))
  }
  const [first, second] = await counted
  finish(engine)
  t.ok(hasMoved(), `${stat(engine, 'slabs_moved')} pages moved`)
  t.match(driver.send('get counter\r\n'), new RegExp(`\r\n${first! + second!}\r\n`))
  addsUp(engine)
  for (const { pages, chunksPerPage, freeChunks, lists } of engine.classes().slice(0, 20)) {
    const held = lists.reduce((n, list) => n + list.count, 0)
    t.ok(pages * chunksPerPage - freeChunks >= held)
  }
})
