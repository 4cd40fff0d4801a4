/**
 * An item in its chunk, and the two things that are asked of keys: hash and equality.
 *
 *    0 hashNext   4 lruPrev   8 lruNext   12 exptime   16 time   20 flags   24 version (8)
 *   32 mark   36 bytes   40 keyLength (1)   41 slabClass (1)   42 bits (2)   44 hash
 *   48 key ... value ... \r\n
 *
 * A linked item changes only under its key's stripe lock; lruPrev and lruNext only under its class's lock. An item that
 * is being filled belongs to one connection. Until it is linked, four fields mean something else: `version` is the cas
 * unique as sent, `time` the exptime as sent, `lruNext` the verb and noreply (storage.ts), `lruPrev` the chunk of a chain
 * that is being filled. An item that fits in no chunk is CHAINED: its value lies in other chunks (chunked.ts).
 */

export const HEADER: u32 = 48

// Behind the key of a CHAINED item, instead of its value: 0 first chunk   4 readers   8 cas unique of its own (8)
export const CHAIN_HEAD: u32 = 16
export const CHAIN_READERS: u32 = 4
export const CHAIN_CAS: u32 = 8

export const LINKED: u16 = 1
/** Read once since it was stored. */
export const FETCHED: u16 = 2
/** Read again since the LRU last looked at it. */
export const ACTIVE: u16 = 4
/** A remembered absence: never visible to a command. */
export const TOMBSTONE: u16 = 8
/** Kept for `md I` and the win token of the meta commands. */
export const STALE: u16 = 16
export const TOKEN_SENT: u16 = 32
/** The chunk is on its class's free list. */
export const FREE: u16 = 64
/** The key came as base64 and is shown so. */
export const KEY_BINARY: u16 = 128
/** Behind the value are 8 bytes: the cas unique that a client gave it (the meta flag E). The version stays its own. */
export const OWN_CAS: u16 = 1024
/** Two bits: which list of the class. */
export const LIST_SHIFT: u16 = 8
export const LIST_MASK: u16 = 3 << 8
/** The chunk holds a stretch of a chained item's value. */
export const CHUNK: u16 = 2048
/** The value lies in a chain of chunks; `slabClass` is the largest class, in whose lists the item is. */
export const CHAINED: u16 = 4096
/** The chunk was cleared by the page mover and is on no list. */
export const MOVED: u16 = 8192

@unmanaged
export class Item {
  hashNext: u32
  lruPrev: u32
  lruNext: u32
  exptime: u32
  time: u32
  flags: u32
  version: u64
  mark: u32
  /** Of the value, without its trailing \r\n. */
  bytes: u32
  keyLength: u8
  slabClass: u8
  bits: u16
  hash: u32
}

// @ts-ignore: decorator
@inline
export function itemAt(address: u32): Item {
  return changetype<Item>(address)
}

// @ts-ignore: decorator
@inline
export function keyOf(address: u32): u32 {
  return address + HEADER
}

// @ts-ignore: decorator
@inline
export function valueOf(address: u32): u32 {
  return address + HEADER + <u32>itemAt(address).keyLength
}

export function sizeOf(address: u32): u32 {
  const item = itemAt(address)
  return HEADER + <u32>item.keyLength + item.bytes + 2 + (item.bits & OWN_CAS ? 8 : 0)
}

/** The cas unique as clients see it. */
// @ts-ignore: decorator
@inline
export function casOf(address: u32): u64 {
  const item = itemAt(address)
  return item.bits & OWN_CAS ? load<u64>(ownCasAt(address)) : item.version
}

/** Where the cas unique lies that a client gave: behind the value, or in the head of a chain. */
export function ownCasAt(address: u32): u32 {
  const item = itemAt(address)
  return item.bits & CHAINED ? valueOf(address) + CHAIN_CAS : valueOf(address) + item.bytes + 2
}

/**
 * Not for the ring (that is md5): for the hash table and the locks. Reads up to 7 bytes behind the key and ignores
 * them.
 */
export function hashOf(key: u32, length: u32): u32 {
  let hash: u64 = 0x9e3779b97f4a7c15 ^ <u64>length
  while (length >= 8) {
    hash = (hash ^ load<u64>(key)) * 0xff51afd7ed558ccd
    hash ^= hash >> 32
    key += 8
    length -= 8
  }
  if (length) {
    hash = (hash ^ (load<u64>(key) & (((<u64>1) << (length << 3)) - 1))) * 0xff51afd7ed558ccd
    hash ^= hash >> 32
  }
  hash *= 0xc4ceb9fe1a85ec53
  return <u32>(hash ^ (hash >> 32))
}

export function sameBytes(a: u32, b: u32, length: u32): bool {
  while (length >= 8) {
    if (load<u64>(a) != load<u64>(b)) return false
    a += 8
    b += 8
    length -= 8
  }
  if (!length) return true
  return ((load<u64>(a) ^ load<u64>(b)) & (((<u64>1) << (length << 3)) - 1)) == 0
}

/** Exact copy. A call of memory.copy costs more than a short loop. */
export function copy(to: u32, from: u32, length: u32): void {
  if (length > 192) {
    memory.copy(to, from, length)
    return
  }
  while (length >= 8) {
    store<u64>(to, load<u64>(from))
    to += 8
    from += 8
    length -= 8
  }
  while (length) {
    store<u8>(to++, load<u8>(from++))
    length--
  }
}
