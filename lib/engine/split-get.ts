/**
 * Host side of a get of many keys that do not all live here (lib/engine/assembly/split-get.ts): where its lines lie, what must be kept of
 * the request until their answers are here, and the bytes of both on their way to the merge. Uses scratch alone.
 *
 *   split:  scratch  | ... | lines | keys | texts |        merge:  scratch  | request | keys | lists of the answers | list of lists |
 */
import type { KeptGet, Range, SplitGetApi, SplitList } from './contract.js'

export interface SplitGetWasm {
  splitGet(line: number, end: number, self: number, area: number): number
  mergeGet(line: number, keys: number, count: number, answers: number, lines: number, to: number): number
}

/** As lib/engine/assembly/split-get.ts has them. */
const LINES_MAX = 32
const LINE_WORDS = 4
const KEY_BYTES = 8
/** A longer request is the host's to split. */
const LINE_BYTES_MAX = 65_536
/** In scratch: what lies before it may be the request itself. */
const AREA_AT = 512 << 10
const LISTS_BYTES = LINES_MAX * 8
const END_BYTES = 5
/** The merge copies in steps of 8 bytes. */
const SLACK = 8
const CUT_OFF = 0xffffffff

export class SplitGet implements SplitGetApi {
  readonly #bytes: Uint8Array
  readonly #wasm: SplitGetWasm
  readonly #scratch: Range
  readonly #lines: Uint32Array
  readonly #lists: Uint32Array
  readonly #keyCount: () => number
  #line = 0
  #lineBytes = 0

  constructor({
    memory,
    wasm,
    scratch,
    keyCount,
  }: { memory: WebAssembly.Memory; wasm: SplitGetWasm; scratch: Range; keyCount: () => number }) {
    this.#bytes = new Uint8Array(memory.buffer)
    this.#wasm = wasm
    this.#scratch = scratch
    this.#lines = new Uint32Array(memory.buffer, scratch.offset + AREA_AT, LINES_MAX * LINE_WORDS)
    this.#lists = new Uint32Array(memory.buffer, scratch.offset, LISTS_BYTES / 4)
    this.#keyCount = keyCount
  }

  split(offset: number, length: number, self: number): number {
    const area = this.#scratch.offset + AREA_AT
    const isBefore = offset + length <= area || offset >= this.#scratch.offset + this.#scratch.length
    if (length > LINE_BYTES_MAX || !isBefore) return 0
    let end = offset + length - 1
    if (this.#bytes[end - 1] === 0x0d) end--
    this.#line = offset
    this.#lineBytes = length
    return this.#wasm.splitGet(offset, end, self, area)
  }

  owner(line: number): number {
    return this.#lines[line * LINE_WORDS]!
  }

  textOffset(line: number): number {
    return this.#lines[line * LINE_WORDS + 1]!
  }

  textLength(line: number): number {
    return this.#lines[line * LINE_WORDS + 2]!
  }

  get keepBytes(): number {
    return aligned(this.#lineBytes) + this.#keyCount() * KEY_BYTES
  }

  keep(bytes: Buffer): KeptGet {
    const count = this.#keyCount()
    const keysAt = aligned(this.#lineBytes)
    const keys = this.#scratch.offset + AREA_AT + LINES_MAX * LINE_WORDS * 4
    bytes.set(this.#bytes.subarray(this.#line, this.#line + this.#lineBytes))
    bytes.set(this.#bytes.subarray(keys, keys + count * KEY_BYTES), keysAt)
    return { bytes, lineBytes: this.#lineBytes, keysAt, count }
  }

  mergedMax(lists: readonly SplitList[]): number {
    let size = END_BYTES + SLACK
    for (const { length } of lists) size += length
    return size
  }

  fits({ keysAt, count }: KeptGet, lists: readonly SplitList[]): boolean {
    return LISTS_BYTES + keysAt + count * KEY_BYTES + this.mergedMax(lists) <= this.#scratch.length
  }

  merge({ bytes, keysAt, count }: KeptGet, lists: readonly SplitList[], to: number): number {
    const memory = this.#bytes
    const line = this.#scratch.offset + LISTS_BYTES
    const keptBytes = keysAt + count * KEY_BYTES
    memory.set(viewOf(bytes, 0, keptBytes), line)
    let at = line + keptBytes
    for (let i = 0; i < lists.length; i++) {
      const { reply, from, length } = lists[i]!
      memory.set(viewOf(reply!, from, length), at)
      this.#lists[2 * i] = at
      at += length
      this.#lists[2 * i + 1] = at - END_BYTES
    }
    const size = this.#wasm.mergeGet(line, line + keysAt, count, this.#scratch.offset, lists.length, to) >>> 0
    return size === CUT_OFF ? -1 : size
  }
}

const aligned = (bytes: number) => (bytes + 7) & ~7

/** A plain view costs less than a Buffer's. */
function viewOf(bytes: Uint8Array, from: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + from, length)
}
