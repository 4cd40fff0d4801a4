/**
 * The experiment: every node of a tier is restarted under load, one after the other, as for an upgrade. Every answer and, at
 * the end, every key is checked.
 *
 *   fill --> before --> [aside ------> stopped ----> returning] of each node --> after --> read every key through every view
 *                         |               |              |
 *                   tier step-aside   SIGTERM, start  it takes its keys back, until all is settled
 *
 * Clients: the router, and the full list. Requests that a client sends straight to a process that is not there (`direct`) fail as
 * they must; everything else must be answered, and nothing may be missing.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TierView } from '../lib/cli/tier-view.js'
import { withStepAside } from '../lib/tier/wishes.js'
import { Checker, type Wrong, wrongKeys } from './checker.js'
import { ClientFailure, type Server } from './clients.js'
import { type Failure, Load, type View } from './load.js'
import { type Machine, machine } from './machine.js'
import { randomFrom } from './random.js'
import { type AtTheEnd, fill, readAll } from './sweep.js'
import { BenchTier, isUp } from './tier.js'
import { type Latency, Timeline } from './timeline.js'
import { Dataset } from './values.js'
import { Opened } from './views.js'

export const ROLLING_PHASES = ['before', 'aside', 'stopped', 'returning', 'after'] as const
export type RollingPhase = (typeof ROLLING_PHASES)[number]

export interface RollingOptions {
  seed: number
  /** Runs with seed, seed + 1 ... */
  seeds: number
  nodes: number
  keys: number
  threads: number
  loop: string
  valueMax: number
  /** Length of the load before the first restart and after the last, each. */
  durationMs: number
  rate: number
  inFlight: number
  memoryMb: number
  /** Folder of the report. */
  out: string | null
  say(line: string): void
}

/** How long a node took to hand everything over, from SIGTERM until it is ready, and from then until all is settled. */
export interface Restart {
  id: string
  asideMs: number
  stoppedMs: number
  returningMs: number
}

export interface RollingRun {
  seed: number
  bytes: number
  restarts: Restart[]
  requests: number
  checked: number
  answers: Record<Wrong, number>
  wrongKeys: Record<Wrong, number>
  atTheEnd: Record<string, AtTheEnd>
  errors: Record<string, number>
  errorCount: number
  /** Requests to a process that was not there. */
  direct: number
  latency: Record<RollingPhase, Latency>
  latencyByView: Record<string, Record<RollingPhase, Latency>>
  examples: string[]
}

export interface RollingReport {
  options: Omit<RollingOptions, 'say'>
  machine: Machine
  runs: RollingRun[]
  /** No wrong or missing answer and no error in any run. */
  passed: boolean
}

const now = (): number => performance.now()
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

export async function runRollingRestart(options: RollingOptions): Promise<RollingReport> {
  const { seed, seeds, threads, say, out } = options
  const runs: RollingRun[] = []
  for (let i = 0; i < seeds; i++) {
    const run = await new Run(options, seed + i).go()
    runs.push(run)
    if (!isClean(run)) for (const line of [`seed ${run.seed} is not clean:`, ...run.examples]) say(line)
  }
  const { say: _, ...plain } = options
  const report: RollingReport = { options: plain, machine: machine(), runs, passed: runs.every(isClean) }
  if (out !== null) {
    const name = join(out, `rolling-restart-t${threads}-seed${seed}.json`)
    mkdirSync(out, { recursive: true })
    writeFileSync(name, `${JSON.stringify(report, null, 1)}\n`)
    say(`numbers ${name}`)
  }
  return report
}

export function isClean(run: RollingRun): boolean {
  return run.errorCount === 0 && Object.values(run.wrongKeys).every(count => count === 0)
}

class Run {
  readonly #options: RollingOptions
  readonly #data: Dataset
  readonly #checker: Checker
  readonly #timeline = new Timeline<RollingPhase>(now, ROLLING_PHASES)
  readonly #load: Load<RollingPhase>
  readonly #tier: BenchTier
  readonly #opened = new Opened()
  readonly #ids: string[]
  #servers: Server[] = []
  #router: Server | null = null
  /** Number of the node whose process is not there, and between which times. */
  #stopped = -1
  #stoppedAt = Number.POSITIVE_INFINITY
  #startedAt = Number.POSITIVE_INFINITY
  #direct = 0

