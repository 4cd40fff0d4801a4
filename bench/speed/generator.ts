/**
 * One process of the load, phase after phase on one loop:
 *
 *   connect -> fill (own keys, 64 in flight) -> [barrier: all have filled] -> warm up -> measure -> drain -> report
 *
 * A measurement is the difference of two snapshots; requests under way at its ends are the next one's or nobody's.
 */
import { performance } from 'node:perf_hooks'
import type { LoopWish } from '../../lib/transport/choose.js'
import type { Address, Loop } from '../../lib/transport/loop.js'
import { cpuSeconds } from './cpu.js'
import { type KeyPicker, keyPicker, parseKeyOrder, Xorshift } from './key-order.js'
import { KeyState } from './key-state.js'
import { LoadConnection } from './load-connection.js'
import { ClosedPace, OpenPace } from './pace.js'
import { Payload, VALUE_BYTES_MIN } from './payload.js'
import { parseSizes, SizeTable } from './sizes.js'
import { type Counts, difference, noCounts, Tally } from './tally.js'
import { type Places, type Plan, placesFor, requestBytesMax, type Traffic } from './traffic.js'
import type { Workload } from './workload.js'

export interface GeneratorOptions {
  target: Address
  workload: Workload
  /** Which of how many; keys are written by key % processes. */
  process: number
  processes: number
  seed: number
  warmUpMs: number
  durationMs: number
  /** Requests to measure instead of a duration; 0: the duration counts. */
  requests: number
  /** Requests a second of this process; 0: closed loop. */
  rate: number
  verify: boolean
  loop: LoopWish
  /** Whose processor time is read; none: nobody's. */
  serverPids: number[]
}

export interface Measured {
  seconds: number
  counts: Counts
  /** From the first byte of the run, warming up and filling included. */
  ever: Counts
  examples: string[]
  latencies: [microseconds: number, count: number][]
  /** Seconds of processor, of this process and of each server. */
  ownCpu: number
  serverCpu: number[]
  /** Open loop: requests that were due and never left. */
  unsent: number
  /** Open loop: how long the load itself stood still, which is not counted as the server's. */
  stalledMs: number
  longestStallMs: number
}

export interface GeneratorEvents {
  /** Blocks until everybody has filled. */
  filled(): void
  measured(measured: Measured): void
  failed(sentence: string): void
}

const FILL_IN_FLIGHT = 64
const FILL_CONNECTIONS_MAX = 8
const CONNECT_LIMIT_MS = 10_000
const DRAIN_LIMIT_MS = 10_000
/** Without epoll requests of an open loop leave at most this late: its timers know milliseconds. */
const TICK_MS = 1

interface Snapshot {
  at: number
  counts: Counts
  ownCpu: number
  serverCpu: number[]
}

type Lateness = Pick<Measured, 'unsent' | 'stalledMs' | 'longestStallMs'>

const ON_TIME: Lateness = { unsent: 0, stalledMs: 0, longestStallMs: 0 }

export class Generator implements Traffic {
  readonly memory: Uint8Array
  readonly places: Places
  readonly payload: Payload
  readonly keys: KeyState
  readonly random: Xorshift
  picker: KeyPicker
  readonly tally = new Tally()
  plan: Plan
  pace: ClosedPace | OpenPace = new ClosedPace()
  readonly #options: GeneratorOptions
  readonly #loop: Loop
  readonly #events: GeneratorEvents
  readonly #connections: LoadConnection[] = []
  readonly #wanted: Plan
  readonly #wantedPicker: KeyPicker
  #connected = 0
  #phase: 'connect' | 'fill' | 'run' | 'drain' | 'over' = 'connect'
  #began: Snapshot = { at: 0, counts: noCounts(), ownCpu: 0, serverCpu: [] }
  #report: () => Measured = () => this.#measured(this.#began, [], ON_TIME)
  #turn = 0

