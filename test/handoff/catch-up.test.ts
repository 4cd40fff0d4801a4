/** A node that begins hears the clocks of the others first. Found by the simulation: restarts, seed 268. */
import t from 'tap'
import { CatchUp } from '../../lib/handoff/catch-up.js'

function catchUp() {
  const said: number[] = []
  const observed: bigint[] = []
  let done = 0
  const it = new CatchUp({
    send: member => {
      said.push(member)
      return true
    },
    observe: version => observed.push(version),
    done: () => done++,
  })
  return { it, said, observed, done: () => done }
}

t.test('alone, there is nobody to wait for', async t => {
  const { it, done } = catchUp()
  it.ask([])
  t.equal(done(), 1)
  t.ok(it.over)
})

t.test('it is over when every member has answered, whenever its link opens', async t => {
  const { it, said, observed, done } = catchUp()
  it.ask([2, 3])
  t.same([...it.wanted()], [2, 3])
  it.greeted(2, 7n)
  it.linkUp(3)
  t.same(said, [2, 3, 3])
  t.equal(done(), 0)
  it.ask([2, 3, 4])
  it.greeted(3, 9n)
  it.greeted(4, 1n)
  it.greeted(4, 1n)
  t.same(observed, [7n, 9n, 1n, 1n])
  t.equal(done(), 1)
})

t.test('a member that is not there is waited for two seconds; one that left is not', async t => {
  const { it, done } = catchUp()
  it.ask([2, 3])
  it.ask([2])
  it.tick(1000)
  it.tick(2999)
  t.equal(done(), 0)
  it.tick(3000)
  t.equal(done(), 1)
  t.same([...it.wanted()], [])
})
