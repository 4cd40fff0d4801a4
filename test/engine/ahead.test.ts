/** The look ahead over a turn's requests changes no answer, and reads nothing outside of the memory. */
import t, { type Test } from 'tap'
import { alone, type Driver } from './driver.js'

const value = (size: number) => 'v'.repeat(size)
/** As one piece, and as one request after the other. */
function bothWays(t: Test, make: () => Driver, requests: string[]): void {
  const whole = make()
  const single = make()
  t.equal(whole.send(requests.join('')), requests.map(request => single.send(request)).join(''))
}

t.test('what comes together is answered as what comes alone', async t => {
  const names = Array.from({ length: 100 }, (_, i) => `key-${i}`)
  bothWays(t, alone, [
    ...names.map((name, i) => `set ${name} ${i} 0 ${i * 7}\r\n${value(i * 7)}\r\n`),
    ...names.map(name => `get ${name}\r\n`),
    `get ${names.join(' ')}\r\n`,
    `gets   ${names.join('  ')} \r\n`,
    ...names.flatMap(name => [`mg ${name} v f\r\n`, `get ${name} absent ${name}\r\n`, `delete ${name} noreply\r\n`]),
    ...names.map(name => `ms ${name} 3 T0\r\nabc\r\n`),
    ...names.map(name => `incr ${name} 1\r\n`),
    'mn\r\n',
  ])
})

t.test('lines that are not what they look like', async t => {
  bothWays(t, alone, [
    'set a 0 0 1\r\nx\r\n',
    'get \r\n',
    'get a\r\n',
    `get ${value(251)}\r\n`,
    `get a ${value(2000)}\r\n`,
    'set a 0 0 99999999999999\r\n',
    'set a 0 0 -1\r\n',
    'set a 0 0 \r\n',
    'set a\r\n',
    'set \r\n',
    'mg \r\n',
    'ms a\r\n',
    'mg YQ== b v k\r\n',
    'mx a\r\n',
    'm\r\n',
    'm\n x\r\n',
    'get a\0b a\r\n',
    'get a\n',
    'set b 0 0 30\r\nget a\r\nget a\r\nget a\r\nget a\r\n  \r\n',
    'get a b\r\n',
    'mn\r\n',
    'ms a 99999999\r\n', // its value, which is thrown away, would be what comes behind it
  ])
})

t.test('a value in the last bytes of the last page', async t => {
  // A limit that is used up by the smallest items: the last of them ends where the memory does.
  const driver = alone({ memoryLimitMb: 8, chunkSizeMin: 1 })
  const names: string[] = []
  for (let i = 0; i < 200_000; i++) names.push(`k${i}`)
  for (let i = 0; i < names.length; i += 500) {
    driver.send(
      names
        .slice(i, i + 500)
        .map(name => `set ${name} 0 0 1 noreply\r\nx\r\n`)
        .join(''),
    )
  }
  t.ok(Number(driver.engine.stats().get('evictions')) > 0, 'all memory is used')
  let hits = 0
  for (let i = 0; i < names.length; i += 200) {
    hits += driver.send(`get ${names.slice(i, i + 200).join(' ')}\r\nget ${names[i]}\r\n`).match(/VALUE/g)?.length ?? 0
  }
  t.ok(hits > 50_000, `${hits} hits`)
})
