/**
 * Positions of keys. A ring always reads "the first point at or after the position"; where a program searches in another
 * way, both its points and its keys are laid out so that the answers are the same:
 *
 *   first point strictly after the hash (uhashring)     points one lower
 *   last point not after the hash (dalli)               the circle mirrored
 *   signed numbers (npm ketama)                         the circle turned by half
 *   slot = hash mod 1024 (pecl memcache)                1,024 equal arcs, one a slot
 */
import { crc32 } from './hash/crc32.js'
import { fnv1a32, fnv1a64Low } from './hash/fnv.js'
import { oneAtATime } from './hash/jenkins.js'
import { md5Word } from './hash/md5.js'
import { sha1Word } from './hash/sha1.js'
import { type ByteHash, overKeys } from './hash/utf8.js'
import { xxh3Low } from './hash/xxh3.js'

/** The position of a key on the circle, 0 to 2^32 - 1. Two rings can be compared if this is one and the same function. */
export type KeyHash = (key: string | Uint8Array) => number

export const md5Key: KeyHash = md5Word
export const oneAtATimeKey: KeyHash = overKeys(oneAtATime)
export const fnv1a64Key: KeyHash = overKeys(fnv1a64Low)
export const crc32Key: KeyHash = overKeys(crc32)
export const xxh3Key: KeyHash = overKeys(xxh3Low)

export const mirrored = (position: number): number => ~position >>> 0
export const turned = (position: number): number => (position ^ 0x80000000) >>> 0
export const oneLower = (position: number): number => (position - 1) >>> 0

const mapped = (hash: ByteHash, map: (position: number) => number): KeyHash =>
  overKeys((bytes, length) => map(hash(bytes, length)))

export const dalliKey: KeyHash = mapped(crc32, mirrored)
export const npmKetamaKey: KeyHash = mapped(sha1Word, turned)

/** 1,024 arcs of 2^22 positions. */
export const SLOTS = 1024
export const SLOT_WIDTH = 2 ** 22
const slotStart = (hash: number): number => (hash % SLOTS) * SLOT_WIDTH
export const slotCrc32Key: KeyHash = mapped(crc32, slotStart)
export const slotFnvKey: KeyHash = mapped(fnv1a32, slotStart)
