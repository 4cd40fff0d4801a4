/**
 * Datagrams that nobody should send, to real processes (PROTOCOL D12). Any bytes: what comes back is a datagram of memcached's
 * form, for the request that asked, and says what memcached could say (legal.ts). Good commands behind any header: the same text
 * comes back from Debian's memcached.
 *
 *   SEED=7 RUNS=20000 node dist/test/interop/udp.test.js        as long as wanted; replays a seed
 */
import { strict as assert } from 'node:assert'
import { createSocket } from 'node:dgram'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { COMMANDS } from '../engine/corpus.js'
import { random } from '../engine/driver.js'
import { mutate } from '../engine/fuzz.js'
import { framesOf, judge } from '../engine/legal.js'
import { lastCas, makeCommand, masked, type Random } from '../engine/random-commands.js'
import { continuum, freePort, has, type Started, start } from './processes.js'

const HOST = '127.0.0.1'
const HEADER = 8
const PAYLOAD_MAX = 1392
const REQUEST_MAX = 20_000
const SEED = Number(process.env.SEED ?? 9)
const RUNS = Number(process.env.RUNS ?? 1500)
/** Answered by the process, not by the engine: what they say is judged elsewhere. */
const OF_THE_PROCESS = new Set([
  'stats',
  'watch',
  'config',
  'shutdown',
  'cache_memlimit',
  'slabs',
  'lru',
  'lru_crawler',
])

const latin1 = (text: string) => Buffer.from(text, 'latin1')

function header(id: number, total = 1, number = 0, reserved = 0): Buffer {
  const bytes = Buffer.alloc(HEADER)
  for (const [i, word] of [id, number, total, reserved].entries()) bytes.writeUInt16BE(word, 2 * i)
  return bytes
}

/** One request at a time; a fence behind it, whose answer tells that no other will come. */
class Peer {
  readonly #socket = createSocket('udp4')
  readonly #port: number
  #got: Buffer[] = []
  #look: () => void = () => {}

  constructor(t: Test, port: number) {
    this.#port = port
    t.teardown(() => this.#socket.close())
    this.#socket.on('message', bytes => {
      this.#got.push(bytes)
      this.#look()
    })
  }

  exchange(datagram: Buffer): Promise<Buffer[]> {
    const id = datagram.length < 2 ? 1 : datagram.readUInt16BE(0) ^ 1
    const isFence = (bytes: Buffer) => bytes.readUInt16BE(0) === id && bytes.toString('latin1', HEADER) === 'MN\r\n'
    this.#socket.send(datagram, this.#port, HOST)
    this.#socket.send(Buffer.concat([header(id), latin1('mn\r\n')]), this.#port, HOST)
    return new Promise(resolve => {
      this.#look = () => {
        if (!this.#got.some(isFence)) return
        const answer = this.#got.filter(bytes => !isFence(bytes))
        this.#got = []
        resolve(answer)
      }
      this.#look()
    })
  }

  text = async (datagram: Buffer): Promise<string> => textOf(await this.exchange(datagram))
}

const textOf = (datagrams: readonly Buffer[]): string =>
  datagrams.map(bytes => bytes.toString('latin1', HEADER)).join('')

/** The one message that a request may be answered with, in datagrams of the right form; throws what is wrong with them. */
function message(request: Buffer, datagrams: readonly Buffer[]): string {
  for (const [number, bytes] of datagrams.entries()) {
    assert.ok(bytes.length > HEADER && bytes.length <= HEADER + PAYLOAD_MAX, `a datagram of ${bytes.length} bytes`)
    const words = [0, 2, 4, 6].map(at => bytes.readUInt16BE(at))
    assert.deepEqual(words, [request.readUInt16BE(0), number, datagrams.length, 0])
  }
  return textOf(datagrams)
}

async function ready(t: Test, server: Started): Promise<number> {
  t.teardown(() => server.stop())
  const [, port] = await server.until(/"udp:127\.0\.0\.1:(\d+)"/)
  return Number(port)
}

/** Headers of every kind; most of them begin a request. */
function makeHeader(next: Random): Buffer {
  const word = () => Math.floor(next() * 65_536)
  const small = () => Math.floor(next() * 3)
  const bytes = header(word(), next() < 0.8 ? 1 : next() < 0.5 ? small() : word())
  if (next() < 0.3) bytes.writeUInt16BE(word(), 2)
  if (next() < 0.3) bytes.writeUInt16BE(word(), 6)
  return next() < 0.03 ? bytes.subarray(0, Math.floor(next() * HEADER)) : bytes
}

