/** The hint log on real files, by real processes that are killed or may write no more. */
import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { decodeRecord, encodeRecord } from '../../lib/engine/record.js'
import type { HintLog } from '../../lib/handoff/hint-log.js'
import { openHintLog } from '../../lib/server/hint-files.js'

const CHILD = fileURLToPath(new URL('hint-child.js', import.meta.url))
const KEYS = 50

const isCompacted = (folder: string) => readdirSync(folder).some(name => /\.\d+\.segment$/.test(name))

/** Runs the child until it ends, or has said so many lines and `may` be killed: then it is. What it said. */
async function append(
  t: Test,
  args: (string | number)[],
  killAt: number,
  limit = '',
  may = () => true,
): Promise<string[]> {
  const command = `${limit} exec "$0" "$@"`
  const child = spawn('/bin/sh', ['-c', command, process.execPath, CHILD, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  const ended = new Promise(resolve => child.once('close', resolve))
  createInterface({ input: child.stdout }).on('line', line => {
    lines.push(line)
    if (lines.length >= killAt && !child.killed && may()) child.kill('SIGKILL')
  })
  await ended
  return lines
}

async function opened(t: Test, folder: string, events: string[] = []): Promise<HintLog> {
  const { log, files } = await openHintLog(folder, { tier: 'test', onEvent: sentence => events.push(sentence) })
  t.teardown(() => files.close())
  return log
}

function read(log: HintLog, key: string): Promise<string> {
  return new Promise((resolve, reject) => {
    log.read(Buffer.from(key), (record, problem) => {
      if (problem) reject(new Error(problem))
      else resolve(Buffer.from(decodeRecord(record!).value!).toString())
    })
  })
}

for (const fsync of ['interval', 'always']) {
  t.test(`a process that is killed has lost nothing that it acknowledged (fsync ${fsync})`, async t => {
    const folder = join(t.testdir(), 'hints')
    const newest = new Map<string, number>()
    let first = 1
    let wasCompacted = false
    for (const killAt of [300, 1200, 100]) {
      const may = () => {
        wasCompacted ||= isCompacted(folder)
        return killAt < 1200 || wasCompacted
      }
      const lines = await append(t, [folder, first, 100_000, 65_536, fsync], killAt, '', may)
      t.ok(lines.length >= killAt)
      t.same(
        lines.filter(line => !/^\d+$/.test(line)),
        [],
      )
      for (const line of lines) newest.set(`k${Number(line) % KEYS}`, Number(line))
      const events: string[] = []
      const log = await opened(t, folder, events)
      t.same(events, [])
      for (const [key, n] of newest) {
        const value = await read(log, key)
        const found = Number(value.split(' ')[0])
        t.ok(found >= n && found % KEYS === Number(key.slice(1)), `${key}: ${n} was acknowledged, ${found} is there`)
        t.equal(value, `${found} ${'x'.repeat(found % 3000)}`)
        first = Math.max(first, found + 1)
      }
      first += KEYS
    }
    t.ok(wasCompacted, 'it was compacted meanwhile')
  })
}

t.test('files that may not grow: the log overflows, and nothing older comes back', async t => {
  const folder = join(t.testdir(), 'hints')
  const lines = await append(t, [folder, 1, 500, 1 << 20, 'interval'], Number.POSITIVE_INFINITY, 'ulimit -f 256;')
  t.equal(lines.filter(line => /^\d+$/.test(line)).length, 500)
  t.match(
    lines.filter(line => !/^\d+$/.test(line)),
    [/^# the hint log of node 3 overflowed \(it cannot be written: EFBIG\)/],
  )
  const log = await opened(t, folder)
  t.match(log.losses(), [{ home: 3, fromGeneration: 8, why: 'it cannot be written: EFBIG' }])
  for (let k = 0; k < KEYS; k++) t.equal(log.find(Buffer.from(`k${k}`))?.state, 'lost')
})

t.test('a folder that cannot be', async t => {
  const path = join(t.testdir({ file: '' }), 'file')
  await t.rejects(
    openHintLog(path, { tier: 'test', onEvent: () => {} }),
    /the hint logs cannot be read: a file is in the way/,
  )
})

t.test('files that are not ours stay where they are', async t => {
  const folder = t.testdir()
  writeFileSync(join(folder, 'README'), 'x')
  const log = await opened(t, folder)
  const value = Buffer.from('v')
  const fields = { flags: 0, toLiveSec: null, fetched: false, active: false, version: 1n }
  const record = encodeRecord({ key: Buffer.from('a'), value, ...fields })
  const failure = await new Promise(resolve => log.append(3, { generation: 1, record }, resolve))
  t.equal(failure, null)
  const forgotten = new Promise(resolve => log.forget(3, resolve))
  const timer = setInterval(() => log.tick(performance.now()), 5)
  t.teardown(() => clearInterval(timer))
  t.equal(await forgotten, null)
  t.same(readdirSync(folder), ['README'])
})
