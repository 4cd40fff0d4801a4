/** getOrSet among clients of one server: one fills, others wait or get the stale value; deletions and failures meanwhile. */
import t, { type Test } from 'tap'
import { Client, type ClientOptions } from '../../lib/client/index.js'
import { memcached, node, router, type Server, until, withoutMemcached } from './servers.js'

function clients(t: Test, server: Server, count: number, options: ClientOptions = {}): Client[] {
  return Array.from({ length: count }, () => {
    const client = new Client({ servers: server.address, timeoutMs: 5000, ...options })
    t.teardown(() => client.destroy())
    return client
  })
}

/** A filler that ends when it is told to. */
function filler<Value>(value: Value) {
  let open = (): void => {}
  const gate = new Promise<void>(resolve => {
    open = resolve
  })
  const filled = { fills: 0, open, fill: async () => {} } as unknown as {
    fills: number
    open(): void
    fill(): Promise<Value>
  }
  filled.fill = async () => {
    filled.fills++
    await gate
    return value
  }
  return filled
}

for (const [name, begin, skip] of [
  ['memcached', memcached, withoutMemcached],
  ['a node', node, false],
  ['a router of a tier', router, false],
] as const) {
  t.test(name, { skip }, async t => {
    const server = await begin(t)
    const [a, b, c] = clients(t, server, 3) as [Client, Client, Client]

    await t.test('one fills, all get it', async t => {
      const one = filler('value')
      const calls = [a, b, c].flatMap(client =>
        Array.from({ length: 10 }, () => client.getOrSet('k', one.fill, { ttl: 60 })),
      )
      await until(() => one.fills > 0)
      one.open()
      t.same(await Promise.all(calls), Array(30).fill('value'))
      t.equal(one.fills, 1)
      const ttl = (await a.gets('k'))?.ttl
      t.ok(ttl && ttl > 50, 'stored with its time to live')
    })

    await t.test('stale: one fills, others get the old value at once', async t => {
      await a.set('s', 'old')
      t.equal(await a.invalidate('s'), true)
      const one = filler('new')
      const first = a.getOrSet('s', one.fill)
      await until(() => one.fills === 1)
      t.equal(await b.getOrSet('s', () => 'wrong'), 'old')
      one.open()
      t.equal(await first, 'new')
      t.equal(await c.getOrSet('s', () => 'wrong'), 'new')
      t.equal(await a.invalidate('nobody'), false)
    })

    await t.test('recacheSec: filled anew before it ends', async t => {
      await a.set('r', 'old', { ttl: 5 })
      const one = filler('new')
      const first = a.getOrSet('r', one.fill, { ttl: 100, recacheSec: 60 })
      await until(() => one.fills === 1)
      t.equal(await b.getOrSet('r', () => 'wrong', { recacheSec: 60 }), 'old')
      one.open()
      t.equal(await first, 'new')
      t.equal(await b.getOrSet('r', () => 'wrong', { recacheSec: 60 }), 'new')
    })

    await t.test('a deletion while it is filled wins', async t => {
      const one = filler('made of what was deleted')
      const call = a.getOrSet('d', one.fill)
      await until(() => one.fills === 1)
      await b.delete('d')
      one.open()
      t.equal(await call, 'made of what was deleted')
      t.equal(await b.get('d'), undefined, 'not stored')
    })

    await t.test('a filler that fails gives its right back', async t => {
      await a.set('f', 'old')
      await a.invalidate('f')
      await t.rejects(
        a.getOrSet('f', () => Promise.reject(new Error('no'))),
        { message: 'no' },
      )
      t.equal(await b.getOrSet('f', () => 'new'), 'new')
    })

    await t.test('a filler that dies is followed when its time is over', async t => {
      const dead = new Client({ servers: server.address })
      const one = filler('never')
      const never = dead.getOrSet('x', one.fill, { leaseSec: 1 })
      never.catch(() => {})
      // Not until `a` sees its place in the cache: that may be over with the second in which it began.
      await until(() => one.fills === 1)
      dead.destroy()
      t.equal(await b.getOrSet('x', () => 'alive', { leaseSec: 2 }), 'alive')
    })

    await t.test('options that make no sense', async t => {
      await t.rejects(
        a.getOrSet('k', () => 1, { leaseSec: 0 }),
        { code: 'BAD_OPTIONS' },
      )
      await t.rejects(
        a.getOrSet('a b', () => 1),
        { code: 'BAD_KEY' },
      )
    })
  })
}

t.test('classic commands: a second key says who fills', { skip: withoutMemcached }, async t => {
  const server = await memcached(t)
  const [a, b] = clients(t, server, 2, { protocol: 'classic' }) as [Client, Client]
  const one = filler('value')
  const calls = [a.getOrSet('k', one.fill), b.getOrSet('k', one.fill)]
  await until(() => one.fills > 0)
  one.open()
  t.same(await Promise.all(calls), ['value', 'value'])
  t.equal(one.fills, 1)
  t.equal(await a.get('k:lease'), undefined)
  t.equal(await a.invalidate('k'), true)
  t.equal(await a.get('k'), undefined, 'deleted: there is no stale in the classic protocol')
})
