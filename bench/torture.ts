/**
 * The experiment: a tier of real processes under load, to which one thing after the other happens. Every answer and, at the end,
 * every key is checked.
 *
 *   fill --> calm --> [ fault ------> healing ------> calm ] again and again --> read every key through every view
 *                         |               |             |
 *                   one or two faults   until all    no error
 *                   drawn by the seed   is settled   is allowed
 *
 * pause: SIGSTOP, SIGCONT. kill: SIGKILL, started again. cut: two nodes do not reach each other. oneway: what one says does not
 * arrive at another. isolate: a node reaches nobody. store: a node does not reach the coordinator. coordinator: killed, started again.
 * full: a node's disk has no room for hints while another is away.
 *
 * During faults requests may fail. What may be missing: keys whose only copy is, or was, in the memory of a node that is paused or
 * cut off, or was killed; for as long as that is so, also those of another absent node for which it stood in. What is acknowledged while a node
 * is away must survive everything but the death of its own home.
 */
import { join } from 'node:path'
import type { TierView } from '../lib/cli/tier-view.js'
import { Ring } from '../lib/ketama/index.js'
import { type Wrong, wrongKeys } from './checker.js'
import type { Server } from './clients.js'
import { Experiment, now, pause, saveReport } from './experiment.js'
import type { Fault } from './faults.js'
import { FaultyNetwork } from './faulty-network.js'
import type { Failure } from './load.js'
import { type Machine, machine } from './machine.js'
import { randomFrom } from './random.js'
import { SmallDisk } from './small-disk.js'
import type { AtTheEnd } from './sweep.js'
import { isUp } from './tier.js'

export const TORTURE_PHASES = ['calm', 'fault', 'healing'] as const
export type TorturePhase = (typeof TORTURE_PHASES)[number]

export interface TortureOptions {
  seed: number
  /** No fault but the first one begins later than this after the start of the load. */
  durationMs: number
  /** Which faults are drawn. */
  faults: readonly Fault[]
  keys: number
  threads: number
  loop: string
  valueMax: number
  awayAfterSec: number
  rate: number
  inFlight: number
  memoryMb: number
  out: string | null
  logs: string | null
  say(line: string): void
}

/** One fault, or two at once, and what came of it. */
export interface Round {
  faults: string[]
  lastedMs: number
  /** Ids of the nodes that were declared away. */
  away: string[]
  settledMs: number
}

export interface TortureReport {
  options: Omit<TortureOptions, 'say'>
  machine: Machine
  rounds: Round[]
  /** Faults that could not be tried here, and why. */
  skipped: string[]
  requests: number
  checked: number
  missed: number
  wrongKeys: Record<Wrong, number>
  atTheEnd: Record<string, AtTheEnd>
  /** Errors by phase; those of `calm` are not allowed. */
  errors: Record<TorturePhase, Record<string, number>>
  /** The longest that the load generator itself stood still: what a machine that is too busy does to all its processes. */
  stoodStillMs: number
  examples: string[]
  passed: boolean
}

const NODES = ['n1', 'n2', 'n3']
const EVERYBODY = [...NODES, 'router', 'coordinator']
/** Its hint log has a small disk of its own. */
const SMALL_DISK = 'n3'
const LIMIT_MS = 20_000
const FAULT_LIMIT_MS = 5000
const CALM_MS = 1000
const WATCH_MS = 50
const TWO_FAULTS = 0.3

export async function runTorture(options: TortureOptions): Promise<TortureReport> {
  const report = await new Torture(options).go()
  const { out, threads, seed, say } = options
  saveReport(out, `torture-t${threads}-seed${seed}`, report, say)
  return report
}

/** A fault that has begun. */
interface Running {
  text: string
  /** Nodes that do not act any more from some time on. */
  silenced: string[]
  /** Whose memory cannot be believed after it; null: nobody's. */
  lost: string | null
  heal(): Promise<void>
}

class Torture {
  readonly #options: TortureOptions
  readonly #random: () => number
  readonly #of: Experiment<TorturePhase>
  readonly #network = new FaultyNetwork()
  readonly #errors = Object.fromEntries(TORTURE_PHASES.map(phase => [phase, {}])) as TortureReport['errors']
  readonly #skipped: string[] = []
  #servers: Server[] = []
  #disk: SmallDisk | null = null
  /** Index of the node where each key lives. */
  #homes: number[] = []
  /** And of the one that acts for it when that is away. */
  #standIns: number[] = []
  /** Nodes that a fault of this round is about. */
  readonly #struck = new Set<string>()
  #faultAt = Number.POSITIVE_INFINITY
  #stoodStillMs = 0

