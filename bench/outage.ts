/**
 * The experiment: a node of a tier goes away under mixed load and comes back; every answer and, at the end, every key is checked.
 *
 *   fill --> before --> [joining] --> failing ------> away ------> returning ------> after --> read every key through every view
 *                           |            |               |              |
 *                       only for    the fault      declared away    it is back:      settled
 *                      coordinator                   by the tier    SIGCONT, or started again
 *
 * pause: SIGSTOP, SIGCONT. kill: SIGKILL, and started again with its id, port and folder. coordinator: the coordinator is killed
 * while a fourth node joins, and again while a node that is paused is away.
 *
 * Clients: the router; the full list, where requests to the absent node itself (`direct`) fail as they may; the list without
 * that node. All others must be answered, but for errors between the fault and the moment when the node is declared away.
 */
import { join } from 'node:path'
import type { TierView } from '../lib/cli/tier-view.js'
import { Ring } from '../lib/ketama/index.js'
import { type Wrong, wrongKeys } from './checker.js'
import { ClientFailure, type Server } from './clients.js'
import { Experiment, now, pause, saveReport } from './experiment.js'
import type { Failure, View } from './load.js'
import { type Machine, machine } from './machine.js'
import type { AtTheEnd } from './sweep.js'
import { isUp } from './tier.js'
import type { Latency } from './timeline.js'

export type How = 'pause' | 'kill' | 'coordinator'
export const OUTAGE_PHASES = ['before', 'joining', 'failing', 'away', 'returning', 'after'] as const
export type OutagePhase = (typeof OUTAGE_PHASES)[number]

export interface OutageOptions {
  how: How
  seed: number
  /** Runs with seed, seed + 1 ... */
  seeds: number
  keys: number
  threads: number
  loop: string
  valueMax: number
  /** Length of the load before the fault and after the tier has settled, each. */
  durationMs: number
  /** The tier declares a node away after so many seconds. */
  awayAfterSec: number
  /** How long the node is paused or dead; longer if it is not declared away by then. */
  outageMs: number
  /** How long the coordinator is dead, each time. */
  coordinatorMs: number
  rate: number
  inFlight: number
  memoryMb: number
  /** Folder of the report. */
  out: string | null
  /** Folder for what every process prints at -vv. */
  logs: string | null
  say(line: string): void
}

export interface OutageRun {
  how: How
  seed: number
  /** Id of the node that goes away. */
  absent: string
  bytes: number
  /** From the fault until the tier says that the node is away; looked at five times a second, as what follows. */
  declaredMs: number
  /** From SIGCONT, or from when the process is started again, until the node is not away any more, and until the tier has settled. */
  backMs: number
  settledMs: number
  requests: number
  checked: number
  /** Misses of keys that lived at the absent node and were not written since. */
  missed: number
  answers: Record<Wrong, number>
  wrongKeys: Record<Wrong, number>
  atTheEnd: Record<string, AtTheEnd>
  /** Phase in which the request began, text, how often; without `direct`. */
  errors: Record<OutagePhase, Record<string, number>>
  /** Requests that the absent node was to answer itself. */
  direct: Record<string, number>
  errorCounts: { direct: number; failing: number; forbidden: number }
  /** The longest that a request waited for its error, of those in `failing`. */
  longestErrorMs: number
  latency: Record<OutagePhase, Latency>
  examples: string[]
}

export interface OutageReport {
  options: Omit<OutageOptions, 'say'>
  machine: Machine
  runs: OutageRun[]
  passed: boolean
}

const NODES = ['n1', 'n2', 'n3']
const JOINING = 'n4'
const DIRECT_LIMIT_MS = 1000
/** For requests that must be answered: silence is an error. */
const LIMIT_MS = 20_000
/** What looking at the tier five times a second, and a busy machine, may add to the detection time. */
const GRACE_MS = 1000
/**
 * For so long after the declaration errors of the time before are still seen: by requests that meet a node that has not heard, and by
 * npm's client, which lets all that is under way fail with a request that waited from the fault on until its limit.
 */
const NEWS_MS = 500
const MIGRATION_SEC = 10

export async function runOutage(options: OutageOptions): Promise<OutageReport> {
  const { how, seed, seeds, threads, say, out } = options
  const runs: OutageRun[] = []
  for (let i = 0; i < seeds; i++) {
    const run = new Run(options, seed + i)
    runs.push(await run.go())
    for (const line of linesOf(runs.at(-1)!)) say(line)
  }
  const { say: _, ...plain } = options
  const report: OutageReport = { options: plain, machine: machine(), runs, passed: runs.every(isClean) }
  saveReport(out, `outage-${how}-t${threads}-seed${seed}`, report, say)
  return report
}

