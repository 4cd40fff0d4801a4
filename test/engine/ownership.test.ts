/**
 * Who is the authority for a key, and what leaves and enters the store when that changes (DESIGN 8): route tables, marks,
 * tombstones, takes, batches. Two arenas play two nodes.
 */
import { strict as assert } from 'node:assert'
import { createHash } from 'node:crypto'
import t from 'tap'
import type { RouteTable, Turn } from '../../lib/engine/contract.js'
import { Stop } from '../../lib/engine/contract.js'
import { Engine } from '../../lib/engine/engine.js'
import { decodeRecord, encodeRecord } from '../../lib/engine/record.js'
import { Driver, key, random, START, smallArena } from './driver.js'

const point = (name: string) => createHash('md5').update(name, 'latin1').digest().readUInt32LE(0)

/** The whole circle in one arc. */
function circle(epoch: number, self: number, owner: number, tenure = 1, settled = 1): RouteTable {
  return {
    ...{ epoch, self, points: Uint32Array.of(0), owners: Uint16Array.of(owner) },
    ...{ tenures: Uint32Array.of(tenure), settled: Uint8Array.of(settled) },
  }
}

interface Node {
  engine: Engine
  send: (text: string) => string
  stops: { turn: Turn; request: string }[]
}

function node(table: RouteTable, time = START): Node {
  const engine = new Engine(smallArena(), 2)
  engine.setTime(time)
  assert(engine.publish(table))
  const stops: Node['stops'] = []
  const driver = new Driver(engine, (turn, request) => {
    stops.push({ turn: { ...turn }, request })
    return `<${turn.stop}>\r\n`
  })
  return { engine, send: text => driver.send(text), stops }
}

t.test('md5 and the arcs agree with TypeScript', async t => {
  const next = random(11)
  const arcs = 1000
  const points = Uint32Array.from({ length: arcs }, () => Math.floor(next() * 2 ** 32)).sort()
  const owners = Uint16Array.from({ length: arcs }, (_, i) => i % 7)
  const tenures = Uint32Array.from({ length: arcs }, (_, i) => i)
  const settled = Uint8Array.from({ length: arcs }, (_, i) => i % 2)
  const { engine } = node({ epoch: 9, self: 3, points, owners, tenures, settled })
  for (let i = 0; i < 3000; i++) {
    const length = i <= 250 ? Math.max(1, i) : 1 + Math.floor(next() * 250)
    const name = Array.from({ length }, () => String.fromCharCode(33 + Math.floor(next() * 223))).join('')
    const hash = point(name)
    const at = points.findIndex(end => end >= hash)
    const arc = Math.max(at, 0)
    const expected = { point: hash, owner: arc % 7, settled: arc % 2 === 1, tenure: arc }
    const got = engine.route(key(name))
    if (JSON.stringify(got) !== JSON.stringify(expected)) t.same(got, expected, name)
  }
  t.equal(engine.epoch(), 9)
  engine.publishAlone()
  t.equal(engine.epoch(), 0)
})

t.test('not ours: forward, with the whole request described', async t => {
  const { send, stops, engine } = node(circle(5, 1, 2))
  t.equal(
    send('mn\r\nget a\r\nset a 1 2 5\r\nhello\r\nincr a 1 noreply\r\nget a b\r\nmn\r\n'),
    'MN\r\n<4>\r\n<4>\r\n<4>\r\n<6>\r\nMN\r\n',
  )
  t.same(
    stops.map(stop => stop.request),
    ['get a\r\n', 'set a 1 2 5\r\nhello\r\n', 'incr a 1 noreply\r\n', 'get a b\r\n'],
  )
  t.same(stops.map(({ turn }) => [turn.owner, turn.epoch, turn.noreply]).slice(0, 3), [
    [2, 5, 0],
    [2, 5, 0],
    [2, 5, 1],
  ])
  const text = 'set abc 0 0 100000\r\n'
  engine.bytes.set(Buffer.from(text), engine.rx.offset)
  const turn = engine.run(engine.rx.offset, text.length, 0)
  t.equal(turn.stop, Stop.forward, 'decided at the header')
  t.equal(turn.consumed, 0)
  t.equal(turn.requestLength, text.length + 100_002)
  t.equal(turn.lineLength, text.length)
  t.equal(Buffer.from(engine.bytes.slice(turn.keyOffset, turn.keyOffset + turn.keyLength)).toString(), 'abc')
  t.equal(send(`set a 0 0 9000000\r\n${'x'.repeat(9_000_000)}\r\nmn\r\n`), '<4>\r\nMN\r\n')
  t.equal(stops.at(-1)!.request, 'set a 0 0 9000000\r\n', 'a value that is too large does not travel')
})

