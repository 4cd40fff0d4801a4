/** `continuum server` as a process among others: its version, its daemon, its pid file, its user, its signals. */
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { continuum, freePort } from '../interop/processes.js'
import { run, shortFolder, start } from './process.js'
import { ask } from './raw-client.js'

const SERVER = ['server', '-m', '16', '-p', '0', '-t', '1']
const HOST = '127.0.0.1'
const isRoot = process.getuid?.() === 0

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function gone(pid: number): Promise<void> {
  for (const end = Date.now() + 20_000; isRunning(pid); ) {
    if (Date.now() > end) throw new Error(`process ${pid} does not end`)
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** Ends a daemon that a test started, by the id that it said. */
function endLater(t: Test, pid: number): void {
  t.teardown(async () => {
    if (!isRunning(pid)) return
    process.kill(pid, 'SIGKILL')
    await gone(pid)
  })
}

t.test('version and help', async t => {
  const { code, stdout } = await run('server', '-V')
  t.equal(code, 0)
  t.match(stdout, /^continuum \d+\.\d+\.\d+ \(speaks as memcached 1\.6\.\d+\)\n$/)
  t.equal((await run('server', '--version')).stdout, stdout)
  const help = await run('server', '-h')
  t.equal(help.code, 0)
  for (const flag of ['-s, --unix-socket', '-P, --pidfile', '-d, --daemon', '-u, --user']) t.match(help.stdout, flag)
})

t.test('signals that end it cleanly, and one that does not', async t => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGUSR1'] as const) {
    const { child, ready, end } = await start(t, ...SERVER)
    child.kill('SIGHUP')
    t.equal(await ask(t, { host: HOST, port: Number(ready.clientPort) }, 'mn\r\n'), 'MN\r\n', 'SIGHUP ends nothing')
    child.kill(signal)
    t.same(await end.then(({ code, stderr }) => ({ code, stderr })), { code: 0, stderr: '' }, signal)
  }
})

t.test('shutdown by the first who gets in, while the other threads still start', async t => {
  for (const command of ['shutdown', 'shutdown graceful']) {
    const port = await freePort()
    const server = continuum('server', '-A', '-p', String(port), '-l', HOST, '-t', '4')
    t.teardown(() => server.stop('SIGKILL'))
    let answer = ''
    while (answer === '') answer = await ask(t, { host: HOST, port }, 'version\r\n')
    await ask(t, { host: HOST, port }, `${command}\r\n`)
    t.equal(await server.ended, 0, command)
    t.notMatch(server.output(), /[Dd]ebugger/)
  }
})

t.test('-v says what happens, on stderr', async t => {
  for (const [flag, sentence] of [
    ['-v', 'loop'],
    ['-vvv', 'no effect'],
  ] as const) {
    const { child, end } = await start(t, ...SERVER, flag, '-o', 'modern')
    child.kill('SIGTERM')
    t.match((await end).stderr, sentence)
  }
})

t.test('-vvv also says what happens to keys, until verbosity says less', async t => {
  const { child, ready, end } = await start(t, ...SERVER, '-vvv')
  const tell = (text: string) => ask(t, { host: HOST, port: Number(ready.clientPort) }, text, 'MN\r\n')
  await tell('set a 0 0 1\r\n1\r\nget none\r\ndelete a\r\nmn\r\n')
  child.kill('SIGTERM')
  const said = (await end).stderr
  t.match(said, /"level":10,.*"msg":"type=item_store key=a status=stored cmd=set ttl=0 clsid=1 cfd=\d+ size=1"/)
  t.match(said, 'type=item_get key=none status=not_found')
  t.match(said, 'type=deleted key=a cmd=delete')

  const quieter = await start(t, ...SERVER, '-vvv')
  const to = { host: HOST, port: Number(quieter.ready.clientPort) }
  t.match(await ask(t, to, 'stats settings\r\n', 'END\r\n'), /STAT verbosity 3\r\n/)
  t.match(await ask(t, to, 'verbosity 3\r\nstats\r\n', 'END\r\n'), /^OK\r\n(.*\r\n)*STAT log_watchers 0\r\n/)
  t.match(await ask(t, to, 'stats settings\r\n', 'END\r\n'), /STAT verbosity 2\r\n/, 'as memcached')
  await ask(t, to, 'get none\r\n', 'END\r\n')
  quieter.child.kill('SIGTERM')
  t.notMatch((await quieter.end).stderr, 'item_get')
})

t.test('-P: a pid file as long as the process lives', async t => {
  const file = join(t.testdir(), 'pid')
  writeFileSync(file, `${process.pid}\n`)
  const { child, end } = await start(t, ...SERVER, '-P', file)
  t.equal(readFileSync(file, 'utf8'), `${child.pid}\n`)
  child.kill('SIGTERM')
  t.match((await end).stderr, `named process ${process.pid}, which is still running`)
  t.notOk(existsSync(file))
})

