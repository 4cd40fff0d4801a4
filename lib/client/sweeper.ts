/**
 * One clock for all deadlines of a client: it ticks only while something is under way, and costs a request one addition.
 * A tick is a turn of the event loop at least, so a process that was busy reads what has come before it gives anything up.
 */
export interface Swept {
  /** False: nothing is under way here any more. */
  sweep(tick: number): boolean
}

export class Sweeper {
  readonly tickMs: number
  tick = 0
  readonly #swept = new Set<Swept>()
  #timer: NodeJS.Timeout | null = null

  /** `timeoutMs`: the usual one; a tick is a 20th of it, from 2 to 100 ms, so that timeouts are at most that much late. */
  constructor(timeoutMs: number) {
    this.tickMs = Math.min(100, Math.max(2, Math.ceil(timeoutMs / 20)))
  }

  ticks(ms: number): number {
    return Math.max(1, Math.ceil(ms / this.tickMs))
  }

  watch(one: Swept): void {
    this.#swept.add(one)
    this.#timer ??= setInterval(() => this.#sweep(), this.tickMs)
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    this.#swept.clear()
  }

  #sweep(): void {
    this.tick++
    for (const one of this.#swept) if (!one.sweep(this.tick)) this.#swept.delete(one)
    if (this.#swept.size > 0 || !this.#timer) return
    clearInterval(this.#timer)
    this.#timer = null
  }
}
