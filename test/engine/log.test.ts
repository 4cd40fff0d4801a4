/** What the engine writes down for watchers and by prefix: what, once, in order, and never more than there is room for. */
import t from 'tap'
import { Engine } from '../../lib/engine/engine.js'
import { type LogEntry, LogReader, PREFIXES, STREAMS } from '../../lib/engine/log-reader.js'
import { alone, Driver, random, START } from './driver.js'

function watching(streams: number, more: Parameters<typeof alone>[0] = {}) {
  const driver = alone(more)
  const reader = new LogReader(driver.engine.arena)
  driver.engine.wantStreams(streams)
  const read = () => {
    const entries: LogEntry[] = []
    reader.read(entry => entries.push(entry))
    return entries
  }
  return { driver, engine: driver.engine, reader, read }
}

const brief = (entries: LogEntry[]) =>
  entries.map(({ type, text, status, command }) => `${type} ${text} ${status} ${command}`)

t.test('nothing is written down for nobody', async t => {
  const { driver, read, engine } = watching(0)
  driver.send('set a 0 0 1\r\n1\r\nget a\r\ndelete a\r\n')
  t.same(read(), [])
  t.equal(engine.logged(), 0n)
  engine.wantStreams(STREAMS.mutations)
  engine.wantStreams(STREAMS.deletions)
  engine.dropStreams(STREAMS.mutations)
  driver.send('set a 0 0 1\r\n1\r\ndelete a\r\n')
  t.same(brief(read()), ['deleted a 0 0'])
})

t.test('every look at a key is a fetch, every outcome of a store its own status', async t => {
  const { driver, read } = watching(STREAMS.fetchers | STREAMS.mutations | STREAMS.deletions)
  driver.engine.setConnection(26)
  t.equal(driver.send('set a 7 100 3\r\nabc\r\n'), 'STORED\r\n')
  const [get, store] = read() as [LogEntry, LogEntry]
  t.match(get, { type: 'item_get', status: 0, bytes: 0, slabClass: 0, connection: 26, number: 1n, seconds: START })
  t.match(store, { type: 'item_store', status: 1, bytes: 3, slabClass: 1, ttl: 100, command: 0, number: 2n })
  const cases: [string, string[]][] = [
    ['get a b\r\n', ['item_get a 1 0', 'item_get b 0 0']],
    ['add a 0 0 1\r\n1\r\n', ['item_get a 1 0', 'item_store a 0 1']],
    ['replace b 0 0 1\r\n1\r\n', ['item_get b 0 0', 'item_store b 0 2']],
    ['append a 0 0 1\r\nd\r\n', ['item_get a 1 0', 'item_store a 1 3']],
    ['prepend b 0 0 1\r\nd\r\n', ['item_get b 0 0', 'item_store b 0 4']],
    ['cas a 0 0 1 1\r\nd\r\n', ['item_get a 1 0', 'item_store a 2 5']],
    ['cas b 0 0 1 1\r\nd\r\n', ['item_get b 0 0', 'item_store b 3 5']],
    [`set a 0 0 2000000\r\n${'x'.repeat(2_000_000)}\r\n`, ['item_get a 1 0', 'item_store a 4 0']],
    ['ms a 1 T-1\r\n5\r\n', ['item_get a 0 0', 'item_store a 1 0']],
    ['mg a v\r\n', ['item_get a 3 0']],
    ['mg n N0 v\r\n', ['item_get n 0 0']],
    ['ms n 1 MA\r\n5\r\n', ['item_get n 1 0', 'item_store n 1 3']],
    ['incr n 1\r\n', ['item_get n 1 0']],
    ['touch n 5\r\n', ['item_get n 1 0']],
    ['delete n\r\n', ['item_get n 1 0', 'deleted n 0 0']],
    ['set n 0 0 1\r\n1\r\n', ['item_get n 0 0', 'item_store n 1 0']],
    ['md n q\r\n', ['item_get n 1 0', 'deleted n 0 1']],
    ['set f 0 0 1\r\n1\r\n', ['item_get f 0 0', 'item_store f 1 0']],
    ['flush_all\r\nget f\r\n', ['item_get f 2 0']],
  ]
  for (const [sent, expected] of cases) {
    driver.send(sent)
    t.same(brief(read()), expected, sent.slice(0, 40))
  }
})

t.test('a get that takes several turns shows each key once', async t => {
  const { driver, engine, reader, read } = watching(STREAMS.fetchers, { logBytes: 1 << 20 })
  const value = 'x'.repeat(500_000)
  for (let i = 0; i < 4; i++) driver.send(`set k${i} 0 0 500000\r\n${value}\r\n`)
  read()
  engine.wantStreams(PREFIXES)
  const keys = ['k0', 'k1', 'k2', 'k3', 'missing', 'k0']
  t.ok(driver.send(`get ${keys.join(' ')}\r\n`).length > 2_000_000)
  t.same(
    read().map(({ text }) => text.toString()),
    keys,
  )
  t.equal(reader.dropped(), 0)
})

