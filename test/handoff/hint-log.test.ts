import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { decodeRecord } from '../../lib/engine/record.js'
import { mulberry } from '../simulation/random.js'
import { Bench, START_MS } from './hint-log.js'

const small = { limits: { segmentBytesMax: 1000 } }
const bench = (options: ConstructorParameters<typeof Bench>[1] = small) => new Bench(mulberry(1), options)
const names = (bench: Bench) => [...bench.disk.files.keys()].sort()

t.test('a later life knows what was written, deleted and handed over', async t => {
  const b = bench()
  b.put(3, { key: 'a', value: 'one', version: 1n })
  b.put(3, { key: 'b', value: null, version: 2n })
  b.put(3, { key: 'a', value: 'two', version: 3n })
  b.put(5, { key: 'c', value: 'three', version: 4n }, 9)
  b.put(3, { key: 'd', value: 'four', version: 5n })
  let failure: string | null | undefined
  b.log.appendHanded(Buffer.from('d'), 10, 3, late => {
    failure = late
  })
  b.disk.settle()
  t.equal(failure, null)
  for (const life of ['this one', 'a later one']) {
    t.equal(b.look('a'), 'two', life)
    t.same(b.find('b'), { state: 'held', home: 3, generation: 8, version: 2n, deleted: true })
    t.same(b.find('c'), { state: 'held', home: 5, generation: 9, version: 4n, deleted: false })
    t.same(b.find('d'), { state: 'handed', home: 3, generation: 10, version: 5n, to: 3 })
    t.equal(b.find('e'), null)
    t.same(b.replay(3), ['b=deleted', 'a=two'])
    t.same(b.replay(5, 1), ['c=three'])
    t.same(b.log.losses(), [])
    b.open()
  }
  t.same(b.events, [])
})

t.test('done is not said before the write is on the disk, and a key is known from append on', async t => {
  const b = bench()
  const said = b.append(3, { key: 'a', value: 'one', version: 1n })
  t.equal(b.find('a')?.state, 'held')
  let record: Uint8Array | null = null
  b.log.read(Buffer.from('a'), late => {
    record = late
  })
  t.same(decodeRecord(record!).value, Buffer.from('one'), 'read from the queue')
  await setImmediate()
  t.notOk('failure' in said)
  b.disk.settle()
  t.equal(said.failure, null)
})

t.test('many appends, few writes', async t => {
  const b = bench({ fsync: 'always' })
  let operations = 0
  b.disk.broken = operation => {
    if (operation === 'write' || operation === 'sync') operations++
    return false
  }
  const said = Array.from({ length: 1000 }, (_, n) => b.append(3, { key: `k${n}`, value: 'x', version: BigInt(n + 1) }))
  b.disk.settle()
  t.ok(said.every(({ failure }) => failure === null))
  t.ok(operations <= 8, `${operations} operations`)
})

t.test('once a key is in a log, every later write of it goes there too', async t => {
  const b = bench()
  b.put(3, { key: 'a', value: 'one', version: 1n })
  b.put(4, { key: 'a', value: 'two', version: 2n })
  t.same(b.replay(3), ['a=two'])
  t.same(b.replay(4), ['a=two'])
  b.log.forget(4, failure => t.equal(failure, null))
  b.disk.settle()
  t.equal(b.look('a'), 'two')
})

t.test('the time to live goes on while a hint waits, also over lives', async t => {
  const b = bench()
  b.put(3, { key: 'a', value: 'x', version: 7n, toLiveSec: 10 })
  const left = () => {
    let record: Uint8Array | null = null
    b.log.read(Buffer.from('a'), late => {
      record = late
    })
    b.disk.settle()
    return decodeRecord(record!)
  }
  b.nowMs += 3900
  t.equal(left().toLiveSec, 7)
  b.nowMs = START_MS - 60_000
  t.equal(left().toLiveSec, 10, 'a wall clock that went back makes nothing live longer than it had')
  b.open()
  b.nowMs = START_MS + 10_000
  const gone = left()
  t.same([gone.value, gone.version, gone.toLiveSec], [null, 7n, null], 'a deletion with the version of the value')
  t.same(b.replay(3), ['a=deleted'])
})

