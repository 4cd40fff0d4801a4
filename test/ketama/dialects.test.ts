/**
 * What holds for dialects beyond their vectors: hashes against their programs' and Node's, the measured table of ten servers to eleven,
 * the sizes at which a digest is lost, names, relation keys, and what each refuses.
 */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { crc32 } from '../../lib/ketama/hash/crc32.js'
import { fnv1a64Low } from '../../lib/ketama/hash/fnv.js'
import { oneAtATime } from '../../lib/ketama/hash/jenkins.js'
import { md5, md5Word } from '../../lib/ketama/hash/md5.js'
import { sha1Word } from '../../lib/ketama/hash/sha1.js'
import { overKeys } from '../../lib/ketama/hash/utf8.js'
import { DIALECTS, type Dialect, MD5_DIALECTS, Ring, RingError, type RingServer } from '../../lib/ketama/index.js'
import { keys, vectors } from './vectors.js'

const servers = (n: number): RingServer[] =>
  Array.from({ length: n }, (_, i) => ({ host: `10.9.0.${i + 1}`, port: 11212 }))
const codeOf = (build: () => unknown): string => {
  try {
    build()
    return 'no error'
  } catch (error) {
    return error instanceof RingError ? error.code : String(error)
  }
}

t.test("md5 and sha1 are Node's, for texts of any length and alphabet, and for bytes", async t => {
  const same = (text: string | Uint8Array) => {
    const digest = createHash('md5').update(text).digest()
    const words = [0, 4, 8, 12].map(at => digest.readInt32LE(at))
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    return (
      [...md5(text)].every((word, i) => word === words[i]) &&
      md5Word(text) === digest.readUInt32LE(0) &&
      sha1Word(bytes, bytes.length) === createHash('sha1').update(bytes).digest().readUInt32BE(0)
    )
  }
  for (let length = 0; length < 300; length++)
    t.ok(same('x'.repeat(length)) && same(Buffer.alloc(length, 200)), `${length}`)
  t.ok(same('🔑'.repeat(5000)), 'longer than the shared buffer')
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.uint8Array({ maxLength: 300 })), same),
  )
})

t.test('key hashes as twemproxy and libhashkit have them, bytes above 127 too', async t => {
  const { keys, twemproxy, libhashkit } = vectors<{
    keys: string[]
    twemproxy: Record<string, number[]>
    libhashkit: Record<string, number[]>
  }>('key-hashes.json')
  const ours = { one_at_a_time: oneAtATime, fnv1a_64: fnv1a64Low }
  for (const [name, hash] of Object.entries(ours)) {
    t.same(keys.map(overKeys(hash)), twemproxy[name], `twemproxy ${name}`)
    t.same(keys.map(overKeys(hash)), libhashkit[name], `libhashkit ${name}`)
  }
  t.same(keys.map(overKeys(crc32)), twemproxy.crc32a, 'crc32a')
  t.same(keys.map(md5Word), twemproxy.md5, 'md5')
})

/** Ten servers to eleven, 100,000 keys, as measured with the programs: moved, max/mean, min/mean. */
const MEASURED: [Dialect, number | undefined, number, number, number][] = [
  ['libmemcached-weighted', undefined, 0.0941, 1.144, 0.868],
  ['libmemcached-ketama', undefined, 0.0843, 1.267, 0.901],
  ['libmemcached-ketama-md5', undefined, 0.0883, 1.172, 0.817],
  ['libmemcached-ketama-fnv1a_64', undefined, 0.1125, 1.979, 0.078],
  ['libmemcached-spy', undefined, 0.0963, 1.133, 0.818],
  ['rj-libketama', undefined, 0.0941, 1.144, 0.868],
  ['twemproxy-fnv1a_64', undefined, 0.0839, 1.188, 0.898],
  ['twemproxy-one_at_a_time', undefined, 0.0956, 1.15, 0.837],
  ['hashring', 200, 0.0859, 1.102, 0.898],
  ['hashring-hash_ring', undefined, 0.088, 1.158, 0.889],
  ['uhashring-ketama', 100, 0.0956, 1.189, 0.821],
  ['uhashring-default', undefined, 0.0859, 1.19, 0.876],
  ['spymemcached', 200, 0.0859, 1.102, 0.898],
  ['proxy-ketama-xxh3', undefined, 0.0952, 1.167, 0.841],
  ['proxy-evcache', undefined, 0.0858, 1.15, 0.856],
  ['proxy-default', undefined, 0.0804, 1.14, 0.83],
  ['dalli', undefined, 0.1035, 1.092, 0.951],
  ['perl-fast-150', 100, 0.0991, 1.094, 0.896],
  ['perl-fast-150', 160, 0.1023, 1.093, 0.936],
  ['perl-fast-150', 200, 0.0902, 1.079, 0.922],
  ['npm-ketama', undefined, 0.0974, 1.242, 0.906],
  ['pymemcache-rendezvous', undefined, 0.0927, 1.018, 0.981],
]

