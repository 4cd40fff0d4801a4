/**
 * The `simulated` world (DESIGN 4): many hosts in one process, virtual time, and a seeded network that delays, cuts writes
 * into pieces, reorders between connections, breaks links and crashes hosts. Fully synchronous; the same seed and the same
 * calls give the same history, event by event. It may not use a promise, a real timer or a real clock.
 *
 *   send --pieces--> [arrival events, in order per connection and direction] --> inbox --onReadable--> recv
 *
 * Everything that happens is an event of one queue, ordered by (time, order of asking). An event that belongs to a host
 * runs only if that life of the host is still there.
 */
import type { Address, ConnectionHandler, Timer } from './loop.js'
import type { SimulatedConnection } from './simulated-connection.js'
import { SimulatedLoop } from './simulated-loop.js'
import { TimerHeap } from './timers.js'
import { RESET_BY_PEER } from './words.js'

export interface SimulatedOptions {
  /** One way delay of a piece, virtual milliseconds. Default 0.05 to 2. */
  latencyMinMs?: number
  latencyMaxMs?: number
  /** Chance that a write travels in several pieces. Default 0.2. */
  splitChance?: number
  /** Chance that a send takes less than it could. Default 0.05. */
  shortSendChance?: number
  /** Chance, per piece, that its connection breaks. Default 0. */
  resetChance?: number
  /** How long a dial waits for a host that is cut off, and a connection with bytes on the way before it breaks. Default 10,000. */
  silenceLimitMs?: number
  /** Bytes a direction holds, on the way and unread. Default 256 KiB. */
  bufferBytesMax?: number
  /** Unix seconds at virtual time 0. */
  wallClockStart?: number
  /** Hears every event of the network, for replays. */
  trace?: (line: string) => void
}

const WALL_CLOCK_START = 1_750_000_000
/** Events at one and the same instant; more is a task that asks for itself for ever. */
const STANDSTILL_EVENTS_MAX = 5_000_000

