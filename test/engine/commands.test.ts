/** The classic commands as transcripts: bytes in, bytes out (PROTOCOL D1-D7, the newest behaviour of D14). */
import t, { type Test } from 'tap'
import { alone, type Driver, START } from './driver.js'

/** Lines beginning with `>` are sent, the others expected. */
function transcript(driver: Driver, t: Test, script: string): void {
  let sent = ''
  let expected = ''
  const check = () => {
    if (sent) t.equal(driver.send(sent), expected, sent.replaceAll('\r\n', ' | ').slice(0, 100))
    sent = ''
    expected = ''
  }
  for (const raw of script.trim().split('\n')) {
    const line = raw.trim()
    if (line.startsWith('>')) {
      if (expected) check()
      sent += `${line.slice(1).replace(/^ /, '').replaceAll('~', ' ')}\r\n`
    } else expected += `${line.replaceAll('~', ' ')}\r\n`
  }
  check()
}

const long = 'k'.repeat(250)
const tooLong = 'k'.repeat(251)
const BAD = 'CLIENT_ERROR bad command line format'

t.test('storing and reading', async t => {
  transcript(
    alone(),
    t,
    `> get a
     END
     > set a 5 0 3
     > abc
     STORED
     > get a
     VALUE a 5 3
     abc
     END
     > gets a b a
     VALUE a 5 3 1
     abc
     VALUE a 5 3 1
     abc
     END
     > add a 0 0 1
     > x
     NOT_STORED
     > add b 4294967295 0 0
     >
     STORED
     > gets b
     VALUE b 4294967295 0 2

     END
     > replace b 0 0 1
     > y
     STORED
     > replace c 0 0 1
     > y
     NOT_STORED
     > append a 9 9 2
     > de
     STORED
     > prepend a 9 9 2
     > 01
     STORED
     > append c 0 0 1
     > x
     NOT_STORED
     > gets a
     VALUE a 5 7 5
     01abcde
     END
     > cas a 1 0 2 5
     > zz
     STORED
     > cas a 1 0 2 5
     > yy
     EXISTS
     > cas a 1 0 2 0
     > yy
     EXISTS
     > cas c 1 0 2 5
     > yy
     NOT_FOUND
     > delete a
     DELETED
     > delete a
     NOT_FOUND
     > set ${long} 0 0 1
     > L
     STORED
     > get ${long} b
     VALUE ${long} 0 1
     L
     VALUE b 0 1
     y
     END`,
  )
})

t.test('noreply is the last token and silences errors too', async t => {
  transcript(
    alone(),
    t,
    `> set a 0 0 1 noreply
     > 1
     > incr a 5 noreply
     > incr a x noreply
     > touch nobody 0 noreply
     > delete nobody noreply
     > set a x 0 1 noreply
     > 9
     > foo noreply
     ERROR
     > verbosity 1 noreply
     > set a 0 0 1 noreply x
     > 7
     STORED
     > get a
     VALUE a 0 1
     7
     END
     > flush_all noreply
     > get a
     END`,
  )
})

t.test('bad lines, in the newest memcached words', async t => {
  transcript(
    alone(),
    t,
    `>
     ${BAD}
     > a
     ${BAD}
     > foo
     ERROR
     > Get a
     ERROR
     > ~get a
     ERROR
     > get
     ${BAD}
     > get~~
     ${BAD}
     > gat 5
     ${BAD}
     > gat x a
     CLIENT_ERROR invalid exptime argument
     > get a ${tooLong} b
     ${BAD}
     > set a 0 0
     ${BAD}
     > set a 0 0 -1
     ${BAD}
     > set a 0 0 x
     ${BAD}
     > set a 0 0 2147483647
     ${BAD}
     > set a x 0 1
     > 1
     ${BAD}
     > set a 0 x 1
     > 1
     ${BAD}
     > set a -1 0 1
     > 1
     ${BAD}
     > cas a 0 0 1
     > 1
     ${BAD}
     > cas a 0 0 1 x
     > 1
     ${BAD}
     > set ${tooLong} 0 0 5
     > quit!
     ${BAD}
     > set a 0 0 1 x y
     > 1
     STORED
     > incr a
     ${BAD}
     > incr a x
     CLIENT_ERROR invalid numeric delta argument
     > incr a -1
     CLIENT_ERROR invalid numeric delta argument
     > incr ${tooLong} 1
     ${BAD}
     > touch a
     ${BAD}
     > touch a x
     CLIENT_ERROR invalid exptime argument
     > touch a 99999999999
     CLIENT_ERROR invalid exptime argument
     > delete
     ${BAD}
     > delete a 5 6
     DELETED
     > verbosity
     ${BAD}
     > verbosity 9
     OK
     > flush_all x
     CLIENT_ERROR invalid exptime argument
     > mn
     MN
     > version
     VERSION 1.6.45`,
  )
})

