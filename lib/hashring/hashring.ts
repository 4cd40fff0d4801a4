/**
 * npm's hashring 3.2, same interface and same answers, on our points and our md5: `import HashRing from
 * 'continuum-cache/hashring'` is the whole change. A ring that changes in place, unlike `Ring`.
 *
 * Different on purpose, all of it where the original fails: `'max cache size': 0` means no cache (there: a TypeError at
 * the first key); keys such as "constructor" are keys like any other (there: they land in the global Object and are
 * answered from another ring); a list of `{host, port, weight}` keeps its weights (there: a TypeError); `continuum`
 * called after `swap` starts afresh (there: answers kept, and points in excess, of the ring before stay).
 */
import { createHash } from 'node:crypto'
import { Finder } from '../ketama/finder.js'
import { md5Word } from '../ketama/hash/md5.js'
import { search } from '../ketama/points.js'
import { Cache } from './cache.js'
import { type HashRingServer, parseServers, type ServerList, vnodesOf } from './servers.js'

/** What a custom hash may answer: bytes, or a text whose characters are bytes. */
export type Hasher = (key: string) => ArrayLike<number> | string

export interface HashRingOptions {
  /** Digests of a server of average weight, default 40; 4 points each. */
  'vnode count'?: number
  /** 'hash_ring': 3 points a digest. Anything else: 4. Beats `replicas`. */
  compatibility?: 'ketama' | 'hash_ring' | (string & {})
  /** Points a digest, default 4; below 1 means 1. */
  replicas?: number
  /** Answers kept by key, default 5000; 0: none. */
  'max cache size'?: number
  /** A server at this port is hashed by its host alone. */
  'default port'?: number | null
}

export interface RingNode {
  value: number
  server: string
}

export default class HashRing {
  /** The version whose answers these are. */
  static readonly version = '3.2.0'

  readonly vnode: number
  readonly algorithm: string | Hasher
  readonly defaultport: number | null
  readonly replicas: number
  readonly cache: Cache<string>
  servers: HashRingServer[]
  /** Server text to its own number of digests; 0: by its share. */
  vnodes: Record<string, number | undefined>
  /** Number of points. */
  size = 0

  #values = new Uint32Array(0)
  #owners = new Uint16Array(0)
  /** Text of the server of each owner number; `swap` changes it alone. */
  #names: string[] = []
  #finder: Finder | null = null
  #nodes: RingNode[] | null = null

  /** `algorithm`: a name that node:crypto knows, or a function; default 'md5'. */
  constructor(servers?: ServerList, algorithm?: string | Hasher | null, options: HashRingOptions | null = {}) {
    const { compatibility, replicas = 4, 'default port': defaultPort } = options ?? {}
    this.vnode = options?.['vnode count'] ?? 40
    this.algorithm = algorithm || 'md5'
    this.defaultport = defaultPort || null
    const points = compatibility ? (compatibility === 'hash_ring' ? 3 : 4) : Number(replicas)
    this.replicas = points <= 0 ? 1 : points
    this.cache = new Cache(options?.['max cache size'] ?? 5000)
    this.servers = parseServers(servers)
    this.vnodes = vnodesOf(this.servers)
    if (typeof this.algorithm === 'function') this.hash = this.algorithm
    this.continuum()
  }

  /** All points, ascending. */
  get ring(): RingNode[] {
    this.#nodes ??= Array.from(this.#values, (value, i) => ({ value, server: this.#names[this.#owners[i]!]! }))
    return this.#nodes
  }

  /** Makes the points of the present servers, and forgets the answers kept. */
  continuum(): this {
    this.cache.reset()
    const servers = this.servers
    if (servers.length === 0) return this
    let total = 0
    for (const server of servers) total += server.weight
    const packed: number[] = [] // value * 65536 + server: sorts by value, then by place in the list
    servers.forEach((server, owner) => {
      const own = this.vnodes[server.string] || this.vnode
      const share = Math.floor((server.weight / total) * own * servers.length)
      const digests = own === this.vnode ? share : own
      const label = this.defaultport && server.port === this.defaultport ? server.host : server.string
      for (let i = 0; i < digests; i++) {
        const bytes = this.digest(`${label}-${i}`)
        for (let replica = 0; replica < this.replicas; replica++) {
          packed.push(wordAt(bytes, replica * 4) * 65536 + owner)
        }
      }
    })
    const sorted = Float64Array.from(packed).sort()
    this.#names = servers.map(server => server.string)
    this.#values = Uint32Array.from(sorted, both => both / 65536)
    this.#owners = Uint16Array.from(sorted, both => both % 65536)
    this.#forget()
    return this
  }

  /** The server of a key; undefined if there is none. Keys that are not texts count as their text. */
  get(key: unknown): string | undefined {
    const known = this.cache.get(key)
    if (known !== undefined) return known
    if (this.size === 0) return undefined
    this.#finder ??= new Finder({ values: this.#values, owners: this.#owners })
    const server = this.#names[this.#finder.ownerAt(this.hashValue(key))]!
    this.cache.set(key, server)
    return server
  }

