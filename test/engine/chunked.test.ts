/** Values in chains of chunks: every byte comes back, however it was cut, joined, moved, evicted or given up half way. */
import { strict as assert } from 'node:assert'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { Stop } from '../../lib/engine/contract.js'
import { Engine } from '../../lib/engine/engine.js'
import { decodeRecord, recordLength } from '../../lib/engine/record.js'
import { alone, Driver, key, random, START, smallArena } from './driver.js'

const random8 = random(1)
/** Its length is prime, so that no two chunks of a value are alike. */
const NOISE = Buffer.from(Uint8Array.from({ length: 100_003 }, () => Math.floor(random8() * 256)))

/** Bytes that are another value's for another seed. */
function pattern(length: number, seed = 1): Buffer {
  const start = (seed * 7919) % NOISE.length
  return Buffer.alloc(length, Buffer.concat([NOISE.subarray(start), NOISE.subarray(0, start)]))
}

const text = (bytes: Buffer) => bytes.toString('latin1')
const set = (name: string, value: Buffer) => `set ${name} 0 0 ${value.length}\r\n${text(value)}\r\n`
const got = (name: string, value: Buffer) => `VALUE ${name} 0 ${value.length}\r\n${text(value)}\r\nEND\r\n`
const usedChunks = (engine: Engine) =>
  engine.classes().reduce((sum, { pages, chunksPerPage, freeChunks }) => sum + pages * chunksPerPage - freeChunks, 0)

/** Sends it in parts of up to `most` bytes. */
function sendCut(driver: Driver, bytes: string, most: number, next: () => number): string {
  let answer = ''
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + Math.floor(next() * most)
    answer += driver.send(bytes.slice(at, at + size))
    at += size
  }
  return answer
}

t.test('values of 1 byte to 64 MB', async t => {
  const driver = alone({ memoryLimitMb: 256, itemSizeMax: 64 << 20 })
  const max = (64 << 20) - 48 - 8 - 2 - 2 - 1
  for (const length of [1, 1000, 524_235, 524_236, 524_288, 1_048_400, 1_048_517, 3_000_000, max]) {
    const value = pattern(length, length)
    assert.equal(sendCut(driver, set('v', value), 3_000_000, random(length)), 'STORED\r\n')
    assert.ok(driver.send('get v\r\n') === got('v', value), `${length} bytes`)
    assert.ok(driver.send('mg v v s c\r\n').startsWith(`VA ${length} s${length} c`), `${length} bytes by mg`)
  }
  t.equal(driver.send('set v 0 0 67108850\r\n'), 'SERVER_ERROR object too large for cache\r\n')
  t.equal(driver.send(`${'x'.repeat(67_108_850)}\r\nget v\r\n`), 'END\r\n')
  t.equal(usedChunks(driver.engine), 0, 'every chunk is back')
  t.equal(driver.engine.stats().get('bytes'), 0n)
})

