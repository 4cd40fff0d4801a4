/**
 * How far another machine's monotonic clock can be by now, at most: what tells how late something is that it stamped.
 *
 *   ours    --askedAt----------------------------now-->        theirs now <= `shown` + (now - askedAt) * (1 + DRIFT)
 *   theirs  ----------`shown`: read after it was asked-->
 *
 * The answer may come as late as it likes: the bound is only looser then. Never too low as long as no clock runs a hundredth
 * faster than another (as for leases, DESIGN 8), so it has to be learned anew every few seconds to stay close.
 * Clocks travel as 32 bits of ms: what is compared may be 24 days apart.
 */

/** How much faster their clock may run than ours. */
const DRIFT = 0.01

/** A clock's time for the wire, rounded down. */
export function clockWord(ms: number): number {
  return Math.floor(ms) >>> 0
}

export class ClockBound {
  #known = false
  #askedAt = 0
  #shown = 0

  /** Their clock showed `shown` some time after ours was `askedAt`. What is known already stays if it is closer. */
  learn(askedAt: number, shown: number): void {
    const most = (shown + 1) >>> 0
    if (this.#known && this.#left(most, askedAt) > 0) return
    this.#known = true
    this.#askedAt = askedAt
    this.#shown = most
  }

  /** Ms until their clock can show `word`, at the earliest; below 0: it may have been some time ago. Unknown clocks are past everything. */
  left(word: number, now: number): number {
    return this.#known ? this.#left(word, now) : Number.NEGATIVE_INFINITY
  }

  #left(word: number, now: number): number {
    return ((word - this.#shown) | 0) - (now - this.#askedAt) * (1 + DRIFT)
  }
}
