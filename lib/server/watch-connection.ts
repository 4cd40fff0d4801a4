/**
 * A client's connection that watches (PROTOCOL D11): lines go out as they come, what comes in is thrown away. How much
 * may wait for it is not decided here (watchers.ts): it says what the socket took.
 */
import type { Connection, ConnectionHandler } from '../transport/loop.js'
import type { CloseReason } from './conn-events.js'

export interface WatchOptions {
  connection: Connection
  onSent(bytes: number): void
  onGone(reason: CloseReason): void
}

const READS_MAX = 16

export class WatchConnection implements ConnectionHandler {
  readonly connection: Connection
  readonly #options: WatchOptions
  readonly #out: Buffer[] = []
  #reason: CloseReason = 'error'
  /** A watcher is never too idle. */
  readonly idleTicks = 0
  readonly state = 'conn_watch'
  activeAt = 0

  constructor(options: WatchOptions) {
    this.#options = options
    this.connection = options.connection
  }

  show(lines: Uint8Array): void {
    if (this.connection.closed) return
    this.#out.push(Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength))
    if (this.#out.length === 1) this.onWritable()
  }

  onWritable(): void {
    while (this.#out.length > 0) {
      const first = this.#out[0]!
      const taken = this.connection.write(first)
      if (taken > 0) this.#options.onSent(taken)
      if (taken < first.length) {
        this.#out[0] = first.subarray(taken)
        return
      }
      this.#out.shift()
    }
  }

  onReadable(): void {
    for (let reads = 0; reads < READS_MAX; reads++) {
      const bytes = this.connection.read()
      if (bytes === null) return
      if (bytes.length > 0) continue
      this.#reason = 'normal'
      this.connection.close()
      return
    }
  }

  shut(): void {
    this.#reason = 'shutdown'
    this.connection.close()
  }

  kick(): void {}

  onClose(): void {
    this.#out.length = 0
    this.#options.onGone(this.#reason)
  }
}
