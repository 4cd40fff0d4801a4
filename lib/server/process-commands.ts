/**
 * What data planes ask of their process (admin-commands.ts): a place among the watchers, the connections of all threads,
 * certificates read again, the end. The main thread's side; knows no socket.
 */
import type { Conn } from './conn-events.js'
import { connsReply } from './conn-events.js'
import type { ToControl, ToData } from './plane.js'
import type { Watchers } from './watchers.js'

export interface ProcessCommandsOptions {
  watchers: Watchers
  /** How many data planes there are, and a way to each. */
  planes(): number
  post(plane: number, message: ToData): void
  /** Reads the certificates again: null, or a sentence that says why they stay as they were. */
  refreshCertificates(): string | null
  shutdown(graceful: boolean): void
}

interface Gathering {
  plane: number
  ticket: number
  missing: Set<number>
  conns: Conn[]
}

export class ProcessCommands {
  readonly #options: ProcessCommandsOptions
  readonly #gatherings = new Map<number, Gathering>()
  #lastGathering = 0

  constructor(options: ProcessCommandsOptions) {
    this.#options = options
  }

  /** True: the message was one of these. */
  onMessage(plane: number, message: ToControl): boolean {
    const { watchers, post } = this.#options
    if (message.type === 'watch') {
      const watcher = watchers.add(message.streams, lines => post(plane, { type: 'lines', watcher: watcher!, lines }))
      post(plane, { type: 'watching', ticket: message.ticket, watcher })
    } else if (message.type === 'unwatch') watchers.remove(message.watcher)
    else if (message.type === 'sent') watchers.sent(message.watcher, message.bytes)
    else if (message.type === 'conns') this.#gather(plane, message.ticket)
    else if (message.type === 'connsHere') this.#gathered(plane, message.gathering, message.conns)
    else if (message.type === 'certificates') {
      const sentence = this.#options.refreshCertificates()
      post(plane, {
        type: 'answer',
        ticket: message.ticket,
        reply: sentence === null ? 'OK\r\n' : `ERROR ${sentence}\r\n`,
      })
    } else if (message.type === 'shutdown') this.#options.shutdown(message.graceful)
    else return false
    return true
  }

  #gather(plane: number, ticket: number): void {
    const gathering = ++this.#lastGathering
    const all = Array.from({ length: this.#options.planes() }, (_, i) => i)
    this.#gatherings.set(gathering, { plane, ticket, missing: new Set(all), conns: [] })
    for (const one of all)
      this.#options.post(one, { type: 'tellConns', gathering, ticket: one === plane ? ticket : -1 })
  }

  #gathered(plane: number, number: number, conns: Conn[]): void {
    const gathering = this.#gatherings.get(number)
    if (!gathering?.missing.delete(plane)) return
    gathering.conns.push(...conns)
    if (gathering.missing.size > 0) return
    this.#gatherings.delete(number)
    this.#options.post(gathering.plane, {
      type: 'answer',
      ticket: gathering.ticket,
      reply: connsReply(gathering.conns),
    })
  }
}
