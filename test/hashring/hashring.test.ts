/** What npm's hashring promises, case by case after its own suite. */
import t from 'tap'
import HashRing from '../../lib/hashring/hashring.js'
import { golden } from './original.js'

const three = ['192.168.0.102:11212', '192.168.0.103:11212', '192.168.0.104:11212']

t.test('the version is a version', async t => t.match(HashRing.version, /^\d+\.\d+\.\d+$/))

t.test('constructor', async t => {
  t.test('takes a text, a list, an object of weights, or nothing', async t => {
    const counts = (ring: HashRing) => [ring.servers.length, ring.ring.length]
    t.same(counts(new HashRing(three[0])), [1, 160])
    t.same(counts(new HashRing(three)), [3, 480])
    const weighted = new HashRing({ [three[0]!]: 2, [three[1]!]: 2, [three[2]!]: 2 })
    t.same(counts(weighted), [3, 480])
    t.ok(weighted.servers.every(server => server.weight === 2))
    t.same(counts(new HashRing()), [0, 0])
  })

  t.test('a server may have digests of its own', async t => {
    for (const digests of [
      [40, 50, 5],
      [4, 3, 5],
    ]) {
      const ring = new HashRing(Object.fromEntries(three.map((server, i) => [server, { vnodes: digests[i]! }])))
      t.equal(ring.servers.length, 3)
      t.equal(ring.ring.length, (digests[0]! + digests[1]! + digests[2]!) * ring.replicas)
    }
  })

  t.test('vnode count sets the digests of all', async t => {
    const ring = new HashRing(three.slice(0, 2), 'md5', { 'vnode count': 60 })
    t.equal(ring.ring.length, 60 * ring.replicas * 2)
  })

  t.test('replicas below 1 are 1', async t => t.equal(new HashRing(three, 'md5', { replicas: 0 }).replicas, 1))

  t.test('another algorithm', async t => {
    const ring = new HashRing(three[0], 'sha1')
    t.equal(ring.algorithm, 'sha1')
    t.equal(ring.ring.length, 160)
  })

  t.test('weights share the same number of points', async t => {
    t.equal(new HashRing({ '127.0.0.1:11211': 600, '127.0.0.1:11212': 400 }).ring.length, 320)
  })
})

t.test('a key past the last point belongs to the first', async t => {
  const weights = [600, 300, 200, 350, 1000, 800, 950, 100]
  const ring = new HashRing(Object.fromEntries(weights.map((weight, i) => [`10.0.1.${i + 1}:11211`, weight])))
  t.ok(ring.hashValue('VDEAAAAA') > ring.ring.at(-1)!.value)
  t.equal(ring.find(ring.hashValue('VDEAAAAA')), 0)
})

t.test('hashValue and find give the known positions', async t => {
  const ring = new HashRing({ '127.0.0.1:11211': 600, '127.0.0.1:11212': 400 })
  t.equal(ring.hashValue('test'), 3446378249)
  t.equal(ring.ring[ring.find(3446378249)]!.value, 3454255383)
})

t.test('get answers for keys of every kind', async t => {
  const ring = new HashRing(three)
  t.equal(ring.get('foo'), three[0])
  t.equal(ring.get('pewpew'), three[1])
  t.equal(new HashRing().get('foo'), undefined, 'no servers, no answer')
  for (const key of ['привет мир, Memcached и nodejs для победы', 1, 0, [], { odd: 'key' }, null, undefined]) {
    t.ok(ring.find(ring.hashValue(key)) >= 0, String(key))
  }
  t.equal(ring.get({ one: 1 }), ring.get({ two: 2 }), 'objects are alike: both are "[object Object]"')
})

t.test('add works on an empty ring, and leaves known servers alone', async t => {
  const ring = new HashRing().add(three[0])
  t.same([ring.servers.length, ring.ring.length], [1, 160])
  t.equal(ring.add({ [three[0]!]: 7 }).servers[0]!.weight, 1)
})

t.test('swap gives the points of one server to another', async t => {
  const ring = new HashRing(three)
  const [gone, next] = [ring.get('justdied')!, '192.168.0.128:11212']
  ring.swap(gone, next)
  t.equal(ring.cache.get('justdied'), next)
  ring.cache.reset()
  t.equal(ring.get('justdied'), next)
  t.notOk(ring.has(gone))
  t.same(
    ring.servers.find(server => server.string === next),
    { host: '192.168.0.128', port: 11212, string: next, weight: 1, vnodes: 0 },
  )
})

