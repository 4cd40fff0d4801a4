/** A stream cut anywhere gives the same bytes: every two-part split, every byte alone, and random parts. */
import t from 'tap'
import { resetArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { Driver, random, START, smallArena } from './driver.js'

const STREAM = [
  'set a 1 0 5\r\nhello\r\nget a\r\ngets a b\r\nset b 0 0 1 noreply\r\n9\r\nincr b 1\r\n\r\nfoo\r\n',
  'append a 0 0 3\r\n\r\n!\r\nget a b c\r\nset c 0 0 3\r\nabcde\r\ncas b 0 0 2 3\r\nxx\r\n',
  `set ${'k'.repeat(251)} 0 0 5\r\nabcde\r\nset d 0 0 2000000\r\n`,
  `${'z'.repeat(40)}\r\nget`,
].join('')
/** The too large value is cut short on purpose: the rest is swallowed at the end. */
const TAIL = `${'z'.repeat(2_000_000 - 45)}\r\nmn\r\ngat 5 a b\r\ntouch a 0\r\nquit\r\n`

const arena = smallArena()

function fresh(): Driver {
  resetArena(arena)
  const engine = new Engine(arena, 0)
  engine.setTime(START)
  return new Driver(engine)
}

t.test('every split position', async t => {
  const whole = fresh()
  const expected = whole.send(STREAM + TAIL)
  t.ok(whole.closed, 'the stream ends with quit')
  t.match(expected, /MN\r\nVALUE a 1 8\r\n/)
  const bytes = Buffer.from(STREAM, 'latin1')
  for (let cut = 1; cut < bytes.length; cut++) {
    const driver = fresh()
    const got = driver.send(bytes.subarray(0, cut)) + driver.send(bytes.subarray(cut)) + driver.send(TAIL)
    if (got !== expected || !driver.closed) t.equal(got, expected, `cut at ${cut}`)
  }
  const driver = fresh()
  let got = ''
  for (const byte of bytes) got += driver.send(Uint8Array.of(byte))
  t.equal(got + driver.send(TAIL), expected, 'byte by byte')
})

t.test('values of many sizes, cut at random', async t => {
  const seed = Number(process.env.SEED ?? 7)
  const next = random(seed)
  let stream = ''
  for (let i = 0; i < 60; i++) {
    const length = Math.floor(10 ** (next() * 5))
    stream += `set k${i % 7} 0 0 ${length}\r\n${'v'.repeat(length)}\r\nget k${Math.floor(next() * 7)} k0\r\n`
  }
  const expected = fresh().send(stream)
  for (let round = 0; round < 20; round++) {
    const driver = fresh()
    let got = ''
    for (let at = 0; at < stream.length; ) {
      const size = 1 + Math.floor(10 ** (next() * 5))
      got += driver.send(stream.slice(at, at + size))
      at += size
    }
    if (got !== expected) t.fail(`SEED=${seed}, round ${round}`)
  }
  t.pass('twenty rounds')
})

t.test('replies larger than tx go on at the key where they stopped', async t => {
  const driver = fresh()
  for (let i = 0; i < 8; i++) driver.send(`set k${i} ${i} 0 500000\r\n${String(i).repeat(500_000)}\r\n`)
  const expected = [0, 1, 2, 3, 4, 5, 6, 7, 0, 9, 1]
    .filter(i => i < 8)
    .map(i => `VALUE k${i} ${i} 500000\r\n${String(i).repeat(500_000)}\r\n`)
    .join('')
  t.equal(driver.send('get k0 k1 k2 k3 k4 k5 k6 k7 k0 k9 k1\r\nmn\r\n'), `${expected}END\r\nMN\r\n`)
  t.equal(driver.send('gat  0   k0 k1 k2 k3 k4 k5 k6 k7 k0 k9 k1 \r\nmn\r\n'), `${expected}END\r\nMN\r\n`)
  t.equal(
    driver.send('get k0\r\nget k1\r\nget k2\r\nget k3\r\n').length,
    4 * (500_000 + 'VALUE k0 0 500000\r\n\r\nEND\r\n'.length),
  )
})

t.test('a connection that goes away while its value comes gives the chunk back', async t => {
  const driver = fresh()
  for (let i = 0; i < 50; i++) {
    const cut = new Driver(driver.engine)
    t.equal(cut.send(`set k 0 0 900000\r\n${'x'.repeat(1000 * i)}`), '')
    cut.cut()
  }
  t.equal(driver.send('get k\r\n'), 'END\r\n')
  t.equal(driver.engine.stats().get('bytes'), 0n)
})
