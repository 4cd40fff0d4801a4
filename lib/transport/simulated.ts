/**
 * The `simulated` world: virtual time and a seeded network in one process, fully synchronous. Every delivery takes a random
 * time; bytes of one connection keep their order, different connections overtake each other; writes arrive in random
 * pieces; links can be cut and hosts crash. The same seed gives the same history.
 *
 *   SimulatedWorld: one queue of (time, order, task); step() runs the next
 *   loop(host): a Loop that lives on a host; a crash ends all loops of the host, and none of their callbacks runs again
 *
 * Nothing here reads a real clock or a real random number.
 */
import type { Address, Connection, ConnectionHandler, Listener, ListenOptions, Loop, Timer } from './loop.js'
import { type HeapTimer, TimerHeap } from './timers.js'
import { CLOSED_HERE, literalOf, RESET_BY_PEER } from './words.js'

export interface SimulatedOptions {
  /** Longest delay of a delivery, ms. */
  delayMsMax?: number
  /** Bytes in flight one way before a sender must wait. */
  windowBytes?: number
  trace?: (line: string) => void
}

const DELAY_MS_MAX = 5
const WINDOW_BYTES = 256 * 1024
/** Wall clocks begin here, so that histories do not depend on the day. */
const EPOCH_SEC = 1_700_000_000
const FIRST_EPHEMERAL_PORT = 40_000
const WORLD_BYTES_COPIED = 64 * 1024

export class SimulatedWorld {
  readonly #queue = new TimerHeap()
  readonly #options: Required<Omit<SimulatedOptions, 'trace'>>
  readonly #trace: ((line: string) => void) | undefined
  readonly #listeners = new Map<string, SimListener>()
  readonly #loops = new Set<SimLoop>()
  readonly #cuts = new Set<string>()
  #state: number
  #now = 0
  #ports = FIRST_EPHEMERAL_PORT

  constructor(seed: number, options: SimulatedOptions = {}) {
    this.#state = seed >>> 0
    this.#options = { delayMsMax: DELAY_MS_MAX, windowBytes: WINDOW_BYTES, ...options }
    this.#trace = options.trace
  }

  /** Virtual milliseconds since the world began. */
  get now(): number {
    return this.#now
  }

  wallClock(): number {
    return EPOCH_SEC + this.#now / 1000
  }

