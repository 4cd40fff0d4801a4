import t from 'tap'
import { Detector, type Finding, FLAP_MEMORY_MS, HOLD_FIRST_MS, HOLD_MAX_MS } from '../../lib/tier/detector.js'

const options = { suspectAfterMs: 2500, jumpMs: 1000 }
const LOOK_MS = 100

/** A detector whose time is moved by hand; nodes beat every 500 ms as long as they are in `beating`. */
function observed(...nodes: number[]) {
  const detector = new Detector(options)
  const beating = new Map(nodes.map(node => [node, { incarnation: '10', beat: 0 }]))
  let now = 0
  const pass = (ms: number): Finding[] => {
    const findings: Finding[] = []
    for (const end = now + ms; now < end; ) {
      now += LOOK_MS
      for (const [node, sign] of beating) {
        if (now % 500 === 0) detector.heard(node, { incarnation: sign.incarnation, beat: ++sign.beat }, now)
      }
      findings.push(...detector.look(now))
    }
    return findings
  }
  for (const node of nodes) detector.expect(node, now)
  return { detector, beating, pass, now: () => now, jump: (ms: number) => (now += ms) }
}

t.test('silence makes a suspect, in time; any later heartbeat refutes it', async t => {
  const { detector, beating, pass, now } = observed(1, 2)
  t.same(pass(10_000), [])
  beating.delete(2)
  const lastSign = now()
  const [found] = pass(5000)
  t.match(found, { type: 'suspected', node: 2, silentMs: 2500 })
  t.equal(detector.opinion(2), 'suspect')
  t.equal(detector.opinion(1), 'alive')
  beating.set(2, { incarnation: '10', beat: 1000 })
  t.match(pass(500), [{ type: 'refuted', node: 2, restarted: false }])
  t.equal(detector.opinion(2), 'alive')
  t.ok(now() - lastSign > 5000)
})

t.test('a node that never came is suspected too; one that nobody expects is not', async t => {
  const { detector, pass } = observed()
  detector.expect(7, 0)
  t.match(pass(3000), [{ type: 'suspected', node: 7 }])
  t.equal(detector.opinion(8), 'alive')
  t.notOk(detector.mayReturn(7, 3000))
  detector.keep(new Set())
  t.same(pass(3000), [])
})

t.test('what was said before is no sign of life: repetitions and earlier lives', async t => {
  const { detector, beating, pass, now } = observed(1)
  pass(2000)
  beating.delete(1)
  for (let i = 0; i < 40; i++) {
    detector.heard(1, { incarnation: '10', beat: 4 }, now())
    detector.heard(1, { incarnation: '9', beat: 999 }, now())
    pass(100)
  }
  t.equal(detector.opinion(1), 'suspect')
  detector.heard(1, { incarnation: '11', beat: 0 }, now())
  t.match(pass(100), [{ type: 'refuted', restarted: true }], 'a new life begins at any number')
})

t.test('our own pause is nobody else’s: all silence starts over', async t => {
  const { detector, beating, pass, now, jump } = observed(1, 2)
  pass(1000)
  beating.clear()
  jump(60_000)
  t.match(pass(100), [{ type: 'jumped', ms: 60_100 }])
  t.equal(detector.opinion(1), 'alive')
  t.equal(detector.silentMs(2, now()), 0)
  t.equal(pass(2600).length, 2, 'and then they are silent for themselves')
})

t.test('a node that comes and goes is held away longer each time, with a bound, and forgiven in the end', async t => {
  const { detector, beating, pass, now } = observed(1)
  const holds: number[] = []
  for (let outage = 0; outage < 8; outage++) {
    beating.delete(1)
    pass(3000)
    t.equal(detector.opinion(1), 'suspect')
    detector.declaredAway(1, now())
    t.notOk(detector.mayReturn(1, now()))
    beating.set(1, { incarnation: '10', beat: 1000 * (outage + 1) })
    pass(500)
    const heardAt = now()
    while (!detector.mayReturn(1, now())) pass(100)
    holds.push(now() - heardAt)
  }
  t.same(
    holds,
    [0, 1, 2, 4, 8, 12, 12, 12].map(factor => factor * HOLD_FIRST_MS),
  )
  t.equal(HOLD_MAX_MS, 12 * HOLD_FIRST_MS)
  pass(FLAP_MEMORY_MS)
  t.equal(detector.holdMs(1, now()), 0)
})

t.test('a gap starts the hold time over', async t => {
  const { detector, beating, pass, now } = observed(1)
  for (let outage = 0; outage < 2; outage++) detector.declaredAway(1, now())
  beating.delete(1)
  pass(3000)
  beating.set(1, { incarnation: '10', beat: 1000 })
  pass(4000)
  beating.delete(1)
  pass(3000)
  beating.set(1, { incarnation: '10', beat: 2000 })
  pass(4000)
  t.notOk(detector.mayReturn(1, now()), '4 s and 4 s are not 5 s')
  pass(2000)
  t.ok(detector.mayReturn(1, now()))
})
