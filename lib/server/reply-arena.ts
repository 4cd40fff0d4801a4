/**
 * Where answers of other nodes lie until they can go out in order: many in one chunk, so that an answer costs a copy and no object.
 * A chunk lives as long as an answer in it is awaited. A larger answer gets bytes of its own, which are used again once it went out:
 * memory outside of the collector's heap makes it run.
 */
const CHUNK_BYTES = 16_384
const LARGE_BYTES = 4096
/** Sizes of what is kept for use again: powers of two. */
const KEPT_BYTES_MIN = 8192
const KEPT_BYTES_MAX = 65_536
/** How many of each size. */
const KEPT = 32

export class ReplyArena {
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #end = 0
  readonly #kept = new Map<number, Buffer[]>()
  /** Where the last `put` put it. */
  at = 0
  /** The last `put` gave it bytes of its own, for `give`. */
  isOwn = false

  /** Copies the bytes; they begin at `at` of what is returned. */
  put(bytes: Uint8Array): Buffer {
    const { length } = bytes
    this.isOwn = length > LARGE_BYTES
    if (this.isOwn) {
      this.at = 0
      const own = this.take(length)
      own.set(bytes)
      return own
    }
    if (this.#end + length > CHUNK_BYTES) {
      this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      this.#end = 0
    }
    this.#chunk.set(bytes, this.#end)
    this.at = this.#end
    this.#end += length
    return this.#chunk
  }

  /** Room for `length` bytes or more. */
  take(length: number): Buffer {
    if (length > KEPT_BYTES_MAX) return Buffer.allocUnsafeSlow(length)
    let size = KEPT_BYTES_MIN
    while (size < length) size *= 2
    return this.#kept.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size)
  }

  /** What `take` returned, or `put` as its own, is not used any more. */
  give(bytes: Buffer): void {
    const { length } = bytes
    if (length > KEPT_BYTES_MAX) return
    const kept = this.#kept.get(length)
    if (!kept) this.#kept.set(length, [bytes])
    else if (kept.length < KEPT) kept.push(bytes)
  }
}
