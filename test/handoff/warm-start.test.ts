/** A node that begins with what its last life held: what could have been flushed meanwhile goes, if nobody can say; what it keeps it gives to nobody. */
import t from 'tap'
import { createArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { encodeRecord } from '../../lib/engine/record.js'
import { Handoff } from '../../lib/handoff/handoff.js'
import { NO_HINTS } from '../../lib/handoff/hints.js'
import type { Message } from '../../lib/handoff/wire.js'
import { NO_EFFECTS } from './no-effects.js'

const RULE = { dialect: 'libmemcached-weighted', pointsPerServer: 4 } as const
const KEYS = Array.from({ length: 5000 }, (_, i) => Buffer.from(`key-${i}`))

function node(isWarm = true) {
  const engine = new Engine(createArena({ memoryLimitMb: 8, threads: 1, versionText: 'test' }), 0)
  const rest = { value: Buffer.from('v'), flags: 0, toLiveSec: null, fetched: false, active: false }
  for (const [i, key] of KEYS.entries()) engine.install(encodeRecord({ ...rest, key, version: BigInt(i + 1) }), 3)
  const said: Message[] = []
  const flushed: (string | null)[] = []
  const forgotten: number[] = []
  const handoff = new Handoff(
    engine,
    {
      ...NO_EFFECTS,
      send: (_role, _peer, message) => said.push(message) > 0,
      flushed: (_ticket, failure) => flushed.push(failure),
    },
    undefined,
    NO_HINTS,
    null,
    isWarm ? { onForgotten: keys => forgotten.push(keys) } : null,
  )
  const tell = (members: number[], keeps = false) =>
    handoff.setTopology({
      ...{ self: 1, rule: RULE, settled: new Set<number>(), members, keeps },
      generations: [generation(3), generation(4, [1])],
    })
  const held = () => KEYS.filter(key => engine.held(key) >= 0).length
  return { engine, handoff, said, flushed, forgotten, tell, held }
}

const generation = (epoch: number, away: number[] = []) => ({
  ...{ epoch, away },
  servers: [1, 2, 3].map(number => ({ number, host: `h${number}`, port: 1, weight: 1 })),
})

const greeting = (flushed: bigint): Message => ({
  ...{ type: 'greeting', version: '9000', flushed: flushed.toString(), flushInSec: 0 },
})

t.test('nobody answers: all of it goes before any picture is in force', async t => {
  const { handoff, forgotten, tell, held } = node()
  tell([2, 3])
  handoff.tick(0, 0)
  t.equal(handoff.epoch, 0)
  t.equal(held(), KEYS.length)
  handoff.tick(2000, 0)
  t.equal(handoff.epoch, 4)
  t.same(forgotten, [KEYS.length])
  t.equal(held(), 0)
})

t.test('one answers: what it says was flushed goes, the rest is kept', async t => {
  const { engine, handoff, forgotten, tell, held } = node()
  tell([2, 3])
  handoff.tick(0, 0)
  handoff.onMessage('taker', 3, 4, greeting(1000n))
  handoff.tick(2000, 0)
  t.equal(handoff.epoch, 4)
  t.same(forgotten, [])
  t.equal(held(), KEYS.length, 'as deleted, where it was flushed')
  t.ok(engine.isDeletion(engine.peek(KEYS[999]!)!))
  t.notOk(engine.isDeletion(engine.peek(KEYS[1000]!)!))
  t.ok(handoff.taker.mayHoldLeftovers)
})

t.test('a node that begins empty waits for nobody in vain', async t => {
  const { handoff, forgotten, tell, held } = node(false)
  tell([2, 3])
  handoff.tick(0, 0)
  handoff.tick(2000, 0)
  t.equal(handoff.epoch, 4)
  t.same([forgotten, held()], [[], KEYS.length])
})

t.test('what it keeps for its next life it gives to nobody, also where it can be reached', async t => {
  const { handoff, said, tell, held } = node(false)
  tell([], true)
  handoff.linkUp('source', 2, '1')
  const pull = (id: number) =>
    handoff.onMessage('source', 2, 4, { type: 'pull', id, generation: 4, ack: 0, bytesMax: 1e6 })
  for (let id = 1; id < 20; id++) pull(id)
  t.match(said.at(-1), { type: 'batch', state: 'wait', records: [] })
  t.equal(held(), KEYS.length)
  t.equal(handoff.unfinished, null)
  tell([], false)
  for (let id = 20; id < 40; id++) pull(id)
  t.ok(held() < KEYS.length, 'a life that did not step aside does')
  t.match(handoff.unfinished, /keys that were handed over are not confirmed/)
})

t.test('a flush_all does not wait for a member that holds nothing any more', async t => {
  const { handoff, flushed, tell, said } = node(false)
  tell([])
  tell([2, 3])
  handoff.flush(1, 0)
  t.ok(handoff.flushing)
  const confirm = (type: 'clocked' | 'flushed') => {
    const { id } = said.findLast(message => message.type === 'clock' || message.type === 'flush') as { id: number }
    handoff.onMessage('taker', 2, 4, type === 'clocked' ? { type, id, version: '7' } : { type, id })
  }
  confirm('clocked')
  handoff.tick(1, 0)
  t.same(flushed, [], 'it is waited for')
  tell([2])
  handoff.tick(2, 0)
  confirm('clocked')
  confirm('flushed')
  t.same(flushed, [null])
  t.notOk(handoff.flushing)
})