t.test('remove takes all points of a server, also of the last one', async t => {
  const ring = new HashRing(three).remove(three[0])
  t.notOk(ring.ring.some(node => node.server === three[0]))
  ring.remove(three[1]).remove(three[2])
  t.same([ring.servers.length, ring.ring.length], [0, 0])
  t.throws(() => ring.remove([]), TypeError)
})

t.test('has tells whether a server is there', async t => {
  t.ok(new HashRing(three).has(three[0]!))
  t.notOk(new HashRing(three).has('192.168.0.105:11212'))
})

t.test('range walks the circle', async t => {
  const ring = new HashRing(three)
  t.equal(ring.range('foo', 20, false).length, 20)
  t.same(ring.range('foo', 20).toSorted(), three)
  t.equal(ring.range('foo')[0], ring.get('foo'))
})

t.test('reset drops points, end drops everything', async t => {
  const ring = new HashRing(three)
  t.same([ring.reset().size, ring.servers.length], [0, 3])
  t.equal(ring.continuum().size, 480)
  t.same([ring.end().size, ring.servers.length, ring.vnodes], [0, 0, {}])
})

t.test('the golden answers of hash_ring, ketama for Python, and pylibmc', async t => {
  const weights = { '0.0.0.1': 1, '0.0.0.2': 2, '0.0.0.3': 3, '0.0.0.4': 4, '0.0.0.5': 5 }
  const mixed = ['0.0.0.1:11211', '0.0.0.2:11211', '0.0.0.3', '0.0.0.4:11213', '0.0.0.5:11212']
  const rings = {
    'hash_ring.txt': new HashRing(weights, 'md5', { compatibility: 'hash_ring' }),
    'ketama.txt': new HashRing(weights, 'md5'),
    'pylibmc.txt': new HashRing(mixed, 'md5', { 'default port': 11211 }),
  }
  for (const [name, ring] of Object.entries(rings)) {
    const lines = golden(name)
    let wrong = 0
    for (let i = 0; i < 100_000; i++) if (`${i} ${ring.get(i)}` !== lines[i]) wrong++
    t.equal(wrong, 0, name)
  }
})

t.test('keys spread evenly', async t => {
  const ring = new HashRing(three)
  const counts = new Map<string, number>()
  for (let i = 0; i < 100_000; i++) {
    const server = ring.get(`${(i * 2654435761) % 4294967296}`)!
    counts.set(server, (counts.get(server) ?? 0) + 1)
  }
  for (const [server, count] of counts) t.ok(Math.abs(count / 100_000 - 1 / 3) < 0.05, `${server}: ${count}`)
})

t.test('what the original gets wrong', async t => {
  t.equal(new HashRing(three, 'md5', { 'max cache size': 0 }).get('foo'), three[0], 'no cache is a choice')
  new HashRing('a:1').get('constructor')
  t.equal(new HashRing('b:1').get('constructor'), 'b:1', 'rings do not share answers')
  t.notOk('value' in Object, 'and nothing global is written')
  t.equal(new HashRing([{ host: 'a', port: 1, weight: 3 }]).servers[0]!.weight, 3)
  const swapped = new HashRing({ 'a:1': { vnodes: 60 }, 'b:1': 1 }, 'md5')
  const keys = Array.from({ length: 50 }, (_, i) => `k${i}`)
  for (const key of keys) swapped.get(key)
  swapped.swap('b:1', 'a:1').continuum()
  for (const key of keys) t.equal(swapped.get(key), swapped.ring[swapped.find(swapped.hashValue(key))]!.server, key)
})

t.test('the old names still work', async t => {
  const ring = new HashRing()
  t.equal(ring.addServer('a:1').getNode('k'), 'a:1')
  t.equal(ring.position(5), ring.find(5))
  t.equal(ring.getNodePosition(5), ring.find(5))
  t.equal(ring.replace(), undefined)
  t.equal(ring.replaceServer(), undefined)
  t.equal(ring.removeServer('a:1').size, 0)
})

t.test('the cache keeps what was asked for lately, and no more than it may', async t => {
  const ring = new HashRing(three, 'md5', { 'max cache size': 10 })
  for (let i = 0; i < 100; i++) {
    ring.get('hot')
    ring.get(`cold ${i}`)
    t.ok(ring.cache.size <= 10)
  }
  t.equal(ring.cache.get('hot'), ring.get('hot'))
  ring.cache.del('hot')
  t.equal(ring.cache.get('hot'), undefined)
})
