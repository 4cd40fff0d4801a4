/** A ring by a model of it: what goes in comes out, in order, however full it is and wherever its end lies. */
import t from 'tap'
import { createRing, ENTRY_BYTES_MAX, popEntry, pushEntry } from '../../lib/transport/shared-ring.js'
import { mulberry } from '../simulation/random.js'

const target = new Uint8Array(ENTRY_BYTES_MAX)

t.test('entries come out as they went in, around and around', async t => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = mulberry(seed)
    const ring = createRing()
    // As after years: the counts are about to become negative, and then to begin again.
    const start = seed % 2 === 0 ? 0x7fffffff - 5000 : -5000
    ring.words.fill(start)
    const model: number[][] = []
    let refused = 0
    for (let step = 0; step < 5000; step++) {
      if (random() < 0.52) {
        const entry = Array.from({ length: 1 + Math.floor(random() * 300) }, (_, i) => (step + i) & 255)
        if (pushEntry(ring, Uint8Array.from(entry), entry.length)) model.push(entry)
        else refused++
      } else {
        const length = popEntry(ring, target)
        const wanted = model.shift() ?? []
        if (length !== wanted.length || wanted.some((byte, i) => byte !== target[i])) {
          t.same([...target.subarray(0, length)], wanted, `seed ${seed}, step ${step}`)
          return
        }
      }
    }
    while (model.length > 0) t.equal(popEntry(ring, target), model.shift()!.length)
    t.equal(popEntry(ring, target), 0, `seed ${seed}: empty, ${refused} had no room`)
  }
})

t.test('a full ring takes nothing more, and loses nothing', async t => {
  const ring = createRing()
  const entry = new Uint8Array(ENTRY_BYTES_MAX).fill(7)
  let count = 0
  while (pushEntry(ring, entry, entry.length)) count++
  t.equal(count, Math.floor((1 << 16) / (ENTRY_BYTES_MAX + 2)))
  t.notOk(pushEntry(ring, entry, entry.length))
  for (let i = 0; i < count; i++) t.equal(popEntry(ring, target), entry.length)
  t.equal(popEntry(ring, target), 0)
  t.ok(pushEntry(ring, entry, entry.length))
})