t.test('flush_all: nothing older counts, here and in a later life, also after compaction', async t => {
  const b = bench()
  b.put(3, { key: 'a', value: 'old', version: 5n })
  b.log.appendFlush(8, 6n, failure => t.equal(failure, null))
  b.disk.settle()
  b.put(3, { key: 'b', value: 'new', version: 7n })
  for (let n = 0; n < 100; n++) b.put(3, { key: 'c', value: `${n}`, version: BigInt(8 + n) })
  b.log.tick(1)
  b.disk.settle()
  for (const life of ['this one', 'a later one']) {
    t.same([b.look('a'), b.look('b'), b.look('c')], ['unknown', 'new', '99'], life)
    t.equal(b.log.flushedVersion, 6n)
    b.open()
  }
})

t.test('compaction keeps the newest of each key, their order, and places of replay', async t => {
  const b = bench()
  for (let n = 0; n < 400; n++) b.put(3, { key: `k${n % 20}`, value: `v${n}`, version: BigInt(n + 1) })
  const expected = Array.from({ length: 20 }, (_, n) => `k${n}=v${380 + n}`)
  t.same(b.replay(3), expected)
  const before = b.log.stats()[0]!.diskBytes
  let next = 0
  b.log.replay(3, 0, 7, part => {
    next = part.next
  })
  b.disk.settle()
  b.log.tick(1)
  b.disk.settle()
  const after = b.log.stats()[0]!
  t.ok(after.diskBytes * 5 < before, `${before} bytes became ${after.diskBytes}`)
  t.ok(names(b).length <= 6, names(b).join(' '))
  t.same(b.replay(3), expected)
  const rest: string[] = []
  b.log.replay(3, next, 100, part => rest.push(...part.hints.map(({ key }) => Buffer.from(key).toString())))
  b.disk.settle()
  t.same(
    rest,
    Array.from({ length: 13 }, (_, n) => `k${n + 7}`),
  )
  b.open()
  t.same(b.replay(3), expected)
  t.same([b.events, b.log.losses()], [[], []])
  b.put(3, { key: 'k0', value: 'later', version: 1000n })
  b.open()
  t.equal(b.look('k0'), 'later')
})

t.test('a record that moves while it is read or replayed', async t => {
  const b = bench()
  for (let n = 0; n < 200; n++) b.put(3, { key: `k${n % 20}`, value: `v${n}`, version: BigInt(n + 1) })
  for (let seed = 0; seed < 50; seed++) {
    for (let n = 0; n < 40; n++)
      b.put(3, { key: `k${n % 20}`, value: `s${seed}v${n}`, version: BigInt(1000 * (seed + 1) + n) })
    const read: string[] = []
    const replayed: string[] = []
    const replay = (from: number) =>
      b.log.replay(3, from, 3, (part, problem) => {
        t.equal(problem, null)
        replayed.push(...part.hints.map(({ key }) => Buffer.from(key).toString()))
        if (!part.end) replay(part.next)
      })
    b.log.tick(seed * 20_000)
    replay(0)
    for (let n = 0; n < 20; n++) {
      b.log.read(Buffer.from(`k${n}`), record => read.push(Buffer.from(decodeRecord(record!).value!).toString()))
    }
    b.disk.settle()
    t.same(read.sort(), Array.from({ length: 20 }, (_, n) => `s${seed}v${n + 20}`).sort())
    t.same([...new Set(replayed)].sort(), Array.from({ length: 20 }, (_, n) => `k${n}`).sort())
  }
  t.same(b.events, [])
})

t.test('forget: the files go, what comes meanwhile begins a new log', async t => {
  const b = bench()
  for (let n = 0; n < 50; n++) b.put(3, { key: `k${n}`, value: 'x', version: BigInt(n + 1) })
  const before = b.append(3, { key: 'a', value: 'before', version: 99n })
  let forgotten: string | null | undefined
  b.log.forget(3, failure => {
    forgotten = failure
  })
  const after = b.append(3, { key: 'b', value: 'after', version: 100n })
  t.equal(b.look('k1'), 'unknown')
  b.disk.settle()
  t.strictSame([forgotten, before.failure, after.failure], [undefined, null, undefined], 'not while it is written')
  b.log.tick(1)
  b.disk.settle()
  t.strictSame([forgotten, before.failure, after.failure], [null, null, null])
  t.same(b.replay(3), ['b=after'])
  t.same(names(b), ['home-3-1-1.segment', 'home-3.log'])
  b.log.forget(3, () => {})
  b.disk.settle()
  t.same([names(b), b.log.homes()], [[], []])
})

