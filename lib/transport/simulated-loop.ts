/**
 * One process's (or thread's) Loop in the simulated world: a life of a host. After `die` none of its callbacks runs again;
 * a host that starts again gets a new loop.
 */
import type { Address, Connection, ConnectionHandler, Listener, ListenOptions, Loop, Timer } from './loop.js'
import type { SimulatedListener, SimulatedWorld } from './simulated.js'
import { SimulatedConnection } from './simulated-connection.js'
import { isLoopbackAddress, listenSentence } from './words.js'

export class SimulatedLoop implements Loop {
  readonly kind = 'simulated'
  readonly memory: Uint8Array
  readonly world: SimulatedWorld
  readonly host: string
  readonly #listeners = new Set<SimulatedListener>()
  readonly #timers = new Set<Timer>()
  #alive = true
  #crashed = false

  constructor(world: SimulatedWorld, host: string, memory: Uint8Array) {
    this.world = world
    this.host = host
    this.memory = memory
  }

  get alive(): boolean {
    return this.#alive
  }

  get crashed(): boolean {
    return this.#crashed
  }

  now(): number {
    return this.world.now
  }

  clock(): number {
    return this.world.now
  }

  wallClock(): number {
    return this.world.wallClock()
  }

  setTimer(afterMs: number, callback: () => void): Timer {
    const timer = this.world.after(afterMs, () => {
      this.#timers.delete(timer)
      if (this.#alive) callback()
    })
    this.#timers.add(timer)
    return timer
  }

  clearTimer(timer: Timer): void {
    if (this.#timers.delete(timer)) this.world.cancel(timer)
  }

  listen(
    options: ListenOptions,
    onConnection: (connection: Connection) => ConnectionHandler,
    onListening: (listener: Listener) => void,
    onError: (sentence: string) => void,
  ): void {
    const { host, port, shared = false } = options
    const listener = this.world.bind(this.host, port, { loop: this, shared, accept: onConnection })
    if (!listener) {
      this.soon(() => onError(listenSentence({ host, port }, 'EADDRINUSE')))
      return
    }
    this.#listeners.add(listener)
    const close = () => {
      this.#listeners.delete(listener)
      this.world.unbind(this.host, listener)
    }
    this.soon(() => onListening({ port: listener.port, close }))
  }

  connect(to: Address, handler: ConnectionHandler): Connection {
    // A loopback address means the host itself, as everywhere.
    const target = isLoopbackAddress(to.host) ? this.host : to.host
    const local = { host: to.host === target ? this.host : '127.0.0.1', port: this.world.portFor(this.host) }
    const connection = new SimulatedConnection(this, target, to, local)
    connection.handler = handler
    connection.dial()
    return connection
  }

  onWake(_wake: () => void): void {}

  /** What `send` took has left. */
  guardSends(_mayLeave: () => boolean): void {}

  onAhead(): void {}

  soon(task: () => void): void {
    this.world.soon(() => {
      if (this.#alive) task()
    })
  }

  run(): void {}

  stop(): void {
    for (const connection of [...this.world.connections]) if (connection.loop === this) connection.close()
    this.#forgetAll()
    this.#alive = false
  }

  /** For the world: the process is gone. */
  die(): void {
    this.#forgetAll()
    this.#alive = false
    this.#crashed = true
  }

  #forgetAll(): void {
    for (const listener of this.#listeners) this.world.unbind(this.host, listener)
    for (const timer of this.#timers) this.world.cancel(timer)
    this.#listeners.clear()
    this.#timers.clear()
  }
}
