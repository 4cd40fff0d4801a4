/** The rules of one dialect: everything that two programs must have in common to agree about every key. */
import type { HashCount } from './hash-counts.js'
import type { KeyHash } from './key-hashes.js'
import type { Layout } from './layouts.js'
import type { Label } from './server.js'

/**
 * Who owns a point that several servers have.
 *   earlier         the server that comes first in the list
 *   later           the server that comes last; the point is there once
 *   later twice     the same, but the point stays in the list as often as it was made
 *   label           the server with the shorter label, then the smaller one by bytes; the order of the list does not matter
 */
export type Ties = 'earlier' | 'later' | 'later twice' | 'label'

export interface DialectRules {
  readonly label: Label
  readonly layout: Layout
  readonly count: HashCount
  /** Points of an average server unless the caller asks for another number. */
  readonly points: number
  /** False: weights are ignored. */
  readonly weighted: boolean
  readonly key: KeyHash
  readonly ties: Ties
  /** A list of one server: 'no hashing' gives it every key without points. */
  readonly single: 'no hashing' | 'hashed'
  /** Where the program's own point lies on the circle of the ring; missing: where it is. Its own inverse or undone by `back`. */
  readonly place?: (point: number) => number
  readonly back?: (position: number) => number
  /** 'slots': the circle is cut into 1,024 equal arcs, each owned by one point. 'wide': points of 128 bits. 'scores': no points. */
  readonly kind?: 'slots' | 'wide' | 'scores'
  /** What an empty key means: an error unless the program has an answer. */
  readonly emptyKey?: 'first server'
  /** The rules from the first server with a weight above 1 on. */
  readonly ifWeighted?: DialectRules
}
