import t from 'tap'
import { type GenerationSpec, Generations, prepareRing } from '../../lib/handoff/generations.js'
import { Ring } from '../../lib/ketama/index.js'

const rule = { dialect: 'libmemcached-weighted', pointsPerServer: 160 } as const
const server = (number: number, weight = 1) => ({ number, host: '10.0.0.1', port: 11000 + number, weight })
const generation = (epoch: number, ...numbers: number[]): GenerationSpec => ({
  epoch,
  servers: numbers.map(number => server(number)),
  away: [],
})
const hashes = (count: number) => Array.from({ length: count }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0)

t.test('actors are the owners of each ring, in server numbers', async t => {
  const picture = new Generations([generation(3, 1, 2, 3), generation(4, 1, 2, 3, 9)], rule)
  const rings = [
    { epoch: 3, numbers: [1, 2, 3] },
    { epoch: 4, numbers: [1, 2, 3, 9] },
  ]
  for (const { epoch, numbers } of rings) {
    const ring = new Ring(
      numbers.map(number => server(number)),
      rule,
    )
    const wrong = hashes(2000).filter(hash => picture.actor(epoch, picture.arcAt(hash)) !== numbers[ring.indexAt(hash)])
    t.same(wrong, [])
  }
})

t.test('a ring that was prepared is the one that the generation has', async t => {
  const prepared = prepareRing([server(21), server(22)], rule)
  const written = [server(21), server(22)].map(({ weight, port, number, host }) => ({ weight, host, number, port }))
  t.equal(prepareRing(written, rule), prepared, 'however the document writes it')
  t.not(prepareRing([server(22), server(21)], rule), prepared, 'order decides ties')
  t.not(prepareRing([server(21), server(22, 2)], rule), prepared)
})

t.test('a join: only the newcomer takes, from each that loses', async t => {
  const picture = new Generations([generation(3, 1, 2, 3), generation(4, 1, 2, 3, 9)], rule)
  t.same(picture.transfersTo(1), [])
  t.same(
    picture
      .transfersTo(9)
      .map(plan => [plan.generation, plan.source])
      .sort(),
    [
      [4, 1],
      [4, 2],
      [4, 3],
    ],
  )
})

t.test('tenures: there, away and back again', async t => {
  const picture = new Generations([generation(1, 1), generation(2, 1, 2), generation(3, 1)], rule)
  const moved = hashes(100)
    .map(hash => picture.arcAt(hash))
    .find(arc => picture.actor(2, arc) === 2)!
  const kept = hashes(100)
    .map(hash => picture.arcAt(hash))
    .find(arc => picture.actor(2, arc) === 1)!
  t.equal(picture.tenure(1, 3, moved).start, 3, 'began again with generation 3')
  t.equal(picture.tenure(1, 1, moved).start, 1)
  t.equal(picture.tenure(2, 2, moved).start, 2)
  t.equal(picture.tenure(1, 3, kept).start, 1, 'never ended')
  t.equal(picture.before(3), 2)
  t.equal(picture.before(1), undefined)
})

t.test('route tables: owner, tenure and settled for every hash, neighbours merged', async t => {
  const picture = new Generations([generation(3, 1, 2, 3), generation(4, 1, 2, 3, 9)], rule)
  const at = (table: ReturnType<Generations['routeTable']>, hash: number) => {
    let i = 0
    while (i < table.points.length && table.points[i]! < hash) i++
    return i === table.points.length ? 0 : i
  }
  const table = picture.routeTable(9, (_, source) => source === 1)
  t.equal(table.epoch, 4)
  t.ok(table.points.length <= picture.points.length)
  for (const hash of hashes(500)) {
    const arc = picture.arcAt(hash)
    const i = at(table, hash)
    const owner = picture.actor(4, arc)
    if (table.owners[i] !== owner) t.fail(`owner of ${hash}`)
    if (owner !== 9) continue
    if (table.tenures[i] !== 4) t.fail(`tenure of ${hash}`)
    if (table.settled[i] !== (picture.actor(3, arc) === 1 ? 1 : 0)) t.fail(`settled at ${hash}`)
  }
  const router = picture.routeTable(77, () => false)
  t.ok(router.settled.every(value => value === 1))
})

t.test('one server alone owns the whole circle', async t => {
  const picture = new Generations([generation(1, 5)], rule)
  const table = picture.routeTable(5, () => false)
  t.equal(table.points.length, 1)
  t.same([...table.owners], [5])
})
