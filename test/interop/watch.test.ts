/** What watchers see of one client, and how figures are named: the same from Debian's memcached and from us. */
import t, { type Test } from 'tap'
import { dial, type RawClient } from '../cli/raw-client.js'
import { continuum, freePort, has, start } from './processes.js'

const HOST = '127.0.0.1'

const SCRIPT = [
  'set a 0 0 1\r\n1\r\n',
  'get a b a\r\n',
  'add a 0 0 1\r\n1\r\n',
  'replace none 0 0 1\r\n1\r\n',
  'append a 0 0 2\r\n23\r\n',
  'prepend a 0 0 1\r\n0\r\n',
  'cas a 0 0 1 999999\r\n1\r\n',
  'cas none 0 0 1 1\r\n1\r\n',
  'set ttl 5 100 4\r\nabcd\r\n',
  'set gone 0 -1 1\r\n1\r\n',
  'get gone\r\n',
  'incr a 1\r\n',
  'touch a 10\r\n',
  'gat 0 a none\r\n',
  'delete a\r\n',
  'delete a\r\n',
  'ms m 2 T30 c\r\nhi\r\n',
  'ms m 2 ME\r\nhi\r\n',
  'ms m 2 MA\r\nho\r\n',
  'mg m v t\r\n',
  'mg none v\r\n',
  'md m\r\n',
  'set strange#key%/~ 0 0 1\r\n1\r\n',
  'get last\r\n',
]

/** Numbers of a class are those of our own chunks. */
const masked = (text: string) =>
  text
    .replace(/ts=\d+\.\d+ gid=\d+ /g, '')
    .replace(/clsid=[1-9]\d*/g, 'clsid')
    // Of what is dead already memcached tells a negative number as a large one, and ours is from another past.
    .replace(/ttl=(-\d+|\d{10})/g, 'ttl=dead')
    .replace(/cfd=\d+/g, 'cfd')
    // Whoever looks after the lists may have come by already.
    .replace(/key=gone status=expired/g, 'key=gone status=not_found')

async function seen(t: Test, port: number): Promise<string[]> {
  const to = { host: HOST, port }
  const [watcher, user] = [dial(t, to), dial(t, to)]
  t.equal(await watcher.ask('watch fetchers mutations evictions\r\n'), 'OK\r\n')
  await untilSeen(watcher, user)
  // Some wait for the answer, as memcached logs what a client does not wait for in any order.
  for (const sent of SCRIPT) {
    user.send(`${sent}mn\r\n`)
    await user.until(() => user.text.endsWith('MN\r\n'))
  }
  return masked(await watcher.until(() => watcher.text.includes('key=last')))
    .trimEnd()
    .split('\n')
}

/** A worker of memcached's may not know yet that somebody watches. */
async function untilSeen(watcher: RawClient, user: RawClient): Promise<void> {
  while (!watcher.text.includes('key=seen')) await user.ask('get seen\r\n')
  await user.ask('get ready\r\n')
  await watcher.until(() => watcher.text.includes('key=ready'))
}

async function names(t: Test, port: number, command: string): Promise<string[]> {
  const text = await dial(t, { host: HOST, port }).ask(`${command}\r\n`, 'END\r\n')
  return [...text.matchAll(/^STAT (\S+)/gm)].map(match => match[1]!)
}

/** Of 1.6.18, not of what we follow. */
const REMOVED = new Set(['slab_reassign_evictions_nomem'])
/** Parts that a build may have. */
const BUILT = /^(ext_|ssl_|proxy_|drop_privileges|slab_automove_freeratio|get_|recache_|miss_|badcrc_)/

if (!has('memcached')) t.pass('skipped', { skip: 'memcached is not installed' })
else {
  t.test('lines, and names of figures', async t => {
    const port = await freePort()
    const root = process.getuid?.() === 0 ? ['-u', 'root'] : []
    const theirs = start('memcached', ['-l', HOST, '-p', String(port), '-U', '0', '-t', '1', ...root])
    t.teardown(() => theirs.stop())
    const server = continuum('server', '-p', '-1', '-t', '2', '--json-ready')
    t.teardown(() => server.stop())
    const [, own] = await server.until(/"clientPort":(\d+)/)
    await answering(t, port)
    const expected = await seen(t, port)
    t.ok(expected.length > 30)
    t.same(await seen(t, Number(own)), expected)
    for (const command of ['stats', 'stats settings']) {
      const ours = await names(t, Number(own), command)
      const wanted = (await names(t, port, command)).filter(name => !REMOVED.has(name) && !BUILT.test(name))
      t.same(
        ours.filter(name => wanted.includes(name)),
        wanted,
        `${command}: every name, in order`,
      )
    }
  })
}

async function answering(t: Test, port: number): Promise<void> {
  for (let answer = ''; answer !== 'MN\r\n'; ) {
    const client = dial(t, { host: HOST, port })
    answer = await client.ask('mn\r\n')
    client.socket.destroy()
  }
}
