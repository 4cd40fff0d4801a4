/**
 * The client beside npm's memcached, memjs and memcache-client, against one server: gets one after the other, 64 at a time,
 * and 100 keys in one call. Rounds of all contestants alternate and the best one counts, so that a busy machine slows all
 * alike. And our reader of replies beside npm's memcache-parser, which decides what the client parses with.
 */
import { cpus } from 'node:os'
import { table } from '../lib/cli/output.js'
import { Client } from '../lib/client/index.js'
import { ReplyReader } from '../lib/protocol/index.js'
import { freePort, Process } from './processes.js'

export interface ClientBenchOptions {
  server: 'memcached' | 'node'
  rounds: number
  /** Of each kind of work, milliseconds. */
  duration: number
  value: number
}

interface Contestant {
  name: string
  get(key: string): Promise<unknown>
  getMany(keys: string[]): Promise<number>
  set(key: string, value: string): Promise<unknown>
  close(): unknown
}

const WORK = ['single', 'concurrent', 'many'] as const
type Work = (typeof WORK)[number]

export interface ClientBenchReport {
  machine: { cpu: string; cpus: number; node: string }
  options: ClientBenchOptions
  /** Best round, microseconds a call, by contestant. */
  callUs: Record<string, Record<Work, number>>
  /** Nanoseconds a reply of `value` bytes, best round. */
  parserNs: { ours: number; memcacheParser: number | null }
}

const CONCURRENT = 64
const KEYS = Array.from({ length: 100 }, (_, i) => `user:${i * 7919}:session`)

export async function runClientBench(options: ClientBenchOptions): Promise<ClientBenchReport> {
  const parserNs = await parsers(options)
  const [server, port] = await startServer(options.server)
  const contestants = await open(`127.0.0.1:${port}`, options.server)
  try {
    const value = 'x'.repeat(options.value)
    for (const key of KEYS) await contestants[0]!.set(key, value)
    const callUs: ClientBenchReport['callUs'] = {}
    for (const { name } of contestants)
      callUs[name] = {
        single: Number.POSITIVE_INFINITY,
        concurrent: Number.POSITIVE_INFINITY,
        many: Number.POSITIVE_INFINITY,
      }
    for (let round = 0; round < options.rounds; round++) {
      for (const work of WORK) {
        for (const contestant of contestants) {
          const best = callUs[contestant.name]!
          best[work] = Math.min(best[work], await timed(contestant, work, options.duration))
        }
      }
    }
    return {
      machine: { cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length, node: process.version },
      options,
      callUs,
      parserNs,
    }
  } finally {
    for (const contestant of contestants) await contestant.close()
    await server.stop()
  }
}

/** Microseconds a call. */
async function timed(contestant: Contestant, work: Work, durationMs: number): Promise<number> {
  let calls = 0
  const began = performance.now()
  const end = began + durationMs
  const loop = async () => {
    for (; performance.now() < end; calls++) {
      if (work !== 'many') {
        if ((await contestant.get(KEYS[calls % KEYS.length]!)) === undefined)
          throw new Error(`${contestant.name} misses`)
      } else if ((await contestant.getMany(KEYS)) !== KEYS.length) throw new Error(`${contestant.name} misses`)
    }
  }
  await Promise.all(Array.from({ length: work === 'concurrent' ? CONCURRENT : 1 }, loop))
  return ((performance.now() - began) * 1000) / calls
}

async function startServer(kind: ClientBenchOptions['server']): Promise<[Process, number]> {
  if (kind === 'node') {
    const [server, ready] = await Process.continuum('server', ['server', '-p', '0', '-t', '1'])
    return [server, Number(ready.clientPort)]
  }
  const port = await freePort()
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const server = new Process('memcached', 'memcached', [
    '-p',
    String(port),
    '-l',
    '127.0.0.1',
    '-U',
    '0',
    '-t',
    '1',
    ...user,
  ])
  await server.listens(port)
  return [server, port]
}

async function open(address: string, kind: ClientBenchOptions['server']): Promise<Contestant[]> {
  const contestants = [ours(address)]
  for (const [name, make] of [
    ['memcached', npmMemcached],
    ['memcache-client', memcacheClient],
    ['memjs', memjs],
  ] as const) {
    // memjs speaks the binary protocol alone, which our server does not.
    if (name === 'memjs' && kind === 'node') continue
    try {
      contestants.push(await make(address))
    } catch (error) {
      process.stderr.write(`without ${name}: ${error instanceof Error ? error.message : String(error)}\n`)
    }
  }
  return contestants
}

function ours(address: string): Contestant {
  const client = new Client({ servers: address, timeoutMs: 10_000 })
  return {
    name: 'continuum-cache',
    get: key => client.get(key),
    getMany: async keys => (await client.getMany(keys)).size,
    set: (key, value) => client.set(key, value),
    close: () => client.close(),
  }
}

type Done<Answer> = (error: unknown, answer: Answer) => void

