/**
 * The flags of a meta command (PROTOCOL D8): looked at once before anything is done, kept here until the command has
 * answered. Every command knows every flag, as in memcached; each acts on those that mean something to it.
 */
import { keyArea } from './layout'
import { decodeBase64 } from './base64'
import { expiresAt } from './clock'
import { Item, itemAt, keyOf, KEY_BINARY } from './item'
import { advance, out, put, putByte, putBytes, putNumber } from './reply'
import { KEY_MAX } from './retrieval'
import { number, parseInt32, parseLooseUnsigned, parseUnsigned, token, tokenCount, tokenLength } from './tokens'
import { encodeBase64 } from './base64'

/** Tokens of the line, command and key included. */
const TOKENS_MAX: u32 = 20
/** With its O. */
const OPAQUE_MAX: u32 = 32

// What was wrong with the line.
export const FINE: u32 = 0
export const BAD_FORMAT: u32 = 1
export const TOO_MANY: u32 = 2
export const DUPLICATE: u32 = 3
export const INVALID: u32 = 4
export const BAD_TOKEN: u32 = 5
export const BAD_KEY: u32 = 6
export const LONG_OPAQUE: u32 = 7
export const BAD_INITIAL: u32 = 8
export const BAD_DELTA: u32 = 9

/** The key as it is stored: decoded when `b` says so. */
export let key: u32 = 0
export let keyLength: u32 = 0
export let isBinary: bool = false
export let quiet: bool = false
export let wantsValue: bool = false
export let noBump: bool = false
export let comparesCas: bool = false
export let casWanted: u64 = 0
export let assignsCas: bool = false
export let casAssigned: u64 = 0
export let clientFlags: u32 = 0
/** T, N and R, as expiresAt gives them. */
export let setsTtl: bool = false
export let expires: u32 = 0
export let vivifies: bool = false
export let vivifyExpires: u32 = 0
export let recacheBelow: u32 = 0
export let invalidates: bool = false
export let dropsValue: bool = false
/** M's letter; 0: none. */
export let mode: u8 = 0
export let initial: u64 = 0
export let delta: u64 = 1

let seenLow: u64 = 0
let seenHigh: u64 = 0

function reset(): void {
  isBinary = quiet = wantsValue = noBump = comparesCas = assignsCas = setsTtl = vivifies = invalidates = dropsValue = false
  casWanted = casAssigned = initial = 0
  clientFlags = expires = vivifyExpires = recacheBelow = 0
  mode = 0
  delta = 1
  seenLow = seenHigh = 0
}

function isSeen(letter: u8): bool {
  const bit: u64 = (<u64>1) << (letter & 63)
  if (letter < 64) {
    const before = (seenLow & bit) != 0
    seenLow |= bit
    return before
  }
  const before = (seenHigh & bit) != 0
  seenHigh |= bit
  return before
}

/** The key is the second token, flags begin at token `first`. */
export function parseFlags(first: u32): u32 {
  reset()
  key = token(1)
  keyLength = tokenLength(1)
  if (tokenCount < 2 || keyLength > KEY_MAX) return BAD_FORMAT
  if (tokenCount > TOKENS_MAX) return TOO_MANY
  // An unknown or repeated flag ends it; of other problems the last one is told, but these two only when they are alone.
  let worst = FINE
  for (let i = first; i < tokenCount; i++) {
    const problem = parseFlag(token(i), tokenLength(i))
    if (problem == DUPLICATE || problem == INVALID) return problem
    if (problem && (!worst || (problem != LONG_OPAQUE && problem != BAD_FORMAT))) worst = problem
  }
  return worst
}

