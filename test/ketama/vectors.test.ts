/** The ring against what libmemcached really answered: owners of every key, and the whole sorted ring where it is recorded. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { Ring, type RingServer } from '../../lib/ketama/index.js'

interface Case {
  set: string
  owners: number[]
  pointsPerServer?: number[]
  continuum?: { points: number[]; owners: number[] }
}

/** The vectors stay in the source tree: dist/test/ketama is three rooms below the package. */
function vectors<Shape>(name: string): Shape {
  return JSON.parse(readFileSync(new URL(`../../../test/ketama/vectors/${name}`, import.meta.url), 'utf8')) as Shape
}

const { keys } = vectors<{ keys: string[] }>('keys.json')
const sets = vectors<Record<string, { servers: RingServer[]; extraKeys?: string[] }>>('sets.json')
const { cases } = vectors<{ cases: Case[] }>('libmemcached-weighted.json')

t.ok(cases.length > 10, 'there are cases')
for (const { set, owners, pointsPerServer, continuum } of cases) {
  t.test(`libmemcached-weighted, ${set}`, async t => {
    const { servers, extraKeys = [] } = sets[set]!
    const ring = new Ring(servers)
    const asked = [...keys, ...extraKeys]
    t.equal(asked.length, owners.length, 'an owner for each key')
    t.same(
      asked.map(key => ring.indexOf(key)),
      owners,
      'owners of text keys',
    )
    t.same(
      asked.map(key => ring.indexOf(Buffer.from(key))),
      owners,
      'owners of keys as bytes',
    )
    const points = ring.points()
    if (pointsPerServer && servers.length > 1) {
      const counted = servers.map((_, server) => points.owners.filter(owner => owner === server).length)
      t.same(counted, pointsPerServer, 'points of each server')
    }
    if (continuum && servers.length > 1) {
      t.same([...points.values], continuum.points, 'the sorted points')
      t.same([...points.owners], continuum.owners, 'their owners')
    }
  })
}