  /** 0 <= x < 1, from the seed (mulberry32). */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }

  /** Runs a task of the world itself (not of a host) after so many virtual milliseconds. */
  after(ms: number, task: () => void): Timer {
    return this.at(this.#now + Math.max(0, ms), task)
  }

  at(time: number, task: () => void): HeapTimer {
    return this.#queue.add(Math.max(time, this.#now), task)
  }

  cancel(timer: HeapTimer): void {
    this.#queue.clear(timer)
  }

  /** Runs the next task. False: there is none. */
  step(): boolean {
    const first = this.#queue.first()
    if (!first) return false
    this.#now = Math.max(this.#now, first.at)
    this.#queue.takeDue(this.#now)?.()
    return true
  }

  runFor(ms: number): void {
    const end = this.#now + ms
    for (let first = this.#queue.first(); first && first.at <= end; first = this.#queue.first()) this.step()
    this.#now = end
  }

  /** True once `condition` holds; false when it does not within `limitMs`. */
  runUntil(condition: () => boolean, limitMs: number): boolean {
    const end = this.#now + limitMs
    while (!condition()) if (this.#now > end || !this.step()) return false
    return true
  }

  loop(host: string, memory: Uint8Array = new Uint8Array(0)): Loop {
    const loop = new SimLoop(this, host, memory)
    this.#loops.add(loop)
    return loop
  }

  /** The host's loops end, its memory is nobody's; others see their connections break. */
  crash(host: string): void {
    this.say(`crash ${host}`)
    for (const loop of [...this.#loops]) if (loop.host === host) loop.crash()
  }

  /** No new connections between the two hosts, and the present ones break. */
  cut(a: string, b: string): void {
    this.#cuts.add(pair(a, b))
    for (const loop of [...this.#loops]) if (loop.host === a) loop.breakAllTo(b)
  }

  heal(a: string, b: string): void {
    this.#cuts.delete(pair(a, b))
  }

  // --- for loops

  say(line: string): void {
    this.#trace?.(`${this.#now.toFixed(3)} ${line}`)
  }

  delay(): number {
    return 0.05 + this.random() * this.#options.delayMsMax
  }

  get windowBytes(): number {
    return this.#options.windowBytes
  }

  isCut(a: string, b: string): boolean {
    return this.#cuts.has(pair(a, b))
  }

  freePort(): number {
    return this.#ports++
  }

  listenerAt(host: string, port: number): SimListener | undefined {
    return this.#listeners.get(`${literalOf(host)}:${port}`)
  }

  addListener(listener: SimListener): void {
    this.#listeners.set(`${listener.host}:${listener.port}`, listener)
  }

  removeListener(listener: SimListener): void {
    const at = `${listener.host}:${listener.port}`
    if (this.#listeners.get(at) === listener) this.#listeners.delete(at)
  }

  removeLoop(loop: SimLoop): void {
    this.#loops.delete(loop)
  }
}

const pair = (a: string, b: string): string => (a < b ? `${a} ${b}` : `${b} ${a}`)

class SimLoop implements Loop {
  readonly kind = 'simulated'
  readonly memory: Uint8Array
  readonly world: SimulatedWorld
  readonly host: string
  readonly connections = new Set<SimConnection>()
  readonly #listeners = new Set<SimListener>()
  readonly #timers = new Set<HeapTimer>()
  alive = true

  constructor(world: SimulatedWorld, host: string, memory: Uint8Array) {
    this.world = world
    this.host = literalOf(host)
    this.memory = memory
  }

  now(): number {
    return this.world.now
  }

  wallClock(): number {
    return this.world.wallClock()
  }

  /** Tasks of a loop that has ended never run. */
  later(ms: number, task: () => void): HeapTimer {
    const timer = this.world.at(this.world.now + Math.max(0, ms), () => {
      this.#timers.delete(timer)
      if (this.alive) task()
    })
    this.#timers.add(timer)
    return timer
  }

  setTimer(afterMs: number, callback: () => void): Timer {
    return this.later(afterMs, callback)
  }

  clearTimer(timer: Timer): void {
    this.#timers.delete(timer as HeapTimer)
    this.world.cancel(timer as HeapTimer)
  }

  soon(task: () => void): void {
    this.later(0, task)
  }

  onWake(): void {}

  listen(
    options: ListenOptions,
    onConnection: (connection: Connection) => ConnectionHandler,
    onListening: (listener: Listener) => void,
    onError: (sentence: string) => void,
  ): void {
    const host = literalOf(options.host)
    const port = options.port === 0 ? this.world.freePort() : options.port
    if (this.world.listenerAt(host, port)) {
      this.soon(() => onError(`port ${port} on ${options.host} is taken`))
      return
    }
    const listener = new SimListener(this, host, port, onConnection)
    this.#listeners.add(listener)
    this.world.addListener(listener)
    this.soon(() => onListening(listener))
  }

  connect(to: Address, handler: ConnectionHandler): Connection {
    const { world } = this
    const remote = { host: literalOf(to.host), port: to.port }
    const local = { host: this.host, port: world.freePort() }
    const near = new SimConnection(this, local, remote, handler)
    near.connecting = true
    world.after(world.delay(), () => {
      const listener = world.listenerAt(remote.host, remote.port)
      if (near.closed) return
      if (!listener || world.isCut(this.host, remote.host)) {
        this.later(world.delay(), () => near.end('connection refused'))
        return
      }
      const far = new SimConnection(listener.loop, remote, local, NOBODY)
      near.other = far
      far.other = near
      far.handler = listener.onConnection(far)
      this.later(world.delay(), () => near.connected())
    })
    return near
  }

  run(): void {}

  stop(): void {
    for (const connection of [...this.connections]) connection.close()
    this.#end()
  }

  crash(): void {
    this.alive = false
    for (const connection of [...this.connections]) connection.vanish()
    this.#end()
  }

  breakAllTo(host: string): void {
    for (const connection of [...this.connections]) {
      if (connection.remote.host !== host) continue
      connection.other?.breakSoon()
      connection.breakSoon()
    }
  }

  closeListener(listener: SimListener): void {
    this.#listeners.delete(listener)
    this.world.removeListener(listener)
  }

  #end(): void {
    this.alive = false
    for (const listener of [...this.#listeners]) this.closeListener(listener)
    for (const timer of this.#timers) this.world.cancel(timer)
    this.#timers.clear()
    this.world.removeLoop(this)
  }
}

const NOBODY: ConnectionHandler = { onReadable() {}, onWritable() {}, onClose() {} }

class SimListener implements Listener {
  readonly loop: SimLoop
  readonly host: string
  readonly port: number
  readonly onConnection: (connection: Connection) => ConnectionHandler

  constructor(loop: SimLoop, host: string, port: number, onConnection: (connection: Connection) => ConnectionHandler) {
    this.loop = loop
    this.host = host
    this.port = port
    this.onConnection = onConnection
  }

  close(): void {
    this.loop.closeListener(this)
  }
}

class SimConnection implements Connection {
  readonly local: Address
  readonly remote: Address
  handler: ConnectionHandler
  closed = false
  connecting = false
  /** The other end; null until the connection stands. */
  other: SimConnection | null = null
  readonly #loop: SimLoop
  /** Arrived and not read. */
  #arrived: Uint8Array[] = []
  #arrivedBytes = 0
  /** Sent to us and not arrived. */
  #inFlight = 0
  #lastArrival = 0
  #reading = true
  #ended = false
  #wantsRoom = false
  #told = false

  constructor(loop: SimLoop, local: Address, remote: Address, handler: ConnectionHandler) {
    this.#loop = loop
    this.local = local
    this.remote = remote
    this.handler = handler
    loop.connections.add(this)
  }

  connected(): void {
    this.connecting = false
    if (this.closed) return
    this.handler.onConnect?.(this)
    this.#tell()
  }

  recv(offset: number, length: number): number {
    const bytes = this.#take(length)
    if (bytes === null) return 0
    this.#loop.memory.set(bytes, offset)
    return bytes.length === 0 ? -1 : bytes.length
  }

  read(): Uint8Array | null {
    return this.#take(WORLD_BYTES_COPIED)
  }

  send(offset: number, length: number): number {
    return this.write(this.#loop.memory.subarray(offset, offset + length))
  }

  write(bytes: Uint8Array): number {
    if (this.closed || this.connecting) return 0
    const { other } = this
    if (!other || other.closed) return bytes.length // into the void, as with a real socket
    const count = Math.min(bytes.length, other.room())
    if (count > 0) other.receive(Uint8Array.prototype.slice.call(bytes, 0, count))
    if (count < bytes.length) this.#wantsRoom = true
    return count
  }

  pauseReading(): void {
    this.#reading = false
  }

  resumeReading(): void {
    this.#reading = true
    this.#tell()
  }

  close(): void {
    if (this.closed) return
    this.other?.endSoon()
    this.end(CLOSED_HERE)
  }

  destroy(): void {
    if (this.closed) return
    this.other?.breakSoon()
    this.end(CLOSED_HERE)
  }

  // --- from the other end, and from the world

  room(): number {
    return Math.max(0, this.#loop.world.windowBytes - this.#inFlight - this.#arrivedBytes)
  }

  /** Bytes are on their way here, in random pieces, in order. */
  receive(bytes: Uint8Array): void {
    const { world } = this.#loop
    for (let at = 0; at < bytes.length; ) {
      const rest = bytes.length - at
      const size = world.random() < 0.5 ? rest : 1 + Math.floor(world.random() * rest)
      const piece = bytes.subarray(at, at + size)
      this.#inFlight += size
      at += size
      this.#arriveAfter(() => {
        this.#inFlight -= piece.length
        if (this.closed) return
        this.#arrived.push(piece)
        this.#arrivedBytes += piece.length
        this.#tell()
      })
    }
  }

  endSoon(): void {
    this.#arriveAfter(() => {
      this.#ended = true
      this.#tell()
    })
  }

  breakSoon(): void {
    this.#loop.world.after(this.#loop.world.delay(), () => this.end(RESET_BY_PEER))
  }

  /** This side's host has crashed: no callback here, the other side finds out. */
  vanish(): void {
    this.closed = true
    this.#loop.connections.delete(this)
    this.other?.breakSoon()
  }

  end(reason: string): void {
    if (this.closed) return
    this.closed = true
    this.#loop.connections.delete(this)
    this.#arrived = []
    this.#loop.soon(() => this.handler.onClose(this, reason))
  }

  roomAgain(): void {
    if (!this.#wantsRoom || this.closed) return
    this.#wantsRoom = false
    this.#loop.later(this.#loop.world.delay(), () => {
      if (!this.closed) this.handler.onWritable(this)
    })
  }

  #arriveAfter(task: () => void): void {
    const { world } = this.#loop
    this.#lastArrival = Math.max(this.#lastArrival, world.now + world.delay())
    this.#loop.later(this.#lastArrival - world.now, task)
  }

  #take(length: number): Uint8Array | null {
    const first = this.#arrived[0]
    if (this.closed || !first) return this.#ended && !this.closed ? new Uint8Array(0) : null
    const bytes = first.subarray(0, length)
    if (bytes.length === first.length) this.#arrived.shift()
    else this.#arrived[0] = first.subarray(bytes.length)
    this.#arrivedBytes -= bytes.length
    this.other?.roomAgain()
    return bytes
  }

  /** Level-triggered: the handler is told as long as there is something to read, or the end. */
  #tell(): void {
    if (this.#told || this.closed || this.connecting || !this.#reading) return
    if (this.#arrived.length === 0 && !this.#ended) return
    this.#told = true
    this.#loop.later(0, () => {
      this.#told = false
      if (this.closed || !this.#reading || (this.#arrived.length === 0 && !this.#ended)) return
      const before = this.#arrivedBytes
      this.handler.onReadable(this)
      if (this.#ended && this.#arrived.length === 0 && before === 0) return // the end was told
      this.#tell()
    })
  }
}
