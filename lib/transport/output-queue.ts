/**
 * Bytes on their way out, copied, in order. Small pieces share a chunk, so that what a turn sends leaves in few system
 * calls; a piece larger than a chunk gets one of its own size. It is bounded by its owner, who sees `bytes`.
 */
const CHUNK_BYTES = 64 * 1024
const NOTHING = Buffer.alloc(0)

interface Chunk {
  buffer: Buffer
  start: number
  end: number
}

export class OutputQueue {
  #chunks: Chunk[] = []
  #spare: Buffer | null = null
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  /** The next bytes to write, or null. Valid until the queue is touched. */
  get head(): Buffer | null {
    const first = this.#chunks[0]
    return first ? first.buffer.subarray(first.start, first.end) : null
  }

  /** Where `claim` made room. */
  claimed: Buffer = NOTHING

  /** Room at the end for `length` bytes, to be filled at once: they begin at the position returned, of `claimed`. */
  claim(length: number): number {
    let last = this.#chunks.at(-1)
    if (!last || last.buffer.length - last.end < length) {
      last = { buffer: this.#newBuffer(length), start: 0, end: 0 }
      this.#chunks.push(last)
    }
    const at = last.end
    last.end += length
    this.#bytes += length
    this.claimed = last.buffer
    return at
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const at = this.claim(bytes.length)
    this.claimed.set(bytes, at)
  }

  consume(count: number): void {
    this.#bytes -= count
    let left = count
    while (left > 0) {
      const first = this.#chunks[0]!
      const taken = Math.min(left, first.end - first.start)
      first.start += taken
      left -= taken
      if (first.start < first.end) return
      this.#chunks.shift()
      if (first.buffer.length === CHUNK_BYTES) this.#spare = first.buffer
    }
  }

  clear(): void {
    this.#chunks = []
    this.claimed = NOTHING
    this.#bytes = 0
  }

  #newBuffer(length: number): Buffer {
    const spare = this.#spare
    if (length > CHUNK_BYTES || !spare) return Buffer.allocUnsafeSlow(Math.max(length, CHUNK_BYTES))
    this.#spare = null
    return spare
  }
}
