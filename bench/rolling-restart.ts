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
import type { TierView } from '../lib/cli/tier-view.js'
import { withStepAside } from '../lib/tier/wishes.js'
import { type Wrong, wrongKeys } from './checker.js'
import { ClientFailure, type Server } from './clients.js'
import { Experiment, now, pause, saveReport } from './experiment.js'
import type { Failure, View } from './load.js'
import { type Machine, machine } from './machine.js'
import type { AtTheEnd } from './sweep.js'
import { isUp } from './tier.js'
import type { Latency } from './timeline.js'

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
  saveReport(out, `rolling-restart-t${threads}-seed${seed}`, report, say)
  return report
}

export function isClean(run: RollingRun): boolean {
  return run.errorCount === 0 && Object.values(run.wrongKeys).every(count => count === 0)
}

class Run {
  readonly #seed: number
  readonly #durationMs: number
  readonly #of: Experiment<RollingPhase>
  readonly #ids: string[]
  #servers: Server[] = []
  #router: Server | null = null
  /** Number of the node whose process is not there, and between which times. */
  #stopped = -1
  #stoppedAt = Number.POSITIVE_INFINITY
  #startedAt = Number.POSITIVE_INFINITY
  #direct = 0

  constructor(options: RollingOptions, seed: number) {
    this.#seed = seed
    this.#durationMs = options.durationMs
    this.#of = new Experiment('rolling restart', seed, options, ROLLING_PHASES, failure => this.#isDirect(failure))
    this.#ids = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`)
  }

  async go(): Promise<RollingRun> {
    const { load, timeline } = this.#of
    try {
      await this.#start()
      load.views = await this.#openViews()
      const bytes = await this.#of.fill()
      timeline.enter('before')
      const loaded = load.run()
      await pause(this.#durationMs)
      const restarts: Restart[] = []
      for (const [index, id] of this.#ids.entries()) restarts.push(await this.#restart(id, index))
      timeline.enter('after')
      await pause(this.#durationMs)
      load.stop()
      await loaded
      return this.#report({ bytes, restarts, atTheEnd: await this.#of.readEverything() })
    } finally {
      await this.#of.close()
    }
  }

  async #start(): Promise<void> {
    await this.#of.tier.coordinator()
    this.#servers = await Promise.all(this.#ids.map(id => this.#of.tier.node(id, 1)))
    this.#router = await this.#of.tier.node('router', 0)
    await this.#of.tier.until(view => this.#isWhole(view))
  }

  #isWhole(view: TierView): boolean {
    const isOver = view.settled && view.changes.every(({ state }) => state === 'done')
    const isThere = (node: TierView['nodes'][number]) =>
      isUp(node) && node.alive && (node.id === 'router' || node.weight > 0)
    return isOver && view.nodes.length === this.#ids.length + 1 && view.nodes.every(isThere)
  }

  async #restart(id: string, index: number): Promise<Restart> {
    this.#of.say(`${id} steps aside`)
    this.#of.timeline.enter('aside')
    const asideAt = now()
    const { change } = await this.#of.tier.store.wish(topology => withStepAside(topology, id))
    await this.#of.tier.until(
      view => view.settled && (view.changes.find(one => one.id === change)?.state ?? 'done') === 'done',
    )
    this.#of.say(`${id} is restarted`)
    this.#of.timeline.enter('stopped')
    this.#startedAt = Number.POSITIVE_INFINITY
    this.#stopped = index
    this.#stoppedAt = now()
    await this.#of.tier.end(id)
    await this.#of.tier.node(id, 1)
    this.#startedAt = now()
    this.#of.timeline.enter('returning')
    await this.#of.tier.until(view => this.#isWhole(view))
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
      await this.#of.opened.npm('router', router),
      this.#of.opened.plain('router', router),
      this.#of.opened.plain('full list', this.#servers),
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
    const { errors } = this.#of.load
    return {
      seed: this.#seed,
      ...measured,
      requests: this.#of.load.requests,
      checked: this.#of.checker.checked,
      answers: this.#of.checker.answers,
      wrongKeys: wrongKeys(this.#of.checker),
      errors: Object.fromEntries(errors),
      errorCount: [...errors.values()].reduce((sum, count) => sum + count, 0),
      direct: this.#direct,
      latency: this.#of.timeline.latencies(),
      latencyByView: this.#of.timeline.latenciesByView(),
      examples: this.#of.checker.examples,
    }
  }
}
