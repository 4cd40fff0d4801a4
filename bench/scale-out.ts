/**
 * The experiment: a tier changes shape under mixed load, through the router, through clients with the old server list and
 * through clients with the new one; every answer and, at the end, every key is checked. Then the same with memcached.
 *
 *   start --> fill (npm's memcached) --> load: before | change ... settled | after --> read every key through every view
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hitRateChart, type Series } from './chart.js'
import { Checker, type Wrong, wrongKeys } from './checker.js'
import type { Server } from './clients.js'
import { now, pause } from './experiment.js'
import { Load, type View } from './load.js'
import { type Machine, machine } from './machine.js'
import { randomFrom } from './random.js'
import { fill, readAll } from './sweep.js'
import { type Kind, MemcachedSystem, type System, type SystemOptions, TierSystem } from './systems.js'
import { type HitRate, type Latency, PHASES, type Phase, Timeline } from './timeline.js'
import { Dataset } from './values.js'
import { Opened } from './views.js'

export interface ScaleOutOptions {
  seed: number
  /** Runs with seed, seed + 1 ...; memcached beside the first only. */
  seeds: number
  keys: number
  threads: number
  loop: string
  kind: Kind
  valueMax: number
  /** Length of the load before and after the change, each. */
  durationMs: number
  rate: number
  inFlight: number
  memoryMb: number
  /** Run real memcached processes too. */
  peer: boolean
  out: string | null
  say(line: string): void
}

export interface SystemReport {
  system: string
  seed: number
  keys: number
  bytes: number
  fillMs: number
  changeMs: number
  requests: number
  /** Answers that were checked, and the wrong ones among them, by kind. */
  checked: number
  answers: Record<Wrong, number>
  /** Different keys that ever had such an answer. */
  wrongKeys: Record<Wrong, number>
  /** Keys that were not right at the end, per view. */
  atTheEnd: Record<string, Record<Wrong, number>>
  errors: Record<string, number>
  errorCount: number
  latency: Record<Phase, Latency>
  latencyByView: Record<string, Record<Phase, Latency>>
  /** p99 during the change over p99 before it. */
  p99Ratio: number
  hitRate: HitRate[]
  /** Of clients that have the new server list only. */
  hitRateNewList: HitRate[]
  examples: string[]
}

export interface ScaleOutReport {
  kind: Kind
  options: Omit<ScaleOutOptions, 'say'>
  machine: Machine
  runs: SystemReport[]
  /** No wrong answer and no error in any run of the tier. */
  passed: boolean
  chart: string | null
}

export async function runScaleOut(options: ScaleOutOptions): Promise<ScaleOutReport> {
  const { kind, seed, seeds, say, peer } = options
  const runs: SystemReport[] = []
  for (let i = 0; i < seeds; i++) {
    const data = new Dataset(seed + i, options.keys, options.valueMax)
    const forSystem: SystemOptions = { ...options, onProgress: () => {} }
    const tier = await runOne(new TierSystem(forSystem), data, options, options.durationMs)
    runs.push(tier)
    if (peer && i === 0) runs.push(await runOne(new MemcachedSystem(forSystem), data, options, tier.changeMs))
  }
  const passed = runs.filter(({ system }) => system === 'continuum').every(isClean)
  const { say: _, ...plain } = options
  const report: ScaleOutReport = { kind, options: plain, machine: machine(), runs, passed, chart: null }
  if (options.out !== null) {
    const name = join(options.out, `scale-out-${kind}-t${options.threads}-seed${seed}`)
    mkdirSync(options.out, { recursive: true })
    report.chart = `${name}.svg`
    writeFileSync(report.chart, chartOf(report))
    writeFileSync(`${name}.json`, `${JSON.stringify(report, null, 1)}\n`)
    say(`chart ${name}.svg, numbers ${name}.json`)
  }
  return report
}

export function isClean(run: SystemReport): boolean {
  return run.errorCount === 0 && Object.values(run.wrongKeys).every(count => count === 0)
}

