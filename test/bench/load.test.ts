/** `bench load`, small: real servers, a few hundred requests; the counts are right, and a server that is not is found out. */
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { freePort, Process } from '../../bench/processes.js'
import type { LoadReport } from '../../bench/speed/load-run.js'
import { run } from '../cli/process.js'

const SMALL = ['--keys', '400', '--connections', '4', '--requests', '600', '--fill', '400']

async function ours(t: Test, more: string[] = []): Promise<number> {
  const args = ['server', '-p', '0', '-l', '127.0.0.1', '-t', '1', ...more]
  const [node, ready] = await Process.continuum('server', args)
  t.teardown(() => node.stop())
  return Number(ready.clientPort)
}

async function load(port: number, ...args: string[]): Promise<{ code: number | null; report: LoadReport }> {
  const { code, stdout, stderr } = await run('bench', 'load', '--target', `127.0.0.1:${port}`, '--json', ...args)
  if (stdout === '') throw new Error(stderr)
  return { code, report: JSON.parse(stdout) as LoadReport }
}

t.test('our own server', async t => {
  const port = await ours(t)
  for (const more of [
    [],
    ['--loop', 'net', '--in-flight', '16'],
    ['--multi-get', '7', '--processes', '2', '--value-size', 'lognormal:2000:30000', '--key-order', 'zipf:1'],
    ['--no-verify', '--value-size', '200000', '--read-share', '0.5', '--keys', '50', '--fill', '50'],
  ]) {
    const { code, report } = await load(port, ...SMALL, ...more)
    const { counts, ever, workload } = report
    t.equal(code, 0, more.join(' '))
    t.ok(report.isRight)
    t.match(ever, { wrong: 0, stale: 0, errors: 0 })
    t.equal(counts.requests, 600)
    t.equal(counts.reads + counts.writes, 600)
    t.equal(counts.hits, counts.reads * workload.multiGet, 'all keys were filled')
    t.equal(counts.misses, 0)
    t.equal(ever.writes, counts.writes + (workload.fill ?? 0))
  }
})

t.test('what was not filled is missed', async t => {
  const port = await ours(t)
  const { report } = await load(port, '--keys', '300', '--fill', '100', '--read-share', '1', '--requests', '500')
  t.equal(report.counts.reads, 500)
  t.equal(report.counts.hits + report.counts.misses, 500)
  t.ok(report.counts.misses > 0 && report.counts.hits > 0)
  t.ok(report.isRight, 'a cache may miss')
})

t.test('open loop', async t => {
  const port = await ours(t)
  const { code, report } = await load(port, '--keys', '400', '--rate', '500', '--duration', '0.3', '--warm-up', '0')
  t.equal(code, 0)
  t.match(report.ever, { wrong: 0, stale: 0, errors: 0 })
  t.ok(report.counts.requests > 0)
})

const memcached = { skip: existsSync('/usr/bin/memcached') ? false : 'memcached is not installed' }

t.test('memcached, classic and meta', memcached, async t => {
  const port = await freePort()
  const args = ['-p', String(port), '-l', '127.0.0.1', '-t', '1', ...(process.getuid?.() === 0 ? ['-u', 'nobody'] : [])]
  const peer = new Process('memcached', 'memcached', args)
  t.teardown(() => peer.stop())
  await peer.listens(port)
  for (const protocol of ['classic', 'meta']) {
    const more = ['--protocol', protocol, '--in-flight', '16', '--server-pid', String(peer.pid)]
    const { code, report } = await load(port, ...SMALL, ...more)
    t.equal(code, 0, protocol)
    t.match(report.ever, { wrong: 0, stale: 0, errors: 0 })
    t.equal(report.counts.requests, 600)
    t.equal(report.counts.hits, report.counts.reads)
    t.type(report.serverCpuShare, 'number')
  }
})

/** A server that stores nothing and answers every get with what `answer` makes of its key. */
function liar(t: Test, answer: (key: string) => string): Promise<number> {
  const server = createServer(socket => {
    let text = ''
    socket.on('error', () => {})
    socket.on('data', bytes => {
      text += bytes.toString('latin1')
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const [word, key = '', , , size] = text.slice(0, end).split(' ')
        const length = end + 2 + (word === 'set' ? Number(size) + 2 : 0)
        if (text.length < length) return
        text = text.slice(length)
        socket.write(word === 'set' ? 'STORED\r\n' : answer(key))
      }
    })
  })
  t.teardown(() => server.close())
  return new Promise(resolve => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') throw new Error('no port')
      resolve(address.port)
    })
  })
}

t.test('wrong answers are found out, exit code 1', async t => {
  const value = 'x'.repeat(100)
  for (const [answer, field] of [
    [(key: string) => `VALUE ${key} 0 100\r\n${value}\r\nEND\r\n`, 'wrong'],
    [() => `VALUE key-99999999 0 100\r\n${value}\r\nEND\r\n`, 'wrong'],
    [() => 'SERVER_ERROR out of everything\r\n', 'errors'],
  ] as const) {
    const port = await liar(t, answer)
    const { code, report } = await load(port, '--keys', '400', '--requests', '100', '--read-share', '1')
    t.equal(code, 1, field)
    t.equal(report.ever[field], 100)
    t.equal(report.isRight, false)
    t.ok(report.examples.length > 0)
  }
  const port = await liar(t, () => 'STORED\r\nVALUE \r\n')
  const target = ['--target', `127.0.0.1:${port}`, '--keys', '400', '--requests', '100', '--read-share', '1']
  const { code, stderr } = await run('bench', 'load', ...target)
  t.equal(code, 1)
  t.match(stderr, /^continuum: load: the server answered nonsense: "VALUE " is no value\n$/)
})

t.test('bad input', async t => {
  const refused = async (args: string[], sentence: string | RegExp) => {
    const { code, stdout, stderr } = await run('bench', 'load', ...args)
    t.equal(code, 1, args.join(' '))
    t.equal(stdout, '')
    if (typeof sentence === 'string') t.equal(stderr, `continuum: ${sentence}\n`)
    else t.match(stderr, sentence)
  }
  const port = await freePort()
  await refused(['--target', `127.0.0.1:${port}`], 'load: a connection to the server ended: connection refused')
  await refused(['--target', 'here'], '--target here: must be host:port')
  await refused(['--workload', 'nothing'], /^continuum: workload "nothing": there are connections-50, /)
  await refused(['--connections', '0'], /'--connections <n>' argument '0' is invalid. It must be a whole number/)
  await refused(['--read-share', '2'], /argument '2' is invalid. It must be a number from 0 to 1\./)
  await refused(['--value-size', '5'], /valueSize 5: a value needs 24 bytes to tell its key and version/)
  await refused(['--requests', '5', '--rate', '5'], '--rate 5: an open loop is measured by --duration')
  await refused(['--core', '999'], /^continuum: --core 999: this process may not use that core, /)
})
