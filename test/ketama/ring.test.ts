/** Properties of a ring, whatever the servers; npm's hashring as a second opinion where the dialects agree. */
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import {
  type Arc,
  arcShare,
  DIALECTS,
  type Dialect,
  isDialect,
  Ring,
  RingError,
  type RingServer,
} from '../../lib/ketama/index.js'

// The package has no types.
const HashRing = createRequire(import.meta.url)('hashring') as new (servers: string[]) => { get(key: string): string }

/** Equal servers at a port that is not memcached's own: there hashring hashes the same labels. */
const equalServers = (n: number): RingServer[] =>
  Array.from({ length: n }, (_, i) => ({ host: `10.1.${i >> 8}.${i & 255}`, port: 11212 }))

const serverLists = fc.uniqueArray(
  fc.record({
    host: fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/),
    port: fc.integer({ min: 1, max: 65535 }),
    weight: fc.integer({ min: 1, max: 5 }),
  }),
  { minLength: 1, maxLength: 12, selector: ({ host, port }) => `${host}:${port}` },
)
const hashes = fc.integer({ min: 0, max: 0xffffffff })
const codeOf = (build: () => unknown): string => {
  try {
    build()
    return 'no error'
  } catch (error) {
    return error instanceof RingError ? error.code : String(error)
  }
}

t.test('what is wrong with a server list is told by a code and a sentence', async t => {
  const one = { host: 'a', port: 1 }
  t.equal(
    codeOf(() => new Ring([])),
    'EMPTY_SERVERS',
  )
  t.equal(
    codeOf(() => new Ring([one], { dialect: 'ketchup' as Dialect })),
    'UNKNOWN_DIALECT',
  )
  t.equal(
    codeOf(() => new Ring([one, { host: 'a', port: 1 }])),
    'DUPLICATE_SERVER',
  )
  t.equal(
    codeOf(() => new Ring([{ host: '', port: 1 }])),
    'BAD_SERVER',
  )
  t.equal(
    codeOf(() => new Ring([{ host: 'a', port: 70000 }])),
    'BAD_SERVER',
  )
  for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.equal(
      codeOf(() => new Ring([{ ...one, weight }])),
      'BAD_WEIGHT',
      `weight ${weight}`,
    )
  }
  for (const pointsPerServer of [0, 3, 6, 4.5, -4, 65536]) {
    t.equal(
      codeOf(() => new Ring([one], { pointsPerServer })),
      'BAD_POINTS',
      `${pointsPerServer} points`,
    )
  }
  t.throws(() => new Ring([{ host: 'a', port: 1, weight: -3 }]), { message: /weight -3 of a:1/ }, 'names the value')
  t.ok(isDialect('libmemcached-weighted'))
  t.notOk(isDialect('toString'))
  t.ok(DIALECTS.includes('libmemcached-weighted'))
})

t.test('points ascend, lookup is the first point at or after the hash, past the end the first', async t => {
  fc.assert(
    fc.property(serverLists, hashes, (servers, hash) => {
      const ring = new Ring(servers)
      const { values, owners } = ring.points()
      for (let i = 1; i < values.length; i++) if (values[i - 1]! > values[i]!) return false
      let i = values.findIndex(value => value >= hash)
      if (i < 0) i = 0
      return ring.indexAt(hash) === owners[i]
    }),
  )
  t.pass()
})

t.test('the order of the list does not matter', async t => {
  fc.assert(
    fc.property(serverLists, fc.string({ minLength: 1 }), (servers, key) => {
      const [a, b] = [new Ring(servers).get(key), new Ring(servers.toReversed()).get(key)]
      return a.host === b.host && a.port === b.port
    }),
  )
  t.pass()
})

t.test('successors are distinct, without the owner, and as many as there are', async t => {
  fc.assert(
    fc.property(serverLists, fc.string({ minLength: 1 }), fc.nat(15), (servers, key, n) => {
      const ring = new Ring(servers)
      const next = ring.successors(key, n)
      const withPoints = new Set(ring.points().owners).size
      return (
        next.length === Math.min(n, withPoints - 1) &&
        new Set(next).size === next.length &&
        !next.includes(ring.get(key))
      )
    }),
  )
  t.pass()
})