t.test('-P: a file of somebody else is left', async t => {
  const file = join(t.testdir(), 'pid')
  const { child, end } = await start(t, ...SERVER, '-P', file)
  writeFileSync(file, '1\n')
  child.kill('SIGTERM')
  await end
  t.equal(readFileSync(file, 'utf8'), '1\n')
})

t.test('-P: a file that cannot be written', async t => {
  const directory = shortFolder(t)
  const file = join(directory, 'none', 'pid')
  const socket = join(directory, 'socket')
  const { code, stderr } = await run(...SERVER, '-s', socket, '-P', file)
  t.equal(code, 1)
  t.equal(stderr, `continuum: the pid file ${file} cannot be written (there is no such file or directory)\n`)
  t.same(readdirSync(directory), [], 'nothing left behind')
})

t.test('-d: the command ends when the daemon is ready', async t => {
  const file = join(t.testdir(), 'pid')
  const { code, stdout, stderr } = await run(...SERVER, '-d', '-P', file, '--json-ready')
  t.equal(code, 0)
  t.equal(stderr, '')
  const ready = JSON.parse(stdout) as { pid: number; clientPort: number }
  endLater(t, ready.pid)
  t.equal(readFileSync(file, 'utf8'), `${ready.pid}\n`)
  t.equal(await ask(t, { host: HOST, port: ready.clientPort }, 'mn\r\n'), 'MN\r\n')

  const taken = await run('server', '-d', '-p', String(ready.clientPort))
  t.same(taken, { code: 1, stdout: '', stderr: `continuum: port ${ready.clientPort} on ${HOST} is taken\n` })
  const wrong = await run('server', '-d', '-m', '1')
  t.same(wrong, {
    code: 1,
    stdout: '',
    stderr: 'continuum: -m 1: too small for items of 1m, give at least 2 or a smaller -I\n',
  })

  process.kill(ready.pid, 'SIGTERM')
  await gone(ready.pid)
  t.notOk(existsSync(file))
})

t.test('-Y: the users are read again on SIGHUP; what cannot be read changes nothing', async t => {
  const file = join(t.testdir({ users: 'ann:old\n' }), 'users')
  const { child, ready, end } = await start(t, ...SERVER, '-t', '2', '-Y', file)
  const to = { host: HOST, port: Number(ready.clientPort) }
  const login = (password: string) => ask(t, to, `set x 0 0 ${password.length + 4}\r\nann ${password}\r\n`)
  t.equal(await ask(t, to, 'get a\r\n'), 'CLIENT_ERROR unauthenticated\r\n')
  t.equal(await login('old'), 'STORED\r\n')
  writeFileSync(file, 'ann:new\n')
  child.kill('SIGHUP')
  for (let answer = ''; answer !== 'STORED\r\n'; ) answer = await login('new')
  writeFileSync(file, 'nobody\n')
  child.kill('SIGHUP')
  await new Promise(resolve => child.stderr!.once('data', resolve))
  t.equal(await login('new'), 'STORED\r\n')
  child.kill('SIGTERM')
  const { stderr } = await end
  t.match(stderr, 'line 1 is not user:password: the users stay as they were')
  const refused = await run(...SERVER, '-Y', `${file}.none`)
  const sentence = `the auth file ${file}.none cannot be read (there is no such file or directory)`
  t.same(refused, { code: 1, stdout: '', stderr: `continuum: ${sentence}\n` })
})

t.test('-u', { skip: isRoot ? false : 'only root can become another user' }, async t => {
  const unknown = await run(...SERVER, '-u', 'no such user')
  t.same(unknown, { code: 1, stdout: '', stderr: "continuum: can't find the user no such user to switch to\n" })
  const directory = shortFolder(t)
  chmodSync(directory, 0o777)
  const { child, ready, end } = await start(
    t,
    ...SERVER,
    '-p',
    '-1',
    '-t',
    '2',
    '-u',
    'nobody',
    '-s',
    join(directory, 'socket'),
  )
  const tasks = `/proc/${child.pid}/task`
  const users = readdirSync(tasks).map(
    task => /^Uid:\s+(.*)$/m.exec(readFileSync(`${tasks}/${task}/status`, 'utf8'))?.[1],
  )
  t.same([...new Set(users)].length, 1, 'every thread')
  t.notMatch(users[0], /\b0\b/)
  t.equal(await ask(t, { host: HOST, port: Number(ready.clientPort) }, 'mn\r\n'), 'MN\r\n')
  child.kill('SIGTERM')
  t.equal((await end).code, 0)
  t.same(readdirSync(directory), [], 'the socket was its own')
})