t.setTimeout(60_000 + RUNS * 40)

t.test('any bytes', async t => {
  const server = continuum('server', '-m', '64', '-t', '2', '-p', '-1', '-U', '-1', '--json-ready')
  const peer = new Peer(t, await ready(t, server))
  const judged = async (datagram: Buffer): Promise<void> => {
    const request = datagram.subarray(0, REQUEST_MAX)
    const isRequest = request.length > HEADER && request.readUInt16BE(4) === 1
    const framing = framesOf(request.toString('latin1', HEADER))
    const ofTheProcess = isRequest && framing.frames.some(({ verb }) => OF_THE_PROCESS.has(verb))
    const answer = await peer.exchange(request)
    if (!isRequest) assert.deepEqual(answer, [])
    else if (!ofTheProcess) assert.equal(judge(framing, message(request, answer), { host: null }), null)
  }
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.uint8Array({ maxLength: 1500, size: 'max' }),
    fc
      .tuple(fc.nat(65_535), fc.uint8Array({ maxLength: 200 }))
      .map(([id, bytes]) => Buffer.concat([header(id), bytes])),
  )
  await fc.assert(
    fc.asyncProperty(anyBytes, bytes => judged(Buffer.from(bytes))),
    { seed: SEED, numRuns: RUNS },
  )
  const next = random(SEED)
  let answered = 0
  for (let i = 0; i < RUNS; i++) {
    let text = COMMANDS[Math.floor(next() * COMMANDS.length)]!
    for (let count = Math.floor(next() * 4); count > 0; count--) text = mutate(next, text)
    const request = Buffer.concat([makeHeader(next), latin1(text)])
    await judged(request).catch(error =>
      t.fail(`SEED=${SEED}, input ${i}: ${error}: ${JSON.stringify(text.slice(0, 300))}`),
    )
    if (framesOf(text).frames.length > 0) answered++
  }
  t.ok(answered > RUNS / 2, `${answered} inputs with requests`)
  t.match(await peer.text(Buffer.concat([header(3), latin1('stats\r\n')])), /STAT curr_connections 0\r\n/)
  t.equal(await server.stop(), 0)
  t.notMatch(server.output(), /warn|error/i)
})

const skip = has('memcached') ? false : 'memcached is not installed'

t.test('good commands behind any header, as memcached answers them', { skip }, async t => {
  const port = await freePort()
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  // Without its background threads, as in differential.test.ts.
  const quiet = ['-t', '1', '-o', 'no_lru_maintainer,no_lru_crawler', ...user]
  const memcached = start('memcached', ['-l', HOST, '-p', String(port), '-U', String(port), '-vv', ...quiet])
  t.teardown(() => memcached.stop())
  await memcached.until(/server listening \(udp\)/)
  const server = continuum('server', '-m', '64', '-t', '2', '-p', '-1', '-U', '-1', '--json-ready')
  const [theirs, ours] = [new Peer(t, port), new Peer(t, await ready(t, server))]
  const next = random(SEED)
  let [theirCas, ourCas, answered] = ['1', '1', 0]
  for (let i = 0; i < RUNS; i++) {
    const command = makeCommand(next)
    const head = makeHeader(next)
    // Behind half a header the text would be another one.
    const behind = (cas: string) => (head.length < HEADER ? head : Buffer.concat([head, latin1(command(cas))]))
    const [their, our] = [behind(theirCas), behind(ourCas)]
    // One that brings less than its value is completed by the next datagram there, and dropped here.
    if (our.length > 60_000 || framesOf(command('1')).missing !== 0) continue
    const wanted = await theirs.text(their)
    const answer = await ours.exchange(our)
    const got = answer.length === 0 ? '' : message(our, answer)
    if (masked(got) !== masked(wanted)) {
      t.equal(masked(got), masked(wanted), `SEED=${SEED}, input ${i}: ${JSON.stringify(command('1').slice(0, 300))}`)
      return
    }
    if (got !== '') answered++
    theirCas = lastCas(wanted, theirCas)
    ourCas = lastCas(got, ourCas)
  }
  t.ok(answered > RUNS / 2, `${answered} answers`)
})
