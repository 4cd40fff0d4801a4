/** `continuum-cache/ketama`: rings as values. Needs Node's md5 and nothing else; knows no server code. */
export { DIALECTS, type Dialect, isDialect, type RingServer } from './dialects.js'
export type { Arc } from './diff.js'
export { RingError, type RingErrorCode } from './errors.js'
export type { Points } from './points.js'
export { Ring, type RingOptions } from './ring.js'
