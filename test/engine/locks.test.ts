/** A thread that finds a lock taken sleeps, and goes on with what it knew before. */
import t from 'tap'
import { Engine } from '../../lib/engine/engine.js'
import { CLASS_STRIDE, computeLayout } from '../../lib/engine/layout.js'
import { audit } from './audit.js'
import { Driver, hammers, START, smallArena } from './driver.js'

// V8's baseline compiler cleared a local of whoever waited by memory.atomic.wait32: here it was the size that a deletion takes
// off the figures of its class. Elsewhere it was an address.
t.test('a deletion that has to wait for the lock of its class counts', async t => {
  const arena = smallArena()
  const engine = new Engine(arena, 2)
  engine.setTime(START)
  const driver = new Driver(engine)
  const value = 'x'.repeat(4000)
  for (let i = 0; i < 10; i++) driver.send(`set k${i} 0 0 ${value.length}\r\n${value}\r\n`)
  const used = engine.classes().findIndex(({ pages }) => pages > 0)
  const words = new Int32Array(arena.memory.buffer)
  const lock = (computeLayout(arena.options).classes + used * CLASS_STRIDE) / 4
  t.equal(Atomics.exchange(words, lock, 1), 0)
  const progress = new SharedArrayBuffer(12)
  const deleted = hammers<string>('deleting', arena, progress)
  while (Atomics.load(words, lock) !== 2) await new Promise(resolve => setImmediate(resolve))
  t.same([...new Int32Array(progress)].slice(1).includes(1), true, 'somebody sleeps')
  Atomics.store(words, lock, 0)
  Atomics.notify(words, lock)
  t.same(await deleted, ['DELETED\r\n', 'DELETED\r\n'])
  t.same(audit(engine), [])
})