t.test('a get of many keys is answered here when each of them would be, and else not at all', async t => {
  const next = random(12)
  const names = Array.from({ length: 400 }, (_, i) => (i % 9 === 0 ? `k\x01${i}` : `key-${i}`))
  const { send, engine } = node(circle(1, 1, 1), START)
  for (const name of names) if (next() < 0.9) send(`set ${name} 0 0 1\r\nx\r\n`)
  const arcs = 64
  const outcomes = new Map<string, number>()
  for (let epoch = 2; epoch < 40; epoch++) {
    const share = [0, 0.02, 0.3][epoch % 3]!
    const any = () => Array.from({ length: arcs }, () => next() < share)
    const [foreign, unsettled] = [any(), any()]
    const table = {
      ...{ epoch, self: 1, points: Uint32Array.from({ length: arcs }, (_, i) => i * 2 ** 26) },
      ...{ owners: Uint16Array.from(foreign, is => (is ? 2 : 1)), tenures: new Uint32Array(arcs).fill(epoch) },
      settled: Uint8Array.from(unsettled, is => (is ? (epoch % 2) * 2 : 1)),
    }
    t.ok(engine.publish(table))
    for (let round = 0; round < 20; round++) {
      const count = [2, 5, 31, 32, 33, 64, 100][round % 7]!
      const keys = Array.from({ length: count }, () => names[Math.floor(next() * names.length)]!)
      const before = engine.stats().get('cmd_get')!
      const several = send(`get ${keys.join(' ')}\r\n`)
      const counted = Number(engine.stats().get('cmd_get')! - before)
      if (counted !== (several === '<6>\r\n' ? 0 : count))
        t.fail(`${counted} of ${count} keys were counted: ${keys.join(' ')}`)
      const single = keys.map(name => send(`get ${name}\r\n`))
      const isOurs = single.every(reply => !reply.startsWith('<'))
      const expected = isOurs ? `${single.map(reply => reply.slice(0, -'END\r\n'.length)).join('')}END\r\n` : '<6>\r\n'
      if (several !== expected) t.equal(several, expected, `epoch ${epoch}, ${keys.join(' ')}`)
      outcomes.set(expected.slice(0, 3), (outcomes.get(expected.slice(0, 3)) ?? 0) + 1)
      if (round % 3 === 0) send(`delete ${keys[0]}\r\nset ${keys[1]} 0 0 1\r\ny\r\n`)
    }
  }
  t.ok(outcomes.get('VAL')! > 100 && outcomes.get('<6>')! > 100, [...outcomes].join(' '))
})

