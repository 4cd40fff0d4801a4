/**
 * Dialects: the exact rules by which real programs make a ring of a server list. One row each; a program's answers are
 * reproduced point for point, its float rounding included.
 *
 *   label    text that stands for a server in what is hashed
 *   digests  how many md5 digests (4 points each) a server gets
 *   single   what happens to a list of one server: 'no hashing' = index 0 for every key
 *   ties     equal points: the server that comes first in the list
 */
export interface RingServer {
  readonly host: string
  readonly port: number
  /** Share of the keys, > 0; 1 if missing. */
  readonly weight?: number
  /** Free for the user; not hashed by the present dialects. */
  readonly name?: string
}

export interface DialectRules {
  label(server: RingServer): string
  /** Weights are > 0; `perServer` is the points of an average server. */
  digests(weight: number, total: number, servers: number, perServer: number): number
  single: 'no hashing' | 'hashed'
}

const f = Math.fround

/** `host` alone at memcached's own port, `host:port` otherwise. */
const shortLabel = ({ host, port }: RingServer): string => (port === 11211 ? host : `${host}:${port}`)

/** libmemcached's arithmetic, every step rounded to single precision: with 25, 47, 50 ... equal servers one digest is lost. */
const singlePrecisionDigests: DialectRules['digests'] = (weight, total, servers, perServer) => {
  const share = f(f(weight) / f(total))
  return Math.floor(f(f(f(share * perServer) / 4) * servers))
}

const TABLE = {
  'libmemcached-weighted': { label: shortLabel, digests: singlePrecisionDigests, single: 'no hashing' },
} as const satisfies Record<string, DialectRules>

export type Dialect = keyof typeof TABLE
export const DIALECTS = Object.keys(TABLE) as Dialect[]

export const isDialect = (name: string): name is Dialect => Object.hasOwn(TABLE, name)
export const rulesOf = (dialect: Dialect): DialectRules => TABLE[dialect]
