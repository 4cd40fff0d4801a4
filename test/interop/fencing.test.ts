/** Outages with real processes: a stopped node is suspected and refutes; a node without a majority of voters refuses. */
import t, { type Test } from 'tap'
import type { TierView } from '../../lib/cli/tier-view.js'
import { TextClient, TierProcesses } from './tier-processes.js'

async function fencedTier(t: Test, awayAfter: string, ids: string[]): Promise<TierProcesses> {
  const tier = new TierProcesses()
  t.teardown(() => tier.stop())
  await tier.coordinator('--away-after', awayAfter)
  await Promise.all(ids.map(id => tier.node(id)))
  await tier.until(view => view.settled && view.nodes.length === ids.length && view.nodes.every(isFenced))
  return tier
}

const isFenced = ({ state, fenced }: TierView['nodes'][number]) => state === 'up' && fenced === true
const nodeOf = (view: TierView, id: string) => view.nodes.find(node => node.id === id)!

t.test('a stopped node is suspected, and refutes when it goes on in time', async t => {
  const tier = await fencedTier(t, '10', ['a', 'b', 'c'])
  const client = new TextClient(tier.ports.get('b')!)
  t.equal(await client.all('set key 0 0 1\r\nx\r\n'), 'STORED\r\n')
  const { epoch } = await tier.until(view => view.settled)
  tier.signal('b', 'SIGSTOP')
  const suspected = await tier.until(view => nodeOf(view, 'b').suspect !== undefined)
  t.match(nodeOf(suspected, 'b').suspect?.reason, /^not heard for \d\.\d s$/)
  t.equal(suspected.epoch, epoch)
  tier.signal('b', 'SIGCONT')
  const refuted = await tier.until(view => nodeOf(view, 'b').suspect === undefined)
  t.equal(refuted.epoch, epoch, 'nothing was declared')
  t.match(nodeOf(refuted, 'b'), { state: 'up', alive: true })
  client.close()
  // Its lease ran out meanwhile: it answers again when it has been vouched for under its next session.
  for (;;) if ((await tier.askOnce('b', 'stats\r\n')).includes('STAT lease_held 1')) break
  t.equal(await tier.askOnce('b', 'get key\r\n'), 'VALUE key 0 1\r\nx\r\nEND\r\n')
})

t.test(
  'a node that a majority of voters does not answer refuses with the reason; with them back it answers',
  async t => {
    const tier = await fencedTier(t, '5', ['a', 'b'])
    const client = new TextClient(tier.ports.get('a')!)
    const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`)
    const sets = keys.map(key => `set ${key} 0 0 1\r\nx\r\n`).join('')
    t.equal(await client.all(sets), 'STORED\r\n'.repeat(keys.length))
    await tier.kill('coordinator')
    t.equal((await client.read(keys)).size, keys.length, 'losing the store alone stops nobody')
    tier.signal('b', 'SIGSTOP')
    const own: string[] = []
    for (;;) {
      const answer = await tier.askOnce('a', 'stats\r\n')
      if (answer.includes('STAT lease_held 0')) break
    }
    for (const key of keys) {
      const answer = await tier.askOnce('a', `set ${key} 0 0 1\r\ny\r\n`, 300)
      // The fence closes at once; why, the threads hear a moment later.
      if (answer === 'SERVER_ERROR this node may not answer for its keys now\r\n') continue
      if (answer !== '') {
        t.match(
          answer,
          /^SERVER_ERROR this node may not answer for its keys now: a majority of its 3 voters does not answer\r\n$/,
        )
        own.push(key)
      }
      if (own.length === 2) break
    }
    t.ok(own.length > 0)
    t.match(await tier.askOnce('a', 'version\r\n'), /^VERSION/)
    tier.signal('b', 'SIGCONT')
    for (;;) if ((await tier.askOnce('a', 'stats\r\n')).includes('STAT lease_held 1')) break
    t.equal(await tier.askOnce('a', `get ${own[0]}\r\n`), `VALUE ${own[0]} 0 1\r\nx\r\nEND\r\n`)
    client.close()
  },
)