t.test('unsettled: take first, then go', async t => {
  const { send, engine, stops } = node(circle(5, 1, 1, 4, 0))
  t.equal(send('get a\r\n'), '<5>\r\n')
  t.equal(send('set a 0 0 1\r\n1\r\n'), '<5>\r\n', 'a plain set too')
  t.equal(send('get a b\r\n'), '<6>\r\n')
  t.equal(stops[0]!.turn.epoch, 5)
  t.equal(engine.held(key('a')), -1)
  t.ok(engine.installAbsent(key('a'), 4))
  t.equal(engine.held(key('a')), 4)
  t.equal(send('get a\r\n'), 'END\r\n')
  t.equal(engine.held(key('a')), 5, 'the mark says that ownership was checked')
  t.equal(send('set a 0 0 1\r\n1\r\nget a\r\n'), 'STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n')
  t.equal(send('delete a\r\ndelete a\r\nget a\r\n'), 'DELETED\r\nNOT_FOUND\r\nEND\r\n', 'a tombstone remembers')
  t.equal(engine.held(key('a')), 5)
  t.equal(engine.stats().get('curr_items'), 0n)
  t.equal(engine.stats().get('tombstones'), 1n)
  t.equal(send('set a 0 3 1\r\n1\r\n'), 'STORED\r\n')
  engine.setTime(START + 3)
  t.equal(send('get a\r\n'), 'END\r\n', 'expired, and not taken again')
  t.equal(engine.held(key('a')), 5)
  t.ok(engine.publish(circle(6, 1, 1, 6, 0)))
  t.equal(send('get a\r\n'), '<5>\r\n', 'an older tenure does not count')
  t.ok(engine.publish(circle(6, 1, 1, 6, 1)))
  t.equal(send('get a\r\n'), 'END\r\n')
  t.equal(engine.stats().get('tombstones'), 0n, 'a settled arc needs none')
})

t.test('guarded: only reads of what is held are answered; the control thread executes the rest', async t => {
  const { send, engine, stops } = node(circle(5, 1, 1, 4, 2))
  /** One request, as the control thread runs it once the key is acquired. */
  const execute = (text: string) => {
    engine.executesGuarded(true)
    const reply = send(text)
    engine.executesGuarded(false)
    return reply
  }
  t.equal(send('get a\r\n'), '<9>\r\n')
  t.equal(send('set a 0 0 1\r\n1\r\n'), '<9>\r\n')
  t.same(
    stops.map(stop => stop.request),
    ['get a\r\n', 'set a 0 0 1\r\n1\r\n'],
  )
  t.equal(execute('set a 0 0 1\r\n1\r\n'), 'STORED\r\n')
  t.equal(engine.held(key('a')), 5)
  const hit = 'VALUE a 0 1\r\n1\r\nEND\r\n'
  t.equal(send('get a\r\nmg a v\r\n'), `${hit}VA 1\r\n1\r\n`)
  for (const writes of [
    'gat 5 a',
    'mg a T5',
    'mg a N5',
    'touch a 1',
    'incr a 1',
    'delete a',
    'md a',
    'ma a',
    'get a b',
  ]) {
    t.match(send(`${writes}\r\n`), writes === 'get a b' ? '<6>\r\n' : '<9>\r\n', writes)
  }
  t.equal(execute('incr a 4\r\n'), '5\r\n')
  t.equal(execute('delete a\r\n'), 'DELETED\r\n')
  t.equal(send('get a\r\n'), 'END\r\n', 'a remembered deletion is an answer')
  t.equal(execute('delete nothing\r\n'), 'NOT_FOUND\r\n')
  t.equal(engine.held(key('nothing')), 5, 'it is remembered: who is away may know the key')
  const large = `set large 0 0 2000000\r\n${'x'.repeat(2_000_000)}\r\n`
  t.equal(execute(large), 'SERVER_ERROR object too large for cache\r\n')
  t.equal(engine.held(key('large')), 5, 'a set that failed is a deletion')
  const old = encodeRecord({
    ...{ key: key('old'), value: key('1'), flags: 0, version: 5n, toLiveSec: null, fetched: false, active: false },
  })
  t.equal(engine.install(old, 3), 'installed')
  t.equal(execute('get old\r\nincr old 1\r\n'), 'END\r\nNOT_FOUND\r\n', 'of an earlier tenure')
  t.equal(engine.held(key('old')), 3, 'it stays put aside')
  t.equal(execute('add old 0 0 1\r\n2\r\n'), 'STORED\r\n')
  t.equal(engine.held(key('old')), 5)
  t.ok(engine.publish(circle(6, 1, 1, 4, 1)))
  t.equal(send('get old\r\nset old 0 0 1\r\n3\r\n'), 'VALUE old 0 1\r\n2\r\nEND\r\nSTORED\r\n', 'no more')
})

