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
  return checker.readEnds(KEY, checker.begins(KEY), text, 'a test').verdict
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
  const begun = checker.begins(KEY)
  const version = checker.issue(KEY, 'value')
  t.equal(checker.readEnds(KEY, begun, data.valueOf(KEY, 2), '').verdict, 'right')
  t.equal(checker.readEnds(KEY, begun, data.valueOf(KEY, version), '').verdict, 'right')
  t.equal(read(checker, 2), 'stale', 'once seen, it stays seen: reads do not go back in time')
  checker.acknowledge(KEY, version)
  t.equal(checker.readEnds(KEY, begun, data.valueOf(KEY, 2), '').verdict, 'right', 'a read that began before it')
})

t.test('a read that began before a write was acknowledged may miss it', async t => {
  const checker = after('v')
  const begun = checker.begins(KEY)
  checker.acknowledge(KEY, checker.issue(KEY, 'deletion'))
  checker.acknowledge(KEY, checker.issue(KEY, 'value'))
  for (const version of [1, 3]) {
    t.equal(checker.readEnds(KEY, begun, data.valueOf(KEY, version), '').verdict, 'right', `version ${version}`)
  }
  t.equal(checker.readEnds(KEY, begun, undefined, '').verdict, 'right', 'or the deletion')
})

t.test('a failed write may have happened, until a later one has', async t => {
  const checker = after('v')
  const version = checker.issue(KEY, 'value')
  checker.fail(KEY, version)
  t.equal(read(checker, 1), 'right')
  t.equal(read(checker, null), 'lost', 'but it was no deletion')
  t.equal(read(checker, 2), 'right')
  t.equal(read(checker, 1), 'stale', 'it has happened')
  checker.fail(KEY, checker.issue(KEY, 'deletion'))
  t.equal(read(checker, null), 'right')
  t.equal(read(checker, 2), 'right')
  checker.acknowledge(KEY, checker.issue(KEY, 'value'))
  t.equal(read(checker, 2), 'stale', 'the deletion need not have happened')
  t.equal(read(checker, null), 'lost')
  const given = after('v')
  given.fail(KEY, given.issue(KEY, 'value'))
  given.acknowledge(KEY, given.issue(KEY, 'value'))
  t.equal(read(given, 2), 'late', 'it happens after a later one was acknowledged')
})

t.test('what deletions and counters are told', async t => {
  const deleted = (writes: string, found: boolean) => {
    const checker = after(writes)
    const begun = checker.begins(KEY)
    return checker.deleteEnds(KEY, begun, checker.issue(KEY, 'deletion'), found, '')
  }
  t.equal(deleted('v', true), 'right')
  t.equal(deleted('v', false), 'lost')
  t.equal(deleted('vd', false), 'right')
  t.equal(deleted('vd', true), 'resurrected')
  const unsure = after('v')
  unsure.fail(KEY, unsure.issue(KEY, 'deletion'))
  for (const found of [true, false]) {
    t.equal(unsure.deleteEnds(KEY, unsure.begins(KEY), 3, found, ''), 'right', 'a failed deletion may have been first')
  }
  const checker = new Checker(data)
  for (let i = 0; i < 2; i++) checker.acknowledge(COUNTER, checker.issue(COUNTER, 'value'))
  const counted = (number: number | null) =>
    checker.incrementEnds(COUNTER, checker.begins(COUNTER), checker.issue(COUNTER, 'value'), number, '')
  t.equal(counted(COUNTER_BASE + 3), 'right')
  checker.acknowledge(COUNTER, 3)
  t.equal(counted(COUNTER_BASE + 3), 'stale')
  t.equal(counted(COUNTER_BASE + 6), 'wrong')
  t.equal(counted(null), 'lost')
  t.same({ ...checker.answers }, { lost: 1, stale: 1, resurrected: 0, late: 0, wrong: 1 })
  t.equal(checker.keys.lost.size, 1)
  t.equal(checker.examples.length, 3)
})

t.test('a count that failed may have counted or not', async t => {
  for (const [number, verdict] of [
    [3, 'right'],
    [4, 'right'],
    [5, 'wrong'],
    [2, 'stale'],
  ] as const) {
    const checker = new Checker(data)
    for (let i = 0; i < 2; i++) checker.acknowledge(COUNTER, checker.issue(COUNTER, 'value'))
    checker.fail(COUNTER, checker.issue(COUNTER, 'value'))
    const begun = checker.begins(COUNTER)
    const version = checker.issue(COUNTER, 'value')
    t.equal(checker.incrementEnds(COUNTER, begun, version, COUNTER_BASE + number, ''), verdict)
  }
})

t.test('a count whose first write failed is no loss', async t => {
  const checker = new Checker(data)
  checker.fail(COUNTER, checker.issue(COUNTER, 'value'))
  const begun = checker.begins(COUNTER)
  t.equal(checker.incrementEnds(COUNTER, begun, checker.issue(COUNTER, 'value'), null, ''), 'right')
})

t.test('what a killed node held may be missing also when another is back', async t => {
  const checker = after('v')
  checker.goesAway(index => index === KEY, true)
  checker.goesAway(() => true)
  checker.isBack()
  t.equal(read(checker, null), 'missed')
  checker.acknowledge(KEY, checker.issue(KEY, 'value'))
  checker.goesAway(() => false, true)
  t.equal(read(checker, null), 'lost', 'it was written since')
})

t.test('while a node is away, what only it remembers may be missing, and nothing else', async t => {
  const checker = after('vv')
  checker.goesAway(index => index === KEY)
  t.equal(read(checker, null), 'missed')
  t.equal(read(checker, 1), 'stale', 'older is wrong all the same')
  t.equal(read(checker, 2), 'right')
  const begun = checker.begins(KEY)
  checker.fail(KEY, checker.issue(KEY, 'value'))
  t.equal(read(checker, null), 'missed', 'a write that failed proves nothing')
  checker.acknowledge(KEY, checker.issue(KEY, 'value'))
  t.equal(read(checker, null), 'lost', 'it was written since')
  t.equal(checker.readEnds(KEY, begun, undefined, '').verdict, 'missed', 'a read that began before')
  const other = after('v')
  other.goesAway(index => index !== KEY)
  t.equal(read(other, null), 'lost', 'it lives elsewhere')
  const paused = after('v')
  paused.goesAway(() => true)
  const earlier = paused.begins(KEY)
  paused.isBack()
  t.equal(read(paused, null), 'lost', 'the node is back')
  t.equal(paused.readEnds(KEY, earlier, undefined, '').verdict, 'missed')
  t.equal(checker.missed + paused.missed, 4)
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
