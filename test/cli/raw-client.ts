/** A socket to a server, for tests of the command line: what was sent, what came back until a condition holds. */
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import type { Test } from 'tap'

export class RawClient {
  readonly socket: Socket
  text = ''
  closed = false
  #look: () => void = () => {}

  constructor(t: Test, socket: Socket) {
    this.socket = socket
    t.teardown(() => socket.destroy())
    socket.on('data', bytes => {
      this.text += bytes.toString('latin1')
      this.#look()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.#look()
    })
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** Everything that came, once the condition holds; what came so far when the connection ends before. */
  until(condition: () => boolean): Promise<string> {
    return new Promise(resolve => {
      this.#look = () => {
        if (!condition() && !this.closed) return
        this.#look = () => {}
        const { text } = this
        this.text = ''
        resolve(text)
      }
      this.#look()
    })
  }

  ask(text: string, end = '\r\n'): Promise<string> {
    this.send(text)
    return this.until(() => this.text.endsWith(end))
  }

  /** What came until the other side closed. */
  rest(): Promise<string> {
    return this.until(() => this.closed)
  }
}

export const dial = (t: Test, to: NetConnectOpts): RawClient => new RawClient(t, connect(to))

/** One question on a connection of its own. */
export async function ask(t: Test, to: NetConnectOpts, text: string, end?: string): Promise<string> {
  const client = dial(t, to)
  const answer = await client.ask(text, end)
  client.socket.destroy()
  return answer
}