t.test('diff tells exactly the positions that change owner', async t => {
  fc.assert(
    fc.property(serverLists, serverLists, fc.array(hashes, { maxLength: 30 }), (before, after, asked) => {
      const [a, b] = [new Ring(before), new Ring(after)]
      const arcs = a.diff(b)
      const covers = (from: number, to: number, hash: number) =>
        from < to ? from < hash && hash <= to : hash > from || hash <= to
      const positions = [...asked, ...arcs.flatMap(({ from, to }) => [from, to]).slice(0, 200)]
      for (const hash of positions) {
        const [old, now] = [a.servers[a.indexAt(hash)]!, b.servers[b.indexAt(hash)]!]
        const arc = arcs.filter(({ from, to }) => covers(from, to, hash))
        if (old.host === now.host && old.port === now.port) {
          if (arc.length > 0) return false
        } else if (arc.length !== 1 || arc[0]!.before !== old || arc[0]!.after !== now) return false
      }
      const share = arcs.reduce((sum, arc) => sum + arc.share, 0)
      return share > -1e-9 && share < 1 + 1e-9
    }),
    { numRuns: 60 },
  )
  t.pass()
})

/** The arcs of two rings as plain objects, each made at once. */
function plainArcs(before: Ring, after: Ring): Arc[] {
  const columns = before.diffColumns(after)
  return Array.from(columns.to, (to, i) => ({
    from: columns.from[i]!,
    to,
    before: before.servers[columns.before[i]!]!,
    after: after.servers[columns.after[i]!]!,
    share: arcShare(columns.from[i]!, to),
  }))
}

t.test('diff gives the arcs of diffColumns, few or so many that they are made when they are looked at', async t => {
  const few = fc.tuple(serverLists, serverLists)
  const listsOf = (n: number, kept: number) => {
    const others = equalServers(n).map(server => ({ ...server, port: 11213, weight: 1 }))
    return [equalServers(n), [...equalServers(Math.min(kept, n)), ...others]] as [RingServer[], RingServer[]]
  }
  const many = fc.tuple(fc.integer({ min: 65, max: 90 }), fc.nat(89)).map(([n, kept]) => listsOf(n, kept))
  const largest: [[RingServer[], RingServer[]]] = [listsOf(90, 0)]
  let most = 0
  for (const [lists, numRuns, examples] of [[few, 60, []] as const, [many, 6, [largest]] as const]) {
    fc.assert(
      fc.property(lists, ([before, after]) => {
        const [a, b] = [new Ring(before), new Ring(after)]
        const plain = plainArcs(a, b)
        most = Math.max(most, plain.length)
        const [first, last] = [plain[0], plain.at(-1)]
        const arcs = a.diff(b)
        return (
          arcs.length === plain.length &&
          isDeepStrictEqual([arcs[0], arcs.at(-1)], [first, last]) &&
          isDeepStrictEqual([...arcs], plain) &&
          isDeepStrictEqual(
            arcs.map(({ share }) => share),
            plain.map(({ share }) => share),
          ) &&
          isDeepStrictEqual(arcs, plain) &&
          arcs.every(arc => a.servers.includes(arc.before) && b.servers.includes(arc.after))
        )
      }),
      { numRuns, examples: [...examples] },
    )
  }
  t.ok(most > 20_000, `${most}`)
})

t.test('a fourth server takes about a quarter, and only takes', async t => {
  const servers = equalServers(4)
  const arcs = new Ring(servers.slice(0, 3)).diff(new Ring(servers))
  const share = arcs.reduce((sum, arc) => sum + arc.share, 0)
  t.ok(share > 0.2 && share < 0.3, `${share}`)
  t.ok(arcs.every(({ after }) => after === servers[3]))
  t.same(new Ring(servers).diff(new Ring(servers.toReversed())), [], 'the same servers in another order: nothing moves')
})

t.test('npm hashring agrees at the numbers of servers where both count points alike', async t => {
  for (const n of [2, 3, 4, 5, 10, 20]) {
    const servers = equalServers(n)
    const ring = new Ring(servers)
    const theirs = new HashRing(servers.map(({ host, port }) => `${host}:${port}`))
    const wrong = Array.from({ length: 2000 }, (_, i) => `key:${n}:${i}`).filter(key => {
      const { host, port } = ring.get(key)
      return theirs.get(key) !== `${host}:${port}`
    })
    t.same(wrong, [], `${n} servers`)
  }
})
