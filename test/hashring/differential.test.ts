/** The same life of a ring in npm's hashring and in ours: after every step both answer alike. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import HashRing, { type HashRingOptions } from '../../lib/hashring/hashring.js'
import type { ServerList } from '../../lib/hashring/servers.js'
import { Original } from './original.js'

const server = fc.oneof(
  fc
    .tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(':11211', ':11212', ''))
    .map(([n, port]) => `10.0.0.${n}${port}`),
  fc.constantFrom('::1:11211', 'cache-a.example:11300', '7', '12'),
)
const value = fc.oneof(
  fc.integer({ min: 0, max: 9 }),
  fc.record({ weight: fc.integer({ min: 0, max: 9 }) }),
  fc.record({ vnodes: fc.integer({ min: 0, max: 60 }) }),
)
const list: fc.Arbitrary<ServerList> = fc.oneof(
  server,
  fc.array(server, { maxLength: 9 }),
  fc.dictionary(server, value, { maxKeys: 9, noNullPrototype: true }),
)
const options: fc.Arbitrary<HashRingOptions> = fc.record(
  {
    'vnode count': fc.integer({ min: 1, max: 60 }),
    compatibility: fc.constantFrom('ketama', 'hash_ring'),
    replicas: fc.integer({ min: 0, max: 6 }),
    'max cache size': fc.integer({ min: 1, max: 20 }),
    'default port': fc.constantFrom(11211, 11212),
  },
  { requiredKeys: [] },
)
// Names that an object inherits are the original's bug, see hashring.test.ts.
const key = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.integer()).filter(one => !(String(one) in {}))
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('add' as const), list }),
    fc.record({ do: fc.constant('remove' as const), server }),
    fc.record({ do: fc.constant('swap' as const), from: server, to: server }),
    fc.record({ do: fc.constant('continuum' as const) }),
  ),
  { maxLength: 6 },
)
type Step = typeof steps extends fc.Arbitrary<(infer One)[]> ? One : never

function take(ring: HashRing, step: Step): void {
  if (step.do === 'add') ring.add(structuredClone(step.list))
  else if (step.do === 'remove') ring.remove(step.server)
  else if (step.do === 'swap') ring.swap(step.from, step.to)
  else {
    // Without it the original keeps answers, and even points, of the ring before: see hashring.test.ts.
    ring.reset().continuum()
  }
}

/** Everything that a program can see. */
const seen = (ring: HashRing, keys: unknown[]) => ({
  ring: ring.ring.map(({ value, server }) => [value, server]),
  size: ring.size,
  servers: ring.servers.map(({ host, port, string, weight }) => [host, port, string, weight]),
  vnodes: { ...ring.vnodes },
  gets: keys.map(one => [ring.get(one), ring.get(one), ring.hashValue(one), ring.find(ring.hashValue(one))]),
  ranges: keys.map(one => [ring.range(one), ring.range(one, 2), ring.range(one, 5, false)]),
  points: { ...ring.points() },
  has: ring.servers.map(({ string }) => ring.has(string)),
})

t.test('constructors, options and changes in any order', async t => {
  fc.assert(
    fc.property(
      list,
      options,
      steps,
      fc.array(key, { minLength: 1, maxLength: 8 }),
      (servers, given, changes, keys) => {
        const ours = new HashRing(structuredClone(servers), 'md5', given)
        const theirs = new Original(structuredClone(servers), 'md5', given)
        assert.deepEqual(seen(ours, keys), seen(theirs, keys))
        for (const step of changes) {
          take(ours, step)
          take(theirs, step)
          assert.deepEqual(seen(ours, keys), seen(theirs, keys))
        }
      },
    ),
    { numRuns: Number(process.env.RUNS ?? 300), seed: Number(process.env.SEED ?? 1) },
  )
  t.pass('no difference')
})

t.test('other algorithms, by name and as a function', async t => {
  const hashers = [
    'sha1',
    'sha256',
    (text: string) => `${text}${text}0123456789abcdef`,
    (text: string) => [text.length, text.length * 7, 3, 200, 1],
  ]
  for (const hasher of hashers) {
    const servers = ['10.0.0.1:11211', '10.0.0.2:11211', '10.0.0.3:11212']
    const keys = Array.from({ length: 200 }, (_, i) => `key:${i}`)
    t.same(seen(new HashRing(servers, hasher), keys), seen(new Original(servers, hasher), keys), String(hasher))
  }
})