t.test('versions: epoch above counter, and never behind', async t => {
  const { send, engine } = node(circle(5, 1, 1))
  const first = (5n << 44n) + 1n
  t.equal(send('set a 0 0 1\r\n1\r\ngets a\r\n'), `STORED\r\nVALUE a 0 1 ${first}\r\n1\r\nEND\r\n`)
  engine.observe((5n << 44n) + 1000n)
  send('set a 0 0 1\r\n1\r\n')
  t.equal(engine.version(), (5n << 44n) + 1001n)
  engine.observe((7n << 44n) + 3n)
  send('set b 0 0 1\r\n1\r\n')
  t.equal(engine.version(), (7n << 44n) + 4n)
  engine.flush((7n << 44n) + 3n)
  t.equal(send('get a b\r\n'), 'VALUE b 0 1\r\n1\r\nEND\r\n')
  const old = encodeRecord({
    ...{
      key: key('old'),
      value: key('1'),
      flags: 0,
      version: (7n << 44n) + 2n,
      toLiveSec: null,
      fetched: false,
      active: false,
    },
  })
  t.equal(engine.install(old, 7), 'expired', 'what arrives later is flushed as well')
  engine.flush((9n << 44n) + 9n)
  t.equal(
    send('get b\r\nset b 0 0 1\r\n2\r\nget b\r\n'),
    'END\r\nSTORED\r\nVALUE b 0 1\r\n2\r\nEND\r\n',
    'writes go on above it',
  )
})

t.test('a key travels: value, flags, version, time to live, heat', async t => {
  const from = node(circle(5, 1, 1))
  const to = node(circle(6, 2, 2, 6, 0), START + 1000)
  from.send('set a 77 100 5\r\nhello\r\nget a\r\nget a\r\n')
  from.engine.setTime(START + 40)
  from.engine.publish(circle(6, 1, 2))
  t.equal(from.engine.handOver(key('a'), 5), null, 'marked at 5: not older than 5')
  const record = from.engine.handOver(key('a'), 6)!
  t.same(decodeRecord(record), {
    ...{
      key: key('a'),
      value: key('hello'),
      flags: 77,
      version: (5n << 44n) + 1n,
      toLiveSec: 60,
      fetched: true,
      active: true,
    },
  })
  t.same(encodeRecord(decodeRecord(record)), record)
  t.equal(from.engine.handOver(key('a'), 6), null, 'it is gone')
  t.equal(from.engine.stats().get('curr_items'), 0n)
  t.equal(from.engine.stats().get('bytes'), 0n)
  t.equal(to.engine.install(record, 6), 'installed')
  t.equal(to.engine.install(record, 6), 'kept', 'once is enough')
  t.equal(to.send('gets a\r\n'), `VALUE a 77 5 ${(5n << 44n) + 1n}\r\nhello\r\nEND\r\n`)
  to.engine.setTime(START + 1059)
  t.match(to.send('get a\r\n'), /VALUE/)
  to.engine.setTime(START + 1060)
  t.equal(to.send('get a\r\n'), 'END\r\n')
  t.throws(() => to.engine.install(record.subarray(0, 20), 6), { message: 'a record of 20 bytes is cut short' })
  t.throws(() => to.engine.install(record.subarray(0, 27), 6), { message: 'a record of 27 bytes says that it has 30' })
})

