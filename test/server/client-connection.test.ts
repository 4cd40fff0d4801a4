/** One node alone, over the simulated and the net loop: what a client may do to its connection. */
import { createConnection } from 'node:net'
import t, { type Test } from 'tap'
import { netPlace, type Place, type RawClient, set, simulatedPlace, value } from './harness.js'

const SCRIPT = [
  [set('a', 'one'), 'STORED\r\n'],
  ['get a\r\n', `${value('a', 'one')}END\r\n`],
  ['set n 0 0 1 noreply\r\n5\r\nincr n 7\r\n', '12\r\n'],
  ['get a missing n a\r\n', `${value('a', 'one')}${value('n', '12')}${value('a', 'one')}END\r\n`],
  ['delete a\r\n', 'DELETED\r\n'],
  ['nonsense\r\n', 'ERROR\r\n'],
  ['set b 0 0 3\r\nabcdefghij\r\n', 'CLIENT_ERROR bad data chunk\r\nERROR\r\n'],
  ['stats nonsense\r\n', 'ERROR\r\n'],
  ['config get cluster\r\n', 'ERROR\r\n'],
  ['mn\r\n', 'MN\r\n'],
] as const
const SENT = SCRIPT.map(([sent]) => sent).join('')
const EXPECTED = SCRIPT.map(([, reply]) => reply).join('')

