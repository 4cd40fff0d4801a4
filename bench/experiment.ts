/**
 * What every experiment with a tier under load has: keys, a checker, a load with its timeline, real processes, clients; and how one
 * begins and ends. What happens in between is each experiment's own.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Checker } from './checker.js'
import { type Failure, Load } from './load.js'
import { randomFrom } from './random.js'
import { type AtTheEnd, fill, readAll } from './sweep.js'
import { BenchTier, type BenchTierOptions } from './tier.js'
import { Timeline } from './timeline.js'
import { Dataset } from './values.js'
import { Opened } from './views.js'

export interface ExperimentOptions extends BenchTierOptions {
  keys: number
  valueMax: number
  /** As Load's. */
  rate: number
  inFlight: number
  say(line: string): void
}

/** Milliseconds of a clock that never goes back. */
export const now = (): number => performance.now()
/** Not at all if `ms` is below 0. */
export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, Math.max(0, ms)))

export class Experiment<P extends string> {
  readonly data: Dataset
  readonly checker: Checker
  readonly timeline: Timeline<P>
  readonly load: Load<P>
  readonly tier: BenchTier
  readonly opened = new Opened()
  readonly #name: string
  readonly #say: (line: string) => void

  /** `name`: of what is told of it; `onFailure`: as Load's. */
  constructor(
    name: string,
    seed: number,
    options: ExperimentOptions,
    phases: readonly P[],
    onFailure: (failure: Failure<P>) => boolean,
  ) {
    const { keys, valueMax, rate, inFlight } = options
    this.#name = `${name}, seed ${seed}`
    this.#say = options.say
    this.data = new Dataset(seed, keys, valueMax)
    this.checker = new Checker(this.data)
    this.timeline = new Timeline<P>(now, phases)
    this.tier = new BenchTier(options)
    const { data, checker, timeline } = this
    this.load = new Load<P>({ data, checker, timeline, random: randomFrom(seed), now, rate, inFlight, onFailure })
  }

  say(what: string): void {
    this.#say(`${this.#name}: ${what}`)
  }

  /** All keys, through the first view of the load; the bytes of their values. */
  fill(): Promise<number> {
    this.say(`writing ${this.data.keys} keys`)
    return fill(this.data, this.checker, this.load.views[0]!, this.load)
  }

  /** What every view of the load says of every key in the end, by its name. */
  async readEverything(): Promise<Record<string, AtTheEnd>> {
    this.say('reading every key through every view')
    const atTheEnd: Record<string, AtTheEnd> = {}
    for (const view of this.load.views) atTheEnd[view.name] = await readAll(this.data, this.checker, view, this.load)
    return atTheEnd
  }

  async close(): Promise<void> {
    this.opened.close()
    await this.tier.stop()
  }
}

/** `name`.json in the folder `out`, if there is one. */
export function saveReport(out: string | null, name: string, report: object, say: (line: string) => void): void {
  if (out === null) return
  const path = join(out, `${name}.json`)
  mkdirSync(out, { recursive: true })
  writeFileSync(path, `${JSON.stringify(report, null, 1)}\n`)
  say(`numbers ${path}`)
}