t.test('a data block must end with \\r\\n after exactly its bytes', async t => {
  const driver = alone()
  t.equal(driver.send('set a 0 0 3\r\nabcde\r\n'), `CLIENT_ERROR bad data chunk\r\n${BAD}\r\n`)
  t.equal(driver.send('set a 0 0 3\r\nab\r\nget a\r\n'), 'CLIENT_ERROR bad data chunk\r\nERROR\r\n')
  t.equal(driver.send('set a 0 0 3\nabc\r\nget a\n'), 'STORED\r\nVALUE a 0 3\r\nabc\r\nEND\r\n')
  t.equal(driver.send('set a 0 0 1 noreply\r\nxyz'), '', 'silent with noreply')
  t.equal(driver.send('\r\nget a\r\n'), `${BAD}\r\nVALUE a 0 3\r\nabc\r\nEND\r\n`)
})

t.test('arithmetic', async t => {
  transcript(
    alone(),
    t,
    `> incr a 1
     NOT_FOUND
     > set a 7 0 2
     > 10
     STORED
     > decr a 1
     9
     > gets a
     VALUE a 7 2 2
     9~
     END
     > incr a 18446744073709551615
     8
     > incr a 92
     100
     > get a
     VALUE a 7 3
     100
     END
     > decr a 200
     0
     > set a 0 0 20
     > 18446744073709551615
     STORED
     > incr a 1
     0
     > set a 0 0 6
     > 12 abc
     STORED
     > incr a 3
     15
     > get a
     VALUE a 0 6
     15~~~~
     END
     > set a 0 0 3
     > abc
     STORED
     > incr a 1
     CLIENT_ERROR cannot increment or decrement non-numeric value
     > set a 0 0 0
     >
     STORED
     > incr a 1
     CLIENT_ERROR cannot increment or decrement non-numeric value
     > set a 0 0 2
     > -1
     STORED
     > incr a 1
     CLIENT_ERROR cannot increment or decrement non-numeric value
     > set a 0 0 20
     > 18446744073709551616
     STORED
     > incr a 1
     CLIENT_ERROR cannot increment or decrement non-numeric value`,
  )
})

t.test('expiry', async t => {
  const driver = alone()
  driver.send('set a 0 10 1\r\n1\r\nset b 0 0 1\r\n2\r\nset c 0 -1 1\r\n3\r\n')
  driver.send(`set d 0 ${START + 5} 1\r\n4\r\nset e 0 ${START - 5} 1\r\n5\r\n`)
  t.equal(driver.send('get a b c d e\r\n'), 'VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nVALUE d 0 1\r\n4\r\nEND\r\n')
  driver.engine.setTime(START + 5)
  t.equal(driver.send('get a d\r\n'), 'VALUE a 0 1\r\n1\r\nEND\r\n', 'an absolute time')
  t.equal(driver.send('touch a 100\r\ngat 20 b\r\n'), 'TOUCHED\r\nVALUE b 0 1\r\n2\r\nEND\r\n')
  driver.engine.setTime(START + 24)
  t.equal(driver.send('get a b\r\n'), 'VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n', 'touched')
  driver.engine.setTime(START + 25)
  t.equal(driver.send('get b\r\n'), 'END\r\n', 'dead when exptime is reached')
  t.equal(driver.send('gat -1 a\r\nget a\r\n'), 'VALUE a 0 1\r\n1\r\nEND\r\nEND\r\n', 'once more, and then no more')
  t.equal(driver.send('add a 0 0 1\r\nx\r\nincr b 1\r\n'), 'STORED\r\nNOT_FOUND\r\n', 'the dead are absent')
  const stats = driver.engine.stats()
  t.equal(stats.get('curr_items'), 1n)
  t.equal(stats.get('cmd_touch'), 3n)
  t.equal(stats.get('touch_hits'), 3n)
})

