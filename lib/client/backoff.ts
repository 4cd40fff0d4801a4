/**
 * How long to wait before the n-th attempt in a row: doubling from `minMs` to `maxMs`, of which a random part between a half
 * and the whole, so that many clients of one dead server do not come back in step.
 */
export interface BackoffOptions {
  /** Default 50 ms. Lower finds a restarted server sooner. */
  minMs?: number
  /** Default 5000 ms. Higher leaves a dead server more in peace. */
  maxMs?: number
}

export const BACKOFF_MIN_MS = 50
export const BACKOFF_MAX_MS = 5000

/** `attempt` counts from 1. */
export function backoffMs(attempt: number, minMs: number, maxMs: number, random: () => number = Math.random): number {
  const whole = Math.min(maxMs, minMs * 2 ** Math.min(attempt - 1, 30))
  return whole * (0.5 + random() / 2)
}
