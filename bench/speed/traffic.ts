/**
 * What all connections of one generator share: the loop's memory and its places, keys, values, counts, and who decides when
 * the next request is due.
 *
 *   memory:  | input: what one recv brought, after the rest of a reply | output: requests being written | pool of fillers |
 */
import type { KeyPicker, Xorshift } from './key-order.js'
import type { KeyState } from './key-state.js'
import { KEY_BYTES, type Payload, poolBytes } from './payload.js'
import type { SizeTable } from './sizes.js'
import type { Tally } from './tally.js'

export interface Plan {
  multiGet: number
  inFlight: number
  /** Of 2^32: a random number under it reads. */
  readUnder: number
  isMeta: boolean
}

/** When requests leave. */
export interface Pace {
  /** Requests that this connection may send now, of `free` ones. */
  allowance(free: number): number
  /** The time that counts as the beginning of the next request. */
  begin(now: number): number
}

export interface Traffic {
  readonly memory: Uint8Array
  readonly places: Places
  readonly payload: Payload
  readonly keys: KeyState
  readonly picker: KeyPicker
  readonly random: Xorshift
  readonly tally: Tally
  plan: Plan
  pace: Pace
  /** Every reply and every connection gets here. */
  onConnected(): void
  onIdle(): void
  fail(sentence: string): void
}

export interface Places {
  inputAt: number
  inputBytes: number
  outputAt: number
  outputBytes: number
  poolAt: number
  bytes: number
}

const INPUT_BYTES_MIN = 256 * 1024
const OUTPUT_BYTES_MIN = 64 * 1024
/** Words and numbers around keys and values. */
const LINE_BYTES = 64

/** The longest request: a set of the largest value or a get of all keys. */
export function requestBytesMax(sizes: SizeTable, multiGet: number): number {
  return Math.max(sizes.largest + KEY_BYTES, multiGet * (KEY_BYTES + 1)) + LINE_BYTES
}

export function placesFor(sizes: SizeTable, multiGet: number): Places {
  // The rest of one value, and room for as much again.
  const inputBytes = Math.max(INPUT_BYTES_MIN, 2 * (sizes.largest + 4096))
  const outputBytes = Math.max(OUTPUT_BYTES_MIN, requestBytesMax(sizes, multiGet))
  const poolAt = inputBytes + outputBytes
  return { inputAt: 0, inputBytes, outputAt: inputBytes, outputBytes, poolAt, bytes: poolAt + poolBytes(sizes) }
}
