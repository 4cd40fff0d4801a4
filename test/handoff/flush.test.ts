/** flush_all with a delay, as nodes tell each other: set, replaced, and told to a node that begins. */
import t from 'tap'
import { createArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { Handoff } from '../../lib/handoff/handoff.js'
import type { Message } from '../../lib/handoff/wire.js'
import { NO_EFFECTS } from './no-effects.js'

function member() {
  const engine = new Engine(createArena({ memoryLimitMb: 8, threads: 1, versionText: 'test' }), 0)
  const later: number[] = []
  const said: Message[] = []
  let pending = 0
  const handoff = new Handoff(engine, {
    ...NO_EFFECTS,
    send: (_role, _peer, message) => said.push(message) > 0,
    flushLater: delaySec => {
      later.push(delaySec)
      pending = delaySec
    },
    flushPendingSec: () => pending,
  })
  return { handoff, engine, later, said }
}

t.test('a flush_all replaces one that is still to come', async t => {
  const { handoff, engine, later } = member()
  handoff.onMessage('source', 2, 0, { type: 'flush', id: 1, version: '5', delaySec: 60 })
  t.same(later, [60])
  handoff.onMessage('source', 2, 0, { type: 'flush', id: 2, version: '9', delaySec: 0 })
  t.same(later, [60, 0], '0: nothing is to come any more')
  t.equal(engine.version(), 9n)
})

t.test('a node that begins hears of a flush_all that is still to come', async t => {
  const old = member()
  old.handoff.onMessage('source', 2, 0, { type: 'flush', id: 1, version: '5', delaySec: 60 })
  old.handoff.onMessage('source', 3, 0, { type: 'greet' })
  const greeting = old.said.at(-1)!
  t.same(greeting, { type: 'greeting', version: '5', flushed: '0', flushInSec: 60 })
  const fresh = member()
  fresh.handoff.onMessage('taker', 2, 0, greeting)
  t.same(fresh.later, [60])
  fresh.handoff.onMessage('taker', 4, 0, { type: 'greeting', version: '1', flushed: '0', flushInSec: 0 })
  t.same(fresh.later, [60], 'one that knows of none takes nothing back')
})

t.test(
  'a flush_all that fails half-way takes nothing that is written later: every clock is past it before anybody flushes',
  async t => {
    const { handoff, engine, said } = member()
    const servers = [1, 2, 3].map(number => ({ number, host: `h${number}`, port: 1, weight: 1 }))
    const rule = { dialect: 'libmemcached-weighted', pointsPerServer: 4 } as const
    const generations = [{ epoch: 1, servers, away: [] }]
    handoff.setTopology({ self: 1, rule, generations, settled: new Set(), members: [2, 3] })
    const greeting = { type: 'greeting', version: '1', flushed: '0', flushInSec: 0 } as const
    for (const peer of [2, 3]) handoff.onMessage('taker', peer, 0, greeting)
    t.equal(handoff.epoch, 1)

    const answerAll = (version: string) => {
      const asked = said.splice(0)
      for (const [index, message] of asked.entries()) {
        if (message.type === 'clock')
          handoff.onMessage('taker', 2 + index, 1, { type: 'clocked', id: message.id, version })
      }
      return asked
    }
    said.length = 0
    handoff.flush(1, 0)
    t.match(answerAll('900'), [{ type: 'clock' }, { type: 'clock' }])
    t.match(
      said,
      [
        { type: 'clock', version: '900' },
        { type: 'clock', version: '900' },
      ],
      'nobody flushes yet',
    )
    t.equal(engine.flushed(), 0n)
    answerAll('901')
    t.match(said, [
      { type: 'flush', version: '900' },
      { type: 'flush', version: '900' },
    ])
    t.equal(engine.flushed(), 900n)

    const other = member()
    other.handoff.onMessage('source', 1, 0, { type: 'clock', id: 1, version: '900' })
    t.equal(other.engine.version(), 900n, 'what it writes from now on is newer')
  },
)
