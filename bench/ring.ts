/**
 * The ring against the clock: look-ups side by side with npm's hashring (no answer kept by either), the making of a large
 * ring, and the arcs between two of them. Rounds of all contestants alternate and the best round counts, so that a busy
 * machine slows all alike.
 */
import { cpus } from 'node:os'
import { table } from '../lib/cli/output.js'
import HashRing from '../lib/hashring/hashring.js'
import { Ring, type RingServer } from '../lib/ketama/index.js'

export interface RingBenchOptions {
  servers: number
  large: number
  keys: number
  rounds: number
}

export interface RingBenchReport {
  machine: { cpu: string; cpus: number; node: string }
  options: RingBenchOptions
  /** Best round of each, nanoseconds a look-up; `hashring` is npm's, null if it is not installed. */
  lookupNs: { ring: number; ringBytes: number; hashRing: number; hashring: number | null }
  /** npm hashring's time over ours. */
  faster: number | null
  /** Best of the rounds, milliseconds, of the large ring; points in all. */
  build: { points: number; ms: number }
  /** To the ring with a server more, with one server of twice the weight, with as many servers that are all others. */
  diff: { join: DiffTimes; weight: DiffTimes; all: DiffTimes }
  withinPromise: boolean
}

interface DiffTimes {
  arcs: number
  /** Best of the rounds, milliseconds: `diffColumns`; `diff`; `diff` and a loop that reads every arc. */
  ms: { columns: number; objects: number; read: number }
}

/** What docs/RING.md promises. */
const PROMISE = { faster: 8, buildMs: 250, diffMs: 50 }

interface Original {
  find(hash: number): number
  hashValue(key: string): number
  ring: { server: string }[]
}

export async function runRing(options: RingBenchOptions): Promise<RingBenchReport> {
  const keys = Array.from({ length: options.keys }, (_, i) => `user:${i * 7919}:session`)
  const lookupNs = await lookups(options, keys)
  const faster = lookupNs.hashring === null ? null : lookupNs.hashring / lookupNs.ring
  const servers = equalServers(options.large, 0)
  const [ring, buildMs] = best(Math.min(options.rounds, 7), () => new Ring(servers))
  const diff = {
    join: diffTimes(options.rounds, ring, new Ring(equalServers(options.large + 1, 0))),
    weight: diffTimes(options.rounds, ring, new Ring([{ ...servers[0]!, weight: 2 }, ...servers.slice(1)])),
    all: diffTimes(options.rounds, ring, new Ring(equalServers(options.large, 100))),
  }
  const slowest = Math.max(...Object.values(diff).flatMap(({ ms }) => Object.values(ms)))
  const fast = faster === null || faster >= PROMISE.faster
  const small = buildMs <= PROMISE.buildMs && slowest <= PROMISE.diffMs
  return {
    machine: { cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length, node: process.version },
    ...{ options, lookupNs, faster, diff, withinPromise: fast && small },
    build: { points: ring.points().values.length, ms: buildMs },
  }
}

function diffTimes(rounds: number, ring: Ring, other: Ring): DiffTimes {
  const [arcs, columns] = best(rounds, () => ring.diffColumns(other).to.length)
  const [, objects] = best(rounds, () => ring.diff(other))
  const [, read] = best(rounds, () => {
    let share = 0
    for (const arc of ring.diff(other)) share += arc.share
    return share
  })
  return { arcs, ms: { columns, objects, read } }
}

async function lookups({ servers, rounds }: RingBenchOptions, keys: string[]): Promise<RingBenchReport['lookupNs']> {
  const list = equalServers(servers, 0)
  const texts = list.map(({ host, port }) => `${host}:${port}`)
  const ring = new Ring(list, { dialect: 'hashring' })
  const ours = new HashRing(texts, 'md5', { 'max cache size': 0 })
  const theirs = await original(texts)
  const bytes = keys.map(key => Buffer.from(key))
  const contestants: Record<string, () => number> = {
    ring: () => sum(keys, key => ring.get(key).port),
    ringBytes: () => sum(bytes, key => ring.get(key).port),
    hashRing: () => sum(keys, key => ours.get(key)!.length),
  }
  // Its own get without its cache, which cannot be turned off.
  if (theirs)
    contestants.hashring = () => sum(keys, key => theirs.ring[theirs.find(theirs.hashValue(key))]!.server.length)
  const bestMs = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(contestants)) {
      const [, ms] = best(1, run)
      bestMs.set(name, Math.min(ms, bestMs.get(name) ?? Number.POSITIVE_INFINITY))
    }
  }
  const ns = (name: string) => (bestMs.get(name)! * 1e6) / keys.length
  return {
    ...{ ring: ns('ring'), ringBytes: ns('ringBytes'), hashRing: ns('hashRing') },
    hashring: theirs ? ns('hashring') : null,
  }
}

/** npm's package is only there where this one was built from source. */
async function original(servers: string[]): Promise<Original | null> {
  const name: string = 'hashring'
  try {
    const { default: Constructor } = (await import(name)) as { default: new (servers: string[]) => Original }
    return new Constructor(servers)
  } catch {
    return null
  }
}

function equalServers(n: number, from: number): RingServer[] {
  return Array.from({ length: n }, (_, i) => ({
    host: `10.${from + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
    port: 11212,
  }))
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  let total = 0
  for (let i = 0; i < items.length; i++) total += of(items[i]!)
  return total
}

function best<Result>(rounds: number, run: () => Result): [Result, number] {
  let result: Result | undefined
  let ms = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    result = run()
    ms = Math.min(ms, performance.now() - start)
  }
  return [result as Result, ms]
}

export function ringText({ machine, options, lookupNs, faster, build, diff, withinPromise }: RingBenchReport): string {
  const ns = (value: number | null) => (value === null ? '-' : value.toFixed(0))
  const ms = (value: number) => value.toFixed(1)
  const diffRow = ({ arcs, ms: { columns, objects, read } }: DiffTimes) => [
    ...[arcs, ms(columns), ms(objects), ms(read)],
    `${PROMISE.diffMs}`,
  ]
  const times =
    faster === null
      ? '(npm hashring is not installed)'
      : `${faster.toFixed(1)} times as fast (promise: ${PROMISE.faster})`
  return [
    `ring, ${options.servers} servers, ${options.keys} keys; ${machine.cpus} x ${machine.cpu}, Node ${machine.node}`,
    '',
    table(
      ['look-up, no cache', 'ns'],
      [
        ['Ring.get, text', ns(lookupNs.ring)],
        ['Ring.get, bytes', ns(lookupNs.ringBytes)],
        ['HashRing.get (ours)', ns(lookupNs.hashRing)],
        ['npm hashring', ns(lookupNs.hashring)],
      ],
    ),
    `Ring.get beside npm hashring: ${times}`,
    '',
    table(
      [`${options.large} servers`, 'points', 'ms', 'promise'],
      [['new Ring', build.points, ms(build.ms), `${PROMISE.buildMs}`]],
    ),
    '',
    table(
      ['arcs that differ, ms', 'arcs', 'diffColumns', 'diff', 'diff, all read', 'promise'],
      [
        ['one server more', ...diffRow(diff.join)],
        ['one weight changed', ...diffRow(diff.weight)],
        ['all servers others', ...diffRow(diff.all)],
      ],
    ),
    '',
    withinPromise ? 'all within the promises' : 'NOT within the promises',
  ].join('\n')
}
