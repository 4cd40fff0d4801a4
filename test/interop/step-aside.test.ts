/** A whole tier is restarted node by node under load: every node steps aside, is stopped, is started again and comes back. */
import t from 'tap'
import { continuum } from './processes.js'
import { TextClient, TierProcesses } from './tier-processes.js'

const IDS = ['a', 'b', 'c']

t.test('no miss, no error, and the weights as they were', { timeout: 240_000 }, async t => {
  const tier = new TierProcesses()
  t.teardown(() => tier.stop())
  await tier.coordinator()
  await Promise.all(IDS.map(id => tier.node(id, '--weight', id === 'b' ? '2' : '1')))
  await tier.node('router', '--weight', '0')
  await tier.until(view => view.settled && view.nodes.length === 4 && view.nodes.every(({ state }) => state === 'up'))
  const client = new TextClient(tier.ports.get('router')!)
  t.teardown(() => client.close())
  const keys = Array.from({ length: 1000 }, (_, i) => `key-${i}`)
  const write = async (round: number, some: readonly string[]) => {
    const sets = some.map(key => `set ${key} 0 0 ${String(round).length}\r\n${round}\r\n`).join('')
    return client.all(sets)
  }
  t.equal(await write(0, keys), 'STORED\r\n'.repeat(keys.length))
  const expected = new Map(keys.map(key => [key, '0']))
  const wrong: string[] = []
  let running = true
  let rounds = 0
  const load = (async () => {
    for (let round = 1; running; round++) {
      const some = keys.filter((_, i) => i % 10 === round % 10)
      const answer = await write(round, some)
      if (answer !== 'STORED\r\n'.repeat(some.length)) wrong.push(answer.slice(0, 200))
      for (const key of some) expected.set(key, String(round))
      const found = await client.read(keys)
      for (const key of keys) if (found.get(key) !== expected.get(key)) wrong.push(`${key}: ${found.get(key)}`)
      rounds++
    }
  })()
  for (const id of IDS) {
    const wish = continuum('tier', 'step-aside', id, '--tier', tier.storeUrl)
    t.equal(await wish.ended, 0)
    t.match(wish.output(), `node ${id} may be stopped now; started again it takes its keys back by itself`)
    const aside = await tier.until(view => view.settled)
    t.match(
      aside.nodes.find(node => node.id === id),
      { weight: 0, aside: id === 'b' ? 2 : 1 },
    )
    const again = continuum('tier', 'step-aside', id, '--tier', tier.storeUrl)
    t.equal(await again.ended, 1)
    t.match(again.output(), `node "${id}" has stepped aside already`)
    await tier.end(id)
    // Its start options do not know what weight it has in the ring.
    const port = tier.ports.get(id)
    await tier.sameNode(id, '--weight', '5')
    t.equal(tier.ports.get(id), port, 'as the ring knew it')
    const back = await tier.until(view => view.settled && view.nodes.every(({ state }) => state === 'up'))
    t.match(
      back.nodes
        .toSorted((one, other) => (one.id < other.id ? -1 : 1))
        .map(({ id, weight, aside }) => [id, weight, aside]),
      [
        ['a', 1],
        ['b', 2],
        ['c', 1],
        ['router', 0],
      ].map(([id, weight]) => [id, weight, undefined]),
    )
  }
  const done = rounds
  for (;;)
    if (rounds > done) break
    else await new Promise(resolve => setImmediate(resolve))
  running = false
  await load
  t.same(wrong, [])
  t.ok(rounds > IDS.length, `${rounds} rounds of writing a part and reading everything`)
})
