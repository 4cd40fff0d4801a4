import t from 'tap'
import { bytesText, table } from '../../lib/cli/output.js'
import { generationsText, generationsView, migrationText, statusText, tierView } from '../../lib/cli/tier-view.js'
import type { MigrationProgress, NodeStatus } from '../../lib/tier/store.js'
import { emptyTopology, type Topology } from '../../lib/tier/topology.js'

const address = (port: number) => ({ host: '127.0.0.1', port, peerHost: '127.0.0.1', peerPort: 1, dataPort: 2 })
const server = (number: number, port: number) => ({ number, host: '127.0.0.1', port, weight: 1 })

function migrating(): Topology {
  return {
    ...emptyTopology('local'),
    epoch: 2,
    nodes: [
      { id: 'a', number: 1, ...address(11_212), weight: 1, incarnation: '1', state: 'up' },
      { id: 'router', number: 2, ...address(11_211), weight: 0, incarnation: '1', state: 'up' },
      { id: 'b', number: 3, ...address(11_213), weight: 1, incarnation: '1', state: 'joining' },
    ],
    generations: [
      { epoch: 1, servers: [server(1, 11_212)], away: [] },
      { epoch: 2, servers: [server(1, 11_212), server(3, 11_213)], away: [] },
    ],
    changes: [
      { id: 1, kind: 'join', node: 'a', weight: 1, state: 'done', epoch: 1, takers: [], settled: [] },
      { id: 2, kind: 'join', node: 'b', weight: 1, state: 'running', epoch: 2, takers: [3], settled: [] },
      { id: 3, kind: 'reweight', node: 'a', weight: 2, state: 'queued' },
    ],
  }
}

const part: MigrationProgress = {
  ...{ epoch: 2, source: 'a', arcs: 80, arcsSettled: 20, keys: 1234, bytes: 2_500_000 },
  ...{ keysPerSec: 500.4, bytesPerSec: 1_000_000, fraction: 0.256, secondsLeft: 7.2 },
}
const live = new Map<string, NodeStatus>([
  ['a', { incarnation: '1', epoch: 2 }],
  ['b', { incarnation: '1', epoch: 2, progress: [part, { ...part, epoch: 1 }] }],
])

t.test('the JSON of tier status is what DESIGN 12 says', async t => {
  const view = tierView({ revision: 9, topology: migrating() }, live)
  t.match(view, {
    tier: 'local',
    epoch: 2,
    settled: false,
    nodes: [{ id: 'a', host: '127.0.0.1', port: 11_212, weight: 1, state: 'up', alive: true }, { alive: false }, {}],
    changes: [{ id: 1, state: 'done' }, { id: 2, state: 'running' }, { waits: 'waits for change 2 (join b)' }],
  })
  t.match(view.changes[1]?.migrations, [{ node: 'b', arcs: 80, arcsSettled: 20, keys: 1234, secondsLeft: 7.2 }])
})

t.test('and for people', async t => {
  const view = tierView({ revision: 9, topology: migrating() }, live)
  t.equal(
    statusText(view),
    [
      'tier local, generation 2, moving keys',
      '',
      'node    address          weight  state        alive',
      'a       127.0.0.1:11212       1  up           yes',
      'router  127.0.0.1:11211       0  up (router)  no',
      'b       127.0.0.1:11213       1  joining      yes',
      '',
      'change 2: join b with weight 1, running',
      '  b: 25%, arcs 20/80, 1234 keys, 2.5 MB, 500 keys/s, 1.0 MB/s, 8 s left',
      '',
      'change 3: reweight a with weight 2, waits for change 2 (join b)',
    ].join('\n'),
  )
  const settled = { ...view.changes[1]!.migrations![0]!, settled: true, arcsSettled: 80, fraction: 1 }
  t.equal(migrationText(settled), 'b: 100%, arcs 80/80, 1234 keys, 2.5 MB, settled')
  t.match(statusText(tierView({ revision: 0, topology: emptyTopology('new') }, new Map())), 'no nodes yet')
})

t.test('generations', async t => {
  t.match(generationsView(migrating()), [
    { epoch: 1, state: 'not retired yet', servers: [{ id: 'a' }] },
    { epoch: 2, state: 'running', servers: [{ id: 'a' }, { id: 'b' }] },
  ])
  t.match(generationsText(migrating()), /1 +not retired yet +a +127.0.0.1:11212/)
  t.equal(generationsText(emptyTopology('new')), 'tier new has no ring yet')
})

t.test('tables and numbers', async t => {
  t.equal(
    table(
      ['a', 'n'],
      [
        ['long', 5],
        ['b', 10],
      ],
    ),
    'a      n\nlong   5\nb     10',
  )
  t.same([0, 999, 1000, 12_345_678].map(bytesText), ['0 B', '999 B', '1.0 KB', '12.3 MB'])
})
