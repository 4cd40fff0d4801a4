/** The judge of the experiment, judged: each kind of wrong answer is told apart, and right answers are let pass. */
import t from 'tap'
import { Checker } from '../../bench/checker.js'
import { COUNTER_BASE, Dataset } from '../../bench/values.js'

const KEYS = 200
const data = new Dataset(7, KEYS, 5000)
const COUNTER = 19
/** A key whose values all tell their version. */
const KEY = Array.from({ length: KEYS }, (_, i) => i).find(
  i => !data.isCounter(i) && [0, 1, 2, 3, 4, 5, 6].every(version => data.sizeOf(i, version) >= 24),
)!

/** Writes acknowledged one after the other: 'v' a value, 'd' a deletion. */
function after(writes: string): Checker {
  const checker = new Checker(data)
  for (const write of writes) checker.acknowledge(KEY, checker.issue(KEY, write === 'd' ? 'deletion' : 'value'))
  return checker
}
function read(checker: Checker, version: number | null): string {
  const text = version === null ? undefined : data.valueOf(KEY, version)
  return checker.readEnds(KEY, checker.readBegins(KEY), text, 'a test').verdict
}

t.test('what was acknowledged is right, anything older is not', async t => {
  t.equal(read(after('vvv'), 3), 'right')
  t.equal(read(after('vvv'), 2), 'stale')
  t.equal(read(after('vvv'), null), 'lost')
  t.equal(read(after('vvv'), 4), 'wrong', 'a version that nobody wrote')
  t.equal(read(after(''), null), 'right', 'never written')
  t.equal(read(after(''), 1), 'wrong')
})

t.test('deletions', async t => {
  t.equal(read(after('vd'), null), 'right')
  t.equal(read(after('vd'), 1), 'resurrected')
  t.equal(read(after('vdv'), 1), 'resurrected', 'older than a deletion')
  t.equal(read(after('vdv'), null), 'lost')
  t.equal(read(after('vdvv'), 3), 'stale')
})

t.test('a write under way may be seen or not', async t => {
  const checker = after('vv')
  const floor = checker.readBegins(KEY)
  const version = checker.issue(KEY, 'value')
  t.equal(checker.readEnds(KEY, floor, data.valueOf(KEY, 2), '').verdict, 'right')
  t.equal(checker.readEnds(KEY, floor, data.valueOf(KEY, version), '').verdict, 'right')
  t.equal(read(checker, 2), 'stale', 'once seen, it stays seen: reads do not go back in time')
  checker.acknowledge(KEY, version)
  t.equal(checker.readEnds(KEY, floor, data.valueOf(KEY, 2), '').verdict, 'right', 'a read that began before it')
})

t.test('a read that began before a write was acknowledged may miss it', async t => {
  const checker = after('v')
  const floor = checker.readBegins(KEY)
  checker.acknowledge(KEY, checker.issue(KEY, 'deletion'))
  checker.acknowledge(KEY, checker.issue(KEY, 'value'))
  for (const version of [1, 3]) {
    t.equal(checker.readEnds(KEY, floor, data.valueOf(KEY, version), '').verdict, 'right', `version ${version}`)
  }
  t.equal(checker.readEnds(KEY, floor, undefined, '').verdict, 'right', 'or the deletion')
})

t.test('a failed write may have happened', async t => {
  const checker = after('v')
  checker.fail(KEY, checker.issue(KEY, 'value'))
  t.equal(read(checker, 1), 'right')
  t.equal(read(checker, 2), 'right')
  t.equal(read(checker, null), 'lost', 'but not a deletion')
  checker.fail(KEY, checker.issue(KEY, 'deletion'))
  t.equal(read(checker, null), 'right')
})

t.test('what deletions and counters are told', async t => {
  t.equal(after('v').deleteEnds(KEY, 1, true, ''), 'right')
  t.equal(after('v').deleteEnds(KEY, 1, false, ''), 'lost')
  t.equal(after('vd').deleteEnds(KEY, 2, false, ''), 'right')
  t.equal(after('vd').deleteEnds(KEY, 2, true, ''), 'resurrected')
  const checker = new Checker(data)
  for (let i = 0; i < 3; i++) checker.acknowledge(COUNTER, checker.issue(COUNTER, 'value'))
  t.equal(checker.incrementEnds(COUNTER, 3, COUNTER_BASE + 3, ''), 'right')
  t.equal(checker.incrementEnds(COUNTER, 3, COUNTER_BASE + 2, ''), 'stale')
  t.equal(checker.incrementEnds(COUNTER, 3, COUNTER_BASE + 4, ''), 'wrong')
  t.equal(checker.incrementEnds(COUNTER, 3, null, ''), 'lost')
  t.same({ ...checker.answers }, { lost: 1, stale: 1, resurrected: 0, wrong: 1 })
  t.equal(checker.keys.lost.size, 1)
  t.equal(checker.examples.length, 3)
})

t.test('values tell where they come from', async t => {
  for (let i = 0; i < KEYS; i++) {
    for (const version of [1, 2, 9]) {
      const text = data.valueOf(i, version)
      t.equal(data.versionOf(i, text, version, version), version)
      if (!data.isCounter(i)) t.equal(text.length, data.sizeOf(i, version))
      if (text.length >= 24) t.equal(data.versionOf(i + 1, text, 0, 10), null, 'not of another key')
    }
  }
  const damaged = `${data.valueOf(KEY, 1).slice(0, -1)}!`
  t.equal(data.versionOf(KEY, damaged, 0, 10), null)
  t.equal(new Dataset(7, KEYS, 5000).valueOf(3, 4), data.valueOf(3, 4), 'the seed decides')
  const sizes = new Dataset(1, 100_000, 500_000)
  let bytes = 0
  let largest = 0
  for (let i = 0; i < sizes.keys; i++) {
    bytes += sizes.sizeOf(i, 1)
    largest = Math.max(largest, sizes.sizeOf(i, 1))
  }
  t.ok(bytes < 200_000_000, `all of them: ${bytes} bytes`)
  t.ok(largest > 250_000 && largest <= 500_000, `the largest: ${largest}`)
})