t.test('evictions', async t => {
  const { driver, engine, read } = watching(STREAMS.evictions, { memoryLimitMb: 8, logBytes: 1 << 20 })
  const value = 'x'.repeat(20_000)
  for (let i = 0; i < 600; i++) driver.send(`set k${i} 0 ${i % 2 ? 60 : 0} 20000\r\n${value}\r\n`)
  const entries = read()
  t.ok(entries.length > 50)
  t.equal(BigInt(entries.length), engine.stats().get('evictions'))
  t.same(new Set(entries.map(({ ttl }) => ttl)), new Set([-1, 60]))
  t.ok(entries.every(({ type, bytes, la }) => type === 'eviction' && bytes === 20_000 && la === 0))
})

t.test('two threads: numbers of all, each thread in order; a full log drops and counts', async t => {
  const { driver, engine, reader, read } = watching(STREAMS.fetchers, { logBytes: 4096 })
  const second = new Engine(engine.arena, 1)
  second.setTime(START)
  const other = new Driver(second)
  const next = random(5)
  let seen = 0n
  let dropped = 0
  let sent = 0
  for (let round = 0; round < 800; round++) {
    const asked: string[] = []
    for (let i = Math.floor(next() * 60); i > 0; i--) {
      const key = `${round}-${i}-`.padEnd(5 + Math.floor(next() * 240), 'k')
      ;(i % 2 ? driver : other).send(`get ${key}\r\n`)
      asked.push(key)
    }
    const entries = read()
    const lost = reader.dropped()
    if (entries.length + lost !== asked.length)
      t.fail(`round ${round}: ${entries.length} of ${asked.length}, ${lost} lost`)
    if (lost === 0 && asked.some(key => !entries.some(({ text }) => text.toString() === key))) t.fail(`round ${round}`)
    for (const { number } of entries) if (number > seen) seen = number
    sent += asked.length
    dropped += lost
  }
  t.ok(dropped > 0 && dropped < sent, `${dropped} of ${sent} dropped`)
  t.equal(seen, engine.logged())
  t.equal(Number(seen) + dropped, sent)
})

t.test('the host’s own words', async t => {
  const { engine, read } = watching(STREAMS.connevents)
  engine.noteText(STREAMS.sysevents, 'nobody wants it')
  engine.noteText(STREAMS.connevents, `type=conn_new ${'x'.repeat(5000)}`)
  const [entry] = read()
  t.equal(entry?.text.length, 1024)
  t.equal(entry?.stream, STREAMS.connevents)
})

t.test('figures by prefix', async t => {
  const { driver, engine } = watching(PREFIXES, { prefixDelimiter: '/' })
  driver.send('set a/1 0 0 1\r\n1\r\nget a/1 a/2 b:1 /x\r\ngat 0 a/1\r\ndelete c/1\r\nappend a/9 0 0 1\r\n1\r\n')
  const figures = () =>
    engine.prefixes().map(({ prefix, get, hit, set, del }) => [prefix, get, hit, set, del].join(' '))
  t.same(figures(), ['a 3 2 2 0', ' 1 0 0 0', 'c 0 0 0 1'])
  driver.send('get a/1 aa/1\r\n')
  t.same(figures(), ['a 4 3 2 0', ' 1 0 0 0', 'c 0 0 0 1', 'aa 1 0 0 0'], 'a prefix of another is its own')
  engine.dropStreams(PREFIXES)
  driver.send('get a/1\r\n')
  t.equal(figures()[0], 'a 4 3 2 0')
  engine.resetStats()
  t.same(figures(), [])
  engine.wantStreams(PREFIXES)
  for (let i = 0; i < 100_000; i++) driver.send(`get prefix${i}${'x'.repeat(100)}/1\r\n`)
  const many = engine.prefixes()
  t.ok(many.length > 20_000 && many.length < 30_000, `${many.length} fit, further ones are not counted`)
  driver.send(`get another${'y'.repeat(100)}/1\r\n`)
  t.equal(engine.prefixes().length, many.length)
  t.equal(driver.send(`get prefix0${'x'.repeat(100)}/1\r\n`), 'END\r\n')
  t.equal(engine.prefixes()[0]?.get, 2n)
})

t.test('debugtime moves the clock of every thread, stops it, and is no command otherwise', async t => {
  const { driver, engine } = watching(0, { debug: true })
  const second = new Engine(engine.arena, 1)
  t.equal(driver.send('set a 0 10 1\r\n1\r\ndebugtime 9\r\nmg a t\r\n'), 'STORED\r\nOK\r\nHD t1\r\n')
  second.setTime(START)
  t.equal(second.now(), START + 9)
  t.equal(driver.send('debugtime p\r\n'), 'OK\r\n')
  engine.setTime(START + 100)
  t.equal(driver.send('mg a t\r\ndebugtime r\r\n'), 'HD t1\r\nOK\r\n')
  engine.setTime(START + 100)
  t.equal(driver.send('mg a t\r\ndebugtime x\r\n'), 'EN\r\nERROR\r\n')
  t.equal(alone().send('debugtime 9\r\n'), 'ERROR\r\n')
})

t.test('verbosity is what the command said last, up to 2', async t => {
  const { driver, engine } = watching(0)
  engine.setVerbosity(3)
  for (const [line, level] of [
    ['verbosity 1', 1],
    ['verbosity 9 noreply', 2],
    ['verbosity x', 2],
    ['verbosity 0', 0],
  ] as const) {
    driver.send(`${line}\r\n`)
    t.equal(engine.verbosity(), level, line)
  }
})
