/** A node of a tier is killed and comes back; what operators see meanwhile. Paused ones and load: test/bench/outage.test.ts. */
import t, { type Test } from 'tap'
import type { TierView } from '../../lib/cli/tier-view.js'
import { TextClient, TierProcesses } from './tier-processes.js'

const IDS = ['a', 'b', 'c']
const KEYS = 600

const nodeOf = (view: TierView, id: string) => view.nodes.find(node => node.id === id)!
const isWhole = (view: TierView) => view.settled && view.nodes.every(({ state, alive }) => state === 'up' && alive)

async function fencedTier(t: Test): Promise<TierProcesses> {
  const tier = new TierProcesses()
  t.teardown(() => tier.stop())
  await tier.coordinator('--away-after', '4')
  await Promise.all(IDS.map(id => tier.node(id)))
  await tier.until(view => isWhole(view) && view.nodes.length === IDS.length && view.nodes.every(one => one.fenced))
  return tier
}

/** What everybody was told: undefined, deleted. */
class Told {
  readonly values = new Map<string, string | undefined>()
  readonly keys = Array.from({ length: KEYS }, (_, i) => `key-${i}`)

  async set(t: Test, client: TextClient, keys: readonly string[], value: string): Promise<void> {
    const sets = keys.map(key => `set ${key} 0 0 ${value.length}\r\n${value}\r\n`).join('')
    t.equal(await client.all(sets), 'STORED\r\n'.repeat(keys.length))
    for (const key of keys) this.values.set(key, value)
  }

  async delete(t: Test, client: TextClient, keys: readonly string[]): Promise<void> {
    const answers = await client.all(keys.map(key => `delete ${key}\r\n`).join(''))
    t.match(answers, /^((DELETED|NOT_FOUND)\r\n)*$/)
    for (const key of keys) this.values.set(key, undefined)
  }

  /** Keys whose answer is neither what was told nor, where that is allowed, a miss. */
  async wrong(client: TextClient, mayMiss: (key: string) => boolean): Promise<string[]> {
    const found = await client.read(this.keys)
    return this.keys
      .filter(key => found.get(key) !== this.values.get(key) && !(mayMiss(key) && !found.has(key)))
      .map(key => `${key}: ${found.get(key)} instead of ${this.values.get(key)}`)
  }
}

t.test('a node is killed and comes back: what was written meanwhile is there', { timeout: 180_000 }, async t => {
  const tier = await fencedTier(t)
  const clients = new Map(IDS.map(id => [id, new TextClient(tier.ports.get(id)!)]))
  t.teardown(() => {
    for (const client of clients.values()) client.close()
  })
  const a = clients.get('a')!
  const told = new Told()
  const part = (n: number) => told.keys.filter((_, i) => i % 4 === n)
  await told.set(t, a, told.keys, 'before')
  await tier.kill('b')
  await tier.until(view => nodeOf(view, 'b').away !== undefined)
  await told.set(t, a, part(0), 'meanwhile')
  await told.delete(t, a, part(1))
  const untouched = new Set([...part(2), ...part(3)])
  t.same(await told.wrong(clients.get('c')!, key => untouched.has(key)), [], 'while it is away')
  await told.set(t, a, part(2), 'later')
  await tier.until(view => (nodeOf(view, 'b').hints ?? []).some(({ keys }) => keys > 0))
  t.match(await tier.askOnce('a', 'stats handoff\r\n'), /STAT away b\r\n(.*\r\n)*STAT hints:b:state logging\r\n/)
  const port = tier.ports.get('b')
  await tier.sameNode('b')
  t.equal(tier.ports.get('b'), port, 'where the ring has it')
  await tier.until(view => nodeOf(view, 'b').away === undefined)
  const lost = (key: string) => part(3).includes(key)
  t.same(await told.wrong(a, lost), [], 'while it takes back')
  await tier.until(isWhole)
  const back = new TextClient(tier.ports.get('b')!)
  t.teardown(() => back.close())
  for (const client of [a, back, clients.get('c')!]) t.same(await told.wrong(client, lost), [], 'when it is back')
  const view = await tier.until(isWhole)
  await tier.until(now => now.nodes.every(node => node.hints === undefined))
  t.equal(view.changes.filter(({ state }) => state !== 'done').length, 0, 'the outage is over')
})
