/**
 * A Ring is a value: servers, dialect, sorted points. A change makes a new one; nothing here knows which servers are alive.
 *
 *        values[i-1] < hash <= values[i]   ->   owners[i]        past the last point: owners[0]
 */
import { type Dialect, isDialect, type RingServer, rulesOf } from './dialects.js'
import { type Arc, diffRings } from './diff.js'
import { RingError } from './errors.js'
import { buildPoints, md5Point, type Points, search } from './points.js'

export interface RingOptions {
  /** Default 'libmemcached-weighted'. */
  dialect?: Dialect
  /** Points of a server of average weight: a multiple of 4, 4..65532; default 160, sensible 100-200. */
  pointsPerServer?: number
  /** Position of a key, 32 bits; default: the dialect's (md5 word 0). */
  keyHash?: (key: string | Uint8Array) => number
}

const SERVERS_MAX = 65535

export class Ring<Server extends RingServer = RingServer> {
  readonly servers: readonly Server[]
  readonly dialect: Dialect
  readonly pointsPerServer: number
  readonly #points: Points
  readonly #hash: (key: string | Uint8Array) => number

  /** Throws a RingError for an empty list, an unknown dialect, a bad weight, a server listed twice, or a bad number of points. */
  constructor(servers: readonly Server[], options: RingOptions = {}) {
    const { dialect = 'libmemcached-weighted', pointsPerServer = 160, keyHash = md5Point } = options
    if (!isDialect(dialect)) throw new RingError('UNKNOWN_DIALECT', `"${String(dialect)}" is not a ring dialect`)
    if (!Number.isInteger(pointsPerServer) || pointsPerServer < 4 || pointsPerServer > 65532 || pointsPerServer % 4) {
      throw new RingError(
        'BAD_POINTS',
        `${pointsPerServer} points per server: it must be a multiple of 4 from 4 to 65532`,
      )
    }
    checkServers(servers)
    this.servers = Object.freeze([...servers])
    this.dialect = dialect
    this.pointsPerServer = pointsPerServer
    this.#hash = keyHash
    this.#points = buildPoints(this.servers, rulesOf(dialect), pointsPerServer)
    if (this.#points.values.length === 0) throw new RingError('BAD_WEIGHT', 'with these weights no server gets a point')
  }

  /** The server that owns the key. */
  get(key: string | Uint8Array): Server {
    return this.servers[this.indexOf(key)]!
  }

  /** Its index in `servers`. */
  indexOf(key: string | Uint8Array): number {
    return this.#points.values.length === 1 ? this.#points.owners[0]! : this.indexAt(this.#hash(key))
  }

  /** Index of the server that owns a position. */
  indexAt(hash: number): number {
    return this.#points.owners[search(this.#points.values, hash)]!
  }

  /** Position of a key on the circle. */
  hash(key: string | Uint8Array): number {
    return this.#hash(key)
  }

  /** The next `n` distinct servers clockwise after the owner, fewer if there are no more. */
  successors(key: string | Uint8Array, n: number): Server[] {
    const { values, owners } = this.#points
    const start = search(values, this.#hash(key))
    const seen = new Set([owners[start]!])
    const found: Server[] = []
    for (let step = 1; step < values.length && found.length < n; step++) {
      const owner = owners[(start + step) % values.length]!
      if (seen.has(owner)) continue
      seen.add(owner)
      found.push(this.servers[owner]!)
    }
    return found
  }

  /** All points; do not change them. */
  points(): Points {
    return this.#points
  }

  /** What changes owner between this ring and `other`; servers are the same if host and port are. */
  diff(other: Ring): Arc[] {
    return diffRings(this, other)
  }
}

function checkServers(servers: readonly RingServer[]): void {
  if (servers.length === 0) throw new RingError('EMPTY_SERVERS', 'a ring needs at least one server')
  if (servers.length > SERVERS_MAX)
    throw new RingError('BAD_SERVER', `${servers.length} servers: at most ${SERVERS_MAX}`)
  const seen = new Set<string>()
  for (const { host, port, weight = 1 } of servers) {
    const label = `${host}:${port}`
    if (!host || !Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RingError('BAD_SERVER', `"${label}" is not a host and a port`)
    }
    if (!Number.isFinite(weight) || weight <= 0) {
      throw new RingError('BAD_WEIGHT', `weight ${weight} of ${label}: it must be a number above 0`)
    }
    if (seen.has(label)) throw new RingError('DUPLICATE_SERVER', `server ${label} is listed twice`)
    seen.add(label)
  }
}