function parseFlag(at: u32, length: u32): u32 {
  const letter = load<u8>(at)
  if (letter >= 127 || isSeen(letter)) return DUPLICATE
  switch (letter) {
    case 98: // b
      isBinary = true
      keyLength = decodeBase64(key, keyLength, keyArea)
      key = keyArea
      return keyLength ? FINE : BAD_KEY
    case 67: // C
      if (!parseUnsigned(at + 1, length - 1, u64.MAX_VALUE)) return BAD_TOKEN
      comparesCas = true
      casWanted = number
      return FINE
    case 69: // E
      if (!parseUnsigned(at + 1, length - 1, u64.MAX_VALUE)) return BAD_TOKEN
      assignsCas = true
      casAssigned = number
      return FINE
    case 70: // F
      if (!parseLooseUnsigned(at + 1, length - 1) || number > u32.MAX_VALUE) return BAD_FORMAT
      clientFlags = <u32>number
      return FINE
    case 84: // T
      if (!parseInt32(at + 1, length - 1)) return BAD_TOKEN
      setsTtl = true
      expires = expiresAt(<i32>number)
      return FINE
    case 78: // N
      if (!parseInt32(at + 1, length - 1)) return BAD_TOKEN
      vivifies = true
      vivifyExpires = expiresAt(<i32>number)
      return FINE
    case 82: // R
      if (!parseInt32(at + 1, length - 1)) return BAD_TOKEN
      recacheBelow = expiresAt(<i32>number)
      return FINE
    case 74: // J
      if (!parseUnsigned(at + 1, length - 1, u64.MAX_VALUE)) return BAD_INITIAL
      initial = number
      return FINE
    case 68: // D
      if (!parseUnsigned(at + 1, length - 1, u64.MAX_VALUE)) return BAD_DELTA
      delta = number
      return FINE
    case 77: // M
      mode = length > 1 ? load<u8>(at + 1) : 255
      return FINE
    case 79: // O
      return length > OPAQUE_MAX ? LONG_OPAQUE : FINE
    case 113: // q
      quiet = true
      return FINE
    case 117: // u
      noBump = true
      return FINE
    case 118: // v
      wantsValue = true
      return FINE
    case 73: // I
      invalidates = true
      return FINE
    case 120: // x
      dropsValue = true
      return FINE
    case 80: // P and L: hints for proxies
    case 76:
    case 99: // c f h k l s t: what the reply should tell
    case 102:
    case 104:
    case 107:
    case 108:
    case 115:
    case 116:
      return FINE
  }
  return INVALID
}

export function problemText(problem: u32): string {
  switch (problem) {
    case TOO_MANY: return 'CLIENT_ERROR options flags are too long'
    case DUPLICATE: return 'CLIENT_ERROR duplicate flag'
    case INVALID: return 'CLIENT_ERROR invalid flag'
    case BAD_TOKEN: return 'CLIENT_ERROR bad token in command line format'
    case BAD_KEY: return 'CLIENT_ERROR error decoding key'
    case LONG_OPAQUE: return 'CLIENT_ERROR opaque token too long'
    case BAD_INITIAL: return 'CLIENT_ERROR invalid numeric initial value'
    case BAD_DELTA: return 'CLIENT_ERROR invalid numeric delta value'
  }
  return 'CLIENT_ERROR bad command line format'
}

// --- parts of replies

export function putFlag(letter: u8): void {
  putByte(32)
  putByte(letter)
}

export function putNumberFlag(letter: u8, value: u64): void {
  putFlag(letter)
  putNumber(value)
}

/** `t`: seconds left, -1 for ever. */
export function putTtl(item: Item, now: u32): void {
  putFlag(116)
  if (item.exptime) putNumber(item.exptime - now)
  else put('-1')
}

export function putOpaque(index: u32): void {
  putByte(32)
  putBytes(token(index), tokenLength(index))
}

/** `k`: as the client wrote it. */
export function putKey(): void {
  putFlag(107)
  putKeyText(key, keyLength, isBinary)
  if (isBinary) putFlag(98)
}

export function putKeyText(at: u32, length: u32, binary: bool): void {
  if (binary) advance(encodeBase64(at, length, out))
  else putBytes(at, length)
}

/** As it was stored: `mg` and `me` show it so, whatever the request looked like. */
export function putItemKey(address: u32): void {
  putKeyText(keyOf(address), itemAt(address).keyLength, (itemAt(address).bits & KEY_BINARY) != 0)
}

/** Would the key be misread if it were written as it is? */
export function isUnprintable(): bool {
  for (let i: u32 = 0; i < keyLength; i++) {
    const byte = load<u8>(key + i)
    if (byte <= 32 || byte >= 127) return true
  }
  return false
}
