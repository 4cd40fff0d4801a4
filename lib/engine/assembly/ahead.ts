/**
 * A look ahead over the requests that one turn has before it: where their keys are is read all at once, before the first of
 * them is executed. Most of a look-up is waiting for memory, twice: for the bucket, then for the item. Loads that do not
 * depend on each other wait together.
 *
 *   keys of the next requests -> hashes | all buckets and locks | all items       then the requests, one after the other
 *
 * A guess that costs time when it is wrong, and nothing else: what is read here, without a lock, decides nothing. A bucket's
 * word is 0 or an item's place, whoever lives there meanwhile.
 */
import { pages, pageSize, pagesMax, tokens } from './layout'
import { hashOf, itemAt } from './item'
import { bucketOf, stripeOf } from './table'
import { endOfToken, findNewline, GET_, SET_ } from './tokens'

/** Keys in one go: as many as a processor has loads under way. Their hashes lie where `tokenize` puts its tokens. */
export const KEYS_AHEAD: u32 = 32
const SPACE: u8 = 32
const RETURN: u8 = 13
const LINE_END: u16 = 0x0a0d
/** Bytes of the shortest request of a key: its word, a key of one letter, the line's end. */
const REQUEST_LEAST: u32 = 6
/** Of what is fetched from memory together. */
const CACHE_LINE: u32 = 64
/** Along a chain: what is read without a lock may lead in a circle. */
const STEPS_MAX: u32 = 8
/** Digits of a value's size: more is not a size. */
const DIGITS_MAX: u32 = 7

const META: u8 = 109 // "m"
const META_SET: u8 = 115 // "s"

/** Where the last look ahead ended. */
export let seenUntil: u32 = 0
let keys: u32 = 0

export function forgetAhead(): void {
  seenUntil = 0
}

/** The requests in [from, to), until one of another kind, or until there is no room for a key. */
export function lookAhead(from: u32, to: u32): void {
  keys = 0
  let at = from
  while (at < to && keys < KEYS_AHEAD) {
    const word = load<u32>(at)
    const isMeta = <u8>word == META && <u8>(word >> 16) == SPACE
    if (!isMeta && word != GET_ && word != SET_) break
    const newline = findNewline(at, to)
    if (newline < at + 3) break // none, or before the space
    const end = newline - <u32>(load<u8>(newline - 1) == RETURN)
    if (word == GET_) {
      at = addKeys(at + 4, end)
      if (at < end) break
      at = newline + 1
    } else {
      const behind = addKey(at + (isMeta ? 3 : 4), end)
      if (!isMeta) at = behindValue(behind, newline, 2)
      else if (<u8>(word >> 8) == META_SET) at = behindValue(behind, newline, 0)
      else at = newline + 1
    }
  }
  seenUntil = max(at, from + 1)
  touch()
}

/** A request of a connection that will have its turn, the first one in [from, to): its key is among those of the next `lookAtAll`. */
export function addAhead(from: u32, to: u32): void {
  if (to - from < REQUEST_LEAST || keys == KEYS_AHEAD) return
  const word = load<u32>(from)
  const isMeta = <u8>word == META && <u8>(word >> 16) == SPACE
  if (isMeta || word == GET_ || word == SET_) addKey(from + (isMeta ? 3 : 4), to - (load<u16>(to - 2) == LINE_END ? 2 : 0))
}

/** Reads where the keys of `addAhead` are. */
export function lookAtAll(): void {
  touch()
  keys = 0
}

/** The keys of one line in [from, end), of which there is one. */
export function lookAheadInLine(from: u32, end: u32): void {
  keys = 0
  seenUntil = max(seenUntil, addKeys(from, end))
  touch()
}

/** As `lookAheadInLine`. Bit n of what comes back: the nth key was not seen held with this mark. Keys that were not looked at have their bit. */
export function lookAheadForMark(from: u32, end: u32, mark: u32): u32 {
  lookAheadInLine(from, end)
  let unseen: u32 = u32.MAX_VALUE
  for (let key: u32 = 0; key < keys; key++) {
    if (wasSeen(load<u32>(tokens + (key << 2)), mark)) unseen ^= 1 << key
  }
  return unseen
}

function wasSeen(hash: u32, mark: u32): bool {
  let at = load<u32>(bucketOf(hash))
  for (let steps: u32 = 0; at && steps < STEPS_MAX; steps++) {
    const item = itemAt(min(at, lastItem()))
    if (item.hash == hash) return item.mark == mark
    at = item.hashNext
  }
  return false
}

/** Where it ended: at the line's end, or at the first key for which there was no room. */
function addKeys(from: u32, end: u32): u32 {
  let at = from
  while (keys < KEYS_AHEAD) {
    while (at < end && load<u8>(at) == SPACE) at++
    if (at >= end) return end
    at = addKey(at, end)
  }
  return at
}

/** To the next space, which is where the key ends. */
// @ts-ignore: decorator
@inline
function addKey(from: u32, end: u32): u32 {
  const at = endOfToken(from, end)
  store<u32>(tokens + (keys << 2), hashOf(from, at - from))
  keys++
  return at
}

/** Behind the value whose size is the token after the next `skip` ones; behind the line if that is no size. */
function behindValue(from: u32, newline: u32, skip: u32): u32 {
  let at = from
  for (let token: u32 = 0; token < skip; token++) {
    while (at < newline && load<u8>(at) == SPACE) at++
    at = endOfToken(at, newline)
  }
  while (at < newline && load<u8>(at) == SPACE) at++
  let bytes: u32 = 0
  for (let digits: u32 = 0; digits < DIGITS_MAX; digits++) {
    const digit = <u32>load<u8>(at + digits) - 48
    if (digit > 9) return newline + 1 + bytes + 2
    bytes = bytes * 10 + digit
  }
  return newline + 1
}

/** First all buckets and locks, then all items, then those behind them: each of these loops is loads that need not wait for each other. */
function touch(): void {
  const end = tokens + (keys << 2)
  const last = lastItem()
  let sum: u32 = 0
  for (let at = tokens; at < end; at += 4) {
    const hash = load<u32>(at)
    sum ^= load<u32>(bucketOf(hash)) ^ load<u32>(stripeOf(hash))
  }
  for (let at = tokens; at < end; at += 4) sum ^= load<u32>(load<u32>(bucketOf(load<u32>(at))))
  for (let at = tokens; at < end; at += 4) {
    const hash = load<u32>(at)
    const first = itemAt(load<u32>(bucketOf(hash)))
    sum ^= linesOf(first.hash == hash ? changetype<u32>(first) : min(first.hashNext, last))
  }
  store<u32>(end, sum) // else nothing would have to be read
}

/** An item that has just gone may have left anything in its place. 64 KiB behind the pages are memory, too (layout.ts). */
// @ts-ignore: decorator
@inline
function lastItem(): u32 {
  return pages + pagesMax * pageSize
}

/** Of an item: its head, its key, and a value of a hundred bytes. */
// @ts-ignore: decorator
@inline
function linesOf(item: u32): u32 {
  return load<u32>(item) ^ load<u32>(item + CACHE_LINE) ^ load<u32>(item + 2 * CACHE_LINE)
}
