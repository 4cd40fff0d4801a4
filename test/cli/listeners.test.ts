/** Where `continuum server` listens: several addresses, names, unix sockets, the file of ports, and how many may come. */
import { existsSync, lstatSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LOOPS } from '../transport/place.js'
import { run, shortFolder, start, startWith } from './process.js'
import { ask, dial, type RawClient } from './raw-client.js'

const SMALL = ['-m', '16']

const ports = (places: unknown) => (places as string[]).map(place => Number(/:(\d+)$/.exec(place)?.[1]))

for (const loop of LOOPS) {
  const args = ['server', ...SMALL, '--loop', loop]

  t.test(`several addresses (${loop})`, async t => {
    const file = join(t.testdir(), 'ports')
    const env = { MEMCACHED_PORT_FILENAME: file }
    const listen = ['-l', '127.0.0.1,127.0.0.2', '-l', '[::1]:0', '-l', 'localhost']
    const { ready } = await startWith(t, env, ...args, '-p', '-1', '-t', '2', ...listen)
    const [a, b, c, d] = ports(ready.places) as [number, number, number, number]
    t.same(ready.places, [`127.0.0.1:${a}`, `127.0.0.2:${b}`, `[::1]:${c}`, `127.0.0.1:${d}`])
    t.equal(readFileSync(file, 'utf8'), `TCP INET: ${a}\nTCP INET: ${b}\nTCP INET6: ${c}\nTCP INET: ${d}\n`)
    t.equal(await ask(t, { host: '127.0.0.1', port: a }, 'set k 0 0 1\r\nv\r\n'), 'STORED\r\n')
    for (const to of [
      { host: '127.0.0.2', port: b },
      { host: '::1', port: c },
      { host: '127.0.0.1', port: d },
    ]) {
      t.equal(await ask(t, to, 'get k\r\n', 'END\r\n'), 'VALUE k 0 1\r\nv\r\nEND\r\n')
    }
  })

  t.test(`IPv4 and IPv6 on one port (${loop})`, async t => {
    const { ready } = await start(t, ...args, '-p', '0', '-l', '127.0.0.1')
    const port = Number(ready.clientPort)
    const other = await start(t, ...args, '-p', String(port), '-l', '::1')
    t.equal(other.ready.clientPort, port)
  })

  t.test(`a unix socket, with several threads (${loop})`, async t => {
    const path = join(shortFolder(t), 'socket')
    const { ready, child, end } = await start(t, ...args, '-s', path, '-t', '2')
    t.same(ready.places, [path], 'and no TCP')
    t.equal(ready.clientPort, 0)
    t.equal(statSync(path).mode & 0o777, 0o700)
    t.equal(await ask(t, { path }, 'set k 0 0 1\r\nv\r\n'), 'STORED\r\n')
    const clients = Array.from({ length: 20 }, () => dial(t, { path }))
    for (const client of clients) t.equal(await client.ask('get k\r\n', 'END\r\n'), 'VALUE k 0 1\r\nv\r\nEND\r\n')
    const big = 'b'.repeat(500_000)
    t.equal(await ask(t, { path }, `set big 0 0 ${big.length}\r\n${big}\r\n`), 'STORED\r\n')
    t.equal(
      (await ask(t, { path }, 'get big\r\n', 'END\r\n')).length,
      big.length + 'VALUE big 0 500000\r\n\r\nEND\r\n'.length,
    )
    const second = await run(...args, '-s', path)
    t.same(second, { code: 1, stdout: '', stderr: `continuum: the unix socket ${path} is taken\n` })
    child.kill('SIGTERM')
    t.equal((await end).code, 0)
    t.notOk(existsSync(path), 'removed at the end')
  })

  t.test(`a unix socket beside TCP, its permissions, and one that a killed server left (${loop})`, async t => {
    const path = join(shortFolder(t), 'socket')
    const first = await start(t, ...args, '-s', path, '-a', '0770', '-p', '-1')
    t.equal(statSync(path).mode & 0o777, 0o770)
    t.equal(await ask(t, { host: '127.0.0.1', port: Number(first.ready.clientPort) }, 'mn\r\n'), 'MN\r\n')
    first.child.kill('SIGKILL')
    await first.end
    t.ok(lstatSync(path).isSocket(), 'still there')
    await start(t, ...args, '-s', path)
    t.equal(await ask(t, { path }, 'mn\r\n'), 'MN\r\n')
  })

  t.test(`-c counts the connections of all threads, and says no at once (${loop})`, async t => {
    const { ready } = await start(t, ...args, '-p', '0', '-c', '7', '-t', '3')
    const to = { host: '127.0.0.1', port: Number(ready.clientPort) }
    const inside: RawClient[] = []
    for (let i = 0; i < 7; i++) {
      const client = dial(t, to)
      t.equal(await client.ask('mn\r\n'), 'MN\r\n', `connection ${i + 1}`)
      inside.push(client)
    }
    for (let i = 0; i < 5; i++) t.equal(await dial(t, to).rest(), 'ERROR Too many open connections\r\n')
    t.match(
      await inside[0]!.ask('stats\r\n', 'END\r\n'),
      /STAT curr_connections 7\r\n(.*\r\n)*STAT rejected_connections 5\r\n/,
    )
    inside.pop()!.socket.end('quit\r\n')
    const again = async (): Promise<string> => {
      const answer = await dial(t, to).ask('mn\r\n')
      return answer === 'MN\r\n' ? answer : again()
    }
    t.equal(await again(), 'MN\r\n', 'room again')
  })
}

async function refused(t: Test, args: string[], sentence: string): Promise<void> {
  t.same(await run('server', ...SMALL, ...args), { code: 1, stdout: '', stderr: `continuum: ${sentence}\n` })
}

t.test('places where nobody can listen', async t => {
  const directory = shortFolder(t)
  const file = join(directory, 'file')
  writeFileSync(file, 'something')
  await refused(t, ['-s', file], `cannot listen on ${file}: there is a file that is no socket`)
  t.equal(readFileSync(file, 'utf8'), 'something')
  const nowhere = join(directory, 'none', 'socket')
  for (const loop of LOOPS) {
    await refused(t, ['-s', nowhere, '--loop', loop], `cannot listen on ${nowhere}: no such file or directory`)
  }
  await refused(t, ['-l', 'no.such.name.invalid'], 'cannot listen on "no.such.name.invalid": host name is not known')
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await new Promise(resolve => taken.once('listening', resolve))
  const address = taken.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  await refused(t, ['-p', '0', '-l', `127.0.0.1,127.0.0.1:${port}`], `port ${port} on 127.0.0.1 is taken`)
  const join1 = ['--join', 'embedded://127.0.0.1:1', '--node-id', 'a']
  await refused(t, ['-s', join(directory, 'socket'), ...join1], '--join needs a TCP port: give -p beside -s')
  const env = { MEMCACHED_PORT_FILENAME: join(directory, 'none', 'ports') }
  await t.rejects(startWith(t, env, 'server', ...SMALL, '-p', '0'), /MEMCACHED_PORT_FILENAME, .*, cannot be written/)
})