t.test('install: newer wins, an older tenure’s leftover does not count', async t => {
  const { engine, send } = node(circle(6, 1, 1, 6, 0))
  const record = (version: bigint, value: string | null) =>
    encodeRecord({
      ...{ key: key('a'), value: value === null ? null : key(value), flags: 0, version },
      ...{ toLiveSec: null, fetched: false, active: false },
    })
  t.equal(engine.install(record(10n, 'ten'), 6), 'installed')
  t.equal(engine.install(record(9n, 'nine'), 6), 'kept')
  t.equal(engine.install(record(11n, 'eleven'), 6), 'installed')
  t.equal(engine.install(record(5n, 'five'), 7), 'installed', 'a later tenure, whatever the version')
  t.match(send('get a\r\n'), /five/)
  t.equal(engine.install(record(20n, null), 7), 'installed')
  t.equal(engine.install(record(19n, 'x'), 7), 'kept', 'a tombstone is newer')
  t.equal(send('get a\r\n'), 'END\r\n')
  t.same(decodeRecord(engine.handOver(key('a'), 9)!).value, null, 'and travels')
  t.ok(engine.installAbsent(key('a'), 6))
  t.equal(engine.install(record(1n, 'one'), 6), 'installed', 'absence has version 0')
  t.ok(engine.installAbsent(key('a'), 6))
  t.match(send('get a\r\n'), /one/, 'absence does not beat what is held')
  t.equal(send('set a 0 0 1\r\n1\r\n'), 'STORED\r\n')
  t.equal(engine.install(record(30n, 'batch'), 6), 'kept', 'a batch never overwrites a newer write')
})

t.test('collect: hot first, then everything of the new owner, nothing twice', async t => {
  const half: RouteTable = {
    ...{ epoch: 2, self: 1, points: Uint32Array.of(2 ** 31, 2 ** 32 - 1), owners: Uint16Array.of(1, 2) },
    ...{ tenures: Uint32Array.of(1, 2), settled: Uint8Array.of(1, 1) },
  }
  const from = node(circle(1, 1, 1))
  const names = Array.from({ length: 500 }, (_, i) => `key${i}`)
  for (const name of names) from.send(`set ${name} 0 0 ${name.length + 200}\r\n${name}${'.'.repeat(200)}\r\n`)
  const hot = names.filter((_, i) => i % 5 === 0)
  for (const name of hot) from.send(`get ${name}\r\n`)
  from.engine.publish(half)
  const moved = names.filter(name => point(name) > 2 ** 31)
  const walk = (pass: 0 | 1) => {
    const taken: string[] = []
    for (let cursor = 0; cursor >= 0; ) {
      const step = from.engine.collect(2, 2, pass, cursor, 5000, 700)
      if (step.records.length > 3) t.fail(`a batch of ${step.records.length}`)
      taken.push(...step.records.map(record => Buffer.from(decodeRecord(record).key).toString()))
      cursor = step.cursor
    }
    return taken.sort()
  }
  const listed: string[] = []
  for (let cursor = 0; cursor >= 0; ) {
    const step = from.engine.keys(2, cursor, 9999)
    listed.push(...step.keys.map(({ key, mark }) => `${Buffer.from(key)}:${mark}`))
    cursor = step.cursor
  }
  t.same(listed.sort(), names.map(name => `${name}:1`).sort())
  t.same(walk(0), moved.filter(name => hot.includes(name)).sort())
  t.same(walk(1), moved.filter(name => !hot.includes(name)).sort())
  t.same(walk(1), [])
  t.equal(from.engine.stats().get('curr_items'), BigInt(names.length - moved.length))
  const stay = names.find(name => !moved.includes(name))!
  t.match(from.send(`get ${stay}\r\n`), /VALUE/)
})

