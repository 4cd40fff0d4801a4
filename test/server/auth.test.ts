/** -Y: a connection must say who it is before anything of it reaches the engine (PROTOCOL D12). */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Credentials, isKnown, readAuthFile } from '../../lib/server/auth-file.js'
import { netPlace, type Place, type RawClient, simulatedPlace } from './harness.js'

const login = (text: string) => `set any 0 0 ${text.length}\r\n${text}\r\n`
const REFUSED = 'CLIENT_ERROR unauthenticated\r\n'
const FAILED = 'CLIENT_ERROR authentication failure\r\n'

function credentialsOf(t: Test, text: string): Credentials {
  const file = readAuthFile(join(t.testdir({ users: text }), 'users'))
  if (!file.ok) throw new Error(file.sentence)
  return file.credentials
}

function battery(t: Test, place: Place): void {
  t.teardown(() => place.stop())
  const ask = async (client: RawClient, bytes: string, expected: string) => {
    client.send(bytes)
    await place.until(() => client.size >= expected.length, `${expected.length} bytes of answer`)
    return client.take()
  }
  const start = (t: Test) => place.node({ credentials: credentialsOf(t, 'ann:secret\nbob:two words\n') })

  t.test('who is known comes in, and what was sent behind is answered', async t => {
    const node = await start(t)
    const client = place.client(node)
    t.equal(await ask(client, 'get a\r\n', REFUSED), REFUSED)
    t.equal(await ask(client, login('ann wrong'), FAILED), FAILED)
    const expected = 'STORED\r\nSTORED\r\nVALUE a 0 1\r\nv\r\nEND\r\n'
    t.equal(await ask(client, `${login('ann secret')}set a 0 0 1\r\nv\r\nget a\r\n`, expected), expected)
    t.equal(await ask(client, 'get any\r\n', 'END\r\n'), 'END\r\n', 'nothing of the login was stored')
    t.equal(node.stat('auth_cmds'), 2)
    t.equal(node.stat('auth_errors'), 1)
    t.equal(await ask(place.client(node), login('bob two words'), 'STORED\r\n'), 'STORED\r\n')
  })

  t.test('cut at every byte', async t => {
    const node = await start(t)
    const sent = `${login('ann secret')}mn\r\n`
    for (let cut = 1; cut < sent.length; cut++) {
      const client = place.client(node)
      client.send(sent.slice(0, cut))
      await place.until(() => node.stat('curr_connections') === 1, 'connected')
      const answer = await ask(client, sent.slice(cut), 'STORED\r\nMN\r\n')
      if (answer !== 'STORED\r\nMN\r\n') t.equal(answer, 'STORED\r\nMN\r\n', `cut at ${cut}`)
      client.connection.close()
      await place.until(() => node.stat('curr_connections') === 0, 'gone')
    }
    const client = place.client(node)
    for (const byte of sent) client.send(byte)
    t.equal(await ask(client, '', 'STORED\r\nMN\r\n'), 'STORED\r\nMN\r\n')
  })

  t.test('memcached’s words for what is no login', async t => {
    const client = place.client(await start(t))
    for (const [sent, expected] of [
      ['version\r\n', REFUSED],
      ['set any 0 0\r\n', REFUSED],
      ['set any 0 0 x\r\n', REFUSED],
      ['add any 0 0 10\r\n', REFUSED],
      ['set any 0 0 2147483646\r\n', 'CLIENT_ERROR auth token too long\r\n'],
      ['set any 0 0 3\r\nabcdefghijkl\r\n', `CLIENT_ERROR bad command line termination\r\n${REFUSED}`],
      [login('annsecret'), 'CLIENT_ERROR bad authentication token format\r\n'],
      [login('ann secret '), FAILED],
      [login('ann '), FAILED],
      [login(' ann secret'), FAILED],
      [login('Ann secret'), FAILED],
    ] as const) {
      t.equal(await ask(client, sent, expected), expected, JSON.stringify(sent))
    }
    const quick = place.client(await start(t))
    quick.send('version\r\n'.repeat(5000))
    await place.until(() => quick.size === REFUSED.length * 5000, 'all refused')
  })

  t.test('rubbish closes the connection', async t => {
    const node = await start(t)
    for (const rubbish of ['x'.repeat(3000), '\r\n', 'a\n']) {
      const client = place.client(node)
      client.send(rubbish)
      await place.until(() => client.closed, 'closed')
      t.equal(client.text, '')
    }
    await place.until(() => node.stat('curr_connections') === 0, 'none counted')
    t.equal(node.stat('auth_cmds'), 0)
  })

  t.test('new users count from the next login on', async t => {
    const node = await start(t)
    const inside = place.client(node)
    await ask(inside, login('ann secret'), 'STORED\r\n')
    node.tell({ type: 'credentials', credentials: credentialsOf(t, 'eve:new') })
    t.equal(await ask(inside, 'mn\r\n', 'MN\r\n'), 'MN\r\n', 'who is in stays in')
    const client = place.client(node)
    t.equal(await ask(client, login('ann secret'), FAILED), FAILED)
    t.equal(await ask(client, login('eve new'), 'STORED\r\n'), 'STORED\r\n')
  })

  t.test('stop and idle limit reach those who have not said who they are', async t => {
    const node = await place.node({ credentials: credentialsOf(t, 'a:b'), idleTimeoutSec: 0.1 })
    const idle = place.client(node)
    await place.until(() => idle.closed, 'kicked')
    t.equal(node.stat('idle_kicks'), 1)
    const waiting = place.client(node)
    await place.until(() => node.stat('curr_connections') === 1, 'connected')
    node.tell({ type: 'stop' })
    await place.until(() => node.posted('stopped').length === 1 && waiting.closed, 'stopped')
  })
  t.end()
}

t.test('simulated', t => battery(t, simulatedPlace()))
t.test('net', t => battery(t, netPlace()))

t.test('the file', async t => {
  const read = (text: string) => {
    const file = readAuthFile(join(t.testdir({ users: text }), 'users'))
    return file.ok ? file.credentials.length : file.sentence.replace(/^the auth file \S+/, 'FILE')
  }
  t.equal(read('a:b'), 1)
  t.equal(read('a:b\r\n\r\nc:\n'), 2)
  t.equal(read('a:b\nnobody\n'), 'FILE line 2 is not user:password')
  t.equal(read(':b\n'), 'FILE line 1 is not user:password')
  t.equal(read('\n'), 'FILE names no user')
  t.equal(read('a:b\n'.repeat(9)), 'FILE line 9 is one user too many, 8 fit')
  t.equal(read(`a:${'x'.repeat(255)}`), 'FILE line 1 is longer than 255 bytes')
  const missing = join(t.testdir(), 'none')
  t.same(readAuthFile(missing), {
    ...{ ok: false, sentence: `the auth file ${missing} cannot be read (there is no such file or directory)` },
  })
  const known = credentialsOf(t, 'a:b:c\n')
  t.equal(isKnown(known, Buffer.from('a'), Buffer.from('b:c')), true)
  t.equal(isKnown(known, Buffer.from('a:b'), Buffer.from('c')), false)
})
