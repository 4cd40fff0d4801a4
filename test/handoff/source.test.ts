/** The giving side over a real store whose hash table grows between batches and takes: everything that moves goes over once. */
import t, { type Test } from 'tap'
import { decodeRecord, encodeRecord } from '../../lib/engine/record.js'
import { type GenerationSpec, Generations } from '../../lib/handoff/generations.js'
import { type Hints, NO_HINTS } from '../../lib/handoff/hints.js'
import { Source } from '../../lib/handoff/source.js'
import type { Taker } from '../../lib/handoff/taker.js'
import type { Message } from '../../lib/handoff/wire.js'
import { alone, key } from '../engine/driver.js'

const KEYS = 15_000
const GIVER = 1
const rule = { dialect: 'libmemcached-weighted', pointsPerServer: 160 } as const
const server = (number: number) => ({ number, host: '10.0.0.1', port: 11000 + number, weight: 1 })
const generation = (epoch: number, ...numbers: number[]): GenerationSpec => ({
  ...{ epoch, servers: numbers.map(server), away: [] },
})
const name = (i: number) => `key-${i}`

/** The newcomer pulls from node 1 until nothing is left, taking a key now and then; the table grows a step a batch. */
function handOver(t: Test, generations: Generations, newcomer: number): void {
  const driver = alone({ memoryLimitMb: 16, hashPower: 12 })
  const { engine } = driver
  engine.publish({ ...new Generations([generation(1, GIVER)], rule).routeTable(GIVER, () => true), epoch: 1 })
  for (let i = 0; i < KEYS; i++) driver.send(`set ${name(i)} 0 0 1 noreply\r\nx\r\n`)
  for (let i = 0; i < KEYS; i += 3) driver.send(`get ${name(i)}\r\n`)
  engine.publish(generations.routeTable(GIVER, () => true))
  const sent: Message[] = []
  // Nothing has to be taken first: node 1 was there from the beginning.
  const taker = {
    acquire: () => 'owned',
    unsettledBefore: () => false,
    isInDoubtBefore: () => false,
    oldestThatCounts: () => 0,
  } as unknown as Taker
  const source = new Source(engine, taker, { send: (_, message) => sent.push(message) > 0 })
  source.setGenerations(GIVER, generations)
  source.linkUp(newcomer, 'x')
  const { epoch } = generations
  const before = generations.before(epoch)!
  const moves = (i: number) => {
    const arc = generations.arcAt(engine.point(key(name(i))))
    return generations.actor(epoch, arc) === newcomer && generations.actor(before, arc) === GIVER
  }
  const came: string[] = []
  const take = (record: Uint8Array) => came.push(Buffer.from(decodeRecord(record).key).toString())
  let taken = 0
  for (let id = 1; ; id++) {
    source.onMessage(newcomer, { type: 'pull', id, generation: epoch, ack: 0, bytesMax: 3000 })
    const batch = sent.pop() as Extract<Message, { type: 'batch' }>
    for (const record of batch.records) take(record)
    if (batch.state === 'done') break
    engine.housekeeping.grow()
    while (taken < KEYS && (!moves(taken) || came.includes(name(taken)))) taken++
    if (taken === KEYS || id % 5 > 0) continue
    source.onMessage(newcomer, { type: 'take', id, generation: epoch, ack: 0, key: key(name(taken)) })
    const answer = sent.pop() as Extract<Message, { type: 'taken' }>
    if (answer.record) take(answer.record)
  }
  t.ok(engine.buckets() > 4096, `${engine.buckets()} buckets at the end`)
  const expected = Array.from({ length: KEYS }, (_, i) => i).filter(moves)
  t.ok(expected.length > KEYS / 10)
  t.equal(came.length, expected.length)
  t.same(new Set(came), new Set(expected.map(name)))
  t.equal(Number(engine.stats().get('curr_items')), KEYS - expected.length, 'the others stayed')
}

t.test('a join', async t => handOver(t, new Generations([generation(1, GIVER), generation(2, GIVER, 2)], rule), 2))