/** A small seeded generator; 32 bits of state are enough to make histories differ. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

interface Host {
  name: string
  loops: Set<SimulatedLoop>
  listeners: Map<number, SimulatedListener[]>
  portLast: number
}

export interface SimulatedListener {
  loop: SimulatedLoop
  port: number
  shared: boolean
  accept(connection: SimulatedConnection): ConnectionHandler
}

export class SimulatedWorld {
  readonly options: Required<Omit<SimulatedOptions, 'trace'>>
  /** Uniform in [0, 1); the world's own source, free for tests that want one seed for all. */
  readonly random: () => number
  readonly connections = new Set<SimulatedConnection>()
  readonly #trace: ((line: string) => void) | undefined
  readonly #events = new TimerHeap()
  readonly #hosts = new Map<string, Host>()
  readonly #cuts = new Map<string, Set<() => void>>()
  #soon: (() => void)[] = []
  #soonAt = 0
  #now = 0
  #eventsAtNow = 0
  #connectionLast = 0

  constructor(seed: number, options: SimulatedOptions = {}) {
    const { trace, ...given } = options
    this.random = mulberry32(seed)
    this.#trace = trace
    this.options = {
      ...{ latencyMinMs: 0.05, latencyMaxMs: 2, splitChance: 0.2, shortSendChance: 0.05, resetChance: 0 },
      ...{ silenceLimitMs: 10_000, bufferBytesMax: 256 * 1024, wallClockStart: WALL_CLOCK_START },
      ...given,
    }
  }

  /** Virtual milliseconds. */
  get now(): number {
    return this.#now
  }

  wallClock(): number {
    return this.options.wallClockStart + this.#now / 1000
  }

  // --- running

  /** Runs one event. False: nothing is left to happen. */
  step(): boolean {
    const task = this.#nextTask()
    if (!task) return false
    task()
    return true
  }

  /** Runs until `condition` holds; false when nothing is left to happen, or it does not hold within `limitMs`. */
  runUntil(condition: () => boolean, limitMs = 60_000): boolean {
    const end = this.#now + limitMs
    while (!condition()) {
      if (this.#soonAt === this.#soon.length && (this.#events.first()?.at ?? Number.POSITIVE_INFINITY) > end)
        return false
      this.step()
    }
    return true
  }

  /** Runs everything of the next `ms` and lets the time pass. */
  runFor(ms: number): void {
    const end = this.#now + ms
    this.runUntil(() => false, ms)
    this.#now = end
  }

  after(ms: number, task: () => void): Timer {
    return this.#events.add(this.#now + Math.max(0, ms), task)
  }

  soon(task: () => void): void {
    this.#soon.push(task)
  }

  cancel(timer: Timer): void {
    this.#events.clear(timer as ReturnType<TimerHeap['add']>)
  }

  // --- hosts and the network between them

  /** A loop of the host's present life. A host may have several (threads); it begins to live with the first. */
  loop(hostName: string, memory: Uint8Array = new Uint8Array(1 << 17)): SimulatedLoop {
    const loop = new SimulatedLoop(this, hostName, memory)
    this.#host(hostName).loops.add(loop)
    return loop
  }

  /** The host's processes are gone: nothing of theirs is ever called again, and their peers hear of it a little later. */
  crash(hostName: string): void {
    const host = this.#host(hostName)
    this.trace(`crash ${hostName}`)
    for (const loop of host.loops) loop.die()
    host.loops.clear()
    host.listeners.clear()
    for (const connection of [...this.connections]) if (connection.loop.host === hostName) connection.vanish()
  }

  /** Nothing travels between the two hosts until `heal`; connections with bytes on the way break after `silenceLimitMs`. */
  cut(a: string, b: string): void {
    this.trace(`cut ${a} ${b}`)
    const name = pairOf(a, b)
    if (!this.#cuts.has(name)) this.#cuts.set(name, new Set())
  }

  heal(a: string, b: string): void {
    const held = this.#cuts.get(pairOf(a, b))
    if (!held) return
    this.trace(`heal ${a} ${b}`)
    this.#cuts.delete(pairOf(a, b))
    for (const release of held) release()
  }

  isCut(a: string, b: string): boolean {
    return this.#cuts.has(pairOf(a, b))
  }

  /** Breaks every connection between the two hosts, as a switch that loses its state does. */
  breakConnections(a: string, b: string): void {
    this.trace(`break ${a} ${b}`)
    for (const connection of [...this.connections]) {
      if (connection.loop.host === a && connection.remoteHost === b) connection.break(RESET_BY_PEER)
    }
  }

  // --- for loops and connections

  trace(line: string): void {
    this.#trace?.(`${this.#now.toFixed(3)} ${line}`)
  }

  get traced(): boolean {
    return this.#trace !== undefined
  }

  latency(): number {
    const { latencyMinMs, latencyMaxMs } = this.options
    return latencyMinMs + this.random() * (latencyMaxMs - latencyMinMs)
  }

  nextConnection(): number {
    return ++this.#connectionLast
  }

  /** Calls `release` once when the cut between two hosts heals. Returns a function that forgets it. */
  whenHealed(a: string, b: string, release: () => void): () => void {
    const held = this.#cuts.get(pairOf(a, b))
    held?.add(release)
    return () => held?.delete(release)
  }

  bind(hostName: string, port: number, listener: Omit<SimulatedListener, 'port'>): SimulatedListener | null {
    const host = this.#host(hostName)
    const chosen = port === 0 ? ++host.portLast : port
    const there = host.listeners.get(chosen) ?? []
    if (there.some(one => !one.shared || !listener.shared)) return null
    const bound = { ...listener, port: chosen }
    host.listeners.set(chosen, [...there, bound])
    return bound
  }

  unbind(hostName: string, listener: SimulatedListener): void {
    const { listeners } = this.#host(hostName)
    const rest = (listeners.get(listener.port) ?? []).filter(one => one !== listener)
    if (rest.length === 0) listeners.delete(listener.port)
    else listeners.set(listener.port, rest)
  }

  /** The kernel's choice among the threads that share a port. */
  listenerAt({ host, port }: Address): SimulatedListener | undefined {
    const listeners = this.#hosts.get(host)?.listeners.get(port)
    return listeners?.[Math.floor(this.random() * listeners.length)]
  }

  portFor(hostName: string): number {
    return ++this.#host(hostName).portLast
  }

  #host(name: string): Host {
    let host = this.#hosts.get(name)
    if (!host) {
      host = { name, loops: new Set(), listeners: new Map(), portLast: 40_000 }
      this.#hosts.set(name, host)
    }
    return host
  }

  #nextTask(): (() => void) | null {
    if (this.#soonAt < this.#soon.length) {
      this.#checkStandstill()
      const task = this.#soon[this.#soonAt++]!
      if (this.#soonAt === this.#soon.length) {
        this.#soon = []
        this.#soonAt = 0
      }
      return task
    }
    const first = this.#events.first()
    if (!first) return null
    if (first.at > this.#now) {
      this.#now = first.at
      this.#eventsAtNow = 0
    }
    this.#checkStandstill()
    return this.#events.takeDue(this.#now)
  }

  #checkStandstill(): void {
    if (++this.#eventsAtNow > STANDSTILL_EVENTS_MAX) throw new Error(`virtual time stands still at ${this.#now} ms`)
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
