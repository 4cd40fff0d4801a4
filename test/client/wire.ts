/** The way between a client and a real server: bytes in small pieces, swallowed, or ended in one direction. */
import { connect, createServer, type Server as NetServer, type Socket } from 'node:net'
import { HOST } from './servers.js'

interface Pair {
  client: Socket
  server: Socket
  /** Says no more in either direction, and is closed by nobody. */
  silent: boolean
}

export class Wire {
  readonly #listener: NetServer
  readonly #pairs = new Set<Pair>()
  /** Largest piece that is passed on at once, bytes; there is a turn of the event loop after each. */
  pieceBytes = Number.POSITIVE_INFINITY
  #connections = 0

  private constructor(port: number) {
    this.#listener = createServer({ allowHalfOpen: true }, client => {
      this.#connections++
      const server = connect({ port, host: HOST, noDelay: true, allowHalfOpen: true })
      const pair: Pair = { client, server, silent: false }
      this.#pairs.add(pair)
      client.setNoDelay(true)
      this.#pass(pair, client, server)
      this.#pass(pair, server, client)
    })
  }

  static async to(port: number, t: { teardown(end: () => void): void }): Promise<Wire> {
    const wire = new Wire(port)
    await new Promise<void>(resolve => wire.#listener.listen(0, HOST, resolve))
    t.teardown(() => wire.#close())
    return wire
  }

  get address(): string {
    const address = this.#listener.address()
    return `${HOST}:${typeof address === 'object' && address ? address.port : 0}`
  }

  /** Made so far. */
  get connections(): number {
    return this.#connections
  }

  /** Connections of now become half-open: whoever is at the other end is gone without a word. New ones work. */
  silence(): void {
    for (const pair of this.#pairs) pair.silent = true
  }

  /** The server's side of each connection is ended; what the client sends is still read. */
  endReplies(): void {
    for (const { client, server } of this.#pairs) {
      server.unpipe(client)
      client.end()
    }
  }

  #pass(pair: Pair, from: Socket, to: Socket): void {
    const close = () => {
      if (pair.silent) return
      this.#pairs.delete(pair)
      pair.client.destroy()
      pair.server.destroy()
    }
    from.on('error', close)
    from.on('close', close)
    from.on('end', () => !pair.silent && to.end())
    from.on('data', bytes => {
      if (this.pieceBytes >= bytes.length) this.#write(pair, from, to, bytes)
      else {
        from.pause()
        this.#inPieces(pair, from, to, bytes)
      }
    })
  }

  #inPieces(pair: Pair, from: Socket, to: Socket, bytes: Buffer): void {
    this.#write(pair, from, to, bytes.subarray(0, this.pieceBytes))
    const rest = bytes.subarray(this.pieceBytes)
    if (rest.length === 0) from.resume()
    else setImmediate(() => this.#inPieces(pair, from, to, rest))
  }

  #write(pair: Pair, from: Socket, to: Socket, bytes: Buffer): void {
    if (pair.silent || to.writableEnded || to.destroyed || to.write(bytes)) return
    from.pause()
    to.once('drain', () => from.resume())
  }

  #close(): void {
    for (const { client, server } of this.#pairs) {
      client.destroy()
      server.destroy()
    }
    this.#listener.close()
  }
}
