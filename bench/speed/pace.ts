/**
 * When requests leave. Closed loop: an answer lets the next one go. Open loop: one every 1/rate seconds, whatever the server
 * does; a request that has to wait for a free connection counts from the time it was meant to leave, so that a server that
 * stands still is not asked more gently for it (coordinated omission). A load that itself stands still (its collector, its compiler,
 * another process on its core) is not the server's doing: what was due meanwhile is put off by as much, and the report says so.
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

/** Between two looks of a load that looks all the time: from here on it stood still. */
const STALL_MS = 0.5

export class OpenPace implements Pace {
  isOpen = true
  readonly isEndless = true
  /** How long the load stood still: in all, and at most. */
  stalledMs = 0
  longestStallMs = 0
  readonly #intervalMs: number
  readonly #looksAlways: boolean
  /** When request 0 would have left: of the next one, and of the newest that are due. */
  #startMs: number
  #dueStartMs: number
  /** From which request on how much is put off; later ones than the next. */
  readonly #putOff: { from: number; ms: number }[] = []
  #lookedAt: number
  #issued = 0
  #due = 0

  /** `looksAlways`: `dueAt` is called all the time; when it was not, the load stood still. */
  constructor(startMs: number, ratePerSec: number, looksAlways = false) {
    this.#startMs = this.#dueStartMs = this.#lookedAt = startMs
    this.#intervalMs = 1000 / ratePerSec
    this.#looksAlways = looksAlways
  }

  /** Requests that should have left by now and have not. */
  dueAt(now: number): number {
    const stalled = now - this.#lookedAt
    this.#lookedAt = now
    if (this.#looksAlways && stalled > STALL_MS) this.#stall(stalled)
    this.#due = Math.floor((now - this.#dueStartMs) / this.#intervalMs) + 1
    return this.isOpen ? this.#due - this.#issued : 0
  }

  allowance(free: number): number {
    return this.isOpen ? Math.max(0, Math.min(free, this.#due - this.#issued)) : 0
  }

  begin(): number {
    while (this.#putOff[0] && this.#putOff[0].from <= this.#issued) this.#startMs += this.#putOff.shift()!.ms
    const begun = this.#startMs + this.#issued * this.#intervalMs
    this.#issued++
    return begun
  }

  /** As of now; what was counted so far is of before. */
  forgetStalls(): void {
    this.stalledMs = this.longestStallMs = 0
  }

  #stall(ms: number): void {
    this.stalledMs += ms
    this.longestStallMs = Math.max(this.longestStallMs, ms)
    this.#dueStartMs += ms
    this.#putOff.push({ from: this.#due, ms })
  }
}
