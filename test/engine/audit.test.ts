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

/** An item with a chain of three chunks, the first of which is `first`. */
function chained(): { driver: Driver; words: Uint32Array; first: number } {
  const driver = alone({ slabChunkMax: 512 })
  driver.send(`set chain 0 0 1200\r\n${'y'.repeat(1200)}\r\n`)
  const item = onlyItem(driver)
  const words = new Uint32Array(driver.engine.arena.memory.buffer)
  const first = new DataView(driver.engine.arena.memory.buffer).getUint32(item + 48 + 5, true)
  return { driver, words, first }
}

t.test('nothing is wrong with chains, while they are read and received', async t => {
  const { driver } = chained()
  const { engine } = driver
  t.same(audit(engine), [])
  engine.bytes.set(Buffer.from('mg chain v\r\n'), engine.rx.offset)
  const { handle } = engine.run(engine.rx.offset, 12, 0)
  t.same(audit(engine, { readers: 1 }), [])
  t.match(audit(engine), [/1 readers are counted/])
  driver.send('delete chain\r\n')
  t.match(audit(engine), [/chunks were given out/])
  t.same(audit(engine, { filling: 4 }), [])
  engine.release(handle)
  t.same(audit(engine), [])
  driver.send('set chain 0 0 1200\r\nhalf')
  t.same(audit(engine, { filling: 4 }), [])
  driver.cut()
  t.same(audit(engine), [])
})

const CHAIN_DAMAGE: Record<string, { offset: number; finding: RegExp }> = {
  'a chain that ends too early': { offset: 0, finding: /has 464 bytes, and says 1202/ },
  'a chunk without what is before it': { offset: 4, finding: /does not point back|given out/ },
  'a chunk of nobody': { offset: 8, finding: /does not know its item/ },
  'a chunk that has nothing': { offset: 36, finding: /cannot have 0 bytes/ },
}

for (const [name, { offset, finding }] of Object.entries(CHAIN_DAMAGE)) {
  t.test(name, async t => {
    const { driver, words, first } = chained()
    const second = words[first >> 2]!
    words[((offset === 4 ? second : first) + offset) >> 2] = 0
    t.match(audit(driver.engine).join('\n'), finding)
  })
}

t.test('a page, and the pool', async t => {
  const { driver, words } = chained()
  const { moreWords } = layoutOf(driver)
  words[moreWords[0]! >> 2]! += 1
  t.match(audit(driver.engine).join('\n'), /is in a page of another/)
  words[moreWords[0]! >> 2]! -= 1
  words[(65536 + 532) >> 2] = 1
  t.match(audit(driver.engine), [/0 pages are in the pool, which says 1/])
  words[(65536 + 532) >> 2] = 0
  words[(65536 + 520) >> 2]! += 1
  t.match(audit(driver.engine).join('\n'), /pages are said to be in use/)
})

t.test('a lock, and a figure', async t => {
  const driver = filled()
  new Uint32Array(driver.engine.arena.memory.buffer)[(65536 + 4096) >> 2] = 1
  t.match(audit(driver.engine), [/left locked/])
  const other = filled()
  const { classes } = layoutOf(other)
  new Uint32Array(other.engine.arena.memory.buffer)[(classes + 16) >> 2]! += 1
  t.match(audit(other.engine).join('\n'), /free chunks, and says/)
})
