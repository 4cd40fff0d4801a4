/** The head of a memory file says whose it is: what its reader does not believe, or what is torn, is refused, and stays. */
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { loadMemory, saveMemory } from '../../lib/server/memory-file.js'
import type { MemoryOwner } from '../../lib/tier/kept-memory.js'

const OWNER: MemoryOwner = { tier: 'shop', node: 'b', incarnation: '17', base: 3, epoch: 4 }

const arena = () => createArena({ memoryLimitMb: 8, threads: 1, versionText: 'test' })

function saved(t: Test, owner: MemoryOwner | null): string {
  const path = join(t.testdir({}), 'memory')
  const held = arena()
  new Engine(held, 0).installAbsent(Buffer.from('k'), 3)
  t.equal(saveMemory(held, path, 1, 'test', owner), null)
  return path
}

t.test('whose it is comes back, and is judged before anything else is read', async t => {
  const path = saved(t, OWNER)
  const asked: unknown[] = []
  const no = loadMemory(arena(), path, owner => {
    asked.push(owner)
    return 'this node has had another life since'
  })
  t.match(no, { refused: /is not used, and the node starts empty: this node has had another life since$/ })
  t.same(asked, [OWNER])
  t.ok(existsSync(path), 'a refused file stays where it is')
  const fresh = arena()
  t.match(
    loadMemory(fresh, path, () => null),
    { owner: OWNER },
  )
  t.equal(new Engine(fresh, 0).held(Buffer.from('k')), 3)
  t.notOk(existsSync(path), 'it is good for one start')
})

t.test('a node alone does not believe a node of a tier', async t => {
  t.match(loadMemory(arena(), saved(t, OWNER)), { refused: /starts empty: it is of node "b" of tier "shop"$/ })
  t.match(loadMemory(arena(), saved(t, null)), { owner: null })
})

t.test('torn, damaged, or not saying whose it is', async t => {
  const path = saved(t, OWNER)
  const whole = readFileSync(path)
  const refused = (why: RegExp) =>
    t.match(
      loadMemory(arena(), path, () => null),
      { refused: why },
    )
  truncateSync(path, whole.length - 100)
  refused(/its checksum is wrong|it ends too early/)
  truncateSync(path, 1000)
  refused(/it ends too early/)
  // Also where only the head was changed: the sum is of that as well.
  writeFileSync(path, Buffer.from(whole.toString('latin1').replace('"epoch":4', '"epoch":5'), 'latin1'))
  refused(/its checksum is wrong/)
  writeFileSync(path, Buffer.from(whole.toString('latin1').replace('"incarnation"', '"incarnatiom"'), 'latin1'))
  refused(/it does not say whose it is/)
})
