/**
 * Values up to what -I allows, in chains of chunks, through real sockets: TCP on both loops, a unix socket;
 * through a tier (router, owner, third node, a migration in between); and through datagrams. Every byte is compared.
 */
import { createSocket } from 'node:dgram'
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Ring } from '../../lib/ketama/index.js'
import { random } from '../engine/driver.js'
import { LOOPS } from '../transport/place.js'
import { continuum, freePort, temporaryFolder } from './processes.js'
import { TierProcesses } from './tier-processes.js'

const HOST = '127.0.0.1'
const MIB = 1 << 20
/** Of `-I` bytes: an item's header, its cas, a key of one byte with its end, what ends a value. */
const OVERHEAD = 48 + 8 + 2 + 2
const next = random(5)
/** Its length is prime, so that no two chunks of a value are alike. */
const NOISE = Buffer.from(Uint8Array.from({ length: 100_003 }, () => Math.floor(next() * 256)))

/** Bytes that are another value's for another seed. */
function pattern(length: number, seed: number): Buffer {
  const from = (seed * 7919) % NOISE.length
  return Buffer.alloc(length, Buffer.concat([NOISE.subarray(from), NOISE.subarray(0, from)]))
}

t.setTimeout(300_000)

const line = (text: string) => Buffer.from(`${text}\r\n`, 'latin1')
const set = (key: string, value: Buffer) => Buffer.concat([line(`set ${key} 0 0 ${value.length}`), value, line('')])
const got = (key: string, value: Buffer) => Buffer.concat([line(`VALUE ${key} 0 ${value.length}`), value, line('')])

/** One connection, one question at a time; as many bytes as the answer must have. */
class Client {
  readonly socket: Socket
  #parts: Buffer[] = []
  #size = 0
  #look: () => void = () => {}

