/** flush_all with a delay, as nodes tell each other: set, replaced, and told to a node that begins. */
import t from 'tap'
import { createArena, Engine } from '../../lib/engine/engine.js'
import { Handoff } from '../../lib/handoff/handoff.js'
import type { Message } from '../../lib/handoff/wire.js'

function member() {
  const engine = new Engine(createArena({ memoryLimitMb: 8, threads: 1, versionText: 'test' }), 0)
  const later: number[] = []
  const said: Message[] = []
  let pending = 0
  const handoff = new Handoff(engine, {
    send: (_role, _peer, message) => said.push(message) > 0,
    granted() {},
    blind() {},
    executed() {},
    refused() {},
    flushed() {},
    published() {},
    generationSettled() {},
    learned() {},
    topologyText: () => null,
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