t.test('limits: what is over is left out, said once, and no later life believes the rest', async t => {
  const cases = [
    ['size', { bytesMax: 2000 }, /it may have 2000 bytes/],
    ['keys', { keysMax: 10 }, /it may have 10 keys/],
    ['queue', { queueBytesMax: 500 }, /500 bytes wait for the disk/],
  ] as const
  for (const [name, limits, sentence] of cases) {
    const b = bench({ limits: { segmentBytesMax: 1000, ...limits } })
    b.put(3, { key: 'k0', value: 'first', version: 1n }, 7)
    b.put(4, { key: 'other', value: 'home', version: 2n })
    const said = Array.from({ length: 50 }, (_, n) =>
      b.append(3, { key: `k${n}`, value: 'x'.repeat(30), version: BigInt(n + 3) }),
    )
    b.disk.settle()
    t.ok(
      said.every(({ failure }) => failure === null),
      name,
    )
    t.match(b.events, [sentence])
    t.equal(b.events.length, 1)
    t.equal(b.look('k49'), 'lost')
    t.equal(b.look('k1'), 'x'.repeat(30), 'what is still in this life is good')
    b.put(3, { key: 'k1', value: 'newer', version: 1000n })
    t.equal(b.look('k1'), 'lost', 'but not once a write of it was left out')
    t.match(b.log.stats(), [
      { state: 'overflowed', loss: { fromGeneration: 7 } },
      { state: 'logging', loss: null },
    ])
    b.open()
    t.equal(b.look('k2'), 'lost')
    t.match(b.log.losses(), [{ home: 3, fromGeneration: 7 }])
    t.same([b.replay(3), b.replay(4)], [[], ['other=home']])
    b.put(3, { key: 'k2', value: 'again', version: 2000n })
    b.open()
    t.equal(b.look('k2'), 'again', 'a new log keeps what is written from then on')
    t.equal(b.look('k3'), 'lost', 'and knows what was lost')
    b.log.forget(3, () => {})
    b.disk.settle()
    t.equal(b.look('k3'), 'unknown')
  }
})

t.test('age: a log whose oldest entry is too old has overflowed', async t => {
  const b = bench({ limits: { ageMaxMs: 10_000 } })
  b.put(3, { key: 'a', value: 'x', version: 1n })
  b.nowMs += 9000
  b.log.tick(1)
  t.equal(b.log.stats()[0]!.oldestAgeMs, 9000)
  t.same(b.log.losses(), [])
  b.nowMs += 2000
  b.log.tick(2)
  t.match(b.events, [/overflowed \(its oldest entry is more than 10 seconds old\)/])
})

t.test('disk full: nothing acknowledged comes back older', async t => {
  const b = bench({ limits: { segmentBytesMax: 1000 }, fsync: 'always' })
  b.put(3, { key: 'a', value: 'one', version: 1n })
  b.disk.capacity = 1200
  const said = Array.from({ length: 30 }, (_, n) => b.append(3, { key: 'a', value: `${n}`, version: BigInt(n + 2) }))
  b.disk.settle()
  t.ok(
    said.every(({ failure }) => failure === null),
    'the manifest is written in place: that needs no room',
  )
  t.match(b.events, [/overflowed \(it cannot be written: the disk is full\)/])
  t.equal(b.look('a'), 'lost')
  b.open()
  t.equal(b.look('a'), 'lost')
})