  /** Place in `ring` of the first point at or after a position; past the end, 0. */
  find(hashValue: number): number {
    return this.size === 0 ? 0 : search(this.#values, hashValue)
  }

  /** The digest of a key; the constructor's function takes its place. */
  hash(key: string): ArrayLike<number> | string {
    return createHash(this.algorithm as string)
      .update(key)
      .digest()
  }

  /** The digest of a key's text as bytes. */
  digest(key: unknown): ArrayLike<number> {
    const hash = this.hash(asText(key))
    return typeof hash === 'string' ? Array.from(hash, (_, i) => hash.charCodeAt(i)) : hash
  }

  /** Position of a key, 32 bits. */
  hashValue(key: unknown): number {
    if (this.algorithm === 'md5' && this.hash === HashRing.prototype.hash) return md5Word(asText(key))
    return wordAt(this.digest(key), 0)
  }

  /** Servers from the key's point on: `size` of them (default: as many as there are servers), each once unless `unique` is false. */
  range(key: unknown, size?: number, unique = true): string[] {
    if (this.size === 0) return []
    const wanted = size || this.servers.length
    const start = this.find(this.hashValue(key))
    const found: string[] = []
    const seen = new Set<string>()
    for (let step = 0; step < this.size; step++) {
      const server = this.#names[this.#owners[(start + step) % this.size]!]!
      if (unique && seen.has(server)) continue
      seen.add(server)
      found.push(server)
      if (found.length === wanted) break
    }
    return found
  }

  /** Positions by server, of all or of those named. */
  points(servers?: readonly string[]): Record<string, number[]> {
    const all: Record<string, number[]> = Object.create(null)
    for (const server of Array.isArray(servers) ? servers : Object.keys(this.vnodes)) all[server] = []
    for (let i = 0; i < this.size; i++) all[this.#names[this.#owners[i]!]!]?.push(this.#values[i]!)
    return all
  }

  /** Another server takes the very points of `from`: no other key moves. */
  swap(from: string, to: string): this {
    const connection = parseServers(to).pop()
    this.#names = this.#names.map(name => (name === from ? to : name))
    this.#nodes = null
    this.cache.forEach((server, key) => {
      if (server === from) this.cache.set(key, to)
    })
    this.vnodes[to] = this.vnodes[from]
    delete this.vnodes[from]
    for (const server of this.servers) {
      if (server.string !== from || !connection) continue
      server.string = to
      server.host = connection.host
      server.port = connection.port
    }
    return this
  }

  /** Adds servers, in the forms of the constructor; those already there are left alone. */
  add(servers: ServerList): this {
    const all: Record<string, HashRingServer> = Object.create(null)
    for (const server of this.servers) all[server.string] = server
    for (const server of parseServers(servers)) all[server.string] ??= server
    this.servers = parseServers(all)
    this.vnodes = vnodesOf(this.servers)
    return this.reset().continuum()
  }

  /** Removes one server; of a list, the last. Throws a TypeError if none is named. */
  remove(server: ServerList): this {
    const gone = parseServers(server).pop()
    if (!gone) throw new TypeError(`${JSON.stringify(server)} names no server to remove`)
    delete this.vnodes[gone.string]
    this.servers = this.servers.filter(({ string }) => string !== gone.string)
    return this.reset().continuum()
  }

  /** Whether a server has points. */
  has(server: string): boolean {
    return this.#owners.some(owner => this.#names[owner] === server)
  }

  /** Drops all points and answers kept; the servers stay. */
  reset(): this {
    this.#values = new Uint32Array(0)
    this.#owners = new Uint16Array(0)
    this.#forget()
    this.cache.reset()
    return this
  }

  /** Drops everything. */
  end(): this {
    this.reset()
    this.vnodes = {}
    this.servers.length = 0
    return this
  }

  /** Old names of the original, kept for programs that still use them. */
  getNode(key: unknown): string | undefined {
    return this.get(key)
  }
  addServer(servers: ServerList): this {
    return this.add(servers)
  }
  removeServer(server: ServerList): this {
    return this.remove(server)
  }
  getNodePosition(hashValue: number): number {
    return this.find(hashValue)
  }
  position(hashValue: number): number {
    return this.find(hashValue)
  }
  /** Does nothing, as in the original; `swap` does what the name says. */
  replace(): void {}
  replaceServer(): void {}

  #forget(): void {
    this.size = this.#values.length
    this.#finder = null
    this.#nodes = null
  }
}

/** What `key + ''` makes of a key: an object's valueOf comes before its toString, unlike in a template. */
function asText(key: unknown): string {
  // biome-ignore lint/style/useTemplate: a template calls toString first
  return typeof key === 'string' ? key : (key as string) + ''
}

/** Four bytes, little endian; what is past the end counts as 0. */
function wordAt(bytes: ArrayLike<number>, at: number): number {
  return ((bytes[at + 3]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 1]! << 8) | bytes[at]!) >>> 0
}