export function isClean(run: OutageRun): boolean {
  return run.errorCounts.forbidden === 0 && Object.values(run.wrongKeys).every(count => count === 0)
}

function linesOf(run: OutageRun): string[] {
  if (isClean(run)) return []
  const errors = OUTAGE_PHASES.flatMap(phase =>
    Object.entries(run.errors[phase]).map(([text, count]) => `${phase}: ${count} times ${text}`),
  )
  return [`seed ${run.seed} is not clean:`, ...run.examples, ...errors]
}

class Run {
  readonly #options: OutageOptions
  readonly #of: Experiment<OutagePhase>
  readonly #seed: number
  readonly #absent: string
  readonly #errors = Object.fromEntries(OUTAGE_PHASES.map(phase => [phase, {}])) as OutageRun['errors']
  readonly #direct: Record<string, number> = {}
  #longestErrorMs = 0
  #tooLate = 0
  #servers: Server[] = []
  #router: Server | null = null
  #faultAt = Number.POSITIVE_INFINITY
  #declaredAt = Number.POSITIVE_INFINITY
  #settledAt = Number.POSITIVE_INFINITY

  constructor(options: OutageOptions, seed: number) {
    const { how, logs } = options
    this.#options = options
    this.#seed = seed
    this.#absent = NODES[seed % NODES.length]!
    const own = { ...options, logs: logs && join(logs, `${how}-seed${seed}`) }
    this.#of = new Experiment<OutagePhase>(how, seed, own, OUTAGE_PHASES, failure => this.#onFailure(failure))
  }

  async go(): Promise<OutageRun> {
    const { durationMs, how } = this.#options
    const { load, timeline } = this.#of
    try {
      await this.#start()
      load.views = await this.#openViews()
      const bytes = await this.#of.fill()
      timeline.enter('before')
      const loaded = load.run()
      await pause(durationMs)
      if (how === 'coordinator') await this.#join(bytes)
      const times = await this.#outage()
      timeline.enter('after')
      if (how !== 'kill') this.#of.checker.isBack()
      await pause(durationMs)
      load.stop()
      await loaded
      return this.#report({ bytes, ...times, atTheEnd: await this.#of.readEverything() })
    } finally {
      await this.#of.close()
    }
  }

  // --- the tier

