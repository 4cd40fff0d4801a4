/**
 * The hash table: a word a bucket, items chained by hashNext. Fixed size for now; the growing one takes this place.
 * Every function here runs under the stripe lock of the hash: a stripe covers whole buckets.
 */
import { hashMask, hashTable, locks, stripeMask } from './layout'
import { itemAt, keyOf, sameBytes } from './item'

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

export function find(key: u32, length: u32, hash: u32): u32 {
  link = bucketAt(hash & hashMask)
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
  const bucket = bucketAt(item.hash & hashMask)
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
  let at = bucketAt(item.hash & hashMask)
  while (load<u32>(at) != address) at = load<u32>(at)
  store<u32>(at, item.hashNext)
}

/** `to` takes the place of `from`, of which it is a copy. */
export function replace(from: u32, to: u32): void {
  let at = bucketAt(itemAt(to).hash & hashMask)
  while (load<u32>(at) != from) at = load<u32>(at)
  store<u32>(at, to)
}
