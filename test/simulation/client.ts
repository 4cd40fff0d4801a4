/** A plain memcached client on a Loop: one request at a time, classic text protocol; knows nothing of tiers. */
import type { Address, Connection, ConnectionHandler, Loop } from '../../lib/transport/loop.js'
import type { Op } from './oracle.js'

/** The reply in the oracle's words, or null when the connection died before an answer; errors as memcached says them. */
export type Answer = (reply: string | null) => void

interface Waiting {
  answer: Answer
  isGet: boolean
}

export class SimClient implements ConnectionHandler {
  readonly #loop: Loop
  readonly #to: Address
  #connection: Connection | null = null
  #connected = false
  #input: Buffer = Buffer.alloc(0)
  #output: Buffer = Buffer.alloc(0)
  #waiting: Waiting | null = null

  constructor(loop: Loop, to: Address) {
    this.#loop = loop
    this.#to = to
  }

  get busy(): boolean {
    return this.#waiting !== null
  }

  request(key: string, op: Op, answer: Answer): void {
    const isGet = op.verb === 'get' || op.verb === 'gets' || op.verb === 'gat'
    this.#send(line(key, op), { answer, isGet })
  }

  /** Raw one-line command with a one-line answer (flush_all). */
  command(text: string, answer: Answer): void {
    this.#send(Buffer.from(text), { answer, isGet: false })
  }

  close(): void {
    this.#connection?.close()
  }

  #send(bytes: Buffer, waiting: Waiting): void {
    if (this.#waiting) throw new Error('one request at a time')
    this.#waiting = waiting
    this.#output = bytes
    if (!this.#connection) {
      this.#input = Buffer.alloc(0)
      this.#connected = false
      this.#connection = this.#loop.connect(this.#to, this)
    } else if (this.#connected) this.#flush()
  }
  #flush(): void {
    if (!this.#connection || this.#output.length === 0) return
    this.#output = this.#output.subarray(this.#connection.write(this.#output))
  }

  onConnect(): void {
    this.#connected = true
    this.#flush()
  }

  onWritable(): void {
    this.#flush()
  }

  onReadable(connection: Connection): void {
    for (;;) {
      const bytes = connection.read()
      if (bytes === null) break
      if (bytes.length === 0) {
        connection.close()
        return
      }
      this.#input = Buffer.concat([this.#input, bytes])
    }
    const waiting = this.#waiting
    if (!waiting) return
    const parsed = parse(this.#input, waiting.isGet)
    if (!parsed) return
    this.#input = this.#input.subarray(parsed.length)
    this.#waiting = null
    waiting.answer(parsed.reply)
  }

  onClose(): void {
    this.#connection = null
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.answer(null)
  }
}

function line(key: string, { verb, value }: Op): Buffer {
  if (verb === 'get' || verb === 'gets') return Buffer.from(`${verb} ${key}\r\n`)
  if (verb === 'gat') return Buffer.from(`gat 0 ${key}\r\n`)
  if (verb === 'delete') return Buffer.from(`delete ${key}\r\n`)
  if (verb === 'touch') return Buffer.from(`touch ${key} 0\r\n`)
  if (verb === 'incr') return Buffer.from(`incr ${key} 1\r\n`)
  return Buffer.from(`${verb} ${key} 0 0 ${value.length}\r\n${value}\r\n`)
}

function parse(input: Buffer, isGet: boolean): { reply: string; length: number } | null {
  const end = input.indexOf('\r\n')
  if (end < 0) return null
  const head = input.toString('latin1', 0, end)
  if (!isGet || head.startsWith('SERVER_ERROR') || head.startsWith('CLIENT_ERROR') || head === 'ERROR') {
    return { reply: head, length: end + 2 }
  }
  if (head === 'END') return { reply: 'miss', length: end + 2 }
  const bytes = Number(head.split(' ')[3])
  const length = end + 2 + bytes + 2 + 5
  if (input.length < length) return null
  const tail = input.toString('latin1', end + 2 + bytes, length)
  if (tail !== '\r\nEND\r\n') return { reply: `garbled ${head} ... ${tail}`, length }
  return { reply: `hit ${input.toString('latin1', end + 2, end + 2 + bytes)}`, length }
}
