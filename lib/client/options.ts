/** Options of a client: what may be said, what is meant when nothing is said, and what makes no sense. */
import type { ConnectionOptions } from 'node:tls'
import type { RingOptions, RingServer } from '../ketama/index.js'
import { addressOf, ListError, parseInline } from '../protocol/index.js'
import { BACKOFF_MAX_MS, BACKOFF_MIN_MS, type BackoffOptions } from './backoff.js'
import type { CompressionOptions } from './compression.js'
import type { Protocol } from './connection.js'
import { ClientError } from './errors.js'
import type { Ttl } from './exptime.js'
import type { NodeSettings } from './node.js'
import type { Serializer } from './serializer.js'

/** `'host:port'`, `'host:port=weight,host:port'`, or a list of such texts and of servers. */
export type Servers = string | readonly (string | RingServer)[]

export interface PreviousOptions extends RingOptions {
  servers: Servers
  /** Time to live of what is copied from servers of the classic protocol, which do not say how long it has; default 300 s. */
  ttlIfUnknown?: number
}

export interface DiscoveryOptions {
  /** How often the servers are asked for the server list; default 10,000 ms. A lost connection asks at once. */
  intervalMs?: number
}

/** How the ring is drawn (`dialect` and the rest) is what RingOptions say. */
export interface ClientOptions<Value = unknown> extends RingOptions {
  /** Default '127.0.0.1:11211'. */
  servers?: Servers
  /** Goes before every key, and counts among its 250 bytes. */
  namespace?: string
  /** For values stored without one; default 0, for ever. */
  ttl?: Ttl
  /** Default `typed`: strings, bytes, numbers, bigints, and JSON for the rest. */
  serializer?: Serializer<Value>
  /** Default: none is written; what gzip or brotli wrote is read. */
  compression?: CompressionOptions | boolean
  /** For each call, from its start to its reply, whatever lies between; default 1000 ms. */
  timeoutMs?: number
  /** For a connection, with TLS and login; default `timeoutMs`. */
  connectTimeoutMs?: number
  /** Connections to each server; default 1, which is enough unless values are large. */
  connections?: number
  /** Requests on their way to one server on one connection; default 65,536. More are rejected with QUEUE_FULL. */
  queueMax?: number
  /** The same in bytes; default 64 MiB. */
  queueBytesMax?: number
  /** Largest value written or read, compressed or not; default 128 MiB, so that the server's -I decides. */
  valueBytesMax?: number
  /** Failures in a row after which a node is ejected; default 3. Lower fails faster, and sooner without need. */
  failuresMax?: number
  /** Between attempts to reach a node. */
  backoff?: BackoffOptions
  /**
   * What happens to keys of an ejected node. 'fail': calls are rejected at once (default: two servers that both hold a key
   * disagree sooner or later). 'next': the next node of the ring is asked; right in a tier, where any node answers for any
   * key, and so the default once `discovery` has found one.
   */
  whenEjected?: 'fail' | 'next'
  /** 'throw' (default), or 'miss': reads that a node cannot serve are misses; events still tell. */
  failures?: 'throw' | 'miss'
  /** 'auto' (default) asks each server whether it knows meta commands. */
  protocol?: Protocol
  /** Options of tls.connect; true: the system's certificate authorities. */
  tls?: ConnectionOptions | boolean
  /** memcached's ASCII login (-Y). Send it over TLS only. */
  auth?: { user: string; password: string }
  /** Follow the server list that the servers themselves tell. Default off. */
  discovery?: boolean | DiscoveryOptions
  /** Where keys lived before: asked on a miss. See docs/CLIENT.md. */
  previous?: PreviousOptions
}

/** Options with everything decided. */
export interface Settings {
  servers: RingServer[]
  ring: RingOptions
  node: NodeSettings
  whenEjected: 'fail' | 'next' | null
  missOnFailure: boolean
  compression: CompressionOptions | null
  discoveryMs: number | null
  previous: { servers: RingServer[]; ring: RingOptions; ttlIfUnknown: number } | null
}

const MIB = 1024 * 1024

