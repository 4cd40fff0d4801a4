/** Discovery: a tier's own list, with its dialect, through joins and drains under load; ElastiCache's list; servers that tell none. */
import { createServer, type Socket } from 'node:net'
import t from 'tap'
import { Client } from '../../lib/client/index.js'
import { continuum } from '../interop/processes.js'
import { TierProcesses } from '../interop/tier-processes.js'
import { HOST, node, until } from './servers.js'

t.test('a tier: nodes join and leave, the client follows, nothing is lost', async t => {
  const tier = new TierProcesses()
  t.teardown(() => tier.stop())
  await tier.coordinator()
  await Promise.all([tier.node('a'), tier.node('b')])
  await tier.until(view => view.settled && view.nodes.filter(({ state }) => state === 'up').length === 2)
  const client = new Client({
    // One address is enough, and the dialect is the tier's affair.
    servers: `${HOST}:${tier.ports.get('a')}`,
    dialect: 'dalli',
    discovery: { intervalMs: 50 },
    timeoutMs: 10_000,
  })
  t.teardown(() => client.destroy())
  await client.connect()
  // A node is in the ring a moment before all its threads know that.
  await until(() => client.ring.dialect === 'libmemcached-weighted')
  const portsOf = () => client.nodes.map(({ name }) => Number(name.split(':')[1])).sort()
  const ports = (...ids: string[]) => ids.map(id => tier.ports.get(id)!).sort()
  t.same(portsOf(), ports('a', 'b'))

  const keys = Array.from({ length: 2000 }, (_, i) => `key${i}`)
  const errors: unknown[] = []
  const written = new Map<string, number>()
  let wrong = 0
  let running = true
  await client.setMany(keys.map((key): [string, number] => [key, 0]))
  const load = (async () => {
    for (let round = 1; running; round++) {
      const some = keys.filter((_, i) => i % 40 === round % 40)
      try {
        await client.setMany(some.map((key): [string, number] => [key, round]))
        for (const key of some) written.set(key, round)
        const got = await client.getMany<number>(some)
        for (const key of some) if (got.get(key) !== round) wrong++
      } catch (error) {
        errors.push(error)
      }
    }
  })()
  await tier.node('c')
  await tier.until(view => view.settled && view.nodes.filter(({ state }) => state === 'up').length === 3)
  await until(() => client.nodes.length === 3)
  t.same(portsOf(), ports('a', 'b', 'c'))
  const drained = await continuum('tier', 'drain', 'c', '--tier', tier.storeUrl).ended
  t.equal(drained, 0)
  await until(() => client.nodes.length === 2)
  running = false
  await load
  t.same(errors, [])
  t.equal(wrong, 0, 'every value was the last one written')
  const all = await client.getMany<number>(keys)
  t.equal(all.size, keys.length, 'nothing is lost')
  t.ok(keys.every(key => all.get(key) === (written.get(key) ?? 0)))

  // The client asks the right node: nothing has to be forwarded.
  const forwarded = async () =>
    [...(await client.stats()).values()].reduce((sum, stats) => sum + Number(stats.get('forwarded_requests') ?? 0), 0)
  const was = await forwarded()
  await client.getMany(keys)
  t.equal(await forwarded(), was)
})

t.test("ElastiCache's list", async t => {
  const [one, two] = await Promise.all([node(t), node(t)])
  let version = 1
  let members = [one]
  const endpoint = createServer((socket: Socket) => {
    socket.on('error', () => {})
    socket.on('data', bytes => {
      const text = bytes.toString()
      if (text.includes('mn\r\n')) socket.write('MN\r\n')
      for (const [, what] of text.matchAll(/config get (\w+)/g)) {
        const list = `${version}\n${members.map(({ port }) => `${HOST}|${HOST}|${port}`).join(' ')}\n`
        socket.write(what === 'cluster' ? `CONFIG cluster 0 ${list.length}\r\n${list}\r\nEND\r\n` : 'ERROR\r\n')
      }
    })
  })
  await new Promise<void>(resolve => endpoint.listen(0, HOST, resolve))
  t.teardown(() => endpoint.close())
  const address = endpoint.address()
  const client = new Client({
    servers: `${HOST}:${typeof address === 'object' && address ? address.port : 0}`,
    discovery: { intervalMs: 20 },
    timeoutMs: 5000,
  })
  t.teardown(() => client.destroy())
  await client.connect()
  t.same(
    client.nodes.map(({ name }) => name),
    [one.address],
  )
  t.equal(await client.set('k', 'v'), true)
  version = 2
  members = [one, two]
  await until(() => client.nodes.length === 2)
  const keys = Array.from({ length: 100 }, (_, i) => `key${i}`)
  await client.setMany(keys.map((key): [string, string] => [key, key]))
  t.equal((await client.getMany(keys)).size, 100)
  members = [two]
  await client.refresh()
  t.equal(client.nodes.length, 2, 'an old version changes nothing')
  client.destroy()
})

t.test('servers that tell no list', async t => {
  const server = await node(t)
  const client = new Client({ servers: server.address, discovery: true, timeoutMs: 5000 })
  t.teardown(() => client.destroy())
  const errors: unknown[] = []
  client.on('discoveryError', error => errors.push(error))
  await client.connect()
  t.equal(errors.length, 1)
  t.equal(await client.set('k', 1), true, 'the list that was given stays')
})