function battery(t: Test, place: Place): void {
  t.teardown(() => place.stop())
  const ask = async (client: RawClient, bytes: string | Buffer, expected: string) => {
    client.send(bytes)
    await place.until(() => client.size >= expected.length, `${expected.length} bytes of answer`)
    return client.take()
  }

  t.test('requests one by one, all at once, and cut at every byte', async t => {
    const node = await place.node()
    const client = place.client(node)
    for (const [sent, reply] of SCRIPT) t.equal(await ask(client, sent, reply), reply, sent)
    t.equal(await ask(client, SENT, EXPECTED), EXPECTED)
    for (let cut = 1; cut < SENT.length; cut++) {
      client.send(SENT.slice(0, cut))
      const before = node.stat('bytes_read')
      await place.until(() => node.stat('bytes_read') > before || client.size > 0, 'the first part')
      const answer = await ask(client, SENT.slice(cut), EXPECTED)
      if (answer !== EXPECTED) t.equal(answer, EXPECTED, `cut at ${cut}`)
    }
    for (const byte of SENT) client.send(byte)
    t.equal(await ask(client, '', EXPECTED), EXPECTED, 'byte by byte')
  })

  t.test('values as large as they get, in whatever pieces they come', async t => {
    const node = await place.node()
    const client = place.client(node)
    const large = 'x'.repeat(1_048_000)
    t.equal(await ask(client, set('large', large) + set('small', 's'), 'STORED\r\nSTORED\r\n'), 'STORED\r\nSTORED\r\n')
    const expected = `${value('large', large)}${value('small', 's')}END\r\n`
    t.ok((await ask(client, 'get large small\r\n', expected)) === expected)
    const refused = 'SERVER_ERROR object too large for cache\r\nMN\r\n'
    t.equal(await ask(client, `${set('large', 'y'.repeat(2_000_000))}mn\r\n`, refused), refused)
    t.equal(await ask(client, 'get large\r\n', 'END\r\n'), 'END\r\n', 'the old value is gone')
  })

  t.test('a get of thousands of keys', async t => {
    const client = place.client(await place.node())
    await ask(client, set('k1', 'v'), 'STORED\r\n')
    const line = `get ${Array.from({ length: 50_000 }, (_, i) => `k${i}`).join(' ')}\r\n`
    const expected = `${value('k1', 'v')}END\r\n`
    t.equal(await ask(client, line, expected), expected)
  })

  t.test('lines without an end', async t => {
    const node = await place.node()
    const endless = place.client(node)
    endless.send('z'.repeat(3000))
    await place.until(() => endless.closed, 'closed by the server')
    t.equal(endless.text, '')
    const endlessGet = place.client(node)
    endlessGet.send(`get ${'z '.repeat(1 << 20)}`)
    await place.until(() => endlessGet.closed, 'closed by the server')
    t.equal(node.stat('curr_connections'), 0)
  })

  t.test('slow commands by the thousand in one go', async t => {
    const client = place.client(await place.node())
    client.send('stats nonsense\r\n'.repeat(20_000))
    await place.until(() => client.size === 20_000 * 'ERROR\r\n'.length, 'all answers')
    t.equal(client.take(), 'ERROR\r\n'.repeat(20_000))
  })

  t.test('quit, and a client that ends its side', async t => {
    const node = await place.node()
    const quitting = place.client(node)
    quitting.send(`${set('q', '1')}quit\r\nget q\r\n`)
    await place.until(() => quitting.closed, 'closed')
    t.equal(quitting.text, 'STORED\r\n')
    const leaving = place.client(node)
    leaving.send('set half 0 0 1000\r\nabc')
    await place.until(() => node.stat('total_connections') === 2, 'accepted')
    leaving.connection.close()
    await place.until(() => node.stat('curr_connections') === 0, 'gone')
    const after = place.client(node)
    t.equal(await ask(after, 'get half\r\n', 'END\r\n'), 'END\r\n')
  })

  t.test('a client that has ended its side still gets its answers', async t => {
    if (place.name !== 'net') return // only real sockets can end one side
    const node = await place.node()
    const text = await new Promise<string>((resolve, reject) => {
      const socket = createConnection({ host: node.host, port: node.clientPort, allowHalfOpen: true })
      let came = ''
      socket.on('data', bytes => {
        came += bytes.toString()
      })
      socket.on('end', () => resolve(came))
      socket.on('error', reject)
      socket.end(`${set('h', '1')}get h\r\nget `)
    })
    t.equal(text, `STORED\r\n${value('h', '1')}END\r\n`)
    await place.until(() => node.stat('curr_connections') === 0, 'gone')
  })

  t.test('a client that does not read costs bounded memory', async t => {
    const node = await place.node()
    const client = place.client(node)
    await ask(client, set('big', 'b'.repeat(500_000)), 'STORED\r\n')
    client.deaf = true
    client.send('get big\r\n'.repeat(1000))
    let last = -1
    await place.until(() => {
      const now = node.stat('get_hits')
      const still = now === last
      last = now
      return still && now > 0
    }, 'the server stops answering')
    t.ok(node.stat('get_hits') < 100, `${node.stat('get_hits')} of 1000 values were written`)
    client.deaf = false
    client.connection.resumeReading()
    const expected = (value('big', 'b'.repeat(500_000)).length + 'END\r\n'.length) * 1000
    await place.until(() => client.size === expected, 'all answers')
    t.equal(node.stat('get_hits'), 1000)
  })

  t.test('too many connections', async t => {
    const node = await place.node({ maxConnections: 2 })
    const clients = [place.client(node), place.client(node)]
    for (const client of clients) await ask(client, 'mn\r\n', 'MN\r\n')
    const third = place.client(node)
    await place.until(() => third.closed, 'refused')
    t.equal(third.text, 'ERROR Too many open connections\r\n')
    t.equal(node.stat('rejected_connections'), 1)
    clients[0]!.connection.close()
    await place.until(() => node.stat('curr_connections') === 1, 'room again')
    t.equal(await ask(place.client(node), 'mn\r\n', 'MN\r\n'), 'MN\r\n')
  })

  t.test('an idle connection is closed without a word, a busy one is not', async t => {
    const node = await place.node({ idleTimeoutSec: 0.2 })
    const [idle, busy] = [place.client(node), place.client(node)]
    await ask(idle, 'mn\r\n', 'MN\r\n')
    const talk = { on: true, sent: 0 }
    await place.until(() => {
      if (talk.on && busy.text.length === talk.sent * 'MN\r\n'.length) {
        talk.sent++
        busy.send('mn\r\n')
      }
      return idle.closed
    }, 'closed')
    t.equal(idle.text, '')
    t.equal(node.stat('idle_kicks'), 1)
    t.equal(busy.closed, false)
    talk.on = false
    await place.until(() => busy.closed, 'silent now, and closed too')
    t.equal(node.stat('idle_kicks'), 2)
    t.equal(node.stat('curr_connections'), 0)
  })

  t.test('-R: a long pipeline makes room for others, and every request is answered', async t => {
    for (const reqsPerEvent of [1, 1000]) {
      const node = await place.node({ reqsPerEvent })
      const client = place.client(node)
      const count = 2000
      client.send('stats nonsense\r\n'.repeat(count))
      await place.until(() => client.size === count * 'ERROR\r\n'.length, 'all answers')
      if (reqsPerEvent === 1) t.ok(node.stat('conn_yields') > 10, `${node.stat('conn_yields')} yields`)
      else t.equal(node.stat('conn_yields'), 0)
    }
  })

  t.test('stats', async t => {
    const node = await place.node({ maxConnections: 77 })
    const client = place.client(node)
    client.send('get a\r\nstats\r\nstats settings\r\n')
    await place.until(() => client.text.split('END\r\n').length > 3, 'three lists')
    const [, general = '', settings = ''] = client.text.split('END\r\n')
    const names = [...general.matchAll(/^STAT (\S+) \S+\r$/gm)].map(match => match[1]!)
    t.equal(names[0], 'pid')
    t.match(general, /STAT curr_connections 1\r\n/)
    t.match(general, /STAT cmd_get 1\r\n/)
    t.match(settings, /STAT maxbytes 67108864\r\nSTAT maxconns 77\r\n/)
  })

  t.test('stop: what came is answered, then everything is closed', async t => {
    const node = await place.node()
    const client = place.client(node)
    t.equal(await ask(client, set('a', '1'), 'STORED\r\n'), 'STORED\r\n')
    node.tell({ type: 'stop' })
    await place.until(() => node.posted('stopped').length === 1, 'stopped')
    await place.until(() => client.closed, 'closed')
    const late = place.client(node)
    await place.until(() => late.closed, 'refused')
    t.equal(late.text, '')
  })
  t.end()
}

t.test('simulated', t => battery(t, simulatedPlace()))
t.test('net', t => battery(t, netPlace()))