t.test('a disk that takes nothing: writes are refused, until it does', async t => {
  const b = bench()
  b.put(3, { key: 'a', value: 'one', version: 1n })
  b.disk.broken = operation => operation !== 'read'
  const said = b.append(3, { key: 'a', value: 'two', version: 2n })
  b.disk.settle()
  t.match(said.failure, /the hint log of node 3 cannot be written: input\/output error/)
  b.append(3, { key: 'b', value: 'x', version: 3n })
  b.disk.settle()
  t.equal(b.log.stats()[0]!.state, 'failing')
  b.disk.broken = null
  const again = b.append(3, { key: 'a', value: 'three', version: 4n })
  b.disk.settle()
  t.equal(again.failure, null)
  b.open()
  t.equal(b.look('a'), 'lost')
})

t.test('when not even the manifest can be written, the segments go: that is noticed too', async t => {
  const b = bench()
  b.put(3, { key: 'a', value: 'one', version: 1n })
  b.disk.broken = operation => operation === 'write'
  const said = b.append(3, { key: 'a', value: 'two', version: 2n })
  b.disk.settle()
  t.equal(said.failure, null)
  b.disk.broken = null
  b.open()
  t.equal(b.look('a'), 'lost')
})

t.test('a log that was empty when the disk broke is not believed to be whole', async t => {
  for (const withRemoval of [true, false]) {
    const b = bench()
    b.log.begin(3, false)
    b.disk.settle()
    t.same(names(b), ['home-3.log'])
    b.disk.broken = operation => operation === 'write' || (!withRemoval && operation === 'remove')
    const said = b.append(3, { key: 'a', value: 'one', version: 1n })
    b.disk.settle()
    if (withRemoval) t.equal(said.failure, null)
    else t.match(said.failure, /the hint log of node 3 cannot be written: input\/output error/)
    b.disk.broken = null
    b.open()
    t.equal(b.log.homes().includes(3), !withRemoval, 'of a log that is not there a node believes nothing')
  }
})

t.test('the files of a log that is not to be believed stay away when the power is lost', async t => {
  for (let seed = 1; seed <= 40; seed++) {
    const b = new Bench(mulberry(seed), { ...small, fsync: 'always' })
    const isEmpty = seed % 2 === 0
    if (isEmpty) b.log.begin(3, false)
    else b.put(3, { key: 'a', value: 'one', version: 1n })
    b.disk.settle()
    b.disk.broken = operation => operation === 'write'
    const said = b.append(3, { key: 'a', value: 'two', version: 2n })
    b.disk.settle()
    t.equal(said.failure, null)
    b.disk.crash(true)
    b.disk.broken = null
    b.open()
    if (isEmpty) t.same(b.log.homes(), [], `seed ${seed}`)
    else t.equal(b.look('a'), 'lost', `seed ${seed}`)
  }
})

t.test('a loss that is found at the opening stays one when the power is lost', async t => {
  for (let seed = 1; seed <= 100; seed++) {
    const b = new Bench(mulberry(seed), { ...small, fsync: 1000 })
    b.put(3, { key: 'k1', value: 'x', version: 1n })
    for (const nowMs of [2000, 4000]) {
      b.log.tick(nowMs)
      b.disk.settle()
    }
    b.disk.broken = operation => operation === 'read'
    b.open()
    t.equal(b.look('k1'), 'lost')
    b.disk.crash(true)
    b.disk.broken = null
    b.open()
    t.equal(b.look('k1'), 'lost', `seed ${seed}`)
  }
})

t.test('a manifest of which it is not known whether it is there goes as well', async t => {
  const b = bench({ ...small, fsync: 'always' })
  b.disk.broken = (operation, name) => operation === 'sync' && name === 'home-3.log'
  b.log.begin(3, false)
  b.disk.settle()
  t.same(names(b), ['home-3.log'], 'it was written, and not synced')
  const said = b.append(3, { key: 'a', value: 'one', version: 1n })
  b.disk.settle()
  t.equal(said.failure, null)
  b.disk.broken = null
  b.open()
  t.same(b.log.homes(), [], 'or it would say that nothing is missing')
})

