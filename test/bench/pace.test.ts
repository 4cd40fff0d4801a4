/** When the requests of an open loop leave, and from when they count. */
import t from 'tap'
import { OpenPace } from '../../bench/speed/pace.js'

/** One request each millisecond, looked at every 0.25 ms until `until`; those that leave, by when they count from. */
function looks(pace: OpenPace, from: number, until: number): number[] {
  const begun: number[] = []
  for (let now = from; now < until; now += 0.25) {
    pace.dueAt(now)
    for (let left = pace.allowance(100); left > 0; left--) begun.push(pace.begin())
  }
  return begun
}

t.test('a request each interval, whatever the answers do', async t => {
  t.same(looks(new OpenPace(0, 1000, true), 0, 5), [0, 1, 2, 3, 4])
})

t.test('who could not leave counts from when it was due: a server that stands still is charged for all', async t => {
  const pace = new OpenPace(0, 1000, true)
  looks(pace, 0, 2)
  // No connection is free meanwhile, but the load looks.
  for (let now = 2; now < 50; now += 0.25) pace.dueAt(now)
  t.equal(pace.dueAt(50), 49)
  t.same([pace.begin(), pace.begin()], [2, 3])
  t.equal(pace.stalledMs, 0)
})

t.test('what was due while the load itself stood still is put off by as much', async t => {
  const pace = new OpenPace(0, 1000, true)
  t.same(looks(pace, 0, 2), [0, 1])
  // Two requests wait for the server, then the load is away from 3.75 to 23.75.
  for (let now = 2; now < 4; now += 0.25) pace.dueAt(now)
  t.same(looks(pace, 23.75, 27), [2, 3, 24, 25, 26])
  t.equal(pace.stalledMs, 20)
  t.equal(pace.longestStallMs, 20)
  pace.forgetStalls()
  // Twice in a row, with nothing sent in between.
  pace.dueAt(29.75)
  pace.dueAt(39.75)
  t.same(looks(pace, 40, 42), [40, 41])
  t.equal(pace.stalledMs, 13)
})

t.test('a load that does not look all the time is charged for its own time, too', async t => {
  const pace = new OpenPace(0, 1000)
  looks(pace, 0, 1)
  t.equal(pace.dueAt(10.5), 10)
  t.equal(pace.begin(), 1)
  t.equal(pace.stalledMs, 0)
})
