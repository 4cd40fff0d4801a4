/**
 * The way to a real server fails, or is slow: half-open connections, connections ended on one side, pieces of a few bytes, a server
 * that stops reading. Against memcached, a node and a router of a tier: every promise ends, every reply belongs to its key,
 * memory is bounded.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { Client, type ClientOptions } from '../../lib/client/index.js'
import { HOST, memcached, node, router, type Server, tier, until, withoutMemcached } from './servers.js'
import { Wire } from './wire.js'

const QUICK: ClientOptions = { timeoutMs: 200, backoff: { minMs: 5, maxMs: 50 }, failuresMax: 1000 }

function open(t: Test, options: ClientOptions): Client {
  const client = new Client({ ...QUICK, ...options })
  t.teardown(() => client.destroy())
  return client
}

const keysOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `key:${i}`)

/** How many calls of each kind of end there were; a value that is not its key's is 'crossed'. A call that never ends keeps the test from ending. */
async function readAll(client: Client, keys: readonly string[]): Promise<Record<string, number>> {
  const ends: Record<string, number> = {}
  const add = (word: string) => {
    ends[word] = (ends[word] ?? 0) + 1
  }
  await Promise.all(
    keys.map(key =>
      client.get(key).then(
        value => add(value === undefined ? 'miss' : value === `value of ${key}` ? 'right' : 'crossed'),
        error => add(error.code),
      ),
    ),
  )
  return ends
}

const writeAll = (client: Client, keys: readonly string[]): Promise<number> =>
  client.setMany(keys.map((key): [string, string] => [key, `value of ${key}`]))

async function battery(t: Test, server: Server): Promise<void> {
  const keys = keysOf(500)
  const all = { right: keys.length }
  await writeAll(open(t, { servers: server.address, timeoutMs: 20_000 }), keys)

  for (const protocol of ['meta', 'classic'] as const) {
    await t.test(`half-open, ${protocol}`, async t => {
      const wire = await Wire.to(server.port, t)
      const client = open(t, { servers: wire.address, protocol })
      await until(async () => (await readAll(client, keys)).right === keys.length)
      const before = wire.connections
      wire.silence()
      const ends = await readAll(client, keys)
      t.same(Object.keys(ends), ['TIMEOUT'], 'each is told, none waits on')
      await until(async () => (await client.get('key:1').catch(() => undefined)) !== undefined)
      t.equal(wire.connections, before + 1, 'given up, and made anew')
      await until(async () => (await readAll(client, keys)).right === keys.length)
    })

    await t.test(`the server ends its side, ${protocol}`, async t => {
      const wire = await Wire.to(server.port, t)
      const client = open(t, { servers: wire.address, protocol, timeoutMs: 20_000 })
      t.same(await readAll(client, keys), all)
      const reads = readAll(client, keys)
      const writes = Promise.allSettled(keys.map(key => client.set(key, `value of ${key}`)))
      wire.endReplies()
      t.same(await reads, all, 'reads are asked again')
      const lost = (await writes).flatMap(end => (end.status === 'rejected' ? [end.reason.code] : []))
      t.ok(
        lost.every(code => code === 'CONNECTION_LOST'),
        lost.join(' '),
      )
      t.same(await readAll(client, keys), all)
    })

    await t.test(`pieces of 7 bytes, ${protocol}`, async t => {
      const wire = await Wire.to(server.port, t)
      wire.pieceBytes = 7
      const client = open(t, { servers: wire.address, protocol, timeoutMs: 60_000 })
      t.same(await readAll(client, keys), all)
      t.equal((await client.getMany(keys)).size, keys.length)
      wire.pieceBytes = 4096
      const large = Buffer.alloc(300_000, 'large ')
      const names = keysOf(10).map(key => `large:${key}`)
      t.equal(await client.setMany(names.map(name => [name, Buffer.concat([large, Buffer.from(name)])] as const)), 10)
      const found = await client.getMany<Buffer>(names)
      t.ok(names.every(name => found.get(name)?.subarray(large.length).toString() === name))
      await client.deleteMany(names)
    })
  }

  await t.test('a paused server: memory is bounded, and free afterwards', async t => {
    const bytesMax = 20_000_000
    const client = open(t, { servers: server.address, queueBytesMax: bytesMax, timeoutMs: 2000, failuresMax: 1 })
    t.teardown(() => server.resume())
    t.equal(await client.get('key:1'), 'value of key:1')
    const before = heldBytes()
    await server.pause()
    const calls = Array.from({ length: 200 }, (_, i) => client.set(`k${i}`, Buffer.alloc(500_000, i)))
    const ending = Promise.allSettled(calls)
    await until(() => heldBytes() - before < 1.2 * bytesMax)
    const ends = await ending
    await until(() => heldBytes() - before < 1_000_000)
    // After that: whoever keeps the errors must not keep the values with them.
    const codes = ends.map(end => (end.status === 'rejected' ? end.reason.code : 'ok'))
    t.equal(codes.filter(code => code === 'QUEUE_FULL').length, 161)
    t.equal(codes.filter(code => code === 'TIMEOUT').length, 39, 'as many as fit into 20 MB')
    server.resume()
    await until(async () => (await client.get('key:1').catch(() => undefined)) === 'value of key:1')
  })
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes of Buffers that somebody still holds. */
function heldBytes(): number {
  collect()
  return process.memoryUsage().arrayBuffers
}

t.test('memcached', { skip: withoutMemcached }, async t => battery(t, await memcached(t)))
t.test('a node', async t => battery(t, await node(t)))

t.test('a tier', async t => {
  const nodes = await tier(t)
  const through = await router(t, nodes)
  await t.test('its router', t => battery(t, through))

  await t.test('a node behind the router is paused, killed and started again', async t => {
    const client = open(t, { servers: through.address })
    const keys = keysOf(300)
    const works = async () =>
      (await writeAll(client, keys).catch(() => 0)) === keys.length &&
      (await readAll(client, keys)).right === keys.length
    await until(works)
    const rightOrFailed = async () => {
      const ends = await readAll(client, keys)
      t.notOk(ends.crossed, JSON.stringify(ends))
      t.ok((ends.right ?? 0) < keys.length, 'a third of the keys cannot be had')
    }
    nodes.signal('b', 'SIGSTOP')
    await rightOrFailed()
    nodes.signal('b', 'SIGCONT')
    await until(works)
    await nodes.kill('b')
    await rightOrFailed()
    await nodes.node('b')
    await until(works)
    t.same(await readAll(open(t, { servers: `${HOST}:${nodes.ports.get('b')}`, timeoutMs: 20_000 }), keys), {
      right: keys.length,
    })
  })
})
