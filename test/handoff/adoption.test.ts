/** How a new picture comes in force when logged writes have to go before. */
import t from 'tap'
import { createArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { Handoff } from '../../lib/handoff/handoff.js'
import { type Hints, NO_HINTS } from '../../lib/handoff/hints.js'
import { NO_EFFECTS } from './no-effects.js'

const RULE = { dialect: 'libmemcached-weighted', pointsPerServer: 4 } as const
const KEY = Buffer.from('logged')

/** A log that has one key, written in generation 2 for node 2, and whose disk takes as long as the test wants. */
class SlowHints implements Hints {
  readonly dropping: (() => void)[] = []
  drops = 0
  #keys: Uint8Array[] = [KEY]
  find = () => (this.#keys.length > 0 ? 2 : -1)
  read = NO_HINTS.read
  note = NO_HINTS.note
  refusal = NO_HINTS.refusal
  bury = NO_HINTS.bury
  keep = NO_HINTS.keep
  keys = () => this.#keys
  isVoid = () => false
  isLossy = () => false
  isAnyLossy = false
  areLossesSafe = true
  setAside = NO_HINTS.setAside
  aside = NO_HINTS.aside
  flushed = NO_HINTS.flushed
  whenLossesSafe = NO_HINTS.whenLossesSafe
  homes = () => [2]
  open = NO_HINTS.open
  forget = NO_HINTS.forget
  flush = NO_HINTS.flush
  tick = NO_HINTS.tick
  stats = []
  drop(_keys: readonly Uint8Array[], done: () => void) {
    this.drops++
    this.dropping.push(() => {
      this.#keys = []
      done()
    })
  }
}

function node(hints: Hints) {
  const engine = new Engine(createArena({ memoryLimitMb: 8, threads: 1, versionText: 'test' }), 0)
  return new Handoff(engine, NO_EFFECTS, undefined, hints)
}

const generation = (epoch: number) => ({
  ...{ epoch, away: [] },
  servers: [1, 2].map(number => ({ number, host: `h${number}`, port: 1, weight: 1 })),
})

t.test('a picture that is told again and again while logged writes go is in force once they are gone', async t => {
  const hints = new SlowHints()
  const handoff = node(hints)
  const tell = () =>
    handoff.setTopology({
      ...{ self: 1, rule: RULE, settled: new Set<number>(), members: [] },
      generations: [generation(3), generation(4)],
    })
  tell()
  t.equal(hints.drops, 1)
  for (let times = 0; times < 5; times++) tell()
  t.equal(hints.drops, 1, 'what was begun goes on')
  t.equal(handoff.epoch, 0)
  hints.dropping[0]!()
  t.equal(handoff.epoch, 4)
})
