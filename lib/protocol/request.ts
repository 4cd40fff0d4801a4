/** Request lines taken apart and put together. Pure; keys stay bytes (PROTOCOL D1: only the space separates tokens). */
import { CRLF } from './replies.js'

/** PROTOCOL D2. */
export const KEY_BYTES_MAX = 250

const SPACE = 32
const LF = 10
const CR = 13

/** Where each token of a line begins and ends: [from, to, from, to ...]. The line may still have its \r\n. */
export function tokenRanges(line: Uint8Array): number[] {
  const ranges: number[] = []
  let end = line.indexOf(LF)
  if (end < 0) end = line.length
  if (end > 0 && line[end - 1] === CR) end--
  let at = 0
  while (at < end) {
    if (line[at] === SPACE) {
      at++
      continue
    }
    let to = at
    while (to < end && line[to] !== SPACE) to++
    ranges.push(at, to)
    at = to
  }
  return ranges
}

/** The ranges of the keys of "get k1 k2" (leading: 1 token) or "gat 10 k1 k2" (leading: 2). */
export function keyRanges(line: Uint8Array, leading = 1): number[] {
  return tokenRanges(line).slice(leading * 2)
}

/** May these bytes be a key? Anything but space and line end, 1 to 250 bytes (PROTOCOL D2). */
export function isKey(key: Uint8Array): boolean {
  return key.length > 0 && key.length <= KEY_BYTES_MAX && !key.includes(SPACE) && !key.includes(LF) && !key.includes(CR)
}

export const getLine = (keys: readonly string[], command: 'get' | 'gets' = 'get'): string =>
  `${command} ${keys.join(' ')}${CRLF}`

export const deleteLine = (key: string): string => `delete ${key}${CRLF}`

export const countLine = (command: 'incr' | 'decr', key: string, delta: number | bigint): string =>
  `${command} ${key} ${delta}${CRLF}`

/** The line and the data block of a storage command, to be written one after the other. */
export function storeParts(
  command: 'set' | 'add' | 'replace' | 'append' | 'prepend',
  key: string,
  value: Uint8Array,
  { flags = 0, exptime = 0 }: { flags?: number; exptime?: number } = {},
): [head: string, value: Uint8Array, tail: string] {
  return [`${command} ${key} ${flags} ${exptime} ${value.length}${CRLF}`, value, CRLF]
}
