/** The audit finds what it is there for: each kind of damage, done by hand. */
import t from 'tap'
import { computeLayout } from '../../lib/engine/layout.js'
import { audit } from './audit.js'
import { alone, type Driver } from './driver.js'

const layoutOf = ({ engine }: Driver) => computeLayout(engine.arena.options)

/** Address of the one item that there is. */
function onlyItem(driver: Driver): number {
  const { hash, buckets } = layoutOf(driver)
  return new Uint32Array(driver.engine.arena.memory.buffer, hash, buckets).find(word => word !== 0)!
}

function filled(): Driver {
  const driver = alone()
  driver.send('set a 0 0 5\r\nhello\r\nset b 0 0 1\r\nx\r\nset b 0 0 700\r\n')
  driver.send(`${'y'.repeat(700)}\r\ndelete b\r\n`)
  return driver
}

t.test('nothing is wrong with what the engine does', async t => {
  const driver = filled()
  t.same(audit(driver.engine), [])
  driver.send('set c 0 0 10\r\nhalf')
  t.same(audit(driver.engine, { filling: 1 }), [])
  t.match(audit(driver.engine), [/chunks were given out/])
  driver.cut()
  t.same(audit(driver.engine), [])
})

const DAMAGE: Record<string, { offset: number; value: number; finding: RegExp }> = {
  'a chain that ends in itself': { offset: 0, value: -1, finding: /twice in the table/ },
  'a list that ends too early': { offset: 8, value: -1, finding: /twice/ },
  'a value that grew': { offset: 36, value: 500, finding: /does not fit/ },
  'a class that is another': { offset: 40, value: 0x00010901, finding: /list of class/ },
  'a bucket that is another': { offset: 44, value: 0, finding: /wrong bucket/ },
}

for (const [name, { offset, value, finding }] of Object.entries(DAMAGE)) {
  t.test(name, async t => {
    const driver = filled()
    const at = onlyItem(driver)
    new Uint32Array(driver.engine.arena.memory.buffer)[(at + offset) >> 2] = value === -1 ? at : value
    t.match(audit(driver.engine).join('\n'), finding)
  })
}

t.test('a lock, and a figure', async t => {
  const driver = filled()
  new Uint32Array(driver.engine.arena.memory.buffer)[(65536 + 4096) >> 2] = 1
  t.match(audit(driver.engine), [/left locked/])
  const other = filled()
  const { classes } = layoutOf(other)
  new Uint32Array(other.engine.arena.memory.buffer)[(classes + 16) >> 2]! += 1
  t.match(audit(other.engine).join('\n'), /free chunks, and says/)
})
