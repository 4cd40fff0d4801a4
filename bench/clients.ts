/**
 * Two clients with one face. `NpmClient` is npm's memcached, what people run; its Ketama ring is libmemcached-weighted's at
 * 3 and 4 equal servers. It turns SERVER_ERROR into a silent `false` and an `issue` event, so an operation during which an
 * issue came counts as failed. `PlainClient` is a socket per server and lib/protocol: it hides nothing.
 */
import { connect, type Socket } from 'node:net'
import { Ring } from '../lib/ketama/index.js'
import { getLine, type Reply, ReplyParser, storeParts } from '../lib/protocol/index.js'

export interface Server {
  host: string
  port: number
}

/** Values are text, one letter a byte. A failure is an Error with the server's words. */
export interface Client {
  get(key: string): Promise<string | undefined>
  getMany(keys: string[]): Promise<Map<string, string>>
  set(key: string, value: string): Promise<void>
  /** Was there something to delete? */
  delete(key: string): Promise<boolean>
  /** By one; null if the key is not there. */
  increment(key: string): Promise<number | null>
  close(): void
}

type Done<Answer> = (answer: Answer) => void

/** Requests that gave no answer, or an error; and which servers of the list are to blame. */
export class ClientFailure extends Error {
  readonly servers: readonly number[]

  constructor(message: string, servers: readonly number[]) {
    super(message)
    this.servers = servers
  }
}

interface Connection {
  socket: Socket
  waiting: { resolve: Done<Reply>; reject: (error: Error) => void }[]
}

export class PlainClient implements Client {
  readonly #ring: Ring
  readonly #connections = new Map<number, Connection>()
  readonly #limitMs: (server: number) => number

  /**
   * `limitMs`: how long each request to a server of the list may take; 0: as long as it likes. A connection with a request that
   * took too long is closed, and what else waits on it fails.
   */
  constructor(servers: Server[], limitMs: (server: number) => number = () => 0) {
    this.#ring = new Ring(servers)
    this.#limitMs = limitMs
  }

