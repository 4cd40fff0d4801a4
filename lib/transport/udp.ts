/**
 * memcached's datagrams (PROTOCOL D12) as connections: each datagram is one that brings its bytes, ends, and takes the
 * replies; what was written to it goes back when it is closed.
 *
 *   request:  id 16 | number 16 | total 16 | 0 16 | bytes          one datagram; longer requests are dropped
 *   reply:    the same id, number 0 .. total-1, up to 1392 bytes each
 *
 * Datagrams get lost: so nothing here waits or says no, what does not fit is dropped.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { Address, Connection, ConnectionHandler, Listener, ListenOptions } from './loop.js'
import { CLOSED_HERE, listenSentence, literalOf } from './words.js'

const HEADER_BYTES = 8
const PAYLOAD_BYTES_MAX = 1392
/** A longer reply would be thousands of datagrams in one burst, of which most get lost. */
const REPLY_BYTES_MAX = 4 << 20

export interface UdpPlace {
  memory: Uint8Array
  options: ListenOptions
  onConnection(connection: Connection): ConnectionHandler
  onListening(listener: Listener): void
  onError(sentence: string): void
}

export function listenUdp(place: UdpPlace): { close(): void } {
  const { options, memory, onConnection, onListening, onError } = place
  const host = literalOf(options.host)
  const ipv6Only = options.ipv6Only ?? false
  const socket = isIPv6(host) ? createSocket({ type: 'udp6', ipv6Only }) : createSocket('udp4')
  let closed = false
  const close = () => {
    if (!closed) socket.close()
    closed = true
  }
  socket.once('error', (error: NodeJS.ErrnoException) => {
    close()
    onError(listenSentence(options, error.code))
  })
  socket.bind({ address: host, port: options.port, exclusive: true }, () => {
    // From here on errors are those of single datagrams.
    socket.removeAllListeners('error').on('error', () => {})
    const { port } = socket.address()
    socket.on('message', (bytes, from) => {
      if (bytes.length <= HEADER_BYTES || bytes.readUInt16BE(4) !== 1) return
      const connection = new UdpConnection(memory, bytes, from, { host, port }, replies => {
        if (!closed) reply(socket, bytes.readUInt16BE(0), replies, from)
      })
      connection.handler = onConnection(connection)
      connection.begin()
    })
    onListening({ port, close })
  })
  return { close }
}

function reply(socket: Socket, id: number, bytes: Buffer, to: RemoteInfo): void {
  const total = Math.ceil(bytes.length / PAYLOAD_BYTES_MAX)
  for (let number = 0; number < total; number++) {
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt16BE(id, 0)
    header.writeUInt16BE(number, 2)
    header.writeUInt16BE(total, 4)
    const part = bytes.subarray(number * PAYLOAD_BYTES_MAX, (number + 1) * PAYLOAD_BYTES_MAX)
    socket.send([header, part], to.port, to.address, () => {})
  }
}

const EMPTY = new Uint8Array(0)
const SILENT: ConnectionHandler = { onReadable() {}, onWritable() {}, onClose() {} }

class UdpConnection implements Connection {
  readonly remote: Address
  readonly local: Address
  handler: ConnectionHandler = SILENT
  closed = false
  readonly #memory: Uint8Array
  readonly #onReply: (bytes: Buffer) => void
  #left: Uint8Array
  #replies: Buffer[] = []
  #size = 0
  /** The owner was told that there is no more. */
  #ended = false
  #paused = false
  #scheduled = false

  constructor(memory: Uint8Array, bytes: Buffer, from: RemoteInfo, local: Address, onReply: (bytes: Buffer) => void) {
    this.#memory = memory
    this.#left = bytes.subarray(HEADER_BYTES)
    this.remote = { host: from.address, port: from.port }
    this.local = local
    this.#onReply = onReply
  }

  begin(): void {
    if (this.closed || this.#paused) return
    this.handler.onReadable(this)
    this.#again()
  }

  recv(offset: number, length: number): number {
    const part = this.#left.subarray(0, length)
    if (part.length === 0) {
      this.#ended = true
      return -1
    }
    this.#memory.set(part, offset)
    this.#left = this.#left.subarray(part.length)
    return part.length
  }

  read(): Uint8Array {
    const all = this.#left
    this.#left = EMPTY
    if (all.length === 0) this.#ended = true
    return all
  }

  send(offset: number, length: number): number {
    return this.write(this.#memory.subarray(offset, offset + length))
  }

  write(bytes: Uint8Array): number {
    this.#size += bytes.length
    if (this.#size <= REPLY_BYTES_MAX) this.#replies.push(Buffer.from(bytes))
    else this.#replies = []
    return bytes.length
  }

  pauseReading(): void {
    this.#paused = true
  }

  resumeReading(): void {
    this.#paused = false
    this.#again()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    if (this.#size > 0 && this.#size <= REPLY_BYTES_MAX) this.#onReply(Buffer.concat(this.#replies, this.#size))
    this.#replies = []
    setImmediate(() => this.handler.onClose(this, CLOSED_HERE))
  }

  destroy(): void {
    this.#size = 0
    this.close()
  }

  /** Level-triggered, as every connection: until the owner knows that it was all. */
  #again(): void {
    if (this.#scheduled || this.#ended) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.begin()
    })
  }
}
