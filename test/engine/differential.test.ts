/**
 * Thousands of random commands, to the engine and to a real memcached (Debian's 1.6.18), answer by answer. Inputs on which
 * 1.6.18 differs from 1.6.40 and later (PROTOCOL D14) are not made here; commands.test.ts has those.
 * Numbers after `gets` are masked: what counts is whether they change, and `cas` uses what each side said.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { alone, random } from './driver.js'

const COMMANDS = 12_000
const END = 'mn\r\n'

function installed(): boolean {
  try {
    execFileSync('memcached', ['-V'])
    return true
  } catch {
    return false
  }
}

/** The port is in the file that memcached writes once it listens. */
async function start(directory: string): Promise<{ child: ChildProcess; socket: Socket }> {
  const file = join(directory, 'port')
  const env = { ...process.env, MEMCACHED_PORT_FILENAME: file }
  // Its background threads hold items for a moment, and then it does not write numbers in place.
  const quiet = ['-t', '1', '-o', 'no_lru_maintainer,no_lru_crawler']
  const child = spawn('memcached', ['-l', '127.0.0.1', '-p', '-1', '-U', '0', '-u', 'root', ...quiet], { env })
  while (!existsSync(file)) await new Promise(resolve => setTimeout(resolve, 10))
  const port = Number(/TCP INET: (\d+)/.exec(readFileSync(file, 'latin1'))![1])
  const socket = createConnection(port, '127.0.0.1')
  await new Promise(resolve => socket.once('connect', resolve))
  return { child, socket }
}

/** Sends, with a no-op behind; the answers before the no-op's. */
async function ask(socket: Socket, text: string): Promise<string> {
  socket.write(Buffer.from(text + END, 'latin1'))
  let got = ''
  while (!got.endsWith('MN\r\n')) {
    const chunk = await new Promise<Buffer>(resolve => socket.once('data', resolve))
    got += chunk.toString('latin1')
  }
  return got.slice(0, -4)
}

type Random = () => number
const pick = <T>(next: Random, from: readonly T[]): T => from[Math.floor(next() * from.length)]!

function makeValue(next: Random): string {
  const kind = next()
  if (kind < 0.3) return String(Math.floor(10 ** (next() * 15)))
  if (kind < 0.4)
    return pick(next, ['', ' 12', '+7', '-1', '12 abc', '18446744073709551615', '18446744073709551616', '1\t2', '007'])
  return 'v'.repeat(Math.floor(10 ** (next() * 4)))
}

const FLAGS = {
  mg: [
    'v',
    'v',
    'f',
    's',
    'h',
    't',
    'k',
    'Oabc',
    'q',
    'u',
    'T0',
    'T100',
    'N100',
    'R30',
    'R200',
    'E',
    'Tx',
    'N',
    'z',
    'P1',
    'L2',
  ],
  ms: ['k', 'Oab', 'q', 'T0', 'T100', 'F5', 'I', 'ME', 'MA', 'MP', 'MR', 'MS', 'Ma', 'Mz', 'C1', 'C0', 'Fx', 'Tx', 'z'],
  md: ['k', 'Oab', 'q', 'I', 'T30', 'C1'],
  ma: [
    'k',
    'Oab',
    'q',
    'v',
    't',
    'N0',
    'N100',
    'J7',
    'D3',
    'D18446744073709551615',
    'MI',
    'MD',
    'M+',
    'M-',
    'T50',
    'C1',
  ],
} as const

/** Each flag once: what 1.6.18 says of a flag given twice to md and ma is not what newer ones say. */
function makeMeta(next: Random, plain: string, value: string, block: string): string {
  const verb = pick(next, ['mg', 'mg', 'mg', 'ms', 'ms', 'md', 'ma'] as const)
  const isBinary = next() < 0.2
  const key = isBinary ? Buffer.from(plain).toString('base64') : plain
  const flags = isBinary ? ['b'] : []
  for (let count = Math.floor(next() * 6); count > 0; count--) {
    const flag = pick<string>(next, FLAGS[verb])
    if ((verb === 'mg' && flag !== 'E') || !flags.some(one => one[0] === flag[0])) flags.push(flag)
  }
  // 1.6.18 knows neither E nor a value sent only for another cas; Z, X and W only mg says.
  const text = flags.filter(flag => flag !== 'E').map(flag => ` ${flag}`)
  if (verb === 'ms') return `ms ${key} ${value.length}${text.join('')}\r\n${block}`
  return `${verb} ${key}${text.join('')}\r\n`
}