t.test('chains of small chunks, cut anywhere', async t => {
  const seed = Number(process.env.SEED ?? 11)
  const next = random(seed)
  const driver = alone({ slabChunkMax: 1024 })
  const model = new Map<string, Buffer>()
  for (let i = 0; i < 2500; i++) {
    const name = `k${Math.floor(next() * 12)}`
    const value = pattern(Math.floor(10 ** (next() * 4.6)), i)
    const old = model.get(name)
    const verb = Math.floor(next() * 8)
    const store = (word: string) => `${word} ${name} 0 0 ${value.length}\r\n${text(value)}\r\n`
    let sent = store('set')
    let expected = 'STORED\r\n'
    let after: Buffer | undefined = value
    if (verb === 0 || verb === 1) {
      sent = store(verb === 0 ? 'append' : 'prepend')
      expected = old ? 'STORED\r\n' : 'NOT_STORED\r\n'
      after = old && (verb === 0 ? Buffer.concat([old, value]) : Buffer.concat([value, old]))
    } else if (verb === 2) {
      sent = `delete ${name}\r\n`
      expected = old ? 'DELETED\r\n' : 'NOT_FOUND\r\n'
      after = undefined
    } else if (verb === 3) {
      sent = `ms ${name} ${value.length} E${i} c k\r\n${text(value)}\r\nmg ${name} c s\r\n`
      expected = `HD c${i} k${name}\r\nHD c${i} s${value.length}\r\n`
    } else if (verb === 4 && old) {
      sent = `md ${name} I E77\r\nmg ${name} c v\r\ntouch ${name} 0\r\n`
      expected = `HD\r\nVA ${old.length} c77 W X\r\n`
      after = old
    }
    const answer = sendCut(driver, sent, 1 + 10 ** (next() * 4.5), next)
    if (verb === 4 && old) assert.ok(answer.startsWith('HD\r\n') && answer.endsWith('TOUCHED\r\n'), `SEED=${seed} ${i}`)
    else assert.equal(answer, expected, `SEED=${seed} ${i}`)
    if (after) model.set(name, after)
    else model.delete(name)
    const names = [...model.keys()].slice(0, 3)
    const blocks = names.map(one => got(one, model.get(one)!).slice(0, -5)).join('')
    assert.ok(driver.send(`get ${names.join(' ')} none\r\n`) === `${blocks}END\r\n`, `SEED=${seed} ${i}: get`)
  }
  for (const name of model.keys()) driver.send(`delete ${name}\r\n`)
  t.equal(usedChunks(driver.engine), 0)
  t.equal(driver.engine.stats().get('bytes'), 0n)
})

t.test('a value is no number, and its head is as of any item', async t => {
  const driver = alone({ slabChunkMax: 1024 })
  const digits = '1'.repeat(5000)
  driver.send(`set n 5 100 5000\r\n${digits}\r\n`)
  const words = 'CLIENT_ERROR cannot increment or decrement non-numeric value\r\n'
  t.equal(driver.send('incr n 1\r\nma n\r\ndecr n 1\r\n'), words.repeat(3))
  t.equal(driver.send('mg n f t s k h\r\n'), 'HD f5 t100 s5000 kn h0\r\n')
  t.equal(driver.send('gat 50 n\r\nmg n t h\r\n'), `VALUE n 5 5000\r\n${digits}\r\nEND\r\nHD t50 h1\r\n`)
  t.match(driver.send('me n\r\n'), /^ME n exp=50 la=0 cas=1 fetch=yes cls=\d+ size=5064\r\n$/)
  t.equal(driver.send('gets n n\r\n'), `${`VALUE n 5 5000 1\r\n${digits}\r\n`.repeat(2)}END\r\n`)
  t.equal(driver.send(`set n 0 0 3000\r\n${'z'.repeat(3001)}\n`), 'CLIENT_ERROR bad data chunk\r\n')
  t.equal(
    driver.send(`ms bmFtZQ== 2000 b I\r\n${'v'.repeat(2000)}\r\nmg name v\r\n`),
    `HD\r\nVA 2000\r\n${'v'.repeat(2000)}\r\n`,
  )
  t.equal(driver.send('md name x\r\nmg name s v\r\n'), 'HD\r\nVA 0 s0\r\n\r\n')
})

t.test('a chain that cannot be had whole gives everything back', async t => {
  const driver = alone({ memoryLimitMb: 8, evictions: false, itemSizeMax: 4 << 20 })
  driver.send(set('held', pattern(3 << 20)))
  const before = usedChunks(driver.engine)
  driver.send(`set v 0 0 5\r\nshort\r\n`)
  t.equal(driver.send(set('other', pattern(1_500_000, 2))), 'STORED\r\n')
  const full = usedChunks(driver.engine)
  t.equal(driver.send(set('v', pattern(4_000_000))), 'SERVER_ERROR out of memory storing object\r\n')
  t.equal(driver.send('get v\r\n'), 'END\r\n', 'a set that failed deletes the old value')
  t.equal(usedChunks(driver.engine), full - 1)
  t.ok(full > before)
  t.equal(driver.send(`append held 0 0 600000\r\n${'z'.repeat(600_000)}\r\n`), 'NOT_STORED\r\n')
  t.equal(usedChunks(driver.engine), full - 1)
  t.ok(driver.send('get held\r\n') === got('held', pattern(3 << 20)))
})

