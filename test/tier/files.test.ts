import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeAtomically } from '../../lib/tier/atomic-file.js'
import { DiskFile, PREVIOUS_KEPT } from '../../lib/tier/embedded-file.js'
import { actedBy, NodeFile, type NodeState } from '../../lib/tier/node-file.js'
import { emptyTopology, type Topology } from '../../lib/tier/topology.js'

t.test('the document keeps the versions before it beside it', async t => {
  const directory = t.testdir()
  const file = new DiskFile(directory)
  t.equal(file.load(), null)
  for (let version = 1; version <= PREVIOUS_KEPT + 5; version++) file.save(`version ${version}`)
  const text = (suffix: string) => readFileSync(join(directory, `topology.json${suffix}`), 'utf8')
  t.equal(file.load(), 'version 15')
  t.equal(text('.1'), 'version 14')
  t.equal(text('.10'), 'version 5')
  t.notOk(existsSync(join(directory, 'topology.json.11')))
  rmSync(join(directory, 'topology.json'))
  t.throws(
    () => file.load(),
    /topology.json is damaged \(it is missing\); the previous one is .*topology.json.1: copy it/,
  )
})

t.test('a secret is written for its owner alone', async t => {
  const path = join(t.testdir(), 'secret')
  writeAtomically(path, 'x', 0o600)
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('what a node remembers', async t => {
  const directory = t.testdir()
  const file = new NodeFile(join(directory, 'made', 'for', 'it'))
  t.equal(file.load(), null)
  const state = { id: 'a', incarnation: '12345678901234567890', versionReserved: '7', topology: emptyTopology('test') }
  const saved = (next: NodeState) => new Promise<string | null>(resolve => file.save(next, resolve))
  t.same(await Promise.all([saved({ ...state, versionReserved: '1' }), saved(state)]), [null, null])
  t.same(file.load(), state)
  const whole = readFileSync(file.path, 'utf8')
  for (const cut of [0, 1, whole.length >> 1, whole.length - 3]) {
    writeFileSync(file.path, whole.slice(0, cut))
    t.throws(() => file.load(), /node.json is damaged/, `cut at ${cut}`)
  }
  writeFileSync(file.path, whole.replace('"a"', '"a b"'))
  t.throws(() => file.load(), /node.json is damaged \(id: /)
})

t.test('a directory that cannot be', async t => {
  const directory = t.testdir({ file: '' })
  t.throws(() => new DiskFile(join(directory, 'file')), /the directory .*file cannot be made \(a file is in the way\)/)
})

t.test('of a document a later life must know what this one acts by, and not what is only asked for', async t => {
  const node = (number: number) => ({
    ...{
      id: `n${number}`,
      number,
      host: '10.0.0.1',
      port: 11210 + number,
      peerHost: '10.0.0.1',
      peerPort: 1,
      dataPort: 2,
    },
    ...{ weight: 1, incarnation: '1', state: 'up' as const },
  })
  const server = (number: number) => ({ number, host: '10.0.0.1', port: 11210 + number, weight: 1 })
  const before: Topology = {
    ...emptyTopology('test'),
    ...{ epoch: 1, nodes: [node(1), node(2)] },
    generations: [{ epoch: 1, servers: [server(1), server(2)], away: [] }],
  }
  const same = (after: Topology, id = 'n1') => actedBy(after, id) === actedBy(before, id)
  const asked = { id: 1, kind: 'drain', node: 'n2', weight: 0, state: 'queued' } as const
  t.ok(same({ ...before, changes: [asked] }), 'a wish')
  t.ok(same({ ...before, nodes: [...before.nodes, node(3)] }), 'a node without a ring')
  t.notOk(same({ ...before, nodes: [...before.nodes, node(3)] }, 'n3'), 'but not its own entry')
  t.notOk(same({ ...before, changes: [{ ...asked, state: 'running', epoch: 2, takers: [1], settled: [] }] }))
  t.notOk(same({ ...before, nodes: [node(1), { ...node(2), incarnation: '2' }] }))
  t.notOk(same({ ...before, generations: [...before.generations, { epoch: 2, servers: [server(1)], away: [] }] }))
  t.notOk(same({ ...before, generations: [{ ...before.generations[0]!, away: [2] }] }))
})