  async #start(): Promise<void> {
    await this.#startCoordinator()
    this.#servers = await Promise.all(NODES.map(id => this.#of.tier.node(id, 1)))
    this.#router = await this.#of.tier.node('router', 0)
    await this.#of.tier.until(view => isWhole(view, NODES.length + 1))
  }

  #startCoordinator(): Promise<void> {
    return this.#of.tier.coordinator('--away-after', String(this.#options.awayAfterSec))
  }

  /** A node joins; in the middle of it the coordinator is away. */
  async #join(bytes: number): Promise<void> {
    this.#of.timeline.enter('joining')
    const sources = NODES.length
    const rate = Math.max(0.01, bytes / (sources + 1) / sources / MIGRATION_SEC / 1e6)
    this.#of.say('a node joins, the coordinator is killed')
    this.#servers.push(await this.#of.tier.node(JOINING, 1, '--migration-rate', rate.toFixed(3)))
    await this.#of.tier.until(view => view.changes.some(({ node, state }) => node === JOINING && state === 'running'))
    await this.#coordinatorAway(this.#options.coordinatorMs)
    await this.#of.tier.until(view => isWhole(view, this.#servers.length + 1))
    // Requests of the old ones are still under way.
    this.#of.load.views = await this.#openViews()
  }

  async #coordinatorAway(ms: number): Promise<void> {
    await this.#of.tier.kill('coordinator')
    await pause(ms)
    await this.#startCoordinator()
  }

  async #outage(): Promise<Pick<OutageRun, 'declaredMs' | 'backMs' | 'settledMs'>> {
    const { how, outageMs, coordinatorMs } = this.#options
    const id = this.#absent
    this.#of.say(`${id} is ${how === 'kill' ? 'killed' : 'stopped'}`)
    this.#of.timeline.enter('failing')
    this.#faultAt = now()
    await (how === 'kill' ? this.#of.tier.kill(id) : this.#of.tier.pause(id))
    // What is written from now on was not written at this node; nobody else has acted for its keys yet.
    const ring = new Ring(this.#servers)
    const home = this.#indexOf(id)
    this.#of.checker.goesAway(index => ring.indexOf(this.#of.data.key(index)) === home)
    await this.#of.tier.until(view => nodeOf(view, id)?.away !== undefined)
    this.#declaredAt = now()
    const declaredMs = this.#declaredAt - this.#faultAt
    this.#of.timeline.enter('away')
    const coordinator = how === 'coordinator' ? this.#coordinatorAway(coordinatorMs) : undefined
    await pause(this.#faultAt + outageMs - now())
    this.#of.say(`${id} returns`)
    this.#of.timeline.enter('returning')
    const returnedAt = now()
    if (how === 'kill') await this.#of.tier.node(id, 1)
    else this.#of.tier.resume(id)
    await coordinator
    await this.#of.tier.until(view => isBack(view, id))
    const backMs = now() - returnedAt
    await this.#of.tier.until(view => isWhole(view, this.#servers.length + 1))
    this.#settledAt = now()
    return { declaredMs, backMs, settledMs: this.#settledAt - returnedAt }
  }

  #indexOf(id: string): number {
    return [...NODES, JOINING].indexOf(id)
  }

  // --- clients

  async #openViews(): Promise<View[]> {
    const absent = this.#indexOf(this.#absent)
    const router = [this.#router!]
    const others = this.#servers.filter((_, index) => index !== absent)
    const patient = () => LIMIT_MS
    return [
      await this.#of.opened.npm('router', router),
      this.#of.opened.plain('router', router, patient),
      await this.#of.opened.npm('without it', others),
      this.#of.opened.plain('without it', others, patient),
      this.#of.opened.plain('full list', this.#servers, server =>
        server === absent && this.#isAbsent() ? DIRECT_LIMIT_MS : LIMIT_MS,
      ),
    ]
  }

  #isAbsent(): boolean {
    return this.#faultAt < Number.POSITIVE_INFINITY && this.#settledAt === Number.POSITIVE_INFINITY
  }

  #onFailure({ error, view, phase, ms }: Failure<OutagePhase>): boolean {
    const text = `${view.name}: ${(error instanceof Error ? error.message : String(error)).replace(/:\d{4,5}\b/g, '')}`
    const endsAt = now()
    const beganAt = endsAt - ms
    const absent = this.#indexOf(this.#absent)
    const isOwn =
      view.list === 'full list' && error instanceof ClientFailure && error.servers.every(one => one === absent)
    if (isOwn && endsAt > this.#faultAt && beganAt < this.#settledAt) {
      this.#direct[text] = (this.#direct[text] ?? 0) + 1
      return true
    }
    const isHit = endsAt > this.#faultAt && (phase === 'before' || phase === 'joining')
    const isNews = phase === 'away' && beganAt < this.#declaredAt + NEWS_MS
    const where = isHit || isNews ? 'failing' : phase
    if (where === 'failing') {
      this.#longestErrorMs = Math.max(this.#longestErrorMs, ms)
      if (ms > this.#options.awayAfterSec * 1000 + GRACE_MS) this.#tooLate++
    }
    const counts = this.#errors[where]
    counts[text] = (counts[text] ?? 0) + 1
    return true
  }

  #report(measured: Pick<OutageRun, 'bytes' | 'declaredMs' | 'backMs' | 'settledMs' | 'atTheEnd'>): OutageRun {
    const { checker } = this.#of
    const errors = this.#errors
    for (const [text, count] of this.#of.load.errors) errors.after[text] = (errors.after[text] ?? 0) + count
    const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0)
    const all = OUTAGE_PHASES.reduce((total, phase) => total + sum(errors[phase]), 0)
    const failing = sum(errors.failing)
    return {
      how: this.#options.how,
      seed: this.#seed,
      absent: this.#absent,
      ...measured,
      requests: this.#of.load.requests,
      checked: checker.checked,
      missed: checker.missed,
      answers: checker.answers,
      wrongKeys: wrongKeys(checker),
      errors,
      direct: this.#direct,
      errorCounts: { direct: sum(this.#direct), failing, forbidden: all - failing + this.#tooLate },
      longestErrorMs: this.#longestErrorMs,
      latency: this.#of.timeline.latencies(),
      examples: checker.examples,
    }
  }
}

const nodeOf = (view: TierView, id: string) => view.nodes.find(node => node.id === id)

const isBack = (view: TierView, id: string): boolean => {
  const node = nodeOf(view, id)
  return node?.alive === true && node.away === undefined
}

/** Settled, and everybody is there, so that a node can be declared away. */
function isWhole(view: TierView, nodes: number): boolean {
  const isThere = (node: TierView['nodes'][number]) => isUp(node) && node.alive && (node.weight === 0 || node.fenced)
  const isOver = view.settled && view.changes.every(({ state }) => state === 'done')
  return isOver && view.nodes.length === nodes && view.nodes.every(isThere)
}