t.test('ten servers to eleven: the figures measured with the programs', async t => {
  const keys = Array.from({ length: 100_000 }, (_, i) => `remap:${i}`)
  for (const [dialect, pointsPerServer, moved, most, least] of MEASURED) {
    const options = pointsPerServer === undefined ? { dialect } : { dialect, pointsPerServer }
    const [ten, eleven] = [new Ring(servers(10), options), new Ring(servers(11), options)]
    const counts = new Uint32Array(10)
    let changed = 0
    let astray = 0
    for (const key of keys) {
      const [before, after] = [ten.indexOf(key), eleven.indexOf(key)]
      counts[before]!++
      if (before !== after) changed++
      if (before !== after && after !== 10) astray++
    }
    const found = [changed / 1e5, Math.max(...counts) / 1e4, Math.min(...counts) / 1e4]
    const close = [moved, most, least].every((value, i) => Math.abs(value - found[i]!) <= 0.00051)
    t.ok(close, `${dialect} ${pointsPerServer ?? ''}: ${found.join(' ')}`)
    t.equal(astray, 0, `${dialect}: moved keys go to the new server`)
  }
})

t.test('a digest is lost at the sizes where the program loses it, and nowhere else', async t => {
  const short = (dialect: Dialect) =>
    Array.from({ length: 255 }, (_, i) => i + 2).filter(n => {
      const equal = Array.from({ length: n }, (_, i) => ({ host: `10.${i}.0.1`, port: 11212 }))
      return new Ring(equal, { dialect }).points().values.length === 156 * n
    })
  t.same(
    short('libmemcached-weighted'),
    [25, 47, 50, 55, 61, 71, 94, 100, 107, 109, 110, 115, 122, 142, 159, 163, 188, 193, 200].concat([
      209, 214, 218, 219, 220, 230, 237, 243, 244,
    ]),
  )
  t.same(short('rj-libketama'), [61, 122, 237, 244])
  t.same(short('hashring'), [7, 14, 28, 49, 56, 98, 103, 112, 141, 147, 161, 196, 206, 224, 253])
  t.same(short('uhashring-ketama'), [])
  t.same(short('continuum'), [])
})

const weighted = fc.uniqueArray(
  fc.record({
    host: fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/),
    port: fc.integer({ min: 1, max: 65535 }),
    weight: fc.integer({ min: 1, max: 5 }),
  }),
  { minLength: 2, maxLength: 12, selector: ({ host, port }) => `${host}:${port}` },
)
const text = ({ host, port }: RingServer) => `${host}:${port}`

t.test('continuum: a join takes, a leave gives, a reweight moves to or from that server alone', async t => {
  const ours = { dialect: 'continuum' } as const
  fc.assert(
    fc.property(weighted, fc.integer({ min: 1, max: 9 }), (list, weight) => {
      const last = list.at(-1)!
      const [without, whole] = [new Ring(list.slice(0, -1), ours), new Ring(list, ours)]
      const changed = new Ring([...list.slice(0, -1), { ...last, weight }], ours)
      const arcs = whole.diff(changed)
      return (
        without.diff(whole).every(arc => text(arc.after) === text(last)) &&
        whole.diff(without).every(arc => text(arc.before) === text(last)) &&
        arcs.every(arc => text(weight > last.weight ? arc.after : arc.before) === text(last)) &&
        (weight !== last.weight || arcs.length === 0)
      )
    }),
  )
  t.pass()
})

/** Equal servers, points fixed a server: adding one never disturbs the others. */
const FIXED = [
  'spymemcached-libmemcached',
  'proxy-ketama',
  'proxy-default',
  'libmemcached-ketama',
  'perl-fast-150',
] as const

