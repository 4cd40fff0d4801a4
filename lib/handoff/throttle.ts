/**
 * The speed of one migration: AIMD, as TCP does it. The rate rises by a fixed step while both ends keep up and halves as
 * soon as one of them is late. A key costs more than its bytes: both ends look it up, bury or place it, whatever its size;
 * so small values do not come at tens of thousands a second where large ones come by the hundred. Pure: time and
 * observations in, a rate out.
 */
export interface ThrottleLimits {
  /** Bytes per second, each key counted with KEY_COST_BYTES more. Lower is gentler to requests, higher ends sooner. */
  startPerSec: number
  minPerSec: number
  maxPerSec: number
  /** Added per good second. */
  increasePerSec: number
  /** A loop that runs later than this, in milliseconds, is loaded. */
  lateMs: number
}

const MIB = 1 << 20
/** Work of a key at both ends, as bytes that take as long. */
export const KEY_COST_BYTES = 512

export const DEFAULT_LIMITS: ThrottleLimits = {
  startPerSec: MIB / 4,
  minPerSec: MIB / 4,
  maxPerSec: 512 * MIB,
  increasePerSec: MIB,
  lateMs: 5,
}

/** The limits of a migration that an operator holds at `bytesPerSec` at most. */
export function limitsWithin(bytesPerSec: number): ThrottleLimits {
  const { startPerSec, minPerSec, maxPerSec } = DEFAULT_LIMITS
  return {
    ...DEFAULT_LIMITS,
    startPerSec: Math.min(startPerSec, bytesPerSec),
    minPerSec: Math.min(minPerSec, bytesPerSec),
    maxPerSec: Math.min(maxPerSec, bytesPerSec),
  }
}

export class Throttle {
  readonly #limits: ThrottleLimits
  #ratePerSec: number
  #judgedAt: number
  #freeAt: number

  constructor(now: number, limits: ThrottleLimits = DEFAULT_LIMITS) {
    this.#limits = limits
    this.#ratePerSec = limits.startPerSec
    this.#judgedAt = now
    this.#freeAt = now
  }

  get ratePerSec(): number {
    return this.#ratePerSec
  }

  /** Milliseconds to wait before the next batch may be asked for; 0 = now. */
  waitMs(now: number): number {
    return Math.max(0, this.#freeAt - now)
  }

  /** Bytes worth asking for in one batch: about 20 ms of the present rate. */
  batchBytes(): number {
    return Math.min(256 * 1024, Math.max(16 * 1024, Math.round(this.#ratePerSec / 50)))
  }

  /** A batch of `keys` with `bytes` in all came; `lagMs` is how late the later of the two loops ran. */
  observe(now: number, bytes: number, keys: number, lagMs: number): void {
    const { minPerSec, maxPerSec, increasePerSec, lateMs } = this.#limits
    const cost = bytes + keys * KEY_COST_BYTES
    this.#freeAt = Math.max(this.#freeAt, now) + (cost / this.#ratePerSec) * 1000
    const elapsed = now - this.#judgedAt
    if (lagMs > lateMs) {
      if (elapsed < lateMs) return // one halving per sign of load, not one per batch in flight
      this.#ratePerSec = Math.max(minPerSec, this.#ratePerSec / 2)
    } else {
      this.#ratePerSec = Math.min(maxPerSec, this.#ratePerSec + (increasePerSec * Math.min(elapsed, 1000)) / 1000)
    }
    this.#judgedAt = now
  }
}
