import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeAtomically } from '../../lib/tier/atomic-file.js'
import { DiskFile, PREVIOUS_KEPT } from '../../lib/tier/embedded-file.js'
import { NodeFile, type NodeState } from '../../lib/tier/node-file.js'
import { emptyTopology } from '../../lib/tier/topology.js'

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
