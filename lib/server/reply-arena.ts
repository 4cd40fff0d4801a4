/**
 * Where answers of other nodes lie until they can go out in order: many in one chunk, so that an answer costs a copy and no object.
 * A chunk lives as long as an answer in it is awaited; a large answer gets bytes of its own.
 */
const CHUNK_BYTES = 16_384
const LARGE_BYTES = 4096

export class ReplyArena {
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #end = 0
  /** Where the last `put` put it. */
  at = 0

  /** Copies the bytes; they begin at `at` of what is returned. */
  put(bytes: Uint8Array): Buffer {
    const { length } = bytes
    if (length > LARGE_BYTES) {
      this.at = 0
      return Buffer.from(bytes)
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
}
