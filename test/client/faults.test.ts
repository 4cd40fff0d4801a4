/**
 * Servers that are killed, paused, restarted, silent, slow or rude: no promise stays pending, no reply goes to another's
 * request, memory stays bounded, and a node that is well again is used again.
 */
import { createServer, type Server as NetServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Client, type ClientError, type ClientOptions } from '../../lib/client/index.js'
import type { TierProcesses } from '../interop/tier-processes.js'
import { HOST, memcached, node, router, type Server, tier, until, withoutMemcached } from './servers.js'

const QUICK: ClientOptions = { timeoutMs: 200, backoff: { minMs: 5, maxMs: 50 } }

function open(t: Test, options: ClientOptions): Client {
  const client = new Client({ ...QUICK, ...options })
  t.teardown(() => client.destroy())
  return client
}

/** A server of a few lines: what it answers to each line. */
async function scripted(t: Test, answer: (line: string, socket: Socket) => string | null): Promise<string> {
  const sockets = new Set<Socket>()
  const server: NetServer = createServer(socket => {
    sockets.add(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('data', bytes => {
      text += bytes.toString('latin1')
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const said = answer(text.slice(0, end), socket)
        text = text.slice(end + 2)
        if (said !== null) socket.write(said)
      }
    })
  })
  await new Promise<void>(resolve => server.listen(0, HOST, resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return `${HOST}:${typeof address === 'object' && address ? address.port : 0}`
}

/** How each call ended; a call that does not end keeps the test from ending. */
async function ends(calls: Promise<unknown>[]): Promise<Map<string, number>> {
  const ends = new Map<string, number>()
  for (const { status, ...end } of await Promise.allSettled(calls)) {
    const word = status === 'fulfilled' ? 'ok' : ((end as { reason: ClientError }).reason.code ?? 'other')
    ends.set(word, (ends.get(word) ?? 0) + 1)
  }
  return ends
}

/** One tier behind all routers. */
let shared: Promise<TierProcesses> | null = null
async function sharedRouter(test: Test): Promise<Server> {
  shared ??= tier(t)
  return router(test, await shared)
}

for (const [name, begin] of [
  ['memcached', memcached],
  ['a node', node],
  ['a router of a tier', sharedRouter],
] as const) {
  t.test(
    `${name}: 10,000 calls at once, each with its own answer`,
    { skip: name === 'memcached' && withoutMemcached },
    async t => {
      const server = await begin(t)
      for (const protocol of ['meta', 'classic'] as const) {
        const client = open(t, { servers: server.address, protocol, timeoutMs: 20_000 })
        const many = protocol === 'meta' ? 10_000 : 2_000
        const keys = Array.from({ length: many }, (_, i) => `${protocol}${i}`)
        t.same([...(await ends(keys.map(key => client.set(key, `value of ${key}`))))], [['ok', many]])
        const got = await Promise.all(keys.map(key => client.get(key)))
        t.ok(keys.every((key, i) => got[i] === `value of ${key}`))
      }
    },
  )

  t.test(`${name}: killed and restarted under load`, { skip: name === 'memcached' && withoutMemcached }, async t => {
    const server = await begin(t)
    const client = open(t, { servers: server.address, failuresMax: 2 })
    const seen: string[] = []
    client.on('eject', () => seen.push('eject'))
    client.on('rejoin', () => seen.push('rejoin'))
    await client.set('k', 'before')
    const calls: Promise<unknown>[] = []
    const keep = (...some: Promise<unknown>[]) => {
      for (const one of some) one.catch(() => {})
      calls.push(...some)
    }
    const load = setInterval(() => {
      for (let i = 0; i < 10; i++) keep(client.set(`k${i}`, `k${i}`), client.get(`k${i}`))
    }, 2)
    await until(() => calls.length > 500)
    await server.kill()
    await until(() => seen.includes('eject'))
    await t.rejects(client.get('k'), { code: 'NODE_EJECTED', node: server.address })
    await server.restart()
    await until(() => seen.includes('rejoin'))
    clearInterval(load)
    const counts = await ends(calls)
    t.ok(counts.get('ok')! > 0)
    t.same(
      [...counts.keys()].filter(
        word => !['ok', 'CONNECTION_LOST', 'NODE_EJECTED', 'CONNECT_FAILED', 'TIMEOUT'].includes(word),
      ),
      [],
    )
    await client.set('k', 'after')
    t.equal(await client.get('k'), 'after')
  })

  t.test(`${name}: paused, then resumed`, { skip: name === 'memcached' && withoutMemcached }, async t => {
    const server = await begin(t)
    const client = open(t, { servers: server.address, failuresMax: 2 })
    let rejoined = false
    client.on('rejoin', () => {
      rejoined = true
    })
    await client.set('k', 'v')
    await server.pause()
    const began = Date.now()
    const counts = await ends(Array.from({ length: 100 }, (_, i) => (i % 2 ? client.get('k') : client.set(`k${i}`, i))))
    t.same(counts.get('ok'), undefined, [...counts].join(' '))
    t.ok(Date.now() - began < 5000, 'nobody waits long')
    await until(() => client.nodes.every(({ isUp }) => !isUp))
    server.resume()
    await until(() => rejoined)
    t.equal(await client.get('k'), 'v')
  })
}

t.test('a timeout of one call neither ends the connection nor crosses replies', async t => {
  let held: (() => void) | null = null
  const address = await scripted(t, (line, socket) => {
    if (line === 'mn') return 'MN\r\n'
    const key = line.split(' ')[1]!
    if (key !== 'slow') return `VA ${key.length} f0\r\n${key}\r\n`
    held = () => socket.write('VA 4 f0\r\nslow\r\n')
    return null
  })
  const client = open(t, { servers: address, timeoutMs: 2000 })
  let connects = 0
  client.on('connect', () => connects++)
  await t.rejects(client.get('slow', { timeoutMs: 20 }), { code: 'TIMEOUT' })
  held!()
  t.same(await Promise.all(['a', 'b'].map(key => client.get(key))), ['a', 'b'])
  t.equal(connects, 1)
})

t.test('a connection that says nothing is given up', async t => {
  let silent = true
  let connections = 0
  const address = await scripted(t, line => {
    if (line === 'mn') {
      connections++
      return 'MN\r\n'
    }
    return silent ? null : 'EN\r\n'
  })
  const client = open(t, { servers: address, failuresMax: 100 })
  await t.rejects(client.set('k', 1), { code: /TIMEOUT/ })
  silent = false
  await until(
    async () =>
      await client.get('k').then(
        () => true,
        () => false,
      ),
  )
  t.ok(connections >= 2)
})

t.test('abort', async t => {
  const address = await scripted(t, line => (line === 'mn' ? 'MN\r\n' : line.includes('held') ? null : 'EN\r\n'))
  const client = open(t, { servers: address, timeoutMs: 5000 })
  const before = AbortSignal.abort(new Error('too late'))
  await t.rejects(client.get('k', { signal: before }), { message: 'too late' })
  const controller = new AbortController()
  const calls = [
    client.get('held', { signal: controller.signal }),
    client.getMany(['held'], { signal: controller.signal }),
  ]
  const leased = client.getOrSet('held', () => 1, { signal: controller.signal })
  controller.abort()
  await t.rejects(calls[0]!, { name: 'AbortError' })
  await t.rejects(calls[1]!, { code: 'PARTIAL', errors: [{ name: 'AbortError' }] })
  await t.rejects(leased, { name: 'AbortError' })
})

t.test('queues are bounded', async t => {
  const address = await scripted(t, line => (line === 'mn' ? 'MN\r\n' : null))
  const client = open(t, { servers: address, queueMax: 10, timeoutMs: 100 })
  const counts = await ends(Array.from({ length: 25 }, () => client.set('k', 1)))
  t.equal(counts.get('QUEUE_FULL'), 15)
  const bytes = open(t, { servers: address, queueBytesMax: 5000, timeoutMs: 100 })
  const some = await ends(Array.from({ length: 10 }, () => bytes.set('k', Buffer.alloc(1000))))
  t.equal(some.get('QUEUE_FULL'), 6)
})

t.test('a server that does not read: bounded, and every call ends', async t => {
  const address = await scripted(t, (line, socket) => {
    if (line !== 'mn') return null
    setImmediate(() => socket.pause())
    return 'MN\r\n'
  })
  const client = open(t, { servers: address, queueBytesMax: 20_000_000, failuresMax: 1 })
  const value = Buffer.alloc(900_000)
  const counts = await ends(Array.from({ length: 60 }, (_, i) => client.set(`k${i}`, value)))
  t.notOk(counts.get('ok'))
  t.ok(counts.get('QUEUE_FULL')! >= 38, [...counts].join(' '))
})

t.test('what is no reply ends the connection, not the client', async t => {
  let nonsense = true
  const address = await scripted(t, line => (line === 'mn' ? 'MN\r\n' : nonsense ? 'HELLO\r\n' : 'EN\r\n'))
  const client = open(t, { servers: address, failuresMax: 100 })
  await t.rejects(client.set('k', 1), { code: 'BAD_REPLY' })
  nonsense = false
  t.equal(await client.get('k'), undefined)
})

t.test('a reply with another key is not believed', async t => {
  const address = await scripted(t, () => 'VALUE other 0 1\r\nx\r\nEND\r\n')
  const client = open(t, { servers: address, protocol: 'classic', failuresMax: 1 })
  await t.rejects(client.get('k'), { code: /BAD_REPLY|NODE_EJECTED/ })
  await t.rejects(client.getMany(['k']), { code: 'PARTIAL' })
})

t.test('a connection that is cut in the middle of a reply', async t => {
  let cuts = 3
  const address = await scripted(t, (line, socket) => {
    if (line === 'mn') return 'MN\r\n'
    if (cuts-- <= 0) return 'VA 5 f0\r\nwhole\r\n'
    socket.end('VA 5 f0\r\nwh')
    return null
  })
  const client = open(t, { servers: address, failuresMax: 100, timeoutMs: 2000 })
  t.equal(await client.get('k'), 'whole', 'a read is asked again')
  cuts = 1
  await t.rejects(client.set('k', 1), { code: 'CONNECTION_LOST' }, 'a write is not')
})

t.test('no server at all', async t => {
  const closed = await new Promise<string>(resolve => {
    const server = createServer().listen(0, HOST, () => {
      const address = server.address()
      server.close(() => resolve(`${HOST}:${typeof address === 'object' && address ? address.port : 0}`))
    })
  })
  const client = open(t, { servers: closed })
  const counts = await ends(Array.from({ length: 100 }, () => client.get('k')))
  t.same([...counts], [['NODE_EJECTED', 100]])
  t.equal(await open(t, { servers: closed, failures: 'miss' }).get('k'), undefined)
  t.equal((await open(t, { servers: closed, failures: 'miss' }).getMany(['k'])).size, 0)
  t.equal(await open(t, { servers: closed, failures: 'miss' }).getOrSet('k', () => 'made'), 'made')
  await t.rejects(client.connect(), { code: 'NODE_EJECTED' })
})

t.test('a server that closes on meta commands is spoken to in the classic protocol', async t => {
  const address = await scripted(t, (line, socket) => {
    if (line === 'mn') {
      socket.destroy()
      return null
    }
    return line.startsWith('get k') ? 'VALUE k 0 3\r\nold\r\nEND\r\n' : 'END\r\n'
  })
  t.equal(await open(t, { servers: address }).get('k'), 'old')
})

t.test('one of three nodes is gone', { skip: withoutMemcached }, async t => {
  const servers = await Promise.all([memcached(t), memcached(t), memcached(t)])
  const list = servers.map(({ address }) => address)
  const keys = Array.from({ length: 300 }, (_, i) => `key${i}`)
  const pairs = keys.map((key): [string, string] => [key, key])
  const again = keys.map((key): [string, string] => [key, 'again'])
  const strict = open(t, { servers: list })
  await strict.setMany(pairs)
  await servers[1]!.kill()
  const partial = await strict.getMany(keys).catch(error => error)
  t.match(partial, { code: 'PARTIAL', results: Map })
  const lost = keys.filter(key => `${strict.ring.get(key).host}:${strict.ring.get(key).port}` === list[1])
  t.equal(partial.results.size, keys.length - lost.length)
  const next = open(t, { servers: list, whenEjected: 'next' })
  await next.setMany(again).catch(() => {})
  await until(() => next.nodes.some(({ isUp }) => !isUp))
  t.equal(await next.setMany(again), keys.length)
  const all = await next.getMany(keys)
  t.ok(
    keys.every(key => all.get(key) === 'again'),
    'the next node of the ring stands in',
  )
})

t.test('close waits for what is under way; then calls are rejected', async t => {
  const server = await node(t)
  const client = open(t, { servers: server.address, timeoutMs: 5000 })
  const calls = Array.from({ length: 100 }, (_, i) => client.set(`k${i}`, i))
  await client.close()
  t.same([...(await ends(calls))], [['ok', 100]])
  await t.rejects(client.get('k'), { code: 'CLIENT_CLOSED' })
  await client.close()
  const other = open(t, { servers: server.address })
  const under = other.get('k')
  other.destroy()
  await t.rejects(under, { code: 'CLIENT_CLOSED' })
})

t.test('options that make no sense', async t => {
  const throws = (options: unknown, code: string) => t.throws(() => new Client(options as ClientOptions), { code })
  throws({ servers: [] }, 'EMPTY_SERVERS')
  throws({ servers: 'nowhere' }, 'BAD_OPTIONS')
  throws({ servers: 'a:0' }, 'BAD_OPTIONS')
  throws({ servers: 7 }, 'BAD_OPTIONS')
  throws({ servers: ['a:1', 'a:1'] }, 'DUPLICATE_SERVER')
  throws({ servers: [{ host: 'a', port: 1, weight: -1 }] }, 'BAD_WEIGHT')
  throws({ servers: [{ host: 'a', port: 1, weight: Number.NaN }] }, 'BAD_WEIGHT')
  throws({ servers: 'a:1=0' }, 'BAD_OPTIONS')
  throws({ dialect: 'nobody' }, 'UNKNOWN_DIALECT')
  throws({ timeoutMs: 0 }, 'BAD_OPTIONS')
  throws({ protocol: 'binary' }, 'BAD_OPTIONS')
  throws({ connections: 0 }, 'BAD_OPTIONS')
  throws({ auth: { user: 'a b', password: 'c' } }, 'BAD_OPTIONS')
  await t.rejects(open(t, {}).get('k', { timeoutMs: -1 }), { code: 'BAD_OPTIONS' })
})

t.test('several connections to a node', async t => {
  const server = await node(t)
  const client = open(t, { servers: server.address, connections: 3, timeoutMs: 5000 })
  let connects = 0
  client.on('connect', () => connects++)
  await Promise.all(Array.from({ length: 300 }, (_, i) => client.set(`k${i}`, i)))
  t.equal(connects, 3)
  const got = await Promise.all(Array.from({ length: 300 }, (_, i) => client.get(`k${i}`)))
  t.ok(got.every((value, i) => value === i))
})