t.test('evictions make room for as many chunks as are needed', async t => {
  const driver = alone({ memoryLimitMb: 16, itemSizeMax: 8 << 20 })
  const next = random(5)
  for (let i = 0; i < 60; i++) {
    const value = pattern(Math.floor(600_000 * 12 ** next()), i)
    assert.equal(driver.send(set(`k${i}`, value)), 'STORED\r\n', `${value.length} bytes`)
    assert.ok(driver.send(`get k${i}\r\n`) === got(`k${i}`, value), `k${i}`)
  }
  const { engine } = driver
  const stats = engine.stats()
  t.ok(stats.get('evictions')! > 30n)
  t.ok(stats.get('bytes')! < 16n << 20n)
  t.equal(
    engine.classes().reduce((sum, { figures }) => sum + figures.get('mem_requested')!, 0n),
    stats.get('bytes'),
  )
})

t.test('values of 600 KB do not take a page each', async t => {
  const driver = alone({ memoryLimitMb: 64 })
  for (let i = 0; i < 100; i++) driver.send(set(`k${i}`, pattern(600_000, i)))
  const items = Number(driver.engine.stats().get('curr_items'))
  t.ok(items > 85, `${items} values of 600 KB in 64 MiB`)
})

t.test('who reads a large value may finish, whatever happens to the item', async t => {
  const { engine } = alone({ memoryLimitMb: 8, itemSizeMax: 4 << 20 })
  const driver = new Driver(engine)
  const value = pattern(2_000_000)
  driver.send(set('v', value))
  const line = 'get v\r\n'
  engine.bytes.set(Buffer.from(line), engine.rx.offset)
  const turn = { ...engine.run(engine.rx.offset, line.length, 0) }
  t.equal(turn.stop, Stop.pieces)
  const used = usedChunks(engine)
  const read: Buffer[] = []
  let chunk = engine.nextPiece(turn.handle, 0)
  const step = () => {
    const { fillOffset, fillLength } = engine.turn
    read.push(Buffer.from(engine.bytes.slice(fillOffset, fillOffset + fillLength)))
    chunk = engine.nextPiece(turn.handle, chunk)
  }
  step()
  t.equal(driver.send('delete v\r\n'), 'DELETED\r\n')
  for (let i = 0; i < 20; i++) t.equal(driver.send(set(`k${i}`, pattern(1_000_000, 2))), 'STORED\r\n')
  chunk = engine.nextPiece(turn.handle, 0)
  read.length = 0
  while (chunk !== 0) step()
  t.ok(Buffer.concat(read).equals(Buffer.concat([value, Buffer.from('\r\n')])))
  const before = usedChunks(engine)
  engine.release(turn.handle)
  t.equal(before - usedChunks(engine), used)
})

t.test('records of large values', async t => {
  const engine = new Engine(smallArena({ memoryLimitMb: 32, itemSizeMax: 8 << 20 }), 0)
  engine.setTime(START)
  const route = (epoch: number, owner: number) => ({
    ...{ epoch, self: 1, points: Uint32Array.of(0), owners: Uint16Array.of(owner) },
    ...{ tenures: Uint32Array.of(1), settled: Uint8Array.of(1) },
  })
  engine.publish(route(1, 1))
  const driver = new Driver(engine)
  const values = [pattern(1_500_000), pattern(5_000_000, 2), pattern(100, 3), pattern(524_000, 4)]
  for (const [i, value] of values.entries()) {
    t.equal(driver.send(`ms k${i} ${value.length} F7 E9${i} T100\r\n${text(value)}\r\n`), 'HD\r\n')
  }
  const record = engine.handOver(key('k0'), 9)!
  t.equal(recordLength(record, 0), record.length)
  t.ok(Buffer.from(decodeRecord(record).value!).equals(values[0]!))
  t.equal(driver.send('mg k0\r\n'), 'EN\r\n')
  t.equal(engine.install(record, 1), 'installed')
  t.equal(engine.install(record, 1), 'kept')
  engine.publish(route(2, 2))
  const away = []
  for (let cursor = 0; cursor >= 0; ) {
    const step = engine.collect(2, 2, 1, cursor, 1_000_000, 1 << 20)
    away.push(...step.records)
    cursor = step.cursor
  }
  t.equal(away.length, 4)
  t.equal(usedChunks(engine), 0)
  engine.publish(route(3, 1))
  for (const one of away) t.equal(engine.install(one, 3), 'installed')
  for (const [i, value] of values.entries()) {
    t.ok(
      driver.send(`mg k${i} c f t s v\r\n`) ===
        `VA ${value.length} c9${i} f7 t100 s${value.length}\r\n${text(value)}\r\n`,
    )
  }
  const small = new Engine(smallArena({ memoryLimitMb: 8, itemSizeMax: 4 << 20, evictions: false }), 0)
  small.setTime(START)
  const fat = away.find(one => one.length > 5_000_000)!
  for (let i = 0; i < 2; i++) new Driver(small).send(set(`f${i}`, pattern(3_500_000)))
  const before = usedChunks(small)
  t.equal(small.install(fat, 1), 'no memory')
  t.equal(usedChunks(small), before)
})

