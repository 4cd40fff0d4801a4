/**
 * What is to be written to one socket: text gathered until the end of the turn, so that calls made together leave in one
 * write. Small values join the text; large ones are written from where they are, and must not change before their call settles.
 */
import type { Socket } from 'node:net'

/** Up to this many bytes a value is copied into the text: cheaper than a part of its own. */
const SMALL_BYTES = 1024

export class Outbox {
  /** One letter a byte. */
  #text = ''
  #parts: (string | Uint8Array)[] = []

  get isEmpty(): boolean {
    return this.#text === '' && this.#parts.length === 0
  }

  text(text: string): void {
    this.#text += text
  }

  /** A value's block, with its \r\n. */
  block(bytes: Buffer): void {
    if (bytes.length <= SMALL_BYTES) {
      this.#text += bytes.toString('latin1')
    } else {
      this.#parts.push(this.#text, bytes)
      this.#text = ''
    }
    this.#text += '\r\n'
  }

  /** Everything to the socket, as one write or one gathered write. */
  flush(socket: Socket): void {
    const [text, parts] = [this.#text, this.#parts]
    this.#text = ''
    if (parts.length === 0) {
      if (text !== '') socket.write(text, 'latin1')
      return
    }
    this.#parts = []
    socket.cork()
    for (const part of parts) {
      if (typeof part !== 'string') socket.write(part)
      else if (part !== '') socket.write(part, 'latin1')
    }
    socket.write(text, 'latin1')
    socket.uncork()
  }

  clear(): void {
    this.#text = ''
    this.#parts = []
  }
}
