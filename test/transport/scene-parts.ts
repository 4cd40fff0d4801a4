/** What scenes are made of: handlers, an echo, a client that asks. */
import type { Connection, ConnectionHandler, Listener, ListenOptions, Loop } from '../../lib/transport/loop.js'
import type { Done, Place } from './place.js'

export function handler(parts: Partial<ConnectionHandler>): ConnectionHandler {
  return { onReadable() {}, onWritable() {}, onClose() {}, ...parts }
}

export function listen(
  { server, host }: Place,
  options: Partial<ListenOptions>,
  onConnection: (connection: Connection) => ConnectionHandler,
  onListening: (listener: Listener & { fd?: number }) => void,
  done: Done,
): void {
  server.listen({ host, port: 0, ...options }, onConnection, onListening, done)
}

/** Sends back what it gets, through a range of the loop's memory of its own; it reads no further while bytes wait there. */
export class Echo implements ConnectionHandler {
  static made = 0
  readonly #range: number
  readonly #length: number
  #from = 0
  #to = 0
  constructor({ memory }: Loop, length = 5000) {
    this.#length = length
    this.#range = 64 + (Echo.made++ % Math.floor((memory.length - 64) / length)) * length
  }
  onReadable(connection: Connection): void {
    const count = connection.recv(this.#range, this.#length)
    if (count < 0) {
      connection.close()
      return
    }
    this.#from = this.#range
    this.#to = this.#range + count
    this.#send(connection)
  }
  onWritable(connection: Connection): void {
    this.#send(connection)
  }
  onClose(): void {}
  #send(connection: Connection): void {
    this.#from += connection.send(this.#from, this.#to - this.#from)
    if (this.#from < this.#to) connection.pauseReading()
    else connection.resumeReading()
  }
}

/** Sends all bytes and gathers what comes back. */
export function ask(
  place: Place,
  port: number,
  bytes: Buffer,
  onAnswer: (answer: Buffer, connection: Connection) => void,
) {
  const answer: Buffer[] = []
  let got = 0
  let sent = 0
  const go = (connection: Connection) => {
    sent += connection.write(bytes.subarray(sent))
  }
  return place.client.connect(
    { host: place.host, port },
    handler({
      onConnect: go,
      onWritable: go,
      onReadable(connection) {
        for (let part = connection.read(); part && part.length > 0; part = connection.read()) {
          answer.push(Buffer.from(part))
          got += part.length
        }
        if (got >= bytes.length && !connection.closed) onAnswer(Buffer.concat(answer), connection)
      },
    }),
  )
}