  constructor(options: RollingOptions, seed: number) {
    const { keys, valueMax } = options
    this.#options = options
    this.#data = new Dataset(seed, keys, valueMax)
    this.#checker = new Checker(this.#data)
    this.#tier = new BenchTier(options)
    this.#ids = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`)
    this.#load = new Load<RollingPhase>({
      ...{ data: this.#data, checker: this.#checker, timeline: this.#timeline, random: randomFrom(seed), now },
      ...{ rate: options.rate, inFlight: options.inFlight, onFailure: failure => this.#isDirect(failure) },
    })
  }

  async go(): Promise<RollingRun> {
    const { durationMs } = this.#options
    try {
      await this.#start()
      this.#load.views = await this.#openViews()
      this.#say(`writing ${this.#data.keys} keys`)
      const bytes = await fill(this.#data, this.#checker, this.#load.views[0]!, this.#load)
      this.#timeline.enter('before')
      const loaded = this.#load.run()
      await pause(durationMs)
      const restarts: Restart[] = []
      for (const [index, id] of this.#ids.entries()) restarts.push(await this.#restart(id, index))
      this.#timeline.enter('after')
      await pause(durationMs)
      this.#load.stop()
      await loaded
      this.#say('reading every key through every view')
      const atTheEnd: RollingRun['atTheEnd'] = {}
      for (const view of this.#load.views) {
        atTheEnd[view.name] = await readAll(this.#data, this.#checker, view, this.#load)
      }
      return this.#report({ bytes, restarts, atTheEnd })
    } finally {
      this.#opened.close()
      await this.#tier.stop()
    }
  }

  #say(what: string): void {
    this.#options.say(`rolling restart, seed ${this.#data.seed}: ${what}`)
  }

  async #start(): Promise<void> {
    await this.#tier.coordinator()
    this.#servers = await Promise.all(this.#ids.map(id => this.#tier.node(id, 1)))
    this.#router = await this.#tier.node('router', 0)
    await this.#tier.until(view => this.#isWhole(view))
  }

  #isWhole(view: TierView): boolean {
    const isOver = view.settled && view.changes.every(({ state }) => state === 'done')
    const isThere = (node: TierView['nodes'][number]) =>
      isUp(node) && node.alive && (node.id === 'router' || node.weight > 0)
    return isOver && view.nodes.length === this.#ids.length + 1 && view.nodes.every(isThere)
  }

  async #restart(id: string, index: number): Promise<Restart> {
    this.#say(`${id} steps aside`)
    this.#timeline.enter('aside')
    const asideAt = now()
    const { change } = await this.#tier.store.wish(topology => withStepAside(topology, id))
    await this.#tier.until(
      view => view.settled && (view.changes.find(one => one.id === change)?.state ?? 'done') === 'done',
    )
    this.#say(`${id} is restarted`)
    this.#timeline.enter('stopped')
    this.#startedAt = Number.POSITIVE_INFINITY
    this.#stopped = index
    this.#stoppedAt = now()
    await this.#tier.end(id)
    await this.#tier.node(id, 1)
    this.#startedAt = now()
    this.#timeline.enter('returning')
    await this.#tier.until(view => this.#isWhole(view))
    return {
      id,
      asideMs: this.#stoppedAt - asideAt,
      stoppedMs: this.#startedAt - this.#stoppedAt,
      returningMs: now() - this.#startedAt,
    }
  }

  async #openViews(): Promise<View[]> {
    const router = [this.#router!]
    return [
      await this.#opened.npm('router', router),
      this.#opened.plain('router', router),
      this.#opened.plain('full list', this.#servers),
    ]
  }

  #isDirect({ error, view, ms }: Failure<RollingPhase>): boolean {
    const endsAt = now()
    const isOwn =
      view.list === 'full list' && error instanceof ClientFailure && error.servers.every(one => one === this.#stopped)
    if (!isOwn || endsAt < this.#stoppedAt || endsAt - ms > this.#startedAt) return false
    this.#direct++
    return true
  }

  #report(measured: Pick<RollingRun, 'bytes' | 'restarts' | 'atTheEnd'>): RollingRun {
    const { errors } = this.#load
    return {
      seed: this.#data.seed,
      ...measured,
      requests: this.#load.requests,
      checked: this.#checker.checked,
      answers: this.#checker.answers,
      wrongKeys: wrongKeys(this.#checker),
      errors: Object.fromEntries(errors),
      errorCount: [...errors.values()].reduce((sum, count) => sum + count, 0),
      direct: this.#direct,
      latency: this.#timeline.latencies(),
      latencyByView: this.#timeline.latenciesByView(),
      examples: this.#checker.examples,
    }
  }
}
