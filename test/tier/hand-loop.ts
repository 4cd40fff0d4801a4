/** A Loop whose time is moved by hand: for classes that need timers and `soon`, no sockets. */
import type { Connection, Loop, Timer } from '../../lib/transport/loop.js'

interface Pending extends Timer {
  callback: () => void
}

export class HandLoop implements Loop {
  readonly kind = 'simulated' as const
  readonly memory = new Uint8Array(0)
  #now = 0
  #soon: (() => void)[] = []
  #timers: Pending[] = []

  now(): number {
    return this.#now
  }

  clock(): number {
    return this.#now
  }

  wallClock(): number {
    return this.#now / 1000
  }

  setTimer(afterMs: number, callback: () => void): Timer {
    const timer = { at: this.#now + afterMs, callback }
    this.#timers.push(timer)
    return timer
  }

  clearTimer(timer: Timer): void {
    this.#timers = this.#timers.filter(one => one !== timer)
  }

  soon(task: () => void): void {
    this.#soon.push(task)
  }

  /** Lets so much time pass, running everything that falls due. */
  pass(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      for (let task = this.#soon.shift(); task; task = this.#soon.shift()) task()
      const next = this.#timers.filter(timer => timer.at <= until).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#now = Math.max(this.#now, next.at)
      this.clearTimer(next)
      next.callback()
    }
    this.#now = until
  }

  listen(): void {
    throw new Error('no sockets here')
  }

  connect(): Connection {
    throw new Error('no sockets here')
  }

  onWake(): void {}
  guardSends(): void {}
  onAhead(): void {}
  run(): void {}
  stop(): void {}
}