async function npmMemcached(address: string): Promise<Contestant> {
  const { default: Memcached } = await import('memcached')
  // Its pool of ten connections is its own choice; 64 waiting calls would otherwise be refused.
  const options = { retries: 40, minTimeout: 5, timeout: 10_000 }
  const client = new Memcached(address, options)
  const call = <Answer>(start: (done: Done<Answer>) => void) =>
    new Promise<Answer>((resolve, reject) => start((error, answer) => (error ? reject(error) : resolve(answer))))
  return {
    name: 'memcached',
    get: key => call<unknown>(done => client.get(key, done)),
    getMany: async keys => Object.keys(await call<object>(done => client.getMulti(keys, done))).length,
    set: (key, value) => call<boolean>(done => client.set(key, value, 0, done)),
    close: () => client.end(),
  }
}

async function memcacheClient(address: string): Promise<Contestant> {
  const { MemcacheClient } = await import('memcache-client')
  const client = new MemcacheClient({ server: { server: address, maxConnections: 1 }, cmdTimeout: 10_000 })
  return {
    name: 'memcache-client',
    get: async key => ((await client.get(key)) as { value?: unknown } | undefined)?.value,
    getMany: async keys => Object.keys((await client.get(keys)) as object).length,
    set: (key, value) => client.set(key, value),
    close: () => client.shutdown(),
  }
}

interface Memjs {
  get(key: string): Promise<{ value: Buffer | null }>
  set(key: string, value: string, options: object): Promise<boolean>
  close(): void
}

/** It has no call for many keys: its get, for each at once. */
async function memjs(address: string): Promise<Contestant> {
  // It has no types of its own.
  const module = (await import('memjs' as string)) as { Client: { create(address: string, options: object): Memjs } }
  const client = module.Client.create(address, { timeout: 10 })
  const get = async (key: string) => (await client.get(key)).value?.toString()
  return {
    name: 'memjs',
    get,
    getMany: async keys => (await Promise.all(keys.map(get))).filter(value => value !== undefined).length,
    set: (key, value) => client.set(key, value, {}),
    close: () => client.close(),
  }
}

/** Replies of mg with a value, 100 in a piece, each value taken out as a Buffer of its own. */
async function parsers({ value, rounds }: ClientBenchOptions): Promise<ClientBenchReport['parserNs']> {
  const replies = 100
  const piece = Buffer.from(`VA ${value} f0\r\n${'x'.repeat(value)}\r\n`.repeat(replies))
  let bytes = 0
  const reader = new ReplyReader(reply => {
    bytes += reply.copyValue().length + reply.flagNumber(102, 0)
  })
  const { MemcacheParser } = await import('memcache-parser').catch(() => ({ MemcacheParser: null }))
  let theirs: { onData(bytes: Buffer): void } | null = null
  if (MemcacheParser) {
    const silent = () => {}
    class Parser extends MemcacheParser {
      override processCmd(tokens: string[]): number {
        this.initiatePending(tokens, Number(tokens[1]))
        return 1
      }
      override receiveResult(result: { data?: Buffer; cmdTokens: string[] } | string): void {
        if (typeof result !== 'string') bytes += (result.data?.length ?? 0) + Number(result.cmdTokens[2]!.slice(1))
      }
    }
    theirs = new Parser({ debug: silent, info: silent, warn: silent, error: silent })
  }
  const nanoseconds = (push: () => void): number => {
    const times = 2000
    const began = performance.now()
    for (let i = 0; i < times; i++) push()
    return ((performance.now() - began) * 1e6) / (times * replies)
  }
  let [ours, other] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let round = 0; round < rounds + 2; round++) {
    ours = Math.min(
      ours,
      nanoseconds(() => reader.push(piece)),
    )
    if (theirs) {
      const parser = theirs
      other = Math.min(
        other,
        nanoseconds(() => parser.onData(piece)),
      )
    }
  }
  if (bytes % value !== 0) throw new Error('a parser lost bytes')
  return { ours, memcacheParser: theirs ? other : null }
}

export function clientText({ machine, options, callUs, parserNs }: ClientBenchReport): string {
  const own = callUs['continuum-cache']!
  const cell = (us: number, ratio: number) => `${us.toFixed(1)} us (${ratio.toFixed(2)})`
  const rows = Object.entries(callUs).map(([name, us]) => [
    name,
    ...WORK.map(work => cell(us[work], us[work] / own[work])),
  ])
  const theirs = parserNs.memcacheParser
  const parsing = theirs
    ? `a reply of ${options.value} bytes: ours ${parserNs.ours.toFixed(0)} ns, memcache-parser ${theirs.toFixed(0)} ns, ${(theirs / parserNs.ours).toFixed(1)} times as long`
    : `a reply of ${options.value} bytes: ours ${parserNs.ours.toFixed(0)} ns; memcache-parser is not installed`
  const head = ['client', 'one get after the other', `a get, ${CONCURRENT} at a time`, '100 keys in one call']
  return [
    `${machine.cpu}, ${machine.cpus} processors, Node ${machine.node}; server: ${options.server}; values of ${options.value} bytes`,
    'time a call, and in brackets its ratio to ours',
    '',
    table(head, rows),
    '',
    parsing,
  ].join('\n')
}