t.test('what is left of a forgotten log does not become a part of the next one', async t => {
  const b = bench()
  b.put(3, { key: 'a', value: 'of the outage before', version: 1n })
  b.log.forget(3, () => {})
  while (!Buffer.from(b.disk.files.get('home-3.log')!).includes('"forgotten":true')) b.disk.step()
  b.disk.crash(false)
  b.disk.files.set('home-3-1-1.segment', b.disk.files.get('home-3-1-1.segment')!)
  b.disk.broken = operation => operation === 'remove'
  b.open()
  t.match(b.events, [/cannot be removed/])
  b.disk.broken = null
  b.log.begin(3, false)
  b.disk.settle()
  b.open()
  t.equal(b.look('a'), 'lost')
})

t.test('nor does what could not be removed while the disk was broken (crashes, seed 713456)', async t => {
  const b = bench()
  b.put(3, { key: 'a', value: 'of the outage before', version: 1n })
  b.disk.settle()
  b.disk.broken = operation => operation !== 'read'
  b.append(3, { key: 'a', value: 'refused', version: 2n })
  b.disk.settle()
  b.disk.broken = null
  b.log.tick(1000)
  b.disk.settle()
  t.ok(b.disk.files.has('home-3-1-1.segment'), 'the log is not believed, and has its file no more')
  b.log.forget(3, () => {})
  b.disk.settle()
  t.same([...b.disk.files.keys()], [])
  b.log.begin(3, false)
  b.disk.settle()
  b.open()
  t.equal(b.look('a'), 'unknown')
})

t.test('a loss is safe when the disk knows it', async t => {
  const b = bench()
  b.put(3, { key: 'a', value: 'one', version: 1n })
  const asked = () => {
    const said: { failure?: string | null } = {}
    b.log.whenLossesSafe(failure => Object.assign(said, { failure }))
    return said
  }
  t.same([b.log.areLossesSafe, asked().failure], [true, null])
  b.disk.broken = operation => operation !== 'read'
  b.append(3, { key: 'a', value: 'two', version: 2n })
  while (b.log.areLossesSafe) b.disk.step()
  const early = asked()
  t.notOk('failure' in early, 'the disk is being told')
  b.disk.settle()
  t.match(early.failure, /the hint log of node 3 cannot be written/)
  t.match(asked().failure, /the hint log of node 3 cannot be written/, 'at once, until it is tried again')
  b.disk.broken = null
  b.log.tick(1)
  const late = asked()
  b.disk.settle()
  t.same([b.log.areLossesSafe, late.failure], [true, null])
})

t.test('a log of another tier, a missing file, an unreadable one', async t => {
  const damage: [string, (b: Bench) => void, RegExp][] = [
    ['tier', b => Object.assign(b.options, { tier: 'another' }), /of its manifest: it is of the tier test/],
    ['manifest', b => b.disk.files.delete('home-3.log'), /its manifest is missing/],
    ['first segment', b => b.disk.files.delete('home-3-1-1.segment'), /its segment 1 is missing/],
    ['middle segment', b => b.disk.files.delete('home-3-2-2.segment'), /its segment 2 is missing/],
    ['last segment', b => b.disk.files.delete('home-3-4-4.segment'), /its segment 4 is missing/],
    [
      'unreadable',
      b => {
        b.disk.broken = (op, name) => op === 'read' && name.includes('-2-2')
      },
      /cannot be read: input/,
    ],
    [
      'cut at a record',
      b => b.disk.files.set('home-3-2-2.segment', b.disk.files.get('home-3-2-2.segment')!.slice(0, 64)),
      /home-3-3-3.segment does not follow/,
    ],
  ]
  for (const [name, act, sentence] of damage) {
    const b = bench()
    for (let n = 0; n < 30; n++) b.put(3, { key: `k${n}`, value: 'x'.repeat(20), version: BigInt(n + 1) }, 5 + n)
    t.equal(b.disk.files.size, 5, names(b).join(' '))
    act(b)
    b.open()
    b.disk.broken = null
    t.match(b.events, [sentence], name)
    t.equal(b.look('k29'), 'lost', name)
    t.match(b.log.losses(), [{ home: 3, fromGeneration: name === 'tier' || name === 'manifest' ? 0 : 5 }], name)
    b.put(3, { key: 'k1', value: 'new', version: 100n })
    b.open()
    t.equal(b.look('k1'), 'new', name)
    t.equal(b.look('k2'), 'lost', name)
  }
})