t.test('with a fixed number of points a join moves keys only to the new server', async t => {
  for (const dialect of FIXED) {
    for (const n of [2, 6, 24, 46, 60]) {
      const arcs = new Ring(servers(n), { dialect }).diff(new Ring(servers(n + 1), { dialect }))
      t.ok(
        arcs.every(({ after }) => after.host === `10.9.0.${n + 1}`),
        `${dialect}, ${n}`,
      )
    }
  }
})

t.test('the order of the list does not matter, ties aside, in any dialect', async t => {
  for (const dialect of DIALECTS) {
    const list = servers(9).map((server, i) => ({ ...server, weight: (i % 3) + 1 }))
    const [one, other] = [new Ring(list, { dialect }), new Ring(list.toReversed(), { dialect })]
    const keys = Array.from({ length: 500 }, (_, i) => `key:${i}`)
    t.ok(
      keys.every(key => one.get(key).host === other.get(key).host),
      dialect,
    )
  }
})

t.test('shares stay within a band, for 100, 160 and 200 points', async t => {
  // Ten servers, 200 rings: the worst of 200 recorded draws is 1.292, 1.252 and 1.227 of the mean.
  for (const [pointsPerServer, average, worst] of [
    [100, 1.149, 1.35],
    [160, 1.126, 1.3],
    [200, 1.115, 1.28],
  ] as const) {
    const fullest = Array.from({ length: 200 }, (_, draw) => {
      const list = Array.from({ length: 10 }, (_, i) => ({ host: `node-${draw}-${i}`, port: 11211 }))
      const spread = new Ring(list, { dialect: 'continuum', pointsPerServer }).spread()
      return Math.max(...spread.map(({ share }) => share * 10))
    })
    const mean = fullest.reduce((sum, one) => sum + one, 0) / fullest.length
    t.ok(Math.abs(mean - average) < 0.02, `${pointsPerServer} points: fullest ${mean} of the mean on average`)
    t.ok(Math.max(...fullest) < worst, `${pointsPerServer} points: at worst ${Math.max(...fullest)}`)
  }
})

t.test('names apart from addresses: a new address moves nothing where names are hashed', async t => {
  const named = servers(5).map((server, i) => ({ ...server, name: `cache-${i}` }))
  const moved = named.map(server => ({ ...server, host: `192.168.0.${server.host.split('.')[3]}` }))
  const byName = /^(continuum|twemproxy-.*|u?hashring(-.*)?|rj-libketama|npm-ketama)$/
  for (const dialect of DIALECTS) {
    const [before, after] = [new Ring(named, { dialect }), new Ring(moved, { dialect })]
    const stays = keys.filter(key => before.indexOf(key) === after.indexOf(key)).length / keys.length
    if (byName.test(dialect)) t.equal(stays, 1, dialect)
    else t.ok(stays < 0.5, `${dialect} hashes addresses, whatever the name: ${stays}`)
  }
  const share = new Ring(named).diff(new Ring(moved)).reduce((sum, arc) => sum + arc.share, 0)
  t.ok(share > 0.5, 'libmemcached hashes addresses')
})

t.test("ties: twemproxy's and continuum's do not depend on the order of the list", async t => {
  const { 'collision-ab': ab, 'collision-ba': ba } =
    vectors<Record<string, { servers: RingServer[]; extraKeys: string[] }>>('sets.json')
  for (const key of ab!.extraKeys) {
    for (const dialect of ['continuum', 'twemproxy-md5'] as const) {
      t.equal(new Ring(ab!.servers, { dialect }).get(key).host, new Ring(ba!.servers, { dialect }).get(key).host)
    }
  }
})