  constructor(options: TortureOptions) {
    const { seed, logs } = options
    this.#options = options
    this.#random = randomFrom(seed ^ 0x5eed)
    const own = { ...options, network: this.#network, logs: logs && join(logs, `torture-seed${seed}`) }
    this.#of = new Experiment<TorturePhase>('torture', seed, own, TORTURE_PHASES, failure => this.#onFailure(failure))
  }

  async go(): Promise<TortureReport> {
    const watch = this.#watchStandstill()
    const rounds: Round[] = []
    try {
      await this.#start()
      await this.#of.fill()
      this.#of.timeline.enter('calm')
      const loaded = this.#of.load.run()
      const until = now() + this.#options.durationMs
      await pause(CALM_MS)
      while (this.#faults.length > 0 && (rounds.length === 0 || now() < until))
        rounds.push(await this.#round(rounds.length + 1))
      this.#of.load.stop()
      await loaded
      return this.#report(rounds, await this.#of.readEverything())
    } finally {
      clearInterval(watch)
      await this.#of.close().finally(() => {
        this.#disk?.remove()
        this.#network.close()
      })
    }
  }

  #watchStandstill(): NodeJS.Timeout {
    let last = now()
    return setInterval(() => {
      const at = now()
      this.#stoodStillMs = Math.max(this.#stoodStillMs, at - last - WATCH_MS)
      last = at
    }, WATCH_MS)
  }

  // --- the tier

