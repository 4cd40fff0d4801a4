/** Issue 2, "Bad input": each one plain sentence, exit code 1, nothing lost. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { run, runBy, start } from './process.js'

const HOST = '127.0.0.1'

async function takenPort(t: Test): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, HOST, resolve))
  t.teardown(() => server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function refused(t: Test, args: string[], sentence: string | RegExp): Promise<void> {
  const { code, stdout, stderr } = await run(...args)
  t.equal(code, 1, args.join(' '))
  t.equal(stdout, '')
  if (typeof sentence === 'string') t.equal(stderr, `continuum: ${sentence}\n`)
  else t.match(stderr, sentence)
  t.equal(stderr.trimEnd().split('\n').length, 1, 'one sentence')
}

const coordinator = (t: Test, ...more: string[]) =>
  start(t, 'coordinator', '--listen', `${HOST}:0`, '--data-dir', t.testdir(), ...more)

t.test('flags', async t => {
  await refused(t, ['server', '--nonsense'], "unknown option '--nonsense' (--help lists what there is)")
  await refused(t, ['server', '-y'], "unknown option '-y' (--help lists what there is)")
  await refused(t, ['server', '-m', '1'], '-m 1: too small for items of 1m, give at least 2 or a smaller -I')
  await refused(
    t,
    ['server', '-m', '100000'],
    '-m 100000: too large, a node holds at most 3072: run more nodes on this machine',
  )
  await refused(t, ['server', '-S'], '-S (--enable-sasl): SASL belongs to the binary protocol, which is not spoken')
  await refused(t, ['server', '-Z'], '-Z needs -o ssl_chain_cert=file and -o ssl_key=file')
  await refused(t, ['nonsense'], "unknown command 'nonsense'")
  await refused(t, ['server', '-p'], "option '-p, --port <num>' argument missing")
})

t.test('words of a tier', async t => {
  const join = ['server', '--join', 'embedded://127.0.0.1:1']
  await refused(t, ['server', '--weight', '2'], '--weight needs --join: a node alone is in no tier')
  await refused(t, join, '--join needs --node-id: the name of this node in the tier')
  await refused(
    t,
    ['server', '--join', 'here', '--node-id', 'a'],
    '"here" is no topology store: give embedded://host:port',
  )
  await refused(
    t,
    [...join, '--node-id', 'a', '--weight', '1.5'],
    '--weight 1.5: must be a whole number from 0 to 1000000',
  )
  await refused(
    t,
    [...join, '--node-id', 'a', '--migration-rate', 'fast'],
    '--migration-rate fast: must be megabytes a second, 0.01 or more',
  )
  await refused(
    t,
    [...join, '--node-id', 'a', '--peer-host', '0.0.0.0'],
    '--peer-host 0.0.0.0: without --peer-secret-file only loopback addresses (127.0.0.1) may be used',
  )
  await refused(
    t,
    ['coordinator', '--data-dir', t.testdir(), '--listen', '0.0.0.0:0'],
    '--listen 0.0.0.0: without --peer-secret-file only loopback addresses (127.0.0.1) may be used',
  )
  await refused(t, ['coordinator', '--listen', `${HOST}:0`], "required option '--data-dir <dir>' not specified")
})

t.test('a processor without vectors', { skip: process.arch !== 'x64' && 'another processor' }, async t => {
  const { code, stderr } = await runBy(['--no-enable-sse4-1'], 'server', '-p', '0')
  t.equal(code, 1)
  t.match(stderr, /^continuum: this processor cannot run the engine, .*SSE4\.1\): .*SIMD unsupported.*\n$/)
})

t.test('port taken', async t => {
  const port = await takenPort(t)
  const sentence = `port ${port} on ${HOST} is taken`
  await refused(t, ['coordinator', '--listen', `${HOST}:${port}`, '--data-dir', t.testdir()], sentence)
  await refused(t, ['up', '--port', String(port)], sentence)
})

t.test('a topology store that nobody answers', async t => {
  const { ready, child, end } = await coordinator(t)
  child.kill('SIGTERM')
  t.equal((await end).code, 0, 'SIGTERM ends a coordinator cleanly')
  const sentence = `the topology store ${ready.store} does not answer (connection refused)`
  await refused(t, ['tier', 'status', '--tier', String(ready.store)], sentence)
})

t.test('a topology file cut in half', async t => {
  const directory = t.testdir()
  const args = ['coordinator', '--listen', `${HOST}:0`, '--data-dir', directory]
  const topology = { format: 1, tier: 'x', dialect: 'libmemcached-weighted', pointsPerServer: 160, epoch: 0 }
  const whole = JSON.stringify({ revision: 1, topology: { ...topology, nodes: [], generations: [], changes: [] } })
  const path = join(directory, 'topology.json')
  writeFileSync(path, whole.slice(0, whole.length / 2))
  const damaged = `the topology file ${path} is damaged (it ends too early or is no JSON);`
  await refused(t, args, `${damaged} there is no previous one beside it`)
  writeFileSync(`${path}.1`, whole)
  await refused(t, args, `${damaged} the previous one is ${path}.1: copy it to ${path} to go on from there`)
  t.equal(readFileSync(path, 'utf8'), whole.slice(0, whole.length / 2), 'it was not touched')
  writeFileSync(path, whole)
  await start(t, ...args)
})

t.test('secrets', async t => {
  const directory = t.testdir({ right: 'right\n', wrong: 'wrong\n', empty: '\n' })
  mkdirSync(join(directory, 'data'))
  const file = (name: string) => join(directory, name)
  const args = ['coordinator', '--listen', `${HOST}:0`, '--data-dir', file('data'), '--peer-secret-file']
  await refused(
    t,
    [...args, file('none')],
    `the peer secret file ${file('none')} cannot be read (there is no such file or directory)`,
  )
  const { code, stderr } = await run(...args, file('empty'))
  t.equal(code, 1)
  t.match(stderr, `continuum: the peer secret file ${file('empty')} is empty\n`)
  const { ready } = await start(t, ...args, file('right'))
  const status = ['tier', 'status', '--tier', String(ready.store)]
  const wrong = await run(...status, '--peer-secret-file', file('wrong'))
  t.equal(wrong.code, 1)
  t.match(wrong.stderr, /continuum: the topology store embedded:.* refused the link: .*secret/)
  t.notMatch(wrong.stderr, /right|"wrong"/, 'no secret is ever said')
  t.equal((await run(...status, '--peer-secret-file', file('right'))).code, 0)
})

t.test('rubbish on the port of the store disturbs nobody', async t => {
  const { ready } = await coordinator(t)
  const socket = connect(Number(ready.port), HOST)
  socket.on('error', () => {})
  socket.write(Buffer.alloc(100_000, 'get x\r\n'))
  await new Promise(resolve => socket.on('close', resolve))
  const { code, stdout } = await run('tier', 'status', '--json', '--tier', String(ready.store))
  t.equal(code, 0)
  t.same(JSON.parse(stdout), { tier: 'tier', epoch: 0, settled: true, nodes: [], changes: [] })
})

t.test('wishes', async t => {
  const { ready } = await coordinator(t)
  const tier = ['--tier', String(ready.store)]
  await refused(t, ['tier', 'drain', 'x', ...tier], 'there is no node "x" in this tier (nodes: none)')
  await refused(t, ['tier', 'reweight', 'x', 'many', ...tier], 'weight many: must be a whole number from 0 to 1000000')
  await refused(t, ['tier', 'status', '--tier', 'etcd://127.0.0.1:2379/x'], /etcd comes later/)
  t.equal((await run('tier', 'generations', ...tier)).stdout, 'tier tier has no ring yet\n')
})

t.test('up leaves nothing behind when it cannot start', async t => {
  const directory = t.testdir()
  writeFileSync(join(directory, 'up.json'), '{"store": ')
  await refused(t, ['up', '--port', '0', '--data-dir', directory], '--port 0: must be a whole number from 1 to 65535')
  t.same(readdirSync(directory), ['up.json'])
})
