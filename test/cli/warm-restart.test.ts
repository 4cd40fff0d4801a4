/** -e: what a node holds survives a graceful stop, once; what does not fit is refused with a sentence. */
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { continuum, type Started } from '../interop/processes.js'
import { dial } from './raw-client.js'

const HOST = '127.0.0.1'

async function node(t: Test, ...args: string[]): Promise<{ started: Started; port: number }> {
  const started = continuum('server', '-p', '-1', '-l', HOST, '-t', '2', '-m', '64', '-v', '--json-ready', ...args)
  t.teardown(() => started.stop())
  const [, port] = await started.until(/"clientPort":(\d+)/)
  return { started, port: Number(port) }
}

async function end({ started }: { started: Started }, signal: NodeJS.Signals): Promise<void> {
  started.child.kill(signal)
  await started.ended
}

t.test('everything is there again: values, flags, cas, times to live, chains', { timeout: 120_000 }, async t => {
  const file = join(t.testdir({}), 'memory')
  const first = await node(t, '-e', file)
  const a = dial(t, { host: HOST, port: first.port })
  const large = 'l'.repeat(700_000)
  const sets = Array.from({ length: 2000 }, (_, i) => `set key-${i} ${i} 0 ${String(i).length}\r\n${i}\r\n`).join('')
  a.send(`${sets}set large 7 1000 ${large.length}\r\n${large}\r\nset soon 0 1 1\r\nx\r\ndelete key-5\r\nmn\r\n`)
  await a.until(() => a.text.endsWith('MN\r\n'))
  const cas = /^VALUE key-9 9 1 (\d+)/.exec(await a.ask('gets key-9\r\n', 'END\r\n'))![1]
  await end(first, 'SIGUSR1')
  t.ok(existsSync(file))

  const second = await node(t, '-e', file)
  t.notOk(existsSync(file), 'it is good for one start')
  const b = dial(t, { host: HOST, port: second.port })
  t.match(await b.ask('stats\r\n', 'END\r\n'), /STAT curr_items 200[01]\r\n/)
  t.match(await b.ask('gets key-9\r\n', 'END\r\n'), `VALUE key-9 9 1 ${cas}\r\n9\r\n`)
  t.equal(await b.ask('get key-5\r\n', 'END\r\n'), 'END\r\n')
  t.equal(await b.ask('get large\r\n', 'END\r\n'), `VALUE large 7 ${large.length}\r\n${large}\r\nEND\r\n`)
  const ttl = Number(/^VA 700000 t(\d+)/.exec(await b.ask('mg large t v\r\n'))?.[1])
  t.ok(ttl > 900 && ttl <= 1000, `${ttl} seconds are left`)
  while ((await b.ask('get soon\r\n', 'END\r\n')) !== 'END\r\n');
  for (let i = 0; i < 2000; i += 97) {
    t.equal(await b.ask(`get key-${i}\r\n`, 'END\r\n'), `VALUE key-${i} ${i} ${String(i).length}\r\n${i}\r\nEND\r\n`)
  }
  // It goes on working: overwrites, deletes, new keys, and more than fits.
  b.send(`${sets}mn\r\n`)
  await b.until(() => b.text.endsWith('MN\r\n'))
  const fill = Array.from({ length: 90 }, (_, i) => `set fill-${i} 0 0 ${large.length}\r\n${large}\r\n`).join('')
  b.send(`${fill}mn\r\n`)
  await b.until(() => b.text.endsWith('MN\r\n'))
  t.equal(await b.ask('get fill-89\r\n', 'END\r\n'), `VALUE fill-89 0 ${large.length}\r\n${large}\r\nEND\r\n`)

  await end(second, 'SIGTERM')
  t.notOk(existsSync(file), 'only a graceful stop writes it')
})

t.test('what does not fit is refused with a sentence, and the node starts empty', { timeout: 120_000 }, async t => {
  const file = join(t.testdir({}), 'memory')
  const first = await node(t, '-e', file)
  await dial(t, { host: HOST, port: first.port }).ask('set a 0 0 1\r\n1\r\n')
  await end(first, 'SIGUSR1')
  const whole = readFileSync(file)
  const refused = async (why: RegExp, ...args: string[]) => {
    const other = await node(t, '-e', file, ...args)
    await other.started.until(why)
    t.equal(await dial(t, { host: HOST, port: other.port }).ask('get a\r\n', 'END\r\n'), 'END\r\n')
    await end(other, 'SIGTERM')
    t.ok(existsSync(file), 'it is left where it is')
  }
  await refused(/starts empty: it was written with another -m \(64, now 32\)/, '-m', '32')
  await refused(/starts empty: it was written with another -t \(2, now 1\)/, '-t', '1')
  truncateSync(file, whole.length - 1000)
  await refused(/starts empty: (its checksum is wrong|it ends too early)/)
  const damaged = Buffer.from(whole)
  damaged[whole.length / 2]! ^= 1
  writeFileSync(file, damaged)
  await refused(/starts empty: its checksum is wrong/)
  writeFileSync(file, 'something else')
  await refused(/starts empty: it (is no memory file|ends too early)/)
  writeFileSync(file, whole)
  const again = await node(t, '-e', file)
  t.equal(await dial(t, { host: HOST, port: again.port }).ask('get a\r\n', 'END\r\n'), 'VALUE a 0 1\r\n1\r\nEND\r\n')
})

t.test('in a tier it needs a disk that says whose the file is', async t => {
  const started = continuum('server', '-p', '-1', '--join', 'embedded://127.0.0.1:1', '--node-id', 'a', '-e', '/tmp/x')
  t.teardown(() => started.stop())
  await started.until(/-e in a tier needs --data-dir: without it nobody knows whether the file is of the last life/)
  t.equal(await started.ended, 1)
})