/** Throws a ClientError with BAD_OPTIONS; rings are checked where they are made. */
export function settingsOf<Value>(options: ClientOptions<Value>): Settings {
  const { timeoutMs = 1000, connectTimeoutMs = timeoutMs, backoff = {}, previous, discovery = false } = options
  const { maxMs = BACKOFF_MAX_MS, minMs = Math.min(BACKOFF_MIN_MS, maxMs) } = backoff
  const {
    connections = 1,
    queueMax = 65_536,
    queueBytesMax = 64 * MIB,
    valueBytesMax = 128 * MIB,
    failuresMax = 3,
  } = options
  const { tls = false, auth = null, protocol = 'auto', compression = false } = options
  within('timeoutMs', timeoutMs, 1, 2 ** 31 - 1)
  within('connectTimeoutMs', connectTimeoutMs, 1, 2 ** 31 - 1)
  within('backoff.minMs', minMs, 1, 2 ** 31 - 1)
  within('backoff.maxMs', maxMs, minMs, 2 ** 31 - 1)
  within('connections', connections, 1, 1024)
  within('queueMax', queueMax, 1, 2 ** 31)
  within('queueBytesMax', queueBytesMax, 1, Number.MAX_SAFE_INTEGER)
  within('valueBytesMax', valueBytesMax, 1, 2 ** 30)
  within('failuresMax', failuresMax, 1, 1_000_000)
  oneOf('protocol', protocol, ['auto', 'meta', 'classic'])
  oneOf('whenEjected', options.whenEjected ?? 'fail', ['fail', 'next'])
  oneOf('failures', options.failures ?? 'throw', ['throw', 'miss'])
  if (auth && (/[\s]/.test(auth.user) || auth.user === '' || /[\r\n]/.test(auth.password))) {
    throw bad('auth needs a user without spaces and a password of one line')
  }
  const { intervalMs = 10_000 } = typeof discovery === 'object' ? discovery : {}
  within('discovery.intervalMs', intervalMs, 10, 2 ** 31 - 1)
  return {
    servers: serversOf(options.servers ?? '127.0.0.1:11211'),
    ring: ringOf(options),
    node: {
      ...{
        timeoutMs,
        connectTimeoutMs,
        connections,
        queueMax,
        queueBytesMax,
        valueBytesMax,
        failuresMax,
        protocol,
        auth,
      },
      ...{ backoffMinMs: minMs, backoffMaxMs: maxMs, tls: tls === true ? {} : tls || null },
    },
    whenEjected: options.whenEjected ?? null,
    missOnFailure: options.failures === 'miss',
    compression: compression === true ? {} : compression || null,
    discoveryMs: discovery === false ? null : intervalMs,
    previous: previous
      ? {
          servers: serversOf(previous.servers),
          ring: { ...ringOf(options), ...ringOf(previous) },
          ttlIfUnknown: within('previous.ttlIfUnknown', previous.ttlIfUnknown ?? 300, 1, 2_592_000),
        }
      : null,
  }
}

/** Throws BAD_OPTIONS for what is no address. */
export function serversOf(servers: Servers): RingServer[] {
  try {
    if (typeof servers === 'string') return parseInline(servers)
    if (!Array.isArray(servers)) throw new ListError('it is neither a text nor a list')
    return (servers as readonly (string | RingServer)[]).flatMap(server => {
      if (typeof server !== 'string') return [server]
      return server.includes('=') || server.includes(',') ? parseInline(server) : [addressOf(server)]
    })
  } catch (error) {
    throw error instanceof ListError ? bad(`servers: ${error.message}`) : error
  }
}

/** Those that were said: what is missing is the ring's to decide. */
function ringOf({ dialect, pointsPerServer, keyHash, relationTag }: RingOptions): RingOptions {
  return {
    ...(dialect === undefined ? {} : { dialect }),
    ...(pointsPerServer === undefined ? {} : { pointsPerServer }),
    ...(keyHash === undefined ? {} : { keyHash }),
    ...(relationTag === undefined ? {} : { relationTag }),
  }
}

function within(name: string, value: number, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value
  throw bad(`${name} is ${String(value)}: it must be a number from ${least} to ${most}`)
}

function oneOf(name: string, value: string, words: readonly string[]): void {
  if (!words.includes(value)) throw bad(`${name} is ${JSON.stringify(value)}: it must be one of ${words.join(', ')}`)
}

const bad = (sentence: string): ClientError => new ClientError('BAD_OPTIONS', sentence)