  constructor(t: Test, to: NetConnectOpts) {
    this.socket = connect(to)
    t.teardown(() => this.socket.destroy())
    this.socket.on('data', bytes => {
      this.#parts.push(bytes)
      this.#size += bytes.length
      this.#look()
    })
    this.socket.on('error', () => {})
    this.socket.on('close', () => this.#look())
  }

  /** Resolves with so many bytes; with fewer when the connection ended. */
  bytes(count: number): Promise<Buffer> {
    return new Promise(resolve => {
      this.#look = () => {
        if (this.#size < count && !this.socket.destroyed) return
        this.#look = () => {}
        const all = Buffer.concat(this.#parts)
        this.#parts = []
        this.#size = 0
        resolve(all)
      }
      this.#look()
    })
  }

  /** Null, or how the answer begins when it is not the expected one. */
  async wrong(question: Buffer, expected: Buffer): Promise<string | null> {
    this.socket.write(question)
    const answer = await this.bytes(expected.length)
    if (answer.equals(expected)) return null
    const at = answer.findIndex((byte, i) => byte !== expected[i])
    return `${answer.length} bytes for ${expected.length}, other from ${at} on: ${JSON.stringify(answer.toString('latin1', 0, 80))}`
  }
}

async function values(t: Test, client: Client, lengths: readonly number[]): Promise<void> {
  for (const [seed, length] of lengths.entries()) {
    const value = pattern(length, seed)
    t.equal(await client.wrong(set('v', value), line('STORED')), null, `set of ${length} bytes`)
    const whole = Buffer.concat([got('v', value), line('END')])
    t.equal(await client.wrong(line('get v'), whole), null, `get of ${length}`)
    const meta = Buffer.concat([line(`VA ${length} s${length}`), value, line('')])
    t.equal(await client.wrong(line('mg v v s'), meta), null, `mg of ${length}`)
  }
}

/** A set and an ms of too many bytes are swallowed whole, and the connection goes on. */
async function tooLarge(t: Test, client: Client, length: number): Promise<void> {
  const value = pattern(length, 1)
  const refused = line('SERVER_ERROR object too large for cache')
  const mn = Buffer.concat([refused, line('MN')])
  t.equal(await client.wrong(Buffer.concat([set('v', value), line('mn')]), mn), null, `set of ${length} bytes`)
  const ms = Buffer.concat([line(`ms v ${length}`), value, line(''), line('mn')])
  t.equal(await client.wrong(ms, mn), null, `ms of ${length} bytes`)
  t.equal(await client.wrong(line('get v'), line('END')), null, 'the old value is gone')
}

for (const loop of LOOPS) {
  t.test(`a node alone, loop ${loop}`, async t => {
    const folder = temporaryFolder()
    t.teardown(() => folder.remove())
    const path = join(folder.path, 's')
    const flags = ['-m', '512', '-I', '64m', '-t', '2', '-p', '-1', '-s', path, '--loop', loop]
    const server = continuum('server', ...flags, '--json-ready')
    t.teardown(() => server.stop())
    const [, port] = await server.until(/"clientPort":(\d+)/)
    const to = { host: HOST, port: Number(port) }
    const most = 64 * MIB - OVERHEAD
    const client = new Client(t, to)
    await values(t, client, [524_200, 524_288, MIB, 5_000_000, most])
    await values(t, new Client(t, { path }), [MIB, 20_000_000])
    await tooLarge(t, client, most + 1)

    await t.test('several at once, joined ones, and one that is written while it is read', async t => {
      const [a, b, end] = [pattern(3_000_000, 11), pattern(7_000_000, 12), pattern(1_000_000, 13)]
      await client.wrong(set('a', a), line('STORED'))
      await client.wrong(set('b', b), line('STORED'))
      const both = Buffer.concat([got('a', a), got('b', b), got('a', a), line('END')])
      t.equal(await client.wrong(line('get a b none a'), both), null, 'three values')
      const append = Buffer.concat([line(`append a 0 0 ${end.length}`), end, line('')])
      t.equal(await client.wrong(append, line('STORED')), null)
      const joined = Buffer.concat([got('a', Buffer.concat([a, end])), line('END')])
      t.equal(await client.wrong(line('get a'), joined), null, 'appended')

      const slow = new Client(t, to)
      const large = pattern(40_000_000, 14)
      t.equal(await slow.wrong(set('c', large), line('STORED')), null)
      slow.socket.pause()
      slow.socket.write(line('get c'))
      // Its answer is under way when others write and delete the key; it goes on with what it began with.
      const isRead = async () => {
        const text = (await stats(client)).get('get_hits') ?? '0'
        return Number(text) > hits
      }
      const hits = Number((await stats(client)).get('get_hits')) - 1
      while (!(await isRead())) {}
      t.equal(await client.wrong(set('c', pattern(40_000_000, 15)), line('STORED')), null)
      t.equal(await client.wrong(line('delete c'), line('DELETED')), null)
      t.equal(await client.wrong(set('d', pattern(40_000_000, 16)), line('STORED')), null)
      slow.socket.resume()
      const expected = Buffer.concat([got('c', large), line('END')])
      t.ok((await slow.bytes(expected.length)).equals(expected), 'as it was')
    })
    t.equal(await server.stop(), 0)
  })
}

async function stats(client: Client): Promise<Map<string, string>> {
  client.socket.write('stats\r\n')
  let text = ''
  while (!text.endsWith('END\r\n')) text += (await client.bytes(1)).toString('latin1')
  return new Map([...text.matchAll(/^STAT (\S+) (.*)\r$/gm)].map(match => [match[1]!, match[2]!]))
}

t.test('a tier: through its router and each node, before and after keys move', async t => {
  const tier = new TierProcesses()
  t.teardown(() => tier.stop())
  await tier.coordinator()
  const flags = ['-m', '128', '-I', '8m']
  const router = () => tier.node('router', '--weight', '0', ...flags)
  await Promise.all([tier.node('a', ...flags), tier.node('b', ...flags), router()])
  const settled = (count: number) =>
    tier.until(view => view.settled && view.nodes.length === count && view.nodes.every(node => node.state === 'up'))
  await settled(3)
  const clients = new Map<string, Client>()
  const dial = (id: string) => clients.set(id, new Client(t, { host: HOST, port: tier.ports.get(id)! }))
  for (const id of ['router', 'a', 'b']) dial(id)
  const most = 8 * MIB - OVERHEAD
  // Of each length one value moves to the node that comes, and one does not.
  tier.ports.set('c', await freePort())
  const ring = new Ring(['a', 'b', 'c'].map(id => ({ host: HOST, port: tier.ports.get(id)! })))
  const named = (name: string, moves: boolean) => {
    let key = name
    while ((ring.indexOf(key) === 2) !== moves) key += '.'
    return key
  }
  const lengths = [524_300, 2_500_000, most - 20]
  const keys = lengths.map((_, i) => [named(`x${i}`, true), named(`y${i}`, false), `z${i}`])
  const stored = new Map(
    lengths.flatMap((length, i) => keys[i]!.map((key, j) => [key, pattern(length, i * 3 + j)] as const)),
  )
  for (const [key, value] of stored) {
    t.equal(await clients.get('router')!.wrong(set(key, value), line('STORED')), null, `set ${key} by the router`)
  }
  const readAll = async () => {
    for (const [id, client] of clients) {
      for (const [key, value] of stored) {
        const whole = Buffer.concat([got(key, value), line('END')])
        t.equal(await client.wrong(line(`get ${key}`), whole), null, `${key} (${value.length}) by ${id}`)
      }
    }
  }
  await readAll()
  const [x, y] = keys[2]!
  const both = Buffer.concat([got(x!, stored.get(x!)!), got(y!, stored.get(y!)!), line('END')])
  t.equal(await clients.get('router')!.wrong(line(`get ${x} ${y}`), both), null, 'two values in one answer')
  for (const client of clients.values()) await tooLarge(t, client, most + 1)
  await tier.node('c', ...flags)
  await settled(4)
  dial('c')
  await readAll()
  const moved = await stats(clients.get('c')!)
  t.ok(Number(moved.get('curr_items')) >= lengths.length, 'they have moved')
})

t.test('datagrams: a chained value in one, and in many', async t => {
  const flags = ['-t', '1', '-p', '-1', '-U', '-1', '-o', 'slab_chunk_max=16384']
  const server = continuum('server', ...flags, '--json-ready')
  t.teardown(() => server.stop())
  const [, tcp, udp] = await server.until(/"clientPort":(\d+).*"udp:127\.0\.0\.1:(\d+)"/)
  const client = new Client(t, { host: HOST, port: Number(tcp) })
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  await new Promise<void>(resolve => socket.bind(0, HOST, resolve))
  // What does not fit is lost, as with memcached.
  socket.setRecvBufferSize(1 << 18)
  const ask = (question: Buffer) =>
    new Promise<Buffer>(resolve => {
      const parts: Buffer[] = []
      const hear = (bytes: Buffer) => {
        parts[bytes.readUInt16BE(2)] = bytes.subarray(8)
        if (parts.filter(Boolean).length < bytes.readUInt16BE(4)) return
        socket.off('message', hear)
        resolve(Buffer.concat(parts))
      }
      socket.on('message', hear)
      socket.send(Buffer.concat([Buffer.from([0, 1, 0, 0, 0, 1, 0, 0]), question]), Number(udp), HOST)
    })
  const sent = pattern(60_000, 1)
  t.ok((await ask(set('v', sent))).equals(line('STORED')))
  t.equal(await client.wrong(line('get v'), Buffer.concat([got('v', sent), line('END')])), null, 'by TCP')
  t.ok((await ask(line('get v'))).equals(Buffer.concat([got('v', sent), line('END')])), 'by datagrams')
  const larger = pattern(100_000, 2)
  t.equal(await client.wrong(set('v', larger), line('STORED')), null)
  t.ok((await ask(line('get v'))).equals(Buffer.concat([got('v', larger), line('END')])), 'larger than a datagram')
  t.equal(await server.stop(), 0)
})
