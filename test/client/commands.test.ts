/**
 * Every command by meta commands and by classic ones, on memcached, on a node of ours, through a router of a tier and on a tier
 * whose nodes the client has found: one battery, same answers.
 */
import t, { type Test } from 'tap'
import { Client, type ClientOptions, raw as rawSerializer } from '../../lib/client/index.js'
import { TextClient } from '../interop/tier-processes.js'
import { HOST, memcached, node, router, type Server, tier, withoutMemcached } from './servers.js'

type Place = Pick<Server, 'address' | 'port'>

async function battery(t: Test, server: Place, protocol: 'meta' | 'classic', more: ClientOptions = {}): Promise<void> {
  const open = (options: ClientOptions = {}) => {
    const client = new Client({ servers: server.address, protocol, timeoutMs: 5000, ...more, ...options })
    t.teardown(() => client.destroy())
    return client
  }
  const client = open({ namespace: `${protocol}:` })

  await t.test('set, get, delete', async t => {
    t.equal(await client.get('absent'), undefined)
    t.equal(await client.set('a', 'one'), true)
    t.equal(await client.get('a'), 'one')
    t.equal(await client.delete('a'), true)
    t.equal(await client.delete('a'), false)
    t.equal(await client.get('a'), undefined)
  })

  await t.test('values come back as what they were', async t => {
    const values = [
      '',
      'text',
      'žluťoučký 🐎',
      0,
      -1.5,
      1e300,
      12n,
      2n ** 64n,
      true,
      null,
      { a: [1, { b: 2 }] },
      [],
      Buffer.from([0, 13, 10, 255]),
    ]
    for (const value of values) {
      await client.set('v', value)
      t.same(await client.get('v'), value)
      t.same((await client.getMany(['v'])).get('v'), value)
      t.same((await client.gets('v'))?.value, value)
    }
    await client.set('v', new Uint8Array([1, 2]))
    t.same(await client.get('v'), Buffer.from([1, 2]))
    await client.set('empty', Buffer.alloc(0))
    t.same(await client.get('empty'), Buffer.alloc(0))
  })

  await t.test('add, replace', async t => {
    t.equal(await client.replace('r', 1), false)
    t.equal(await client.add('r', 2), true)
    t.equal(await client.add('r', 3), false)
    t.equal(await client.get('r'), 2)
    t.equal(await client.replace('r', 4), true)
    t.equal(await client.get('r'), 4)
  })

  await t.test('append, prepend', async t => {
    t.equal(await client.append('p', 'x'), false)
    t.equal(await client.prepend('p', 'x'), false)
    await client.set('p', 'b')
    t.equal(await client.append('p', 'c'), true)
    t.equal(await client.prepend('p', Buffer.from('a')), true)
    t.equal(await client.get('p'), 'abc')
  })

  await t.test('gets, cas', async t => {
    t.equal(await client.gets('c'), undefined)
    t.equal(await client.cas('c', 1, 1n), 'NOT_FOUND')
    await client.set('c', 'old')
    const entry = await client.gets<string>('c')
    t.match(entry, { value: 'old', ttl: null })
    t.equal(await client.cas('c', 'new', entry!.casUnique), 'STORED')
    t.equal(await client.cas('c', 'newer', entry!.casUnique), 'EXISTS')
    t.equal(await client.get('c'), 'new')
  })

  await t.test('incr, decr', async t => {
    t.equal(await client.incr('n'), undefined)
    t.equal(await client.incr('n', 2, { initial: 40 }), 40)
    t.equal(await client.incr('n', 2, { initial: 40 }), 42)
    t.equal(await client.get('n'), 42)
    t.equal(await client.decr('n', 100), 0)
    t.equal(await client.incr('n', 2n ** 64n - 1n), 2n ** 64n - 1n)
    await t.rejects(client.incr('n', 0), { code: 'UNSAFE_NUMBER' })
    t.equal(await client.incr('n', 3n), 2n, 'wraps around')
    t.equal(await client.incr('big', 1n, { initial: 2n ** 63n }), 2n ** 63n)
    t.equal(await client.get('big'), 2n ** 63n)
    await client.set('word', 'abc')
    await t.rejects(client.incr('word'), { code: 'NOT_A_NUMBER' })
    await t.rejects(client.incr('n', -1), { code: 'BAD_DELTA' })
    await t.rejects(client.incr('n', 1.5), { code: 'BAD_DELTA' })
  })

  await t.test('times to live', async t => {
    t.equal(await client.touch('t', 100), false)
    t.equal(await client.gat('t', 100), undefined)
    await client.set('t', 'x', { ttl: new Date(Date.now() + 3_600_000) })
    t.equal(await client.gat('t', 100), 'x')
    const left = (await client.gets('t'))?.ttl
    if (protocol === 'meta') t.ok(left && left > 90 && left <= 100, `${left} s left`)
    else t.equal(left, null)
    t.equal(await client.touch('t', 40 * 86_400), true)
    t.equal(await client.get('t'), 'x', 'forty days are not 1970')
    await client.set('t', 'x', { ttl: new Date(0) })
    t.equal(await client.get('t'), undefined)
    await t.rejects(client.set('t', 1, { ttl: Number.NaN }), { code: 'BAD_TTL' })
    await t.rejects(client.set('t', 1, { ttl: -1 }), { code: 'BAD_TTL' })
    await t.rejects(client.touch('t', new Date('never')), { code: 'BAD_TTL' })
  })

  await t.test('many keys', async t => {
    const entries = Array.from({ length: 1200 }, (_, i): [string, string] => [`many${i}`, `value ${i}`])
    t.equal(await client.setMany(entries), 1200)
    const keys = [...entries.map(([key]) => key), 'nobody', 'many0']
    const found = await client.getMany<string>(keys)
    t.equal(found.size, 1200)
    t.ok(entries.every(([key, value]) => found.get(key) === value))
    t.equal(await client.setMany({ many0: 'again' }), 1)
    t.equal(await client.deleteMany(['many0', 'many1', 'nobody']), 2)
    t.equal((await client.getMany(['many0', 'many1', 'many2'])).size, 1)
    t.equal((await client.getMany([])).size, 0)
  })

  await t.test('keys', async t => {
    for (const key of ['ключ', 'k'.repeat(250 - protocol.length - 1), Buffer.from('plain')]) {
      await client.set(key, 'yes')
      t.equal(await client.get(key), 'yes')
      t.equal((await client.getMany([key])).get(key), 'yes')
    }
    t.equal(await client.get('plain'), 'yes', 'bytes that could be text are the same key')
    for (const key of [
      '',
      'a b',
      'a\n',
      '\x7f',
      'k'.repeat(250),
      Buffer.alloc(0),
      Buffer.alloc(200),
      7 as unknown as string,
    ]) {
      const bare = open()
      const long = typeof key === 'string' && key.length === 250 ? `${key}k` : key
      await t.rejects(bare.get(long), { code: 'BAD_KEY' })
      await t.rejects(bare.set(long, 1), { code: 'BAD_KEY' })
      await t.rejects(bare.getMany([long]), { code: 'BAD_KEY' })
    }
    const binary = Buffer.from([0, 32, 10, 255])
    if (protocol === 'meta') {
      await client.set(binary, 'bytes')
      t.equal(await client.get(binary), 'bytes')
      t.same([...(await client.getMany([binary, Buffer.from('plain')])).values()], ['bytes', 'yes'])
      t.equal(await client.incr(Buffer.from([1]), 1, { initial: 5 }), 5)
      t.equal(await client.delete(binary), true)
    } else await t.rejects(client.get(binary), { code: 'UNSUPPORTED' })
  })

  await t.test('namespaces', async t => {
    const users = client.namespace('users:')
    await users.set('1', 'Ada')
    t.equal(await open().get(`${protocol}:users:1`), 'Ada')
    t.same([...(await users.getMany(['1']))], [['1', 'Ada']])
    await t.rejects(users.get('k'.repeat(245)), { code: 'BAD_KEY' })
  })

  await t.test('serializers and compression', async t => {
    const text = 'all work and no play '.repeat(1000)
    for (const compression of [true, { with: 'brotli' as const, minBytes: 10 }]) {
      const small = open({ compression })
      await small.set('zip', { text })
      t.same(await client.namespace('').get('zip'), undefined)
      t.same(await open().get('zip'), { text }, 'whoever reads knows how')
      t.same((await open().getMany(['zip'])).get('zip'), { text })
      t.same((await open().gets('zip'))?.value, { text })
    }
    const raw = new Client({ servers: server.address, protocol, serializer: rawSerializer })
    t.teardown(() => raw.destroy())
    await raw.set('raw', 'text')
    t.same(await raw.get('raw'), Buffer.from('text'))
    const wire = new TextClient(server.port)
    t.teardown(() => wire.close())
    const [, size] = /^HD s(\d+)/.exec(await wire.all('mg zip s\r\n')) ?? []
    t.ok(Number(size) < 1000, `stored small: ${size}`)
    await open().set('json', { a: 1 })
    await open().append('json', '}')
    await t.rejects(open().get('json'), { code: 'BAD_VALUE' })
    await t.rejects(open().getMany(['json']), { code: 'PARTIAL', errors: [{ code: 'BAD_VALUE' }] })
    await t.rejects(
      client.set('f', () => 1),
      { code: 'BAD_VALUE' },
    )
  })

  await t.test('values up to a megabyte, and one too large', async t => {
    // The last one is the largest that memcached stores: a megabyte less what an item needs besides.
    const sizes = [1, 1023, 16_384, 65_536, 524_288, 1_000_000, 1_048_576 - 200]
    const values = sizes.map(size => Buffer.alloc(size, `${size} `))
    await client.setMany(values.map((value, i) => [`sized${i}`, value] as const))
    const found = await client.getMany<Buffer>(values.map((_, i) => `sized${i}`))
    for (const [i, value] of values.entries()) {
      t.ok(value.equals((await client.get<Buffer>(`sized${i}`)) ?? Buffer.alloc(0)), `${value.length} bytes`)
      t.ok(value.equals(found.get(`sized${i}`) ?? Buffer.alloc(0)), `${value.length} bytes among many`)
    }
    await client.set('large', values.at(-1))
    await t.rejects(client.set('large', Buffer.alloc(1_100_000)), { code: 'VALUE_TOO_LARGE' })
    t.equal(await client.get('large'), undefined, 'the old value is gone, as in memcached')
    await t.rejects(open({ valueBytesMax: 10 }).set('large', 'elf Zeichen'), { code: 'VALUE_TOO_LARGE' })
  })

  await t.test('getOrSet', async t => {
    let fills = 0
    const fill = async () => {
      fills++
      await new Promise(resolve => setTimeout(resolve, 20))
      return `filled ${fills}`
    }
    const others = [client, open({ namespace: `${protocol}:` }), open({ namespace: `${protocol}:` })]
    const got = await Promise.all(
      others.flatMap(one => [one.getOrSet('lease', fill, { ttl: 100 }), one.getOrSet('lease', fill)]),
    )
    t.same(got, Array(6).fill('filled 1'))
    t.equal(fills, 1)
    await t.rejects(
      client.getOrSet('fails', () => Promise.reject(new Error('no'))),
      { message: 'no' },
    )
    t.equal(await client.get('fails'), undefined)
    t.equal(await client.getOrSet('fails', () => 'now'), 'now', 'the lease was given back')
    t.equal(await client.getOrSet('nothing', () => undefined), undefined)
    t.equal(await client.getOrSet('nothing', () => 'something'), 'something')
  })

  await t.test('stats, version, flush', async t => {
    const version = await client.version()
    t.match(version.get(server.address), /\w/)
    const stats = await client.stats()
    t.match(stats.get(server.address)?.get('curr_items'), /^\d+$/)
    t.ok((await client.stats('settings')).get(server.address)?.has('maxbytes'))
    const refused = { code: 'REFUSED' }
    const several = client.nodes.length > 1
    await t.rejects(client.stats('nonsense'), several ? { code: 'PARTIAL', errors: [refused] } : refused)
    await client.set('flushed', 1)
    t.equal(await client.invalidate('nobody'), false)
    t.equal(await client.invalidate('flushed'), true)
    t.equal(await client.getOrSet('flushed', () => 2), 2, 'stale is filled anew')
    await client.flush()
    t.equal(await client.get('flushed'), undefined)
    t.equal(await client.get('many5'), undefined)
    await t.rejects(client.flush(-1), { code: 'BAD_TTL' })
  })
}

t.test('memcached, meta commands', { skip: withoutMemcached }, async t => battery(t, await memcached(t), 'meta'))
t.test('memcached, classic commands', { skip: withoutMemcached }, async t => battery(t, await memcached(t), 'classic'))
t.test('a node, meta commands', async t => battery(t, await node(t), 'meta'))
t.test('a node, classic commands', async t => battery(t, await node(t), 'classic'))

t.test('a tier', async t => {
  const nodes = await tier(t)
  const through = await router(t, nodes)
  await t.test('its router, meta commands', t => battery(t, through, 'meta'))
  await t.test('its router, classic commands', t => battery(t, through, 'classic'))
  const port = nodes.ports.get('b')!
  const place = { address: `${HOST}:${port}`, port }
  await t.test('its nodes, found', t => battery(t, place, 'meta', { discovery: true }))
})

t.test('the protocol is found out', { skip: withoutMemcached }, async t => {
  const server = await memcached(t)
  const client = new Client({ servers: server.address })
  t.teardown(() => client.destroy())
  await client.set('ttl', 1, { ttl: 50 })
  t.type((await client.gets('ttl'))?.ttl, 'number', 'only meta commands tell it')
})