t.test('flush_all, now and later', async t => {
  const driver = alone()
  driver.send('set a 0 0 1\r\n1\r\n')
  t.equal(
    driver.send('flush_all\r\nget a\r\nset a 0 0 1\r\n2\r\nget a\r\n'),
    'OK\r\nEND\r\nSTORED\r\nVALUE a 0 1\r\n2\r\nEND\r\n',
  )
  t.equal(driver.send('flush_all 10\r\nset b 0 0 1\r\n3\r\nget a b\r\n').split('VALUE').length, 3, 'still there')
  driver.engine.setTime(START + 10)
  t.equal(driver.send('get a b\r\n'), 'END\r\n', 'gone, also what was written after the command')
  t.equal(
    driver.send('set a 0 0 1\r\n1\r\nflush_all 10\r\nflush_all -1\r\nset a 0 0 1\r\n1\r\n'),
    'STORED\r\nOK\r\nOK\r\nSTORED\r\n',
  )
  driver.engine.setTime(START + 30)
  t.equal(driver.send('get a\r\n'), 'VALUE a 0 1\r\n1\r\nEND\r\n', 'a later flush_all replaced the pending one')
  const closed = alone({ flushEnabled: false })
  t.equal(closed.send('flush_all\r\n'), 'CLIENT_ERROR flush_all not allowed\r\n')
})

t.test('sizes: the border is memcached’s own', async t => {
  const driver = alone()
  const fits = 1_048_517 - 1
  t.equal(driver.send(`set a 0 0 ${fits}\r\n${'x'.repeat(fits)}\r\n`), 'STORED\r\n')
  t.equal(driver.send('get a\r\n').length, fits + `VALUE a 0 ${fits}\r\n\r\nEND\r\n`.length)
  t.equal(
    driver.send(`set a 1 0 ${fits}\r\n${'x'.repeat(fits)}\r\nmn\r\n`),
    'SERVER_ERROR object too large for cache\r\nMN\r\n',
  )
  t.equal(driver.send('get a\r\n'), 'END\r\n', 'the old value is deleted')
  t.equal(driver.send('set a 0 0 1\r\n1\r\n'), 'STORED\r\n')
  t.equal(
    driver.send(`add a 0 0 ${fits + 1}\r\n${'x'.repeat(fits + 1)}\r\nmn\r\n`),
    'SERVER_ERROR object too large for cache\r\nMN\r\n',
  )
  t.equal(driver.send('get a\r\n'), 'VALUE a 0 1\r\n1\r\nEND\r\n', 'but not by add')
  const half = 'y'.repeat(600_000)
  t.equal(driver.send(`set b 0 0 600000\r\n${half}\r\nappend b 0 0 600000\r\n${half}\r\n`), 'STORED\r\nNOT_STORED\r\n')
  t.equal(driver.engine.stats().get('store_too_large'), 2n)
})

t.test('lines that never end', async t => {
  const driver = alone()
  t.equal(driver.send('x'.repeat(2048)), '')
  t.notOk(driver.closed)
  driver.send('x')
  t.ok(driver.closed, 'closed silently')
  const getter = alone()
  getter.send('set k1 0 0 1\r\n1\r\n')
  const keys = Array.from({ length: 9000 }, (_, i) => `k${i}`).join(' ')
  t.equal(getter.send(`get ${keys}\r\n`), 'VALUE k1 0 1\r\n1\r\nEND\r\n', 'but a get may be long')
  for (const line of ['quit\r\n', 'GET / HTTP/1.1\r\n']) {
    const closing = alone()
    t.equal(closing.send(line), '')
    t.ok(closing.closed, line)
  }
})

t.test('what the host executes', async t => {
  const driver = alone()
  for (const line of ['stats', 'stats settings', 'config get cluster', 'slabs automove 1', 'watch', 'shutdown']) {
    t.equal(driver.send(`${line}\r\nmn\r\n`), 'STOP 3\r\nMN\r\n', line)
  }
})

t.test('without cas, without evictions', async t => {
  const driver = alone({ cas: false })
  t.equal(driver.send('set a 0 0 1\r\n1\r\ngets a\r\n'), 'STORED\r\nVALUE a 0 1 0\r\n1\r\nEND\r\n')
  t.equal(driver.send('cas a 0 0 1 1\r\n1\r\n'), 'EXISTS\r\n')
  const full = alone({ evictions: false, memoryLimitMb: 2 })
  const value = 'x'.repeat(100_000)
  let answer = ''
  for (let i = 0; i < 40 && !answer.startsWith('SERVER'); i++)
    answer = full.send(`set k${i} 0 0 100000\r\n${value}\r\n`)
  t.equal(answer, 'SERVER_ERROR out of memory storing object\r\n')
  t.match(full.send('get k0\r\nmn\r\n'), /END\r\nMN\r\n$/)
  t.equal(
    full.send(`set k0 0 0 100000\r\n${value}\r\nget k0\r\n`),
    'SERVER_ERROR out of memory storing object\r\nEND\r\n',
    'a failed set deletes the old value',
  )
})