t.test('two joins at once: each key’s history is looked at', async t => {
  const specs = [generation(1, GIVER), generation(2, GIVER, 2), generation(3, GIVER, 2, 3)]
  handOver(t, new Generations(specs, rule), 3)
})

/** What a home that is back is told of a key that its stand-in does not hold. */
function toldHome(hasLost: boolean): Message | undefined {
  const { engine } = alone({ memoryLimitMb: 8 })
  const specs = [[], [2], []].map((away, i) => ({ ...generation(i + 1, GIVER, 2), away }))
  const generations = new Generations(specs, rule)
  const sent: Message[] = []
  const taker = { isInDoubt: () => false, hasLost: () => hasLost } as unknown as Taker
  const hints = { ...NO_HINTS, isVoid: () => false }
  const source = new Source(engine, taker, { send: (_, message) => sent.push(message) > 0 }, hints)
  source.setGenerations(GIVER, generations)
  source.linkUp(2, 'x')
  const isTheirs = (i: number) => generations.actor(1, generations.arcAt(engine.point(key(name(i))))) === 2
  const own = Array.from({ length: 100 }, (_, i) => i).find(isTheirs)!
  source.onMessage(2, { type: 'take', id: 1, generation: 3, ack: 0, key: key(name(own)) })
  return sent.pop()
}

t.test(
  'a home is not told that it alone knows what another log of its stand-in lost (crashes, seed 453416)',
  async t => {
    t.match(toldHome(false), { type: 'taken', record: null, blind: 1 })
    const told = toldHome(true)
    t.match(told, { type: 'taken', record: null })
    t.notOk(told?.type === 'taken' && told.blind, 'it is a miss')
  },
)

t.test('a home hears of what its stand-in evicts while the log calls it deleted (pauses, seed 1010956)', async t => {
  const { engine } = alone({ memoryLimitMb: 8 })
  const generations = new Generations(
    [[], [2], []].map((away, i) => ({ ...generation(i + 1, GIVER, 2), away })),
    rule,
  )
  const isTheirs = (i: number) => generations.actor(1, generations.arcAt(engine.point(key(name(i))))) === 2
  const own = key(name(Array.from({ length: 100 }, (_, i) => i).find(isTheirs)!))
  const plain = { flags: 0, toLiveSec: null, fetched: false, active: false }
  engine.install(encodeRecord({ key: own, value: key('x'), version: 7n, ...plain }), 2)
  let buried: Uint8Array | null = null
  let written: (failure: string | null) => void = () => {}
  const bury: Hints['bury'] = (_, tombstone, done) => {
    buried = tombstone
    written = done
  }
  const taker = {
    acquire() {
      if (engine.held(own) < 0 && buried) engine.install(buried, 2)
      return 'owned'
    },
    unsettledBefore: () => false,
    isInDoubtBefore: () => false,
    oldestThatCounts: () => 2,
    mayHoldLeftovers: true,
  } as unknown as Taker
  const sent: Message[] = []
  const hints = { ...NO_HINTS, find: () => 2, keys: () => [own], homes: () => [2], bury }
  const source = new Source(engine, taker, { send: (_, message) => sent.push(message) > 0 }, hints)
  source.setGenerations(GIVER, generations)
  source.linkUp(2, 'x')
  let id = 0
  const pull = () => source.onMessage(2, { type: 'pull', id: ++id, generation: 3, ack: 0, bytesMax: 3000 })
  while (!buried) pull()
  t.ok(engine.handOver(own, 3), 'evicted')
  const isDone = () => sent.some(message => message.type === 'batch' && message.state === 'done')
  for (; id < 100 && !isDone(); pull()) {
    const done = written
    written = () => {}
    done(null)
  }
  const records = sent.flatMap(message => (message.type === 'batch' ? message.records : []))
  t.same(
    records
      .map(record => decodeRecord(record))
      .map(({ key, value, version }) => ({ key: Buffer.from(key).toString(), value, version })),
    [{ key: Buffer.from(own).toString(), value: null, version: 7n }],
  )
})
