/**
 * A Ring is a value: servers, dialect, sorted points. A change makes a new one; nothing here knows which servers are alive.
 *
 *        values[i-1] < position <= values[i]   ->   owners[i]        past the last point: owners[0]
 */
import { type Dialect, isDialect, rulesOf } from './dialects.js'
import { type Arc, type ArcColumns, diffArcs, diffColumns } from './diff.js'
import { RingError } from './errors.js'
import { Finder } from './finder.js'
import { buildPoints, type Points, search } from './points.js'
import { type Tagged, tagReader } from './relation-key.js'
import { rendezvous } from './rendezvous.js'
import type { DialectRules } from './rules.js'
import { fullLabel, type RingServer } from './server.js'
import { type Share, spreadOf } from './spread.js'
import { buildWide, type WidePoints, wideKey, wideOwner } from './wide.js'

export interface RingOptions {
  /** Default 'libmemcached-weighted'. */
  dialect?: Dialect
  /** Points of a server of average weight: a multiple of the points a hash gives (4, 3 or 1), up to 65532; default: the dialect's, mostly 160. */
  pointsPerServer?: number
  /** Position of a key, 32 bits; default: the dialect's (mostly md5 word 0). */
  keyHash?: (key: string | Uint8Array) => number
  /** Two characters, like '{}': of a key with a tag between them only the tag is hashed. Default: none, keys are hashed whole. */
  relationTag?: string
}

type Key = string | Uint8Array

const SERVERS_MAX = 65535
const POINTS_PER_SERVER_MAX = 65532

export class Ring<Server extends RingServer = RingServer> {
  readonly servers: readonly Server[]
  readonly dialect: Dialect
  readonly pointsPerServer: number
  readonly relationTag: string | null
  /** Whether the weights of the servers count. */
  readonly weighted: boolean
  readonly #rules: DialectRules
  readonly #points: Points
  readonly #hash: (key: Key) => number
  readonly #keyHash: (key: Key) => number
  /** The look-up where it is not "hash, then search": one server, an empty key with a meaning, 128 bits, no points at all. */
  readonly #special: ((key: Key) => number) | null
  readonly #ranked: ((key: Key, n: number) => number[]) | null
  #finder: Finder | null = null

  /**
   * Throws a RingError for an empty list, an unknown dialect, a bad server, weight or tag, a server listed twice, or a bad
   * number of points. A weight of 0 is always refused: some programs take it as 1 and some as nothing.
   */
  constructor(servers: readonly Server[], options: RingOptions = {}) {
    const { dialect = 'libmemcached-weighted', keyHash, relationTag } = options
    if (!isDialect(dialect)) throw new RingError('UNKNOWN_DIALECT', `"${String(dialect)}" is not a ring dialect`)
    checkServers(servers)
    const rules = rulesFor(dialect, servers)
    const { pointsPerServer = rules.points } = options
    checkPoints(pointsPerServer, rules)
    this.servers = Object.freeze([...servers])
    this.dialect = dialect
    this.pointsPerServer = pointsPerServer
    this.relationTag = relationTag ?? null
    this.weighted = rules.weighted
    this.#rules = rules
    const tagged = relationTag === undefined ? null : tagReader(relationTag)
    this.#keyHash = keyHash ?? (rules.kind === 'wide' ? wideKey : rules.key)
    this.#hash = tagged ? taggedHash(tagged, this.#keyHash) : this.#keyHash
    const labels = this.servers.map(server => rules.label(server))
    checkLabels(labels)
    if (rules.kind === 'scores') {
      this.#points = { values: new Uint32Array(0), owners: new Uint16Array(0) }
      this.#ranked = (key, n) => rendezvous(labels, tagged ? tagged(key) : key, n)
    } else {
      this.#points = (rules.kind === 'wide' ? buildWide : buildPoints)(this.servers, rules, pointsPerServer)
      if (this.#points.values.length === 0) {
        throw new RingError('BAD_WEIGHT', 'with these weights no server gets a point')
      }
      this.#ranked = null
    }
    this.#special = this.#specialLookup(tagged, keyHash !== undefined)
  }

  /** The server that owns the key. Throws BAD_KEY for an empty key, unless the dialect's program has an answer for it. */
  get(key: Key): Server {
    return this.servers[this.indexOf(key)]!
  }

