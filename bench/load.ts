/**
 * Mixed load with a fixed number of requests in flight, at a given rate: reads, multi-gets, writes, deletions, counters.
 * Each request goes through a view (client and server list) that is drawn; each answer goes to the checker.
 * One writer a key at a time: a key that is being written is not drawn for another write.
 */
import type { Begun, Checker } from './checker.js'
import type { Client } from './clients.js'
import type { Phase, Timeline } from './timeline.js'
import type { Dataset } from './values.js'

export interface View {
  /** List and client, as reports name it. */
  name: string
  /** What the client knows of the tier. */
  list: 'router' | 'old list' | 'new list' | 'full list' | 'without it'
  client: Client
}

/** A request that gave no answer. */
export interface Failure<P extends string = string> {
  error: unknown
  view: View
  /** Phase in which it began, and how long ago that is. */
  phase: P
  ms: number
}

export interface LoadOptions<P extends string> {
  data: Dataset
  checker: Checker
  timeline: Timeline<P>
  random: () => number
  now: () => number
  inFlight: number
  /** Requests a second over all; 0: as fast as answers come. */
  rate: number
  /** Sees every failure first; true: it is not counted here, nor its time. */
  onFailure?(failure: Failure<P>): boolean
}

const KEYS_PER_MULTI_GET = 8
const TICK_MS = 4
/** Different error texts kept; the others are counted as one. */
const ERROR_TEXTS_MAX = 50
const WRITES_KEPT = 4

export class Load<P extends string = Phase> {
  /** May be replaced while the load runs. */
  views: View[] = []
  readonly errors = new Map<string, number>()
  requests = 0
  readonly #options: LoadOptions<P>
  readonly #written = new Set<number>()
  /** The last writes of each key, as sentences. */
  readonly #history = new Map<number, string[]>()
  #running = false
  #free: (() => void)[] = []
  #tokens = 0

  constructor(options: LoadOptions<P>) {
    this.#options = options
    options.checker.about = index => `; written: ${(this.#history.get(index) ?? []).join(', ')}`
  }

  /** Runs until `stop` and resolves when the last answer is there. */
  async run(): Promise<void> {
    this.#running = true
    const { inFlight, rate, now } = this.#options
    let last = now()
    const pace = setInterval(() => {
      const time = now()
      // What could not be sent in time is not made up for in a burst.
      this.#tokens = Math.min(this.#tokens + ((time - last) * rate) / 1000, inFlight)
      last = time
      while (this.#tokens >= 1 && this.#free.length > 0) {
        this.#tokens--
        this.#free.shift()!()
      }
    }, TICK_MS)
    await Promise.all(Array.from({ length: inFlight }, () => this.#worker()))
    clearInterval(pace)
  }

  stop(): void {
    this.#running = false
    for (const wake of this.#free.splice(0)) wake()
  }

  failed(error: unknown, where: string): void {
    const text = `${where}: ${error instanceof Error ? error.message : String(error)}`
    const known = this.errors.has(text) || this.errors.size < ERROR_TEXTS_MAX
    const counted = known ? text : 'other errors'
    this.errors.set(counted, (this.errors.get(counted) ?? 0) + 1)
  }

  async #worker(): Promise<void> {
    const { rate, random } = this.#options
    while (this.#running) {
      if (rate > 0) await new Promise<void>(resolve => this.#free.push(resolve))
      if (!this.#running) return
      const view = this.views[Math.floor(random() * this.views.length)]!
      await this.#one(view)
    }
  }

  async #one(view: View): Promise<void> {
    const { timeline, now, random } = this.#options
    const [phase, started] = [timeline.phase, now()]
    const draw = random()
    this.requests++
    try {
      if (draw < 0.68) await this.#read(view, this.#anyKey())
      else if (draw < 0.74) await this.#readMany(view)
      else await this.#write(view, draw)
    } catch (error) {
      const handled = this.#options.onFailure?.({ error, view, phase, ms: now() - started })
      if (handled) return
      this.failed(error, view.name)
    }
    timeline.latency(phase, view.name, now() - started)
  }

  async #read(view: View, index: number): Promise<void> {
    const { data, checker } = this.#options
    const begun = checker.begins(index)
    const text = await view.client.get(data.key(index))
    this.#count(view, index, begun, text)
  }

  async #readMany(view: View): Promise<void> {
    const { data, checker } = this.#options
    // Small values only: eight big ones in one answer would be another experiment.
    const asked = Array.from({ length: KEYS_PER_MULTI_GET }, () => this.#anyKey()).filter(index => !data.isBig(index))
    const begun = asked.map(index => checker.begins(index))
    const values = await view.client.getMany(asked.map(index => data.key(index)))
    asked.forEach((index, i) => {
      this.#count(view, index, begun[i]!, values.get(data.key(index)))
    })
  }

  #count({ name, list }: View, index: number, begun: Begun, text: string | undefined): void {
    const { checker, timeline } = this.#options
    const { verdict, wasThere } = checker.readEnds(index, begun, text, this.#where(name))
    if (wasThere) timeline.read(list, text !== undefined, verdict === 'right')
  }

  async #write({ client, name }: View, draw: number): Promise<void> {
    const { data, checker } = this.#options
    let index = this.#anyKey()
    while (this.#written.has(index)) index = this.#anyKey()
    const isDeletion = !data.isCounter(index) && draw > 0.95
    const begun = checker.begins(index)
    const version = checker.issue(index, isDeletion ? 'deletion' : 'value')
    this.#written.add(index)
    const began = this.#where(name)
    try {
      const key = data.key(index)
      if (isDeletion) {
        const found = await client.delete(key)
        checker.deleteEnds(index, begun, version, found, this.#where(name))
        checker.acknowledge(index, version)
      } else if (data.isCounter(index)) {
        const number = await client.increment(key)
        const verdict = checker.incrementEnds(index, begun, version, number, this.#where(name))
        if (verdict === 'missed' && this.#options.random() < 0.5) {
          // An application that does without its count: it is absent, or what a node remembers that is away.
          checker.fail(index, version)
          return
        }
        // One that lost its count starts it again; the checker goes on from what is right.
        const right = data.valueOf(index, version)
        if (String(number) !== right) await client.set(key, right)
        checker.acknowledge(index, version)
      } else {
        await client.set(key, data.valueOf(index, version))
        checker.acknowledge(index, version)
      }
      this.#note(index, `${version} ${isDeletion ? 'deletion ' : ''}${began} to ${clockTime()}`)
    } catch (error) {
      checker.fail(index, version)
      this.#note(index, `${version} ${isDeletion ? 'deletion ' : ''}${began} FAILED ${clockTime()}`)
      throw error
    } finally {
      this.#written.delete(index)
    }
  }

  #where(view: string): string {
    const { timeline } = this.#options
    return `${view}, ${timeline.phase} +${Math.round(timeline.phaseMs)} ms (${clockTime()})`
  }

  #note(index: number, sentence: string): void {
    const known = this.#history.get(index) ?? []
    this.#history.set(index, [...known.slice(1 - WRITES_KEPT), sentence])
  }

  #anyKey(): number {
    return Math.floor(this.#options.random() * this.#options.data.keys)
  }
}

const clockTime = (): string => new Date().toISOString().slice(11, 23)
