/**
 * Dialects: the exact rules by which real programs make a ring of a server list, one row each; a program's answers are
 * reproduced point for point, its float rounding included. docs/RING.md says which client uses which.
 */

import { crc32 } from './hash/crc32.js'
import { fnv1a32, fnv1a64Low } from './hash/fnv.js'
import { oneAtATime } from './hash/jenkins.js'
import { md5Word } from './hash/md5.js'
import { xxh3Low } from './hash/xxh3.js'
import {
  byOwnWeight,
  doublePrecision,
  exact,
  fixed,
  mixedPrecision,
  roundedWeight,
  singlePrecision,
} from './hash-counts.js'
import * as keys from './key-hashes.js'
import { dalliLayout, md5Words, npmKetamaLayout, oneOf, perlFastLayout } from './layouts.js'
import type { DialectRules } from './rules.js'
import * as labels from './server.js'

/** Four points a digest, 160 points, md5 keys: what "ketama" means where nothing else is said. */
const ketama: DialectRules = {
  label: labels.shortLabel,
  layout: md5Words(4),
  count: singlePrecision,
  points: 160,
  weighted: true,
  key: keys.md5Key,
  ties: 'earlier',
  single: 'hashed',
}

const libmemcached: DialectRules = { ...ketama, single: 'no hashing' }

/** 100 points of one hash each, until a weight above 1 turns weighting on; the hash of the keys stays. */
const libmemcachedPlain = (part: Pick<DialectRules, 'layout' | 'key'>, label = labels.shortLabel): DialectRules => ({
  ...{ ...libmemcached, ...part, label, count: fixed, points: 100, weighted: false },
  ifWeighted: { ...libmemcached, label, key: part.key },
})
const byOneAtATime = { layout: oneOf(oneAtATime), key: keys.oneAtATimeKey }
const byFnv = { layout: oneOf(fnv1a64Low), key: keys.fnv1a64Key }
const byMd5 = { layout: md5Words(1), key: keys.md5Key }

const twemproxy: DialectRules = {
  ...ketama,
  label: labels.namedShort,
  ties: 'label',
  single: 'no hashing',
  emptyKey: 'first server',
}

const hashring: DialectRules = { ...ketama, label: labels.namedFull, count: doublePrecision }

const spymemcached: DialectRules = {
  ...ketama,
  label: labels.javaLabel,
  count: fixed,
  weighted: false,
  ties: 'later',
}
const spymemcachedWeighted: DialectRules = { ...spymemcached, count: singlePrecision, weighted: true }

const proxy: DialectRules = { ...ketama, label: labels.fullLabel, count: fixed, weighted: false }

const pecl: DialectRules = {
  ...ketama,
  label: labels.fullLabel,
  count: roundedWeight,
  single: 'no hashing',
  kind: 'slots',
}

const TABLE = {
  continuum: { ...ketama, label: labels.namedFull, count: byOwnWeight, ties: 'label' },

  'libmemcached-weighted': libmemcached,
  'libmemcached-weighted-fnv1a_64': { ...libmemcached, key: keys.fnv1a64Key },
  'libmemcached-ketama': libmemcachedPlain(byOneAtATime),
  'libmemcached-ketama-md5': libmemcachedPlain(byMd5),
  'libmemcached-ketama-fnv1a_64': libmemcachedPlain(byFnv),
  'libmemcached-spy': libmemcachedPlain(byOneAtATime, labels.slashLabel),
  'libmemcached-spy-md5': libmemcachedPlain(byMd5, labels.slashLabel),
  'libmemcached-spy-weighted': { ...libmemcached, label: labels.slashLabel },

  'rj-libketama': { ...ketama, label: labels.namedFull, count: mixedPrecision },

  'twemproxy-md5': twemproxy,
  'twemproxy-fnv1a_64': { ...twemproxy, key: keys.fnv1a64Key },
  'twemproxy-one_at_a_time': { ...twemproxy, key: keys.oneAtATimeKey },

  hashring,
  'hashring-hash_ring': { ...hashring, layout: md5Words(3), points: 120 },
  'hashring-replicas-1': { ...hashring, layout: md5Words(1), points: 40 },
  'hashring-vnodes-25': { ...hashring, points: 100 },
  'hashring-vnodes-100': { ...hashring, points: 400 },
  'node-memcached': { ...hashring, label: labels.hashringShort, single: 'no hashing' },

  'uhashring-ketama': {
    ...{ ...ketama, label: labels.namedFull, count: exact, ties: 'later twice' },
    place: keys.oneLower,
    back: position => (position + 1) >>> 0,
  },
  'uhashring-default': { ...ketama, label: labels.namedFull, count: roundedWeight, ties: 'later twice', kind: 'wide' },

  spymemcached,
  'spymemcached-weighted': spymemcachedWeighted,
  'spymemcached-libmemcached': { ...spymemcached, label: labels.shortLabel },
  'spymemcached-libmemcached-weighted': { ...spymemcachedWeighted, label: labels.shortLabel },

  'proxy-ketama': proxy,
  'proxy-ketama-100': { ...proxy, points: 100 },
  'proxy-ketama-xxh3': { ...proxy, key: keys.xxh3Key },
  'proxy-twemproxy': { ...proxy, label: labels.shortLabel },
  'proxy-evcache': { ...proxy, label: labels.evcacheLabel },
  'proxy-default': { ...proxy, layout: oneOf(xxh3Low), key: keys.xxh3Key },

  dalli: {
    ...{ ...ketama, label: labels.fullLabel, layout: dalliLayout, count: exact, single: 'no hashing' },
    ...{ key: keys.dalliKey, place: keys.mirrored, back: keys.mirrored },
  },
  'perl-fast-150': {
    ...{ ...ketama, label: labels.fullLabel, layout: perlFastLayout, count: roundedWeight, single: 'no hashing' },
    ...{ key: keys.crc32Key, points: 150 },
  },
  'pecl-memcache-crc32': { ...pecl, layout: oneOf(crc32), key: keys.slotCrc32Key },
  'pecl-memcache-fnv': { ...pecl, layout: oneOf(fnv1a32), key: keys.slotFnvKey },
  'npm-ketama': {
    ...{ ...ketama, label: labels.namedFull, layout: npmKetamaLayout, count: roundedWeight, points: 50 },
    ...{ key: keys.npmKetamaKey, place: keys.turned, back: keys.turned },
  },
  'pymemcache-rendezvous': { ...ketama, label: labels.fullLabel, weighted: false, kind: 'scores' },
} as const satisfies Record<string, DialectRules>

export type Dialect = keyof typeof TABLE
export const DIALECTS = Object.keys(TABLE) as Dialect[]

export const isDialect = (name: string): name is Dialect => Object.hasOwn(TABLE, name)
export const rulesOf = (dialect: Dialect): DialectRules => TABLE[dialect]

/**
 * Dialects in which a key lies where its md5 says and a server gives four points a digest, whatever its host is called:
 * those that an engine which knows md5 alone can route by. Rows that differ from another by their number of points are left
 * out: a tier says the number itself.
 */
export const MD5_DIALECTS = DIALECTS.filter(dialect => {
  const { key, layout, points, kind, label } = rulesOf(dialect)
  return key === md5Word && layout.perHash === 4 && points === 160 && kind === undefined && label !== labels.javaLabel
})
