/**
 * The commands of operators (PROTOCOL D9 to D11): those that a data plane answers with what it knows, and those that it
 * must ask the process for, as the other threads' connections or a watcher's number. Nothing here is on the hot path.
 */
import type { EngineApi, PrefixFigures } from '../engine/contract.js'
import { PREFIXES, STREAMS } from '../engine/log-reader.js'
import type { Conn } from './conn-events.js'
import type { DataPort, ToData } from './plane.js'
import type { Request } from './request.js'

export interface AdminOptions {
  engine: EngineApi
  port: Pick<DataPort, 'post'>
  /** -W, -X, -A */
  watch: boolean
  dumps: boolean
  shutdown: boolean
  /** Connections and listeners of this thread. */
  conns(asker: number | undefined): Conn[]
}

const text = (line: string) => Buffer.from(`${line}\r\n`)
const NOT_ALLOWED = text('CLIENT_ERROR watch commands not allowed')
const PIPELINED = text('ERROR cannot pipeline other commands before watch')
const TOO_MANY = text('WATCHER_TOO_MANY log watcher limit reached')
const FAILED = text('WATCHER_FAILED failed to add log watcher')
const DETAIL_NOT_ALLOWED = text('CLIENT_ERROR stats detail not allowed')
const DETAIL_USAGE = text('CLIENT_ERROR usage: stats detail on|off|dump')
const NO_SHUTDOWN = text('SERVER_ERROR: shutdown not enabled')
const BAD_SHUTDOWN = text('CLIENT_ERROR invalid shutdown mode')
const ERROR = text('ERROR')
const OK = text('OK')
const EMPTY = Buffer.alloc(0)

export class AdminCommands {
  readonly #options: AdminOptions
  /** Requests that wait for the process, by ticket. */
  readonly #waiting = new Map<number, Request>()
  #tickets = 0

  constructor(options: AdminOptions) {
    this.#options = options
  }

  /** True: it is one of these, and answered now or later. */
  run(request: Request, words: readonly string[]): boolean {
    const [command, second] = words
    if (command === 'watch') this.#watch(request, words.slice(1))
    else if (command === 'stats' && second === 'detail') request.answer(this.#detail(words[2]))
    else if (command === 'stats' && second === 'conns') this.#ask(request, 'conns')
    else if (command === 'refresh_certs') this.#ask(request, 'certificates')
    else if (command === 'shutdown') this.#shutdown(request, words)
    else return false
    return true
  }

  /** True: the message was for these commands. */
  onMessage(message: ToData): boolean {
    if (message.type === 'answer') this.#take(message.ticket)?.answer(Buffer.from(message.reply))
    else if (message.type === 'watching') this.#watching(message.ticket, message.watcher)
    else if (message.type === 'tellConns') {
      const { port, conns } = this.#options
      // The asker is shown as it was when it asked.
      port.post({
        type: 'here',
        gathering: message.gathering,
        conns: conns(this.#waiting.get(message.ticket)?.connection),
      })
    } else return false
    return true
  }

  #watch(request: Request, words: readonly string[]): void {
    const streams = words.map(word => (Object.hasOwn(STREAMS, word) ? STREAMS[word as keyof typeof STREAMS] : null))
    if (!this.#options.watch) request.answer(NOT_ALLOWED)
    else if (request.pipelined) request.answer(PIPELINED)
    else if (streams.includes(null)) request.answer(ERROR)
    else if (!request.becomeWatcher) request.answer(FAILED)
    else {
      const bits = streams.reduce<number>((sum, bit) => sum | (bit ?? 0), 0)
      this.#options.port.post({ type: 'watch', ticket: this.#keep(request), streams: bits || STREAMS.fetchers })
    }
  }

  #watching(ticket: number, watcher: number | null): void {
    const request = this.#take(ticket)
    if (watcher === null) request?.answer(TOO_MANY)
    else if (!request || request.dropped) this.#options.port.post({ type: 'unwatch', watcher })
    else {
      request.answer(OK)
      request.becomeWatcher?.(watcher)
    }
  }

  #detail(word: string | undefined): Buffer {
    const { engine, dumps } = this.#options
    if (!dumps) return DETAIL_NOT_ALLOWED
    if (word === 'dump') return prefixDump(engine.prefixes())
    if (word === 'on') engine.wantStreams(PREFIXES)
    else if (word === 'off') engine.dropStreams(PREFIXES)
    else return DETAIL_USAGE
    return OK
  }

  /** memcached closes the connection and raises the signal. */
  #shutdown(request: Request, words: readonly string[]): void {
    const graceful = words[1] === 'graceful'
    if (!this.#options.shutdown) request.answer(NO_SHUTDOWN)
    else if (words.length > 2 || (words.length === 2 && !graceful)) request.answer(BAD_SHUTDOWN)
    else {
      request.answer(EMPTY)
      this.#options.port.post({ type: 'shutdown', graceful })
    }
  }

  #ask(request: Request, type: 'conns' | 'certificates'): void {
    this.#options.port.post({ type, ticket: this.#keep(request) })
  }

  #keep(request: Request): number {
    const ticket = ++this.#tickets
    this.#waiting.set(ticket, request)
    return ticket
  }

  #take(ticket: number): Request | undefined {
    const request = this.#waiting.get(ticket)
    this.#waiting.delete(ticket)
    return request
  }
}

function prefixDump(prefixes: readonly PrefixFigures[]): Buffer {
  const lines = prefixes.map(
    ({ prefix, get, hit, set, del }) => `PREFIX ${prefix} get ${get} hit ${hit} set ${set} del ${del}\r\n`,
  )
  return Buffer.from(`${lines.join('')}END\r\n`, 'latin1')
}
