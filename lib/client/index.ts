/** `continuum-cache/client`: a memcached client for applications. Loads no server code. */
export {
  DIALECTS,
  type Dialect,
  Ring,
  RingError,
  type RingErrorCode,
  type RingOptions,
  type RingServer,
} from '../ketama/index.js'
export type { BackoffOptions } from './backoff.js'
export type { CallOptions, TraceContext } from './calls.js'
export { Client } from './client.js'
export { brotliCompressor, type CompressionOptions, type Compressor, gzipCompressor } from './compression.js'
export type { Protocol } from './connection.js'
export type { ClientEvents, NodeMessage } from './core.js'
export { ClientError, type ClientErrorCode, PartialError } from './errors.js'
export type { Ttl } from './exptime.js'
export type { Key } from './key.js'
export type { Filler } from './lease.js'
export type { CountOptions, GetOrSetOptions, StoreOptions } from './namespace.js'
export { Namespace } from './namespace.js'
export type { ClientOptions, DiscoveryOptions, PreviousOptions, Servers } from './options.js'
export type { Entry } from './requests/read.js'
export { type Encoded, json, raw, type Serializer, typed } from './serializer.js'