  constructor(
    options: GeneratorOptions,
    memory: Uint8Array,
    places: Places,
    sizes: SizeTable,
    loop: Loop,
    events: GeneratorEvents,
  ) {
    const { workload, process, processes, seed, verify } = options
    this.#options = options
    this.#loop = loop
    this.#events = events
    this.memory = memory
    this.places = places
    this.payload = new Payload(memory, places.poolAt, sizes, seed, verify)
    this.keys = new KeyState(workload.keys, process, processes)
    this.random = new Xorshift(seed * 31 + process)
    const order = parseKeyOrder(workload.keyOrder)
    if (!order.ok) throw new Error(order.why)
    this.#wantedPicker = keyPicker(order.order, workload.keys, seed * 17 + process, workload.fill ?? workload.keys)
    this.picker = this.#wantedPicker
    this.#wanted = {
      multiGet: workload.multiGet,
      inFlight: workload.inFlight,
      readUnder: Math.round(workload.readShare * 2 ** 32),
      isMeta: workload.protocol === 'meta',
    }
    this.plan = this.#wanted
    const slots = Math.max(workload.inFlight, FILL_IN_FLIGHT)
    const largest = requestBytesMax(sizes, workload.multiGet)
    const connections = share(workload.connections, process, processes)
    for (let i = 0; i < connections; i++) {
      this.#connections.push(new LoadConnection(this, slots, workload.multiGet, largest))
    }
  }

  /** A generator with memory of its own, on the loop that `createLoop` makes for that memory. */
  static on(options: GeneratorOptions, createLoop: (memory: Uint8Array) => Loop, events: GeneratorEvents): Generator {
    const parsed = parseSizes(options.workload.valueSize)
    if (!parsed.ok) throw new Error(parsed.why)
    const sizes = new SizeTable(parsed.sizes, VALUE_BYTES_MIN, options.seed)
    const places = placesFor(sizes, options.workload.multiGet)
    const memory = new Uint8Array(places.bytes)
    return new Generator(options, memory, places, sizes, createLoop(memory), events)
  }

  start(): void {
    for (const connection of this.#connections) this.#loop.connect(this.#options.target, connection)
    this.#loop.setTimer(CONNECT_LIMIT_MS, () => {
      if (this.#phase === 'connect')
        this.fail(`only ${this.#connected} of ${this.#connections.length} connections came`)
    })
  }

  // --- for connections

  onConnected(): void {
    this.#connected++
    if (this.#connected === this.#connections.length) this.#loop.soon(() => this.#fill())
  }

  /** A connection has nothing under way; told only when that may end something. */
  onIdle(): void {
    if (this.pace.isOpen && this.pace.isEndless) return
    if (this.#connections.some(connection => connection.underWay > 0)) return
    if (this.#phase === 'fill') this.#loop.soon(() => this.#run())
    else if (this.#phase === 'run') this.#loop.soon(() => this.#endMeasurement())
    else if (this.#phase === 'drain') this.#loop.soon(() => this.#over())
  }

  fail(sentence: string): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.#events.failed(sentence)
    this.#loop.stop()
  }

  // --- phases

  #fill(): void {
    const { workload, process, processes } = this.#options
    this.#phase = 'fill'
    const own = share(workload.fill ?? workload.keys, process, processes)
    if (own === 0) {
      this.#run()
      return
    }
    this.pace = new ClosedPace(own)
    this.plan = { ...this.#wanted, inFlight: FILL_IN_FLIGHT, readUnder: 0 }
    this.picker = new OwnKeys(process, processes)
    this.#startAll(this.#connections.slice(0, FILL_CONNECTIONS_MAX))
  }

  #run(): void {
    if (this.#phase !== 'fill') return
    const { requests, rate, warmUpMs, durationMs, process, processes } = this.#options
    this.#events.filled()
    this.#phase = 'run'
    this.plan = this.#wanted
    this.picker = this.#wantedPicker
    if (requests > 0) {
      this.pace = new ClosedPace(share(requests, process, processes))
      this.#beginMeasurement()
    } else {
      // The barrier took its time: the loop's clock is of before.
      const late = performance.now() - this.#loop.now()
      this.pace = rate > 0 ? new OpenPace(performance.now(), rate, this.#loop.kind !== 'net') : new ClosedPace()
      // The first time costs milliseconds: code is compiled, files are opened.
      this.#loop.setTimer(late + warmUpMs / 2, () => this.#beginMeasurement())
      this.#loop.setTimer(late + warmUpMs, () => this.#beginMeasurement())
      this.#loop.setTimer(late + warmUpMs + durationMs, () => this.#endMeasurement())
    }
    if (this.pace instanceof OpenPace) this.#tick(this.pace)
    else this.#startAll(this.#connections)
  }

  #beginMeasurement(): void {
    this.tally.forgetLatencies()
    if (this.pace instanceof OpenPace) this.pace.forgetStalls()
    this.#began = this.#snapshot()
  }

  #endMeasurement(): void {
    if (this.#phase !== 'run') return
    const ended = this.#snapshot()
    const open = this.pace instanceof OpenPace ? lateness(this.pace, ended.at) : ON_TIME
    const latencies = this.tally.latencies()
    this.#report = () => this.#measured(ended, latencies, open)
    this.#phase = 'drain'
    this.pace.isOpen = false
    this.#loop.setTimer(DRAIN_LIMIT_MS, () => this.fail('requests were not answered within 10 seconds'))
    this.onIdle()
  }

  #over(): void {
    if (this.#phase !== 'drain') return
    this.#phase = 'over'
    this.#events.measured(this.#report())
    this.#loop.stop()
  }

  #measured(ended: Snapshot, latencies: Measured['latencies'], lateness: Lateness): Measured {
    const began = this.#began
    return {
      seconds: (ended.at - began.at) / 1000,
      counts: difference(ended.counts, began.counts),
      ever: { ...this.tally.counts },
      examples: this.tally.examples,
      latencies,
      ownCpu: ended.ownCpu - began.ownCpu,
      serverCpu: ended.serverCpu.map((seconds, i) => seconds - began.serverCpu[i]!),
      ...lateness,
    }
  }

  #startAll(connections: LoadConnection[]): void {
    const now = performance.now()
    for (const connection of connections) connection.issueFree(now)
  }

  /** Open loop: whatever is due leaves, by the next connection that has room. Busy on epoll, so that it leaves in time. */
  #tick(pace: OpenPace): void {
    if (this.#phase !== 'run') return
    const now = performance.now()
    for (let looks = this.#connections.length; looks > 0 && pace.dueAt(now) > 0; looks--) {
      this.#turn = this.#turn + 1 === this.#connections.length ? 0 : this.#turn + 1
      this.#connections[this.#turn]!.issueFree(now)
    }
    if (this.#loop.kind !== 'net') this.#loop.soon(this.#again)
    else this.#loop.setTimer(TICK_MS, this.#again)
  }

  readonly #again = (): void => {
    if (this.pace instanceof OpenPace) this.#tick(this.pace)
  }

  #snapshot(): Snapshot {
    const { user, system } = process.cpuUsage()
    return {
      at: performance.now(),
      counts: { ...this.tally.counts },
      ownCpu: (user + system) / 1e6,
      serverCpu: this.#options.serverPids.map(cpuSeconds),
    }
  }
}

function lateness(pace: OpenPace, now: number): Lateness {
  const unsent = Math.max(0, pace.dueAt(now))
  return { unsent, stalledMs: pace.stalledMs, longestStallMs: pace.longestStallMs }
}

/** This process's keys, one after the other. */
class OwnKeys implements KeyPicker {
  readonly #step: number
  #at: number

  constructor(process: number, processes: number) {
    this.#at = process
    this.#step = processes
  }

  next(): number {
    const key = this.#at
    this.#at += this.#step
    return key
  }
}

/** How many of 0 .. count-1 are this process's. */
export function share(count: number, process: number, processes: number): number {
  return Math.floor(count / processes) + (process < count % processes ? 1 : 0)
}
