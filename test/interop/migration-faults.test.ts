/** Issue 2, "Routing and handoff": processes killed in the middle of a migration; the tier settles, and only what the killed one held is gone. */
import t, { type Test } from 'tap'
import type { TierView } from '../../lib/cli/tier-view.js'
import { Ring } from '../../lib/ketama/index.js'
import { continuum } from './processes.js'
import { TextClient, TierProcesses } from './tier-processes.js'

const KEYS = Array.from({ length: 6000 }, (_, i) => `key-${i}`)
const OLD = ['a', 'b', 'c']
const PADDING = 'x'.repeat(1000)
const valueAt = (key: string, version: number) => `${key}:${version}:${PADDING}`

async function tierOfThree(t: Test): Promise<TierProcesses> {
  const tier = new TierProcesses()
  t.teardown(() => tier.stop())
  await tier.coordinator()
  await Promise.all([...OLD.map(id => tier.node(id)), tier.node('router', '--weight', '0')])
  await tier.until(view => view.settled && view.nodes.length === 4 && view.nodes.every(node => node.state === 'up'))
  return tier
}

/** Through the router; every key ends with its second value, so that a stale one is seen. */
async function fill(tier: TierProcesses): Promise<void> {
  const client = new TextClient(tier.ports.get('router')!)
  for (const version of [1, 2]) {
    for (let at = 0; at < KEYS.length; at += 500) {
      const part = KEYS.slice(at, at + 500)
      const sets = part.map(key => `set ${key} 0 0 ${valueAt(key, version).length}\r\n${valueAt(key, version)}\r\n`)
      const answer = await client.all(sets.join(''))
      if (answer !== 'STORED\r\n'.repeat(part.length)) throw new Error(`not all stored: ${answer.slice(0, 200)}`)
    }
  }
  client.close()
}

const ownerOf = (tier: TierProcesses, ids: string[]) => {
  const servers = ids.map(id => ({ id, host: '127.0.0.1', port: tier.ports.get(id)!, weight: 1 }))
  const ring = new Ring(servers, { dialect: 'libmemcached-weighted' })
  return (key: string) => ring.get(key).id
}

const isOver = (tier: TierProcesses, nodes: number) =>
  tier.until(
    view =>
      view.settled &&
      view.changes.every(change => change.state === 'done') &&
      view.nodes.filter(node => node.state === 'up' && node.alive).length === nodes,
  )

/** Node d joins; the migration stays in its middle, because it is slow, until the fault has happened. */
async function joinWithFault(t: Test, tier: TierProcesses, fault: () => Promise<void>): Promise<void> {
  await tier.node('d', '--migration-rate', '0.2')
  const moved = (view: TierView) => view.changes.find(change => change.node === 'd')?.migrations?.[0]?.keys ?? 0
  const view = await tier.until(view => moved(view) > 0)
  t.notOk(view.settled, `the migration is under way, ${moved(view)} keys have moved`)
  await fault()
}

async function check(t: Test, tier: TierProcesses, mayMiss: (key: string) => boolean): Promise<void> {
  let missing = 0
  for (const [id, port] of tier.ports) {
    const client = new TextClient(port)
    const found = await client.read(KEYS)
    client.close()
    const wrong = [...found].filter(([key, value]) => value !== valueAt(key, 2)).map(([key]) => key)
    t.same(wrong, [], `${id}: no stale value`)
    const lost = KEYS.filter(key => !found.has(key))
    t.same(
      lost.filter(key => !mayMiss(key)),
      [],
      `${id}: nothing but what the killed process held is gone`,
    )
    missing = lost.length
  }
  t.comment(`${missing} of ${KEYS.length} keys are gone`)
}

t.test('the coordinator is killed while a node joins', async t => {
  const tier = await tierOfThree(t)
  await fill(tier)
  await joinWithFault(t, tier, () => tier.kill('coordinator'))
  const client = new TextClient(tier.ports.get('d')!)
  t.equal((await client.read(KEYS.slice(0, 500))).size, 500, 'the tier answers without it')
  client.close()
  await tier.coordinator()
  await isOver(tier, 5)
  await check(t, tier, () => false)
})

t.test('a source is killed while a node joins', async t => {
  const tier = await tierOfThree(t)
  await fill(tier)
  await joinWithFault(t, tier, () => tier.kill('a'))
  await tier.node('a')
  await isOver(tier, 5)
  const before = ownerOf(tier, OLD)
  await check(t, tier, key => before(key) === 'a')
})

t.test('the node that joins is killed in the middle of it', async t => {
  const tier = await tierOfThree(t)
  await fill(tier)
  await joinWithFault(t, tier, () => tier.kill('d'))
  await tier.node('d')
  await isOver(tier, 5)
  const after = ownerOf(tier, [...OLD, 'd'])
  await check(t, tier, key => after(key) === 'd')
})

t.test('a second node with the same id is refused, also with a copy of the data directory', async t => {
  const tier = new TierProcesses()
  t.teardown(() => tier.stop())
  await tier.coordinator()
  await tier.node('a')
  const second = continuum(...tier.nodeArguments('a', '-p', '0'))
  t.equal(await second.ended, 1)
  t.equal(
    second.output(),
    `continuum: node id "a" is already in the tier at 127.0.0.1:${tier.ports.get('a')} and alive\n`,
  )
  await tier.until(view => view.settled && view.nodes.length === 1 && view.nodes[0]!.alive)
})