t.test('the route changes while a large value is received', async t => {
  const stops: string[] = []
  const engine = new Engine(smallArena({ memoryLimitMb: 8, itemSizeMax: 4 << 20 }), 0)
  engine.setTime(START)
  const driver = new Driver(engine, (turn, request) => {
    stops.push(request)
    return `<${turn.stop}>\r\n`
  })
  const route = (epoch: number, owner: number) => ({
    ...{ epoch, self: 1, points: Uint32Array.of(0), owners: Uint16Array.of(owner) },
    ...{ tenures: Uint32Array.of(1), settled: Uint8Array.of(1) },
  })
  const value = pattern(1_700_000)
  const requests = [
    `set v 3 -5 ${value.length}\r\n${text(value)}\r\n`,
    `ms v ${value.length} T5 Oabc\r\n${text(value)}\r\n`,
  ]
  for (const [i, request] of requests.entries()) {
    engine.publish(route(2 * i + 1, 1))
    t.equal(driver.send(request.slice(0, 900_000)), '')
    engine.publish(route(2 * i + 2, 2))
    t.equal(driver.send(`${request.slice(900_000)}mn\r\n`), '<4>\r\nMN\r\n')
    t.ok(stops[i] === request, 'the request as it was sent')
  }
  t.equal(usedChunks(engine), 0)
})

t.test('a client that goes away in the middle', async t => {
  const driver = alone({ memoryLimitMb: 16, itemSizeMax: 4 << 20 })
  for (let i = 0; i < 20; i++) {
    const cut = new Driver(driver.engine)
    cut.send(`set v 0 0 4000000\r\n${'x'.repeat(200_000 * i)}`)
    cut.cut()
  }
  t.equal(usedChunks(driver.engine), 0)
})

t.test('several threads on the same chains', async t => {
  const arena = smallArena({ memoryLimitMb: 8, slabChunkMax: 4096 })
  const one = (thread: number) =>
    new Promise<number>((resolve, reject) => {
      const worker = new Worker(new URL('./hammer.js', import.meta.url), {
        workerData: { job: 'mixed', arena, thread, stop: new SharedArrayBuffer(12) },
        execArgv: [],
      })
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  const engine = new Engine(arena, 2)
  engine.setTime(START)
  const driver = new Driver(engine)
  driver.send('set counter 0 0 1\r\n0\r\n')
  await Promise.all([one(0), one(1)])
  t.ok(engine.stats().get('evictions')! > 0n)
  driver.send('flush_all\r\n')
  engine.setTime(START + 2)
  for (let i = 0; i < 40; i++) driver.send(`get k${i} xk${i} counter c${i}\r\n`)
  for (let thread = 0; thread < 2; thread++) {
    for (let round = 0; round < 2000; round++) driver.send(`get f${thread}.${round}\r\n`)
  }
  t.equal(engine.stats().get('bytes'), 0n)
  t.equal(usedChunks(engine), 0, 'every chunk is back')
})
