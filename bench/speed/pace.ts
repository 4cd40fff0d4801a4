/**
 * When requests leave. Closed loop: an answer lets the next one go. Open loop: one every 1/rate seconds, whatever the server
 * does; a request that has to wait for a free connection counts from the time it was meant to leave, so that a server that
 * stands still is not asked more gently for it (coordinated omission).
 */
import type { Pace } from './traffic.js'

export class ClosedPace implements Pace {
  /** False: nothing new leaves. */
  isOpen = true
  readonly isEndless: boolean
  #left: number

  /** `count`: requests after which nothing leaves any more. */
  constructor(count = Number.POSITIVE_INFINITY) {
    this.#left = count
    this.isEndless = count === Number.POSITIVE_INFINITY
  }

  allowance(free: number): number {
    if (!this.isOpen) return 0
    const count = Math.min(free, this.#left)
    this.#left -= count
    return count
  }

  begin(now: number): number {
    return now
  }
}

export class OpenPace implements Pace {
  isOpen = true
  readonly isEndless = true
  readonly #startMs: number
  readonly #intervalMs: number
  #issued = 0
  #due = 0

  constructor(startMs: number, ratePerSec: number) {
    this.#startMs = startMs
    this.#intervalMs = 1000 / ratePerSec
  }

  /** Requests that should have left by now and have not. */
  dueAt(now: number): number {
    this.#due = Math.floor((now - this.#startMs) / this.#intervalMs) + 1
    return this.isOpen ? this.#due - this.#issued : 0
  }

  allowance(free: number): number {
    return this.isOpen ? Math.max(0, Math.min(free, this.#due - this.#issued)) : 0
  }

  begin(): number {
    const begun = this.#startMs + this.#issued * this.#intervalMs
    this.#issued++
    return begun
  }
}