/** One command; `cas` is what this side answered to the last gets. */
function makeCommand(next: Random): (cas: string) => string {
  const key = `k${Math.floor(next() * 12)}`
  const noreply = next() < 0.15 ? ' noreply' : ''
  const exptime = pick(next, ['0', '0', '0', '-1', '100', '2592000', '2000000000', '1000000'])
  const flags = pick(next, ['0', '0', '1', '4294967295', '77'])
  const verb = pick(next, [
    'set',
    'set',
    'add',
    'replace',
    'append',
    'prepend',
    'cas',
    'get',
    'gets',
    'get',
    'gat',
    'gats',
    'touch',
    'incr',
    'decr',
    'incr',
    'delete',
    'bad',
    'flush',
    'meta',
    'meta',
    'meta',
    'meta',
    'meta',
    'meta',
  ])
  const delta = pick(next, ['1', '0', '7', '18446744073709551615', '99999999999', 'x', '-1', '18446744073709551616'])
  const value = makeValue(next)
  const block = next() < 0.03 ? `${value}!!!!\r\n` : `${value}\r\n`
  const keys = Array.from({ length: 1 + Math.floor(next() * 4) }, () => `k${Math.floor(next() * 14)}`).join(' ')
  const bad = pick(next, [
    'foo bar',
    'gat x k1',
    'touch k1 x',
    'set k1 0 0 -1',
    'set k1 0 0 x',
    `get ${'k'.repeat(251)}`,
    `get k1 ${'k'.repeat(251)} k2`,
    `incr ${'k'.repeat(251)} 1`,
    `delete ${'k'.repeat(251)}`,
    'flush_all x',
    'verbosity x',
    'GET k1',
  ])
  const meta = makeMeta(next, key, value, block)
  const flush = next() < 0.1 ? 'flush_all 0\r\n' : 'verbosity 1\r\n'
  switch (verb) {
    case 'get':
    case 'gets':
      return () => `${verb} ${keys}\r\n`
    case 'gat':
    case 'gats':
      return () => `${verb} ${exptime} ${keys}\r\n`
    case 'touch':
      return () => `touch ${key} ${exptime}${noreply}\r\n`
    case 'incr':
    case 'decr':
      return () => `${verb} ${key} ${delta}${noreply}\r\n`
    case 'delete':
      return () => `delete ${key}${noreply}\r\n`
    case 'meta':
      return () => meta
    case 'bad':
      return () => `${bad}\r\n`
    case 'flush':
      return () => flush
    case 'cas':
      return cas => `gets ${key}\r\ncas ${key} ${flags} ${exptime} ${value.length} ${cas}${noreply}\r\n${block}`
    default:
      return () => `${verb} ${key} ${flags} ${exptime} ${value.length}${noreply}\r\n${block}`
  }
}

/** Cas uniques, and times to live: the two do not look at the same clock. */
const masked = (text: string) =>
  text.replace(/^(VALUE \S+ \d+ \d+) \d+\r$/gm, '$1 #\r').replace(/^((?:HD|VA) .*)\bt\d+/gm, '$1t#')
const lastCas = (text: string, before: string) =>
  [...text.matchAll(/^VALUE \S+ \d+ \d+ (\d+)\r$/gm)].at(-1)?.[1] ?? before

t.test('random commands against memcached', { skip: installed() ? false : 'memcached is not installed' }, async t => {
  const seed = Number(process.env.SEED ?? 5)
  const directory = mkdtempSync(join(tmpdir(), 'continuum-differential-'))
  const { child, socket } = await start(directory)
  t.teardown(() => {
    socket.destroy()
    child.kill()
    rmSync(directory, { recursive: true })
  })
  const next = random(seed)
  const driver = alone({ memoryLimitMb: 64 })
  driver.engine.setTime(Date.now() / 1000)
  const before: string[] = []
  const startedAt = Date.now()
  let theirCas = '1'
  let ourCas = '1'
  for (let i = 0; i < COMMANDS; i++) {
    const command = makeCommand(next)
    const stale = next() < 0.3
    const sent = command(theirCas)
    const theirs = await ask(socket, sent)
    const ours = driver.send(command(ourCas))
    before.push(`${JSON.stringify(sent.slice(0, 100))} => ${JSON.stringify(theirs.slice(0, 100))}`)
    if (masked(ours) !== masked(theirs)) {
      t.equal(masked(ours), masked(theirs), `SEED=${seed}, command ${i}: ${JSON.stringify(sent.slice(0, 200))}`)
      const key = /\bk\d+|\ba[zA-Z0-9]+=*/.exec(sent)?.[0] ?? sent
      const about = before.filter(line => line.includes(`${key} `) || line.includes('flush_all'))
      t.comment(`before it, with memcached's answers, in ${Date.now() - startedAt} ms:\n${about.slice(-12).join('\n')}`)
      return
    }
    if (!stale) {
      theirCas = lastCas(theirs, theirCas)
      ourCas = lastCas(ours, ourCas)
    }
  }
  t.pass(`${COMMANDS} commands`)
})
