/**
 * The engine against the ownership rules on a plain Map (test/simulation/model-store.ts), call by call: the handoff that is
 * proven on the one runs on the other. Three nodes, random tables, commands, takes and installs, whether sensible or not.
 * Every arc of ours is unsettled here, where marks and tombstones matter.
 */
import t from 'tap'
import { resetArena } from '../../lib/engine/arena.js'
import type { RouteTable } from '../../lib/engine/contract.js'
import { Stop } from '../../lib/engine/contract.js'
import { Engine } from '../../lib/engine/engine.js'
import { decodeRecord } from '../../lib/engine/record.js'
import { ModelStore, type Served } from '../simulation/model-store.js'
import type { Op, Verb } from '../simulation/oracle.js'
import { Driver, key, random, START, smallArena } from './driver.js'

const NODES = 3
const KEYS = 6
const STEPS = 400
const VERBS: Verb[] = ['get', 'gets', 'gat', 'set', 'set', 'delete', 'add', 'replace', 'append', 'incr', 'touch']
const arenas = Array.from({ length: NODES }, () => smallArena())

function text(name: string, { verb, value }: Op): string {
  if (verb === 'get' || verb === 'gets' || verb === 'delete') return `${verb} ${name}\r\n`
  if (verb === 'gat') return `gat 0 ${name}\r\n`
  if (verb === 'touch') return `touch ${name} 0\r\n`
  if (verb === 'incr') return `incr ${name} 1\r\n`
  return `${verb} ${name} 0 0 ${value.length}\r\n${value}\r\n`
}

function serve(driver: Driver, name: string, op: Op): Served {
  const answer = driver.send(text(name, op))
  if (answer.startsWith('FORWARD ')) return { stop: 'forward', owner: Number(answer.slice(8)) }
  if (answer.startsWith('TAKE')) return { stop: 'take' }
  const value = /^VALUE \S+ 0 \d+(?: \d+)?\r\n(.*)\r\nEND\r\n$/.exec(answer)
  if (value) return { stop: 'done', reply: `hit ${value[1]}` }
  return { stop: 'done', reply: answer === 'END\r\n' ? 'miss' : answer.slice(0, -2) }
}

function history(seed: number): string | null {
  const next = random(seed)
  const below = (limit: number) => Math.floor(next() * limit)
  const pairs = arenas.map(arena => {
    resetArena(arena)
    const engine = new Engine(arena, 0)
    engine.setTime(START)
    const driver = new Driver(engine, turn => (turn.stop === Stop.forward ? `FORWARD ${turn.owner}` : 'TAKE'))
    return { engine, driver, model: new ModelStore() }
  })
  let epoch = 0
  const epochs = new Array<number>(NODES).fill(0)
  const publish = (self: number) => {
    const points = Uint32Array.of(2 ** 30, 2 ** 31, 3 * 2 ** 30, 2 ** 32 - 1)
    const owners = Uint16Array.from(points, () => (next() < 0.6 ? self : below(NODES)))
    const tenures = Uint32Array.from(points, () => Math.max(1, epoch - below(4)))
    const table: RouteTable = { epoch, self, points, owners, tenures, settled: new Uint8Array(4) }
    epochs[self] = epoch
    pairs[self]!.engine.publish(table)
    pairs[self]!.model.publish(table)
  }
  /** The mark of the present epoch is for whoever is the actor in it; a node never marks with epochs to come. */
  const markAt = (self: number, name: string) => {
    const ours = pairs[self]!.engine.route(key(name)).owner === self
    return Math.max(0, epochs[self]! - below(3) - (ours ? 0 : 1))
  }
  epoch = 1
  for (let self = 0; self < NODES; self++) publish(self)
  for (let step = 0; step < STEPS; step++) {
    const self = below(NODES)
    const { engine, driver, model } = pairs[self]!
    const name = `key${below(KEYS)}`
    const kind = next()
    let got: unknown
    let expected: unknown
    if (kind < 0.6) {
      const value = next() < 0.5 ? String(below(1000)) : 'abc'.slice(below(3))
      const verb = VERBS[below(VERBS.length)]!
      // The model takes a replacement by the same value for none.
      const op = { verb, value: verb === 'append' ? 'x' : verb === 'replace' ? `r${step}` : value }
      got = serve(driver, name, op)
      expected = model.serve(name, op)
    } else if (kind < 0.7) {
      epoch++
      publish(self)
    } else if (kind < 0.8) {
      const mark = markAt(self, name)
      got = engine.installAbsent(key(name), mark)
      expected = model.installAbsent(key(name), mark)
    } else {
      const before = 1 + below(epoch + 1)
      const record = engine.handOver(key(name), before)
      const plain = model.handOver(key(name), before)
      if (record && plain) {
        got = show(record)
        expected = show(plain)
        const taker = below(NODES)
        const to = pairs[taker]!
        const mark = markAt(taker, name)
        got = [got, to.engine.install(record, mark)]
        expected = [expected, to.model.install(plain, mark)]
      } else {
        got = record
        expected = plain
      }
    }
    const held = [engine.held(key(name)), model.held(key(name))]
    const versions = [engine.version(), model.version()]
    if (JSON.stringify(got) !== JSON.stringify(expected) || held[0] !== held[1] || versions[0] !== versions[1]) {
      return `SEED=${seed} step ${step}: ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}; held ${held}; ${versions}`
    }
  }
  return null
}

function show(record: Uint8Array) {
  const { key, value, version } = decodeRecord(record)
  const plain = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
  return { key: plain(key), value: value && plain(value), version: version.toString() }
}

t.test('random histories', async t => {
  const first = Number(process.env.SEED ?? 1)
  const count = process.env.SEED ? 1 : 300
  for (let seed = first; seed < first + count; seed++) {
    const failed = history(seed)
    if (failed) {
      t.fail(failed)
      return
    }
  }
  t.pass(`${count} histories of ${STEPS} steps`)
})