t.test('relation keys: only the tag is hashed', async t => {
  const [plain, tagged] = [new Ring(servers(20)), new Ring(servers(20), { relationTag: '{}' })]
  for (const [key, hashed] of [
    ['{x1}{y}', 'x1'],
    ['q}{x1}', 'x1'],
    ['cart:{42}:items', '42'],
    ['{}x1', '{}x1'],
    ['{x1', '{x1'],
    ['x1}', 'x1}'],
    ['{}{x1}', '{}{x1}'],
    ['{ключ}', 'ключ'],
  ] as const) {
    t.equal(tagged.hash(key), plain.hash(hashed), key)
    t.equal(tagged.hash(Buffer.from(key)), plain.hash(hashed), `${key} as bytes`)
    t.equal(tagged.get(key).host, plain.get(hashed).host)
  }
  for (const relationTag of ['', '{', '{}}', ' }', 'é}']) {
    t.equal(
      codeOf(() => new Ring(servers(2), { relationTag })),
      'BAD_TAG',
      relationTag,
    )
  }
  t.equal(
    codeOf(() => plain.diff(tagged)),
    'NOT_COMPARABLE',
  )
  const wide = { dialect: 'uhashring-default' } as const
  t.equal(
    new Ring(servers(20), { ...wide, relationTag: '{}' }).indexOf('a{b}'),
    new Ring(servers(20), wide).indexOf('b'),
    'also where keys have 128 bits',
  )
})

t.test('what a ring refuses', async t => {
  for (const dialect of DIALECTS) {
    const ring = new Ring(servers(3), { dialect })
    const one = new Ring(servers(1), { dialect })
    const empty = dialect.startsWith('twemproxy') ? 'no error' : 'BAD_KEY'
    for (const key of ['', new Uint8Array(0)]) {
      t.equal(
        codeOf(() => ring.get(key)),
        empty,
        `${dialect}, empty key`,
      )
      t.equal(
        codeOf(() => one.get(key)),
        empty,
        `${dialect}, empty key, one server`,
      )
    }
    for (const weight of [-1, 0, Number.NaN, Number.POSITIVE_INFINITY]) {
      t.equal(
        codeOf(() => new Ring([{ host: 'a', port: 1, ip: '10.0.0.1', weight }], { dialect })),
        'BAD_WEIGHT',
        `${dialect}, weight ${weight}`,
      )
    }
  }
  const names = [1, 2].map(port => ({ host: 'a', port, name: 'same' }))
  t.equal(
    codeOf(() => new Ring(names, { dialect: 'twemproxy-md5' })),
    'DUPLICATE_SERVER',
  )
  t.equal(
    codeOf(() => new Ring([{ host: 'a', port: 1, name: '' }])),
    'BAD_SERVER',
  )
  t.equal(
    codeOf(() => new Ring([{ host: 'cache-a', port: 1 }], { dialect: 'spymemcached' })),
    'BAD_SERVER',
    'a name without the address behind it',
  )
  t.equal(
    codeOf(() => new Ring([{ host: '1::2::3', port: 1 }, ...servers(1)], { dialect: 'spymemcached' })),
    'BAD_SERVER',
  )
  t.equal(
    codeOf(() => new Ring([{ host: 'a', port: 1, weight: 1e6 }], { dialect: 'continuum' })),
    'BAD_POINTS',
  )
  t.equal(
    codeOf(() => new Ring(servers(2), { dialect: 'hashring-hash_ring', pointsPerServer: 160 })),
    'BAD_POINTS',
    '3 points a digest',
  )
  const scores = new Ring(servers(3), { dialect: 'pymemcache-rendezvous' })
  t.equal(
    codeOf(() => scores.points()),
    'NOT_A_RING',
  )
  t.equal(
    codeOf(() => scores.diff(scores)),
    'NOT_COMPARABLE',
  )
})

t.test('a tier may use the dialects that md5 alone can route', async t => {
  t.ok(
    ['libmemcached-weighted', 'continuum', 'rj-libketama', 'proxy-ketama'].every(one =>
      MD5_DIALECTS.includes(one as Dialect),
    ),
  )
  t.notOk(
    ['dalli', 'libmemcached-ketama', 'spymemcached', 'twemproxy-fnv1a_64'].some(one =>
      MD5_DIALECTS.includes(one as Dialect),
    ),
  )
  for (const dialect of MD5_DIALECTS) t.equal(new Ring(servers(3), { dialect }).hash('foo'), md5Word('foo'), dialect)
})

t.test('successors follow the owner, in every dialect', async t => {
  for (const dialect of DIALECTS) {
    const ring = new Ring(servers(6), { dialect })
    for (const key of ['a', 'b', 'c', 'd']) {
      const all = [ring.get(key), ...ring.successors(key, 10)].map(({ host }) => host)
      t.equal(new Set(all).size, 6, `${dialect}: each once, the owner first`)
    }
  }
})