  async get(key: string): Promise<string | undefined> {
    return (await this.#values(this.#ring.indexOf(key), [key])).get(key)
  }

  async getMany(keys: string[]): Promise<Map<string, string>> {
    const byServer = new Map<number, string[]>()
    for (const key of keys) {
      const server = this.#ring.indexOf(key)
      byServer.set(server, [...(byServer.get(server) ?? []), key])
    }
    const parts = await Promise.allSettled([...byServer].map(([server, part]) => this.#values(server, part)))
    const failures = parts.filter(part => part.status === 'rejected').map(({ reason }) => reason as ClientFailure)
    if (failures.length > 0) {
      const texts = failures.map(({ message }) => message)
      throw new ClientFailure(
        texts.join(', '),
        failures.flatMap(({ servers }) => servers),
      )
    }
    return new Map(parts.flatMap(part => (part.status === 'fulfilled' ? [...part.value] : [])))
  }

  async set(key: string, value: string): Promise<void> {
    const reply = await this.#ask(key, storeParts('set', key, Buffer.from(value, 'latin1')))
    if (reply.kind !== 'line' || reply.line !== 'STORED') throw this.#unexpected(key, reply)
  }

  async delete(key: string): Promise<boolean> {
    const reply = await this.#ask(key, [`delete ${key}\r\n`])
    if (reply.kind === 'line' && (reply.line === 'DELETED' || reply.line === 'NOT_FOUND'))
      return reply.line === 'DELETED'
    throw this.#unexpected(key, reply)
  }

  async increment(key: string): Promise<number | null> {
    const reply = await this.#ask(key, [`incr ${key} 1\r\n`])
    if (reply.kind === 'number') return Number(reply.number)
    if (reply.kind === 'line' && reply.line === 'NOT_FOUND') return null
    throw this.#unexpected(key, reply)
  }

  close(): void {
    for (const { socket } of this.#connections.values()) socket.destroy()
    this.#connections.clear()
  }

  #ask(key: string, parts: (string | Uint8Array)[]): Promise<Reply> {
    return this.#send(this.#ring.indexOf(key), parts)
  }

  async #values(server: number, keys: string[]): Promise<Map<string, string>> {
    const reply = await this.#send(server, [getLine(keys)])
    if (reply.kind !== 'values') throw new ClientFailure(wordsOf(reply), [server])
    return new Map(reply.values.map(({ key, value }) => [key, value.toString('latin1')]))
  }

  #send(server: number, parts: (string | Uint8Array)[]): Promise<Reply> {
    const connection = this.#connections.get(server) ?? this.#connect(server)
    return new Promise((resolve, reject) => {
      const limitMs = this.#limitMs(server)
      const late = new Error(`no answer within ${limitMs} ms`)
      const limit = limitMs > 0 ? setTimeout(() => connection.socket.destroy(late), limitMs) : undefined
      connection.waiting.push({
        resolve: reply => {
          clearTimeout(limit)
          resolve(reply)
        },
        reject: error => {
          clearTimeout(limit)
          reject(error)
        },
      })
      connection.socket.cork()
      for (const part of parts) connection.socket.write(part)
      connection.socket.uncork()
    })
  }

  #unexpected(key: string, reply: Reply): ClientFailure {
    return new ClientFailure(wordsOf(reply), [this.#ring.indexOf(key)])
  }

  #connect(server: number): Connection {
    const { host, port } = this.#ring.servers[server]!
    const socket = connect({ host, port, noDelay: true })
    const connection: Connection = { socket, waiting: [] }
    const parser = new ReplyParser(reply => connection.waiting.shift()?.resolve(reply))
    let why = `${host}:${port} closed the connection`
    socket.on('data', bytes => {
      try {
        parser.push(bytes)
      } catch (error) {
        socket.destroy(error instanceof Error ? error : undefined)
      }
    })
    socket.on('error', error => {
      why = error.message
    })
    socket.on('close', () => {
      if (this.#connections.get(server) === connection) this.#connections.delete(server)
      for (const { reject } of connection.waiting.splice(0)) reject(new ClientFailure(why, [server]))
    })
    this.#connections.set(server, connection)
    return connection
  }
}

function wordsOf(reply: Reply): string {
  return reply.kind === 'error' || reply.kind === 'line' ? reply.line : `an answer of kind ${reply.kind}`
}

/** The part of npm's memcached that is used here. */
interface NpmMemcached {
  get(key: string, done: (error: unknown, value: unknown) => void): void
  getMulti(keys: string[], done: (error: unknown, values: unknown) => void): void
  set(key: string, value: string, exptime: number, done: (error: unknown, stored: unknown) => void): void
  del(key: string, done: (error: unknown, deleted: unknown) => void): void
  incr(key: string, delta: number, done: (error: unknown, number: unknown) => void): void
  on(event: 'issue' | 'failure', listener: (details: { messages?: string[] }) => void): void
  end(): void
}

/**
 * Servers are never given up and connections are not closed when idle. `retries` is only about its pool: with all
 * connections still opening it says "pool is full" instead of waiting, unless it may look again soon.
 */
const NPM_OPTIONS = {
  retries: 40,
  minTimeout: 5,
  maxTimeout: 100,
  factor: 1.2,
  failures: 1_000_000,
  failuresTimeout: 1000,
  retry: 1,
  remove: false,
  timeout: 20_000,
  idle: 3_600_000,
  poolSize: 4,
  maxValue: 2 << 20,
}

let hasLetGo = false

/** For a server that failed twice in a moment npm's client sets a timer of five hours, which must not keep the process. */
async function letGoOfTimers(): Promise<void> {
  if (hasLetGo) return
  hasLetGo = true
  const path = 'memcached/lib/connection.js'
  const { IssueLog } = (
    (await import(path)) as { default: { IssueLog: { prototype: { log(text: string): unknown } } } }
  ).default
  const { log } = IssueLog.prototype
  IssueLog.prototype.log = function unreferenced(text) {
    const { setTimeout } = globalThis
    const gentle = (...args: Parameters<typeof setTimeout>) => setTimeout(...args).unref()
    globalThis.setTimeout = Object.assign(gentle, setTimeout)
    try {
      return log.call(this, text)
    } finally {
      globalThis.setTimeout = setTimeout
    }
  }
}

export class NpmClient implements Client {
  readonly #npm: NpmMemcached
  #issues = 0
  #lastIssue = ''

  private constructor(npm: NpmMemcached) {
    this.#npm = npm
    const hear = ({ messages }: { messages?: string[] }) => {
      this.#issues++
      this.#lastIssue = messages?.at(-1) ?? 'an issue without a message'
    }
    npm.on('issue', hear)
    npm.on('failure', hear)
  }

  static async open(servers: Server[]): Promise<NpmClient> {
    const { default: Memcached } = await import('memcached').catch(() => {
      throw new Error("this needs npm's memcached client: npm install memcached")
    })
    await letGoOfTimers()
    const names = servers.map(({ host, port }) => `${host}:${port}`)
    return new NpmClient(new Memcached(names, NPM_OPTIONS) as unknown as NpmMemcached)
  }

  async get(key: string): Promise<string | undefined> {
    const value = await this.#call(done => this.#npm.get(key, done))
    if (value === undefined) return undefined
    if (typeof value !== 'string') throw new Error(`get gave ${String(value)}`)
    return value
  }

  async getMany(keys: string[]): Promise<Map<string, string>> {
    const values = await this.#call(done => this.#npm.getMulti(keys, done))
    if (typeof values !== 'object' || values === null) throw new Error(`getMulti gave ${String(values)}`)
    return new Map(Object.entries(values).filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
  }

  async set(key: string, value: string): Promise<void> {
    const stored = await this.#call(done => this.#npm.set(key, value, 0, done))
    if (stored !== true) throw new Error(`set gave ${String(stored)}`)
  }

  async delete(key: string): Promise<boolean> {
    return (await this.#call(done => this.#npm.del(key, done))) === true
  }

  async increment(key: string): Promise<number | null> {
    const number = await this.#call(done => this.#npm.incr(key, 1, done))
    if (typeof number === 'number') return number
    if (number === false) return null
    throw new Error(`incr gave ${String(number)}`)
  }

  close(): void {
    this.#npm.end()
  }

  #call(start: (done: (error: unknown, answer: unknown) => void) => void): Promise<unknown> {
    const issues = this.#issues
    return new Promise((resolve, reject) =>
      start((error, answer) => {
        if (this.#issues !== issues && typeof answer !== 'string') reject(new Error(this.#lastIssue))
        else if (error) reject(error instanceof Error ? error : new Error(String(error)))
        else resolve(answer)
      }),
    )
  }
}
