import t from 'tap'
import { HintIndex, hashKey, type IndexEntry, type KeyHash } from '../../lib/handoff/hint-index.js'
import { mulberry } from '../simulation/random.js'

t.test('random operations as a Map has them, with hashes that meet in one slot', async t => {
  const random = mulberry(7)
  const pick = (count: number) => Math.floor(random() * count)
  const index = new HintIndex()
  const model = new Map<string, { hash: KeyHash; entry: IndexEntry }>()
  for (let n = 0; n < 50_000; n++) {
    // Few shards and few low bits: long runs, which wrap around.
    const hash = { high: (pick(2) << 26) | pick(40), low: pick(8) * 0x10000 + 15 - pick(3) }
    const name = `${hash.high}:${hash.low}`
    const what = random()
    if (what < 0.5) {
      const place = { segment: pick(9), offset: pick(2 ** 32), length: pick(2 ** 32), generation: pick(2 ** 20) }
      const version = (BigInt(pick(2 ** 32)) << 32n) | BigInt(pick(2 ** 32))
      const entry: IndexEntry = { ...place, version, state: 1, to: pick(65_536) }
      const before = index.set(hash, entry)
      if (before?.offset !== model.get(name)?.entry.offset) t.fail(`set ${name}`)
      model.set(name, { hash, entry })
    } else if (what < 0.99) {
      if ((index.delete(hash) !== null) !== model.delete(name)) t.fail(`delete ${name}`)
    } else if (what < 0.9901) {
      const version = BigInt(pick(2 ** 32)) << 32n
      let removed = 0
      index.flush(version, () => removed++)
      const before = model.size
      for (const [other, { entry }] of model) if (entry.version <= version) model.delete(other)
      t.equal(removed, before - model.size)
    }
    if (n % 10_000 === 9999)
      t.same(
        [...model.values()].map(one => index.get(one.hash)),
        [...model.values()].map(one => one.entry),
      )
    if (index.size !== model.size) t.fail(`${index.size} entries, not ${model.size}`)
  }
  t.equal([...index.entries()].length, model.size)
})

t.test('a record that was copied moves only while it is the newest', async t => {
  const index = new HintIndex()
  const hash = hashKey(Buffer.from('seed'), Buffer.from('key'))
  const entry = { segment: 1, offset: 64, length: 100, generation: 3, version: 5n, state: 0 as const, to: 0 }
  index.set(hash, entry)
  t.notOk(index.move(hash, { segment: 1, offset: 65 }, { segment: 2, offset: 64 }))
  t.ok(index.move(hash, { segment: 1, offset: 64 }, { segment: 2, offset: 80 }))
  t.same(index.get(hash), { ...entry, segment: 2, offset: 80 })
  t.notSame(hashKey(Buffer.from('other'), Buffer.from('key')), hash)
})
