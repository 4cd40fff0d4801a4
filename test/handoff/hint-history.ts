/**
 * Random lives of a hint log: appends to two homes, deletions, keys handed over, flushes, compactions, outages forgotten; and now and then
 * the process is killed, or the machine loses its power, at any operation of the disk. Beside it a list of what was asked for,
 * in order, and of what was acknowledged.
 *
 * After every restart, for every key: the log says what was true after the last acknowledged operation, or after one that came
 * later; never anything older, nothing that never was, and it has lost nothing.
 */

import { mulberry } from '../simulation/random.js'
import { Bench } from './hint-log.js'

interface Operation {
  /** null: every key. */
  key: string | null
  /** What the log then says of the key. */
  says: string
  acknowledged: boolean
}

export interface HintHistory {
  seed: number
  crashes: number
  operations: number
  compactions: number
  violation: string | null
}

export const HINT_REPLAY = (seed: number) => `HINT_SEED=${seed} npx tap dist/test/handoff/hint-history.test.js`

export function hintHistory(seed: number, lives = 6): HintHistory {
  const random = mulberry(seed)
  const pick = (count: number) => Math.floor(random() * count)
  const power = seed % 2 === 0
  const bench = new Bench(random, {
    limits: { segmentBytesMax: 400 + pick(600) },
    fsync: power ? 'always' : 'never',
  })
  const operations: Operation[] = []
  const result: HintHistory = { seed, crashes: 0, operations: 0, compactions: 0, violation: null }
  let version = 0n
  let now = 0

  const ask = (key: string | null, says: string): ((failure: string | null) => void) => {
    const operation = { key, says, acknowledged: false }
    operations.push(operation)
    result.operations++
    return failure => {
      if (failure !== null) result.violation ??= `refused: ${failure}`
      operation.acknowledged = true
    }
  }
  const act = () => {
    const key = `k${pick(8)}`
    const what = random()
    const home = 3 + pick(2)
    if (what < 0.6) {
      const value = `v${++version}${'.'.repeat(pick(90))}`
      const hint = { key, value: random() < 0.8 ? value : null, version }
      const done = ask(key, hint.value ?? 'deleted')
      const said = bench.append(home, hint)
      watch.push(() => {
        if (said.failure !== undefined) done(said.failure)
        return said.failure !== undefined
      })
    } else if (what < 0.75) {
      if (bench.find(key)) bench.log.appendHanded(Buffer.from(key), 9, home, ask(key, 'handed'))
    } else if (what < 0.77) bench.log.appendFlush(9, ++version, ask(null, 'unknown'))
    else {
      now += 11_000
      bench.log.tick(now)
    }
  }
  let watch: (() => boolean)[] = []
  const look = () => {
    watch = watch.filter(done => !done())
  }

  for (let life = 0; life < lives && !result.violation; life++) {
    const end = 20 + pick(300)
    for (let step = 0; step < end; step++) {
      if (random() < 0.4) act()
      else bench.disk.step()
      look()
    }
    bench.disk.crash(power && random() < 0.7)
    look()
    watch = []
    result.crashes++
    bench.open()
    if (bench.events.length > 0) result.violation = `said: ${bench.events.join('; ')}`
    for (let k = 0; k < 8 && !result.violation; k++) {
      const key = `k${k}`
      const history = operations.filter(operation => operation.key === key || operation.key === null)
      const last = history.findLastIndex(operation => operation.acknowledged)
      const possible = new Set(history.slice(Math.max(0, last)).map(operation => operation.says))
      if (last < 0) possible.add('unknown')
      const found = bench.look(key)
      if (!possible.has(found))
        result.violation = `life ${life}: ${key} is ${found}, not one of ${[...possible].join(', ')}`
      operations.push({ key, says: found, acknowledged: true })
    }
    if (!result.violation) result.violation = replayProblem(bench, life)
  }
  result.compactions = [...bench.disk.files.keys()].filter(name => /\.\d+\.segment/.test(name)).length
  return result
}

/** What a home is given is exactly what its log holds: each key once, with the value that is found. */
function replayProblem(bench: Bench, life: number): string | null {
  for (const home of bench.log.homes()) {
    const replayed = bench.replay(home, 3).sort()
    const held = []
    for (let k = 0; k < 8; k++) {
      const found = bench.find(`k${k}`)
      if (found?.state === 'held' && found.home === home) held.push(`k${k}=${bench.look(`k${k}`)}`)
    }
    const missing = held.filter(one => !replayed.includes(one))
    const keys = new Set(replayed.map(one => one.split('=')[0]))
    if (missing.length > 0) return `life ${life}: not replayed to node ${home}: ${missing.join(', ')}`
    if (keys.size !== replayed.length) return `life ${life}: replayed twice to node ${home}: ${replayed.join(', ')}`
  }
  return null
}
