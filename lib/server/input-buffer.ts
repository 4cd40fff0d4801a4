/**
 * Bytes of one connection that came but could not be worked on yet: the start of a line, or requests behind one that is
 * under way. Appending is amortised, taking is free; an empty buffer holds no memory to speak of. It knows no protocol.
 *
 *   store:  | taken ... | start ... bytes ... end | room |
 */
const CAPACITY_MIN = 512
/** A larger store is given back as soon as it is empty: thousands of connections have one each. */
const CAPACITY_KEPT = 16_384
const NOTHING = Buffer.alloc(0)

export class InputBuffer {
  #store: Buffer = NOTHING
  #start = 0
  #end = 0

  get length(): number {
    return this.#end - this.#start
  }

  /** A view, valid until the next append. */
  get bytes(): Buffer {
    return this.#store.subarray(this.#start, this.#end)
  }

  append(bytes: Uint8Array): void {
    if (this.#end + bytes.length > this.#store.length) this.#makeRoom(bytes.length)
    this.#store.set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** The first `count` bytes are done with. */
  take(count: number): void {
    this.#start += count
    if (this.#start === this.#end) this.clear()
  }

  clear(): void {
    this.#start = 0
    this.#end = 0
    if (this.#store.length > CAPACITY_KEPT) this.#store = NOTHING
  }

  #makeRoom(count: number): void {
    const { length, bytes } = this
    const needed = length + count
    if (needed > this.#store.length || needed > this.#store.length / 2) {
      const larger = Buffer.allocUnsafeSlow(Math.max(CAPACITY_MIN, needed * 2))
      larger.set(bytes)
      this.#store = larger
    } else this.#store.copyWithin(0, this.#start, this.#end)
    this.#start = 0
    this.#end = length
  }
}
