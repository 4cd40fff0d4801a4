/** Comparisons of rings: what they add up to, by arcs and by keys; pictures are drawings of the same. */
import t from 'tap'
import { Ring, type RingServer } from '../../lib/ketama/index.js'
import { compareRings } from '../../lib/ring-report/compare.js'
import { changePicture, ringPicture } from '../../lib/ring-report/picture.js'
import { spreadReport } from '../../lib/ring-report/shares.js'

const servers = (n: number): RingServer[] =>
  Array.from({ length: n }, (_, i) => ({ host: `10.0.0.${i + 1}`, port: 11212 }))
const near = (a: number, b: number, within = 1e-9) => Math.abs(a - b) < within

t.test('a fourth server: about a quarter moves, all of it to the new one', async t => {
  const report = compareRings(new Ring(servers(3)), new Ring(servers(4)), 1)
  t.equal(report.method, 'arcs')
  t.ok(near(report.ideal, 0.25))
  t.equal(report.needless, 0)
  t.ok(report.moved > 0.2 && report.moved < 0.3)
  const joined = report.servers[3]!
  t.ok(near(joined.gets, report.moved) && near(joined.after, report.moved) && joined.before === 0)
  for (const row of report.servers) t.ok(near(row.after, row.before + row.gets - row.gives), row.server)
})

t.test('by arcs and by keys the numbers are about the same', async t => {
  const [a, b] = [new Ring(servers(5)), new Ring(servers(6))]
  const hash = (key: string | Uint8Array) => a.hash(key)
  const arcs = compareRings(a, b, 1)
  const keys = compareRings(a, new Ring(servers(6), { keyHash: hash }), 50_000)
  t.same([keys.method, keys.keys, keys.arcs], ['keys', 50_000, null])
  t.ok(near(arcs.moved, keys.moved, 0.01))
  arcs.servers.forEach((row, i) => {
    t.ok(near(row.before, keys.servers[i]!.before, 0.01))
    t.ok(near(row.gives, keys.servers[i]!.gives, 0.01))
  })
})

t.test('another dialect moves without need; the same list moves nothing', async t => {
  const same = compareRings(new Ring(servers(3)), new Ring(servers(3)), 1)
  t.same([same.moved, same.ideal, same.arcs], [0, 0, 0])
  const other = compareRings(new Ring(servers(3)), new Ring(servers(3), { dialect: 'dalli' }), 20_000)
  t.ok(other.moved > 0.5 && near(other.moved, other.needless))
})

t.test('the rounding loss of 24 to 25 servers is told as moved without need', async t => {
  const report = compareRings(new Ring(servers(24)), new Ring(servers(25)), 1)
  t.ok(report.needless > 0.01, `${report.needless}`)
  const ours = { dialect: 'continuum' } as const
  t.equal(compareRings(new Ring(servers(24), ours), new Ring(servers(25), ours), 1).needless, 0)
})

t.test('spread: by arcs, or by keys where there are no points', async t => {
  const report = spreadReport(new Ring(servers(10)), 1)
  t.equal(report.method, 'arcs')
  t.ok(
    near(
      report.servers.reduce((sum, { share }) => sum + share, 0),
      1,
    ),
  )
  t.ok(report.maxOverIdeal > 1 && report.minOverIdeal < 1)
  const scored = spreadReport(new Ring(servers(3), { dialect: 'pymemcache-rendezvous' }), 3000)
  t.equal(scored.method, 'keys')
  t.ok(scored.servers.every(({ share, points }) => near(share, 1 / 3, 0.05) && points === null))
})

t.test('pictures are well-formed, bounded, and escape names', async t => {
  const odd = new Ring([{ host: 'a', port: 1, name: '<b> & "c"' }, ...servers(2)], { dialect: 'continuum' })
  const svg = ringPicture(odd)
  t.match(svg, '&lt;b&gt; &amp; &quot;c&quot;')
  t.notMatch(svg, /NaN|undefined/)
  const large = changePicture(new Ring(servers(200)), new Ring(servers(201)))
  t.ok(large.length < 2_000_000, `${large.length}`)
  t.match(large, /and 161 more/)
  t.notMatch(ringPicture(new Ring(servers(1))), /NaN/)
})
