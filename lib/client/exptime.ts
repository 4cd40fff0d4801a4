/**
 * Times to live as callers have them, and as memcached takes them (PROTOCOL D5): 0 never, up to 30 days seconds from now,
 * above that Unix time. A number is always seconds from now here, however large; a Date is a moment.
 */
import { ClientError } from './errors.js'

/** Seconds from now (0: for ever), or the moment at which the item ends. */
export type Ttl = number | Date

const RELATIVE_MAX = 2_592_000
const INT32_MAX = 2 ** 31 - 1

/** Throws BAD_TTL for what is no time, is negative, or ends after January 2038, which memcached's 32 bits do not reach. */
export function exptimeOf(ttl: Ttl | undefined, nowMs = Date.now()): number {
  if (ttl === undefined || ttl === 0) return 0
  if (typeof ttl === 'number') {
    if (!(ttl > 0))
      throw new ClientError('BAD_TTL', `a ttl of ${ttl}: it must be 0 (for ever) or a number of seconds above it`)
    const seconds = Math.ceil(ttl)
    return seconds <= RELATIVE_MAX ? seconds : int32(Math.floor(nowMs / 1000) + seconds, ttl)
  }
  const ms = ttl instanceof Date ? ttl.getTime() : Number.NaN
  if (Number.isNaN(ms)) throw new ClientError('BAD_TTL', `a ttl of ${String(ttl)} is neither seconds nor a date`)
  if (ms <= nowMs) return -1
  return int32(Math.ceil(ms / 1000), ttl)
}

function int32(seconds: number, ttl: Ttl): number {
  if (seconds > INT32_MAX)
    throw new ClientError('BAD_TTL', `a ttl of ${String(ttl)} ends later than memcached can say (2038)`)
  return seconds
}
