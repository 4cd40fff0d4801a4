/** A previous server list between two fleets of plain memcached: nothing is lost by the change, newer values win. */
import t, { type Test } from 'tap'
import { Client, type ClientOptions } from '../../lib/client/index.js'
import { memcached, type Server, withoutMemcached } from './servers.js'

for (const protocol of ['meta', 'classic'] as const) {
  t.test(`${protocol} commands`, { skip: withoutMemcached }, async t => {
    const [one, two, three] = await Promise.all([memcached(t), memcached(t), memcached(t)])
    const list = (...servers: Server[]) => servers.map(({ address }) => address)
    const open = (t: Test, servers: string[], options: ClientOptions = {}) => {
      const client = new Client({ servers, protocol, timeoutMs: 5000, ...options })
      t.teardown(() => client.destroy())
      return client
    }
    const before = open(t, list(one, two))
    const after = open(t, list(one, two, three))
    const moving = () => open(t, list(one, two, three), { previous: { servers: list(one, two), ttlIfUnknown: 77 } })
    const client = moving()
    /** Keys that change their owner. */
    const moved = Array.from({ length: 3000 }, (_, i) => `key${i}`).filter(
      key => before.ring.get(key).port !== after.ring.get(key).port,
    )
    t.ok(moved.length > 500)
    const next = () => moved.pop()!

    await t.test('reads', async t => {
      const [get, gets, gat, touch] = [next(), next(), next(), next()]
      const many = [next(), next(), next()]
      for (const key of [get, gets, gat, touch, ...many]) await before.set(key, `old ${key}`, { ttl: 500 })
      t.equal(await client.get(get), `old ${get}`)
      t.equal((await client.gets(gets))?.value, `old ${gets}`)
      t.equal(await client.gat(gat, 300), `old ${gat}`)
      t.equal(await client.touch(touch, 300), true)
      t.same(
        [...(await client.getMany([...many, next()]))],
        many.map(key => [key, `old ${key}`]),
      )
      t.equal(await client.get(next()), undefined)
      for (const key of [get, gets, gat, touch, ...many])
        t.equal(await after.get(key), `old ${key}`, 'at its new owner')
      if (protocol === 'meta') {
        const ttl = (await after.gets(get))?.ttl ?? 0
        t.ok(ttl > 490 && ttl <= 500, `${ttl} s remain`)
      }
    })

    await t.test('writes', async t => {
      const key = next()
      await before.set(key, 'old')
      await client.set(key, 'new')
      t.equal(await before.get(key), undefined, 'an old value cannot come back')
      t.equal(await client.get(key), 'new')
      const [add, append, replace, cas] = [next(), next(), next(), next()]
      for (const one of [add, append, replace, cas]) await before.set(one, 'old')
      t.equal(await client.add(add, 'new'), false)
      t.equal(await client.append(append, '+'), true)
      t.equal(await client.get(append), 'old+')
      t.equal(await client.replace(replace, 'new'), true)
      t.equal(await client.get(replace), 'new')
      const entry = await client.gets(cas)
      t.equal(await client.cas(cas, 'new', entry!.casUnique), 'STORED')
      const count = next()
      await before.set(count, 41)
      t.equal(await client.incr(count), 42)
      t.equal(await client.incr(count), 43, 'counted on at the new owner')
    })

    await t.test('deletions are made at both', async t => {
      const [old, both, none] = [next(), next(), next()]
      await before.set(old, 1)
      await before.set(both, 1)
      await after.set(both, 2)
      t.equal(await client.delete(old), true)
      t.equal(await client.delete(both), true)
      t.equal(await client.delete(none), false)
      for (const key of [old, both])
        t.same([await before.get(key), await after.get(key), await client.get(key)], [undefined, undefined, undefined])
    })

    await t.test('a newer value wins', async t => {
      const key = next()
      await before.set(key, 'old')
      const [got] = await Promise.all([moving().get(key), after.set(key, 'new')])
      t.ok(got === 'old' || got === 'new')
      t.equal(await client.get(key), 'new')
    })

    await t.test('getOrSet brings over before it fills', async t => {
      const key = next()
      await before.set(key, 'old')
      t.equal(await client.getOrSet(key, () => 'filled'), 'old')
      t.equal(await client.getOrSet(next(), () => 'filled'), 'filled')
    })

    await t.test('keys that stay are asked for once', async t => {
      const stays = Array.from({ length: 100 }, (_, i) => `stay${i}`).find(
        key => before.ring.get(key).port === after.ring.get(key).port,
      )!
      const gets = async () =>
        [...(await after.stats()).values()].reduce((sum, stats) => sum + Number(stats.get('get_misses')), 0)
      const was = await gets()
      t.equal(await client.get(stays), undefined)
      t.equal(await gets(), was + 1)
    })
  })
}