  async #start(): Promise<void> {
    if (this.#options.faults.includes('full')) {
      const disk = SmallDisk.at(join(this.#of.tier.folderOf(SMALL_DISK), 'hints'))
      if (typeof disk === 'string') this.#skipped.push(`full: ${disk}`)
      else this.#disk = disk
    }
    await this.#startCoordinator()
    this.#servers = await Promise.all(NODES.map(id => this.#of.tier.node(id, 1)))
    const ring = new Ring(this.#servers)
    const others = NODES.map((_, home) => NODES.map((_, node) => node).filter(node => node !== home))
    const rings = others.map(nodes => new Ring(nodes.map(node => this.#servers[node]!)))
    for (let index = 0; index < this.#of.data.keys; index++) {
      const key = this.#of.data.key(index)
      const home = ring.indexOf(key)
      this.#homes.push(home)
      this.#standIns.push(others[home]![rings[home]!.indexOf(key)]!)
    }
    const router = await this.#of.tier.node('router', 0)
    await this.#of.tier.until(isWhole)
    const limit = () => (this.#of.timeline.phase === 'calm' ? LIMIT_MS : FAULT_LIMIT_MS)
    this.#of.load.views = [
      this.#of.opened.plain('router', [router], limit),
      this.#of.opened.plain('full list', this.#servers, limit),
    ]
  }

  #startCoordinator(): Promise<void> {
    return this.#of.tier.coordinator('--away-after', String(this.#options.awayAfterSec))
  }

  // --- a round

  async #round(number: number): Promise<Round> {
    const drawn = this.#draw()
    const lastsMs = this.#options.awayAfterSec * 1000 * (0.3 + this.#random() * 2.2)
    const away = new Set<string>()
    let isOver = false
    const note = (view: TierView) => {
      for (const node of view.nodes) if (node.away !== undefined) away.add(node.id)
    }
    this.#of.timeline.enter('fault')
    const faultAt = now()
    this.#faultAt = faultAt
    const watched = this.#of.tier.until(() => isOver, note)
    const running: Running[] = []
    this.#struck.clear()
    for (const [fault, id, other] of drawn) {
      this.#struck.add(id)
      const begun = await this.#begin(fault, id, other)
      this.#of.say(`round ${number}: ${begun.text}`)
      running.push(begun)
      const until = now() + lastsMs / drawn.length
      while (now() < until) {
        // What a node still does until its lease ends only it knows.
        for (const one of running) for (const silenced of one.silenced) if (!away.has(silenced)) this.#mark(silenced)
        await pause(WATCH_MS)
      }
    }
    this.#of.timeline.enter('healing')
    const healedAt = now()
    this.#network.heal()
    for (const { heal } of running.toReversed()) await heal()
    await this.#of.tier.until(isWhole, note)
    isOver = true
    await watched
    const settledMs = now() - healedAt
    for (const { lost } of running) if (lost !== null) this.#mark(lost, true)
    this.#of.checker.isBack()
    // What was asked before has been answered, or given up.
    await pause(FAULT_LIMIT_MS)
    this.#faultAt = Number.POSITIVE_INFINITY
    this.#of.timeline.enter('calm')
    await pause(CALM_MS)
    return { faults: running.map(({ text }) => text), lastedMs: healedAt - faultAt, away: [...away], settledMs }
  }

  #pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.#random() * all.length)]!
  }

  /** Those that can be tried here. */
  get #faults(): readonly Fault[] {
    return this.#options.faults.filter(fault => fault !== 'full' || this.#disk !== null)
  }

  /** A second one strikes somebody else. */
  #draw(): [fault: Fault, id: string, other: string][] {
    const faults = this.#faults
    const fault = this.#pick(faults)
    const id = fault === 'full' ? this.#pick(NODES.filter(one => one !== SMALL_DISK)) : this.#pick(NODES)
    const other = this.#pick(NODES.filter(one => one !== id))
    const first: [Fault, string, string] = [fault, id, other]
    const besides = faults.filter(one => one !== 'full' && one !== fault)
    if (fault === 'full' || besides.length === 0 || this.#random() >= TWO_FAULTS) return [first]
    return [first, [this.#pick(besides), other, id]]
  }

  /**
   * Its keys may be missing now, if nothing newer is acknowledged or seen from here on; and those of the other node that is struck, if it stood in
   * for that: its log has them when it is back.
   */
  #mark(id: string, forGood = false): void {
    const node = NODES.indexOf(id)
    this.#of.checker.goesAway(index => this.#homes[index] === node, forGood)
    this.#of.checker.goesAway(index => this.#standIns[index] === node && this.#struck.has(NODES[this.#homes[index]!]!))
  }

  async #begin(fault: Fault, id: string, other: string): Promise<Running> {
    const none = { silenced: [], lost: null, heal: async () => {} }
    const silently = this.#random() < 0.5
    switch (fault) {
      case 'pause':
        await this.#of.tier.pause(id)
        this.#mark(id)
        return { ...none, text: `${id} is paused`, heal: async () => this.#of.tier.resume(id) }
      case 'kill':
        await this.#of.tier.kill(id)
        this.#mark(id, true)
        return { ...none, text: `${id} is killed`, heal: async () => void (await this.#of.tier.node(id, 1)) }
      case 'cut':
        this.#network.cut(id, other)
        return { ...none, text: `${id} and ${other} are cut off from each other` }
      case 'oneway':
        this.#network.stall(id, other)
        return { ...none, text: `what ${id} says does not arrive at ${other}` }
      case 'isolate':
        for (const one of EVERYBODY) if (one !== id) this.#part(id, one, silently)
        return { ...none, text: `${id} is cut off from everybody${silently ? ', silently' : ''}`, silenced: [id] }
      case 'store':
        this.#part(id, 'coordinator', silently)
        return { ...none, text: `${id} is cut off from the coordinator${silently ? ', silently' : ''}`, silenced: [id] }
      case 'coordinator':
        await this.#of.tier.kill('coordinator')
        return { ...none, text: 'the coordinator is killed', heal: () => this.#startCoordinator() }
      case 'full': {
        this.#disk!.fill()
        await this.#of.tier.pause(id)
        this.#mark(id)
        const heal = async () => {
          this.#disk!.empty()
          this.#of.tier.resume(id)
        }
        // A log that lacks something makes void all that the absent node remembers.
        return { ...none, text: `${id} is paused, the disk for hints of ${SMALL_DISK} is full`, heal, lost: id }
      }
    }
  }

  #part(one: string, other: string, silently: boolean): void {
    if (silently) {
      this.#network.stall(one, other)
      this.#network.stall(other, one)
    } else this.#network.cut(one, other)
  }

  #onFailure({ error, view, phase }: Failure<TorturePhase>): boolean {
    const text = `${view.name}: ${(error instanceof Error ? error.message : String(error)).replace(/:\d{4,5}\b/g, '')}`
    const counts = this.#errors[phase === 'calm' && now() >= this.#faultAt ? 'fault' : phase]
    counts[text] = (counts[text] ?? 0) + 1
    return true
  }

  #report(rounds: Round[], atTheEnd: TortureReport['atTheEnd']): TortureReport {
    const { say: _, ...options } = this.#options
    const errors = this.#errors
    for (const [text, count] of this.#of.load.errors) errors.calm[text] = (errors.calm[text] ?? 0) + count
    const wrong = wrongKeys(this.#of.checker)
    return {
      options,
      machine: machine(),
      rounds,
      skipped: this.#skipped,
      requests: this.#of.load.requests,
      checked: this.#of.checker.checked,
      missed: this.#of.checker.missed,
      wrongKeys: wrong,
      atTheEnd,
      errors,
      stoodStillMs: this.#stoodStillMs,
      examples: this.#of.checker.examples,
      passed: Object.values(wrong).every(count => count === 0) && Object.keys(errors.calm).length === 0,
    }
  }
}

/** Settled, everybody there, fenced, and no outage remembered any more. */
function isWhole(view: TierView): boolean {
  const isThere = (node: TierView['nodes'][number]) =>
    isUp(node) &&
    node.alive &&
    node.hints === undefined &&
    node.suspect === undefined &&
    (node.weight === 0 || node.fenced)
  const isOver = view.settled && view.changes.every(({ state }) => state === 'done')
  return isOver && view.nodes.length === NODES.length + 1 && view.nodes.every(isThere)
}