t.test('tombstones are swept when their arc is settled', async t => {
  const { engine, send } = node(circle(5, 1, 1, 5, 0))
  for (let i = 0; i < 100; i++) engine.installAbsent(key(`k${i}`), 5)
  send('set k1 0 0 1\r\n1\r\n')
  const sweep = () => {
    for (let cursor = 0; cursor >= 0; ) cursor = engine.sweepTombstones(cursor, 10_000, false)
    return engine.stats().get('tombstones')
  }
  t.equal(sweep(), 99n, 'the arc is not settled')
  engine.publish(circle(5, 1, 1, 5, 1))
  t.equal(sweep(), 0n)
  t.match(send('get k1\r\n'), /VALUE/)
})

t.test('the route changes while a value is received', async t => {
  const { engine, send, stops } = node(circle(5, 1, 1))
  t.equal(send('cas a 7 -9 10 18446744073709551615 noreply\r\n01234'), '')
  engine.publish(circle(6, 1, 2))
  t.equal(send('56789\r\nmn\r\n'), '<4>\r\nMN\r\n')
  t.equal(stops[0]!.request, 'cas a 7 -9 10 18446744073709551615 noreply\r\n0123456789\r\n')
  t.equal(stops[0]!.turn.owner, 2)
  t.equal(stops[0]!.turn.consumed, 0)
  engine.publishAlone()
  t.equal(send('set b 0 0 4\r\nab'), '')
  engine.publish(circle(7, 1, 1, 7, 0))
  t.equal(send('cd\r\n'), '<5>\r\n')
  t.equal(stops[1]!.request, 'set b 0 0 4\r\nabcd\r\n')
  t.equal(engine.stats().get('curr_items'), 0n)
})

t.test('the route changes between two turns of one long get', async t => {
  const { engine } = node(circle(5, 1, 1))
  const driver = new Driver(engine)
  for (let i = 0; i < 5; i++) driver.send(`set k${i} 0 0 200000\r\n${String(i).repeat(200_000)}\r\n`)
  const line = 'gets k0 k1 k2 k3 k4\r\n'
  engine.bytes.set(Buffer.from(line), engine.rx.offset)
  const { offset } = engine.rx
  const full = { ...engine.run(offset, line.length, 0) }
  t.equal(full.stop, Stop.full)
  engine.publish(circle(6, 1, 2))
  const turn = engine.run(offset + full.consumed, line.length - full.consumed, full.resume)
  t.equal(turn.stop, Stop.multi)
  t.equal(turn.txLength, 0)
  const request = Buffer.from(engine.bytes.slice(turn.requestOffset, turn.requestOffset + turn.requestLength))
  t.equal(request.toString(), 'gets k2 k3 k4\r\n')
  t.equal(turn.consumed + turn.requestLength, line.length)
})

t.test('a slot is written again only when nobody can read it', async t => {
  const { engine } = node(circle(5, 1, 1))
  for (let epoch = 6; epoch < 200; epoch++) t.ok(engine.publish(circle(epoch, 1, 1)))
  t.equal(engine.epoch(), 199)
  // Thread 0 is in the middle of a turn for ever: its counter is odd.
  const stuck = new Engine(engine.arena, 0)
  const counter = new Uint32Array(engine.arena.memory.buffer, stuck.rx.offset - 12288, 1)
  counter[0]! |= 1
  let published = 0
  while (engine.publish(circle(200 + published, 1, 1)) && published < 10) published++
  t.ok(published >= 1 && published < 10, `${published} and then false`)
  counter[0]! += 1
  t.ok(engine.publish(circle(300, 1, 1)))
  t.throws(() => engine.publish({ ...circle(1, 1, 1), points: new Uint32Array(5000) }), /does not fit/)
})

t.test('flush_all of a tier is the host’s', async t => {
  const { send, engine } = node(circle(5, 1, 1))
  t.equal(
    send('flush_all\r\nflush_all 5 noreply\r\nflush_all x\r\n'),
    '<3>\r\n<3>\r\nCLIENT_ERROR invalid exptime argument\r\n',
  )
  t.equal(engine.stats().get('cmd_flush'), 3n)
})
