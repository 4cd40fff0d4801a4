/** Every dialect against what its program really answered: owners of every key, and the whole sorted ring where it is recorded. */
import { readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { DIALECTS, type Dialect, Ring, type RingServer } from '../../lib/ketama/index.js'
import { type Case, keys, sets, vectors } from './vectors.js'

const files = readdirSync(new URL('../../../test/ketama/vectors', import.meta.url))
const recorded = files
  .map(file => file.replace('.json', ''))
  .filter(name => !['keys', 'sets', 'key-hashes'].includes(name))

t.same(DIALECTS.filter(dialect => dialect !== 'continuum').toSorted(), recorded.toSorted(), 'a file for each dialect')
for (const dialect of DIALECTS.filter(name => name !== 'continuum')) {
  t.test(dialect, async t => {
    const { cases } = vectors<{ cases: Case[] }>(`${dialect}.json`)
    t.ok(cases.length > 1, 'there are cases')
    for (const one of cases) t.test(one.set, async t => check(t, dialect, one))
  })
}

function check(t: Test, dialect: Dialect, { set, owners, pointsPerServer, continuum }: Case): void {
  const { servers, extraKeys = [] } = sets[set]!
  const ring = new Ring(set === 'hostnames' ? servers.map(resolved) : servers, { dialect })
  const asked = [...keys, ...extraKeys]
  t.equal(asked.length, owners.length, 'an owner for each key')
  const wrong = (ask: (key: string) => number) => asked.filter((key, i) => ask(key) !== owners[i])
  t.same(
    wrong(key => ring.indexOf(key)),
    [],
    'owners of text keys',
  )
  t.same(
    wrong(key => ring.indexOf(Buffer.from(key))),
    [],
    'owners of keys as bytes',
  )
  if (servers.length === 1) return
  if (pointsPerServer) {
    const counted = ring.spread().map(({ points }) => points)
    t.same(counted, pointsPerServer, 'points of each server')
  }
  if (continuum) {
    const own = ring.programValues().map((value, i) => ({ value, owner: ring.points().owners[i] }))
    own.sort((a, b) => a.value - b.value)
    t.same(
      own.map(({ value }) => value),
      continuum.points,
      'the sorted points',
    )
    t.same(
      own.map(({ owner }) => owner),
      continuum.owners,
      'their owners',
    )
  }
}

/** As the vectors were made: the names resolved to 10.8.0.1, 10.8.0.2 ... */
function resolved(server: RingServer, index: number): RingServer {
  return { ...server, ip: `10.8.0.${index + 1}` }
}