/** `waitMs`: how long the load goes on after the change of a system that needs no time for it. */
async function runOne(system: System, data: Dataset, options: ScaleOutOptions, waitMs: number): Promise<SystemReport> {
  const { durationMs, kind, say } = options
  const where = `${system.name}, seed ${data.seed}`
  const checker = new Checker(data)
  const opened = new Opened()
  try {
    await system.start()
    const views = (list: View['list'], servers: Server[]) => openViews(list, servers, opened)
    const old = await views('old list', system.before)
    const router = system.router ? await views('router', [system.router]) : []
    const timeline = new Timeline(now, PHASES)
    const random = randomFrom(data.seed)
    const load = new Load({ ...options, data, checker, timeline, random, now })

    say(`${where}: writing ${data.keys} keys to ${system.before.length} nodes`)
    const fillStarted = now()
    const bytes = await fill(data, checker, old[0]!, load)
    const fillMs = now() - fillStarted

    load.views = [...old, ...router]
    timeline.enter('before')
    const loaded = load.run()
    await pause(durationMs)
    say(`${where}: ${kind === 'add' ? 'a node joins' : 'a node is drained'} under load`)
    timeline.enter('during')
    await system.change()
    const fresh = await views('new list', system.after)
    load.views = [...old, ...router, ...fresh]
    await system.settled(waitMs)
    timeline.enter('after')
    await pause(durationMs)
    load.stop()
    await loaded

    say(`${where}: reading every key through every view`)
    const atTheEnd: SystemReport['atTheEnd'] = {}
    for (const view of [...router, ...old, ...fresh]) {
      atTheEnd[view.name] = await readAll(data, checker, view, load)
    }
    const report = reportOf(system, data, checker, load, timeline, { bytes, fillMs, atTheEnd })
    for (const line of lineOf(report)) say(line)
    return report
  } finally {
    opened.close()
    await system.stop()
  }
}

/** Each view twice: the client that people use, and one that hides nothing. */
const openViews = async (list: View['list'], servers: Server[], opened: Opened): Promise<View[]> => [
  await opened.npm(list, servers),
  opened.plain(list, servers),
]

function reportOf(
  system: System,
  data: Dataset,
  checker: Checker,
  load: Load,
  timeline: Timeline,
  measured: Pick<SystemReport, 'bytes' | 'fillMs' | 'atTheEnd'>,
): SystemReport {
  const latency = timeline.latencies()
  return {
    system: system.name,
    seed: data.seed,
    keys: data.keys,
    ...measured,
    changeMs: timeline.msFrom('during', 'after'),
    requests: load.requests,
    checked: checker.checked,
    answers: checker.answers,
    wrongKeys: wrongKeys(checker),
    errors: Object.fromEntries(load.errors),
    errorCount: [...load.errors.values()].reduce((sum, count) => sum + count, 0),
    latency,
    latencyByView: timeline.latenciesByView(),
    p99Ratio: latency.before.p99Ms > 0 ? latency.during.p99Ms / latency.before.p99Ms : 0,
    hitRate: timeline.hitRates('during'),
    hitRateNewList: timeline.hitRates('during', 'new list'),
    examples: checker.examples,
  }
}

/** What went wrong, where it was not expected. */
function lineOf(run: SystemReport): string[] {
  if (run.system !== 'continuum' || isClean(run)) return []
  const errors = Object.entries(run.errors).map(([text, count]) => `${count} times ${text}`)
  return [`seed ${run.seed} is not clean:`, ...run.examples, ...errors]
}

function chartOf({ kind, runs, options }: ScaleOutReport): string {
  const [tier] = runs
  const seconds = (tier?.changeMs ?? 0) / 1000
  const verb = kind === 'add' ? 'a fourth node joins three' : 'one of four nodes is drained'
  return hitRateChart({
    title: `Hit rate while ${verb}`,
    subtitle: `${options.keys} keys, ${options.rate} requests/s from clients with old and new server lists, seed ${options.seed}`,
    bandSeconds: seconds,
    bandLabel: `keys move (${seconds.toFixed(1)} s)`,
    series: runs.filter(run => run.seed === options.seed).flatMap(seriesOf),
  })
}

/** A client with the new list meets all of what was moved nowhere; one with the old list does not, until its servers change. */
function seriesOf({ system, hitRate, hitRateNewList }: SystemReport): Series[] {
  if (system === 'continuum') return [{ name: 'continuum', color: '#4f46e5', points: hitRate }]
  return [
    { name: 'memcached, all', color: '#d97706', points: hitRate },
    { name: 'memcached, new list', color: '#b45309', points: hitRateNewList, dashed: true },
  ]
}
