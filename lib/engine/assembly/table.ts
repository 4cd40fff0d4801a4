/**
 * The hash table: a word a bucket, items chained by hashNext. It grows by a bucket at a time, in its place: n buckets, of
 * which those of the next power of two are being filled (linear hashing), are one word, so that whoever holds a key's lock
 * sees where the key is. Its memory is reserved for the most it can grow to, and untouched until then.
 *
 *   power of two p <= n:  | 0 ......... n-p | n-p ....... p | p ..... n |
 *                           split: mod 2p     mod p           mod 2p
 *
 * Every function here runs under the stripe lock of the hash: a stripe covers whole buckets, and as there are never fewer
 * buckets than stripes, also both halves of a bucket that is split.
 */
import { BUCKETS, BUCKETS_WANTED, bucketsMax, hashTable, locks, stripeMask } from './layout'
import { itemAt, keyOf, sameBytes } from './item'
import { lock, unlock } from './locks'

/** The word that points to what `find` found, or the last link of the chain. */
let link: u32 = 0

// @ts-ignore: decorator
@inline
export function stripeOf(hash: u32): u32 {
  return locks + ((hash & stripeMask) << 2)
}

export function bucketAt(index: u32): u32 {
  return hashTable + (index << 2)
}

export function bucketCount(): u32 {
  return atomic.load<u32>(BUCKETS)
}

/** The bucket of a hash among `buckets`. */
// @ts-ignore: decorator
@inline
function indexAmong(hash: u32, buckets: u32): u32 {
  const mask = u32.MAX_VALUE >> <u32>clz<u32>(buckets - 1)
  const index = hash & mask
  return index < buckets ? index : hash & (mask >> 1)
}

// @ts-ignore: decorator
@inline
export function bucketOf(hash: u32): u32 {
  return bucketAt(indexAmong(hash, atomic.load<u32>(BUCKETS)))
}

export function find(key: u32, length: u32, hash: u32): u32 {
  link = bucketOf(hash)
  let address = load<u32>(link)
  while (address) {
    const item = itemAt(address)
    if (item.hash == hash && <u32>item.keyLength == length && sameBytes(keyOf(address), key, length)) return address
    link = address // hashNext is an item's first word
    address = item.hashNext
  }
  return 0
}

export function insert(address: u32): void {
  const item = itemAt(address)
  const bucket = bucketOf(item.hash)
  item.hashNext = load<u32>(bucket)
  store<u32>(bucket, address)
}

/** Takes out the item that the last `find` of this thread returned, the lock still being held. */
export function removeFound(address: u32): void {
  if (load<u32>(link) == address) store<u32>(link, itemAt(address).hashNext)
  else remove(address)
}

export function remove(address: u32): void {
  const item = itemAt(address)
  let at = bucketOf(item.hash)
  while (load<u32>(at) != address) at = load<u32>(at)
  store<u32>(at, item.hashNext)
}

/** `to` takes the place of `from`, of which it is a copy. */
export function replace(from: u32, to: u32): void {
  let at = bucketOf(itemAt(to).hash)
  while (load<u32>(at) != from) at = load<u32>(at)
  store<u32>(at, to)
}

// --- growing. Only one thread does it.

/** As memcached: twice as many when there are 1.5 items a bucket. False: nothing is to be done. */
export function wantGrowth(items: u64): bool {
  const buckets = atomic.load<u32>(BUCKETS)
  if (atomic.load<u32>(BUCKETS_WANTED) > buckets) return true
  if (items * 2 <= <u64>buckets * 3 || buckets >= bucketsMax) return false
  atomic.store<u32>(BUCKETS_WANTED, buckets << 1)
  return true
}

/** Splits so many buckets at most. True: there are more to split. */
export function grow(steps: u32): bool {
  const wanted = atomic.load<u32>(BUCKETS_WANTED)
  let buckets = atomic.load<u32>(BUCKETS)
  while (buckets < wanted && steps--) splitInto(buckets++)
  return buckets < wanted
}

/** The new bucket gets its items from the one below it. Walks go upwards, so they meet each of them all the same. */
function splitInto(fresh: u32): void {
  const half = (<u32>1) << (31 - <u32>clz<u32>(fresh))
  const from = bucketAt(fresh - half)
  const to = bucketAt(fresh)
  const stripe = stripeOf(fresh)
  lock(stripe)
  let link = from
  let moved: u32 = 0
  let address = load<u32>(link)
  while (address) {
    const item = itemAt(address)
    const next = item.hashNext
    if (item.hash & half) {
      store<u32>(link, next)
      item.hashNext = moved
      moved = address
    } else link = address
    address = next
  }
  store<u32>(to, moved)
  atomic.store<u32>(BUCKETS, fresh + 1)
  unlock(stripe)
}

/**
 * How far apart the buckets are that a bucket of a table of `buckets` has been split into since, itself being the first: a
 * walk that began then visits them together, so it meets no item twice and misses none.
 */
export function splitStride(index: u32, buckets: u32): u32 {
  const mask = u32.MAX_VALUE >> <u32>clz<u32>(buckets - 1)
  const half = (mask >> 1) + 1
  return index < half && index + half >= buckets ? half : mask + 1
}
