/** libmemcached's own tools against the router of a tier that one command started, and against a single node. */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LOOPS } from '../transport/place.js'
import { continuum, freePort, has, type Started, temporaryFolder } from './processes.js'

const skip = has('memccapable') ? false : 'libmemcached-tools is not installed'

function tool(command: string, ...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise(resolve => {
    execFile(command, args, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr })
    })
  })
}

/** memcached 1.6.40 and later delete a key with extra tokens, which memccapable takes for an error (PROTOCOL D14). */
const KNOWN_FAILURES = ['ascii delete', 'ascii delete noreply']

async function battery(t: Test, port: number, folder: string) {
  const servers = `--servers=127.0.0.1:${port}`
  const stat = await tool('memcstat', servers)
  t.equal(stat.code, 0)
  t.match(stat.output, /version: \d/)

  const file = join(folder, 'greeting')
  const text = `${'line of text\n'.repeat(50_000)}end\n`
  writeFileSync(file, text)
  t.equal((await tool('memccp', servers, file)).code, 0)
  const out = join(folder, 'read-back')
  const cat = await tool('memccat', servers, `--file=${out}`, 'greeting')
  t.equal(cat.code, 0, cat.output)
  t.equal(readFileSync(out, 'utf8').trimEnd(), text.trimEnd())

  const capable = await tool('memccapable', '-a', '-h', '127.0.0.1', '-p', String(port))
  // Names and [pass] come on one stream, [FAIL] on the other: a name without [pass] has failed.
  const tests = [...capable.output.matchAll(/ascii ([a-z]+(?: [a-z]+)*) +(\[pass\])?/g)]
  t.ok(tests.length >= 27, `memccapable ran:\n${capable.output}`)
  const failed = tests.filter(test => test[2] === undefined).map(test => `ascii ${test[1]}`)
  t.same(
    failed.filter(name => !KNOWN_FAILURES.includes(name)),
    [],
    capable.output,
  )
}

async function ready(t: Test, started: Started) {
  t.teardown(() => started.stop())
  await started.until(/ready|11211|status/)
}

t.test('a tier started by one command', { skip }, async t => {
  const folder = temporaryFolder()
  t.teardown(folder.remove)
  const port = await freePort()
  const up = continuum('up', '--port', String(port), '--data-dir', folder.path)
  await ready(t, up)
  await up.until(new RegExp(`127\\.0\\.0\\.1:${port}`))
  await battery(t, port, folder.path)
})

for (const loop of LOOPS) {
  t.test(`a single node on the ${loop} loop`, { skip }, async t => {
    const folder = temporaryFolder()
    t.teardown(folder.remove)
    const port = await freePort()
    const node = continuum('server', '-p', String(port), '-l', '127.0.0.1', '--loop', loop, '-t', '2')
    await ready(t, node)
    await battery(t, port, folder.path)
  })
}
