/** `continuum-cache/ketama`: rings as values. Needs nothing but the language, so it also runs in a browser. */
export { DIALECTS, type Dialect, isDialect, MD5_DIALECTS, rulesOf } from './dialects.js'
export { type Arc, type ArcColumns, arcShare } from './diff.js'
export { RingError, type RingErrorCode } from './errors.js'
export { POINTS_MAX, type Points } from './points.js'
export { Ring, type RingOptions } from './ring.js'
export type { DialectRules, Ties } from './rules.js'
export { fullLabel, matchServers, type RingServer, serverText } from './server.js'
export type { Share } from './spread.js'