  /** Its index in `servers`. */
  indexOf(key: Key): number {
    if (this.#special !== null) return this.#special(key)
    if (key.length === 0) throw emptyKey()
    return this.indexAt(this.#hash(key))
  }

  /** Index of the server that owns a position. */
  indexAt(hash: number): number {
    this.#finder ??= new Finder(this.points())
    return this.#finder.ownerAt(hash)
  }

  /** Position of a key on the circle. */
  hash(key: Key): number {
    return this.#hash(key)
  }

  /** The next `n` distinct servers clockwise after the owner, fewer if there are no more. */
  successors(key: Key, n: number): Server[] {
    if (this.#ranked)
      return this.#ranked(key, n + 1)
        .slice(1)
        .map(index => this.servers[index]!)
    const { values, owners } = this.#points
    const owner = this.indexOf(key)
    const start = search(values, this.#hash(key))
    const seen = new Set([owner])
    const found: Server[] = []
    for (let step = 0; step < values.length && found.length < n; step++) {
      const next = owners[(start + step) % values.length]!
      if (seen.has(next)) continue
      seen.add(next)
      found.push(this.servers[next]!)
    }
    return found
  }

  /**
   * All points, where the ring searches for them; do not change them. Throws NOT_A_RING for `pymemcache-rendezvous`, which
   * has none.
   */
  points(): Points {
    if (this.#ranked)
      throw new RingError('NOT_A_RING', `"${this.dialect}" has no points: every server scores every key`)
    return this.#points
  }

  /** The values of `points()` as the dialect's program has them, in the same places: npm ketama's are signed. */
  programValues(): number[] {
    const { back } = this.#rules
    const values = Array.from(this.points().values, value => (back ? back(value) : value))
    return this.dialect === 'npm-ketama' ? values.map(value => value | 0) : values
  }

  /** Points and part of the circle of each server, in the order of `servers`. Throws NOT_A_RING as `points` does. */
  spread(): Share<Server>[] {
    return spreadOf(this.servers, this.points(), this.#rules)
  }

  /**
   * What changes owner between this ring and `other`, ascending; servers are the same if their names are, or, where one has
   * no name, host and port. Above 20,000 arcs each is made when it is looked at: an index keeps the same object, a loop makes
   * an equal one every time. Throws NOT_COMPARABLE if the two do not put a key at the same position.
   */
  diff(other: Ring): Arc[] {
    this.#mustCompareTo(other)
    return diffArcs(this, other)
  }

  /** The arcs of `diff` as columns, with no object for any. */
  diffColumns(other: Ring): ArcColumns {
    this.#mustCompareTo(other)
    return diffColumns(this, other)
  }

  /** Whether both put every key at the same position, so that `diff` can tell arcs. */
  comparesTo(other: Ring): boolean {
    if (this.#ranked || other.#ranked) return false
    return this.#keyHash === other.#keyHash && this.relationTag === other.relationTag
  }

  #mustCompareTo(other: Ring): void {
    if (this.comparesTo(other)) return
    throw new RingError(
      'NOT_COMPARABLE',
      `"${this.dialect}" and "${other.dialect}" put a key at different positions: compare owners key by key`,
    )
  }

  #specialLookup(tagged: Tagged | null, ownHash: boolean): ((key: Key) => number) | null {
    const { kind, single, emptyKey: empty } = this.#rules
    const ranked = this.#ranked
    if (ranked) return key => ranked(present(key), 1)[0]!
    if (this.servers.length === 1 && single === 'no hashing') {
      return key => (empty || key.length > 0 ? 0 : raise(emptyKey()))
    }
    if (kind === 'wide' && !ownHash) {
      const points = this.#points as WidePoints
      return key => wideOwner(points, tagged ? tagged(present(key)) : present(key))
    }
    if (empty) return key => (key.length === 0 ? 0 : this.indexAt(this.#hash(key)))
    return null
  }
}

const emptyKey = (): RingError => new RingError('BAD_KEY', 'the key "" is empty: a key has at least one byte')
const raise = (error: RingError): never => {
  throw error
}
const present = (key: Key): Key => (key.length > 0 ? key : raise(emptyKey()))
const taggedHash = (tagged: Tagged, hash: (key: Key) => number) => (key: Key) => hash(tagged(key))

function rulesFor(dialect: Dialect, servers: readonly RingServer[]): DialectRules {
  const rules = rulesOf(dialect)
  return rules.ifWeighted && servers.some(({ weight = 1 }) => weight > 1) ? rules.ifWeighted : rules
}

function checkPoints(perServer: number, { layout, kind }: DialectRules): void {
  const step = kind === 'wide' ? 1 : layout.perHash
  if (
    Number.isInteger(perServer) &&
    perServer >= step &&
    perServer <= POINTS_PER_SERVER_MAX &&
    perServer % step === 0
  ) {
    return
  }
  const what = step === 1 ? 'a whole number' : `a multiple of ${step}`
  throw new RingError(
    'BAD_POINTS',
    `${perServer} points per server: it must be ${what} from ${step} to ${POINTS_PER_SERVER_MAX}`,
  )
}

function checkServers(servers: readonly RingServer[]): void {
  if (servers.length === 0) throw new RingError('EMPTY_SERVERS', 'a ring needs at least one server')
  if (servers.length > SERVERS_MAX) {
    throw new RingError('BAD_SERVER', `${servers.length} servers: at most ${SERVERS_MAX}`)
  }
  const seen = new Set<string>()
  for (const server of servers) {
    const { host, port, weight = 1, name } = server
    const label = fullLabel(server)
    if (!host || !Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RingError('BAD_SERVER', `"${label}" is not a host and a port`)
    }
    if (name === '') throw new RingError('BAD_SERVER', `the name "" of ${label} is empty`)
    if (!Number.isFinite(weight) || weight <= 0) {
      throw new RingError('BAD_WEIGHT', `weight ${weight} of ${label}: it must be a number above 0`)
    }
    if (seen.has(label)) throw new RingError('DUPLICATE_SERVER', `server ${label} is listed twice`)
    seen.add(label)
  }
}

/** Two servers with one label would have the same points. */
function checkLabels(labels: readonly string[]): void {
  const seen = new Set<string>()
  for (const label of labels) {
    if (seen.has(label)) throw new RingError('DUPLICATE_SERVER', `server "${label}" is listed twice`)
    seen.add(label)
  }
}
