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

/** Values of 100 bytes, which most are. */
const BYTES_PER_COST_AT_FIRST = 0.2
const BATCH_BYTES_MIN = 1024

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
  /** Of the last batches, the later ones count more: below 1, as keys cost more than their bytes. */
  #bytesPerCost = BYTES_PER_COST_AT_FIRST

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

  /** Bytes worth asking for in one batch: about 20 ms of the present rate, less what their keys will cost. */
  batchBytes(): number {
    const cost = Math.min(256 * 1024, Math.max(16 * 1024, this.#ratePerSec / 50))
    return Math.max(BATCH_BYTES_MIN, Math.round(cost * this.#bytesPerCost))
  }

  /** A batch of `keys` with `bytes` in all came; `lagMs` is how late the later of the two loops ran. */
  observe(now: number, bytes: number, keys: number, lagMs: number): void {
    const { minPerSec, maxPerSec, increasePerSec, lateMs } = this.#limits
    const cost = bytes + keys * KEY_COST_BYTES
    if (keys > 0) this.#bytesPerCost = (this.#bytesPerCost + bytes / cost) / 2
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
