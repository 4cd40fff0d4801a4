/**
 * What data planes ask of their process (admin-commands.ts): a place among the watchers, the connections of all threads,
 * certificates read again, the end. The main thread's side; knows no socket.
 */
import { type Conn, connsReply } from './conn-events.js'
import type { ToControl, ToData } from './plane.js'
import type { TlsFiles } from './tls-files.js'
import type { Watchers } from './watchers.js'

export interface ProcessCommandsOptions {
  watchers: Watchers
  /** How many data planes there are, and a way to each. */
  planes(): number
  post(plane: number, message: ToData): void
  /** Reads the certificates, or says in a sentence why they stay as they were. */
  certificates(): TlsFiles
  shutdown(graceful: boolean): void
}

/** Something that all planes were told, and one waits for the answers of. */
interface Gathering {
  missing: Set<number>
  conns: Conn[]
  then(conns: readonly Conn[]): void
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
    const { watchers } = this.#options
    if (message.type === 'watch') this.#watch(plane, message.ticket, message.streams)
    else if (message.type === 'unwatch') watchers.remove(message.watcher)
    else if (message.type === 'sent') watchers.sent(message.watcher, message.bytes)
    else if (message.type === 'conns') this.#conns(plane, message.ticket)
    else if (message.type === 'here') this.#gathered(plane, message.gathering, message.conns)
    else if (message.type === 'certificates') this.#certificates(plane, message.ticket)
    else if (message.type === 'shutdown') this.#options.shutdown(message.graceful)
    else return false
    return true
  }

  /** Every plane shows new connections what is on the disk now. Null, or why none does. */
  refreshCertificates(then: () => void): string | null {
    const files = this.#options.certificates()
    if (!files.ok) return files.sentence
    this.#gather(gathering => ({ type: 'certificates', tls: files.tls, gathering }), then)
    return null
  }

  #watch(plane: number, ticket: number, streams: number): void {
    const { watchers, post } = this.#options
    const watcher: number | null = watchers.add(streams, lines => {
      if (watcher !== null) post(plane, { type: 'lines', watcher, lines })
    })
    post(plane, { type: 'watching', ticket, watcher })
  }

  #conns(plane: number, ticket: number): void {
    this.#gather(
      (gathering, one) => ({ type: 'tellConns', gathering, ticket: one === plane ? ticket : -1 }),
      conns => this.#answer(plane, ticket, connsReply(conns)),
    )
  }

  #certificates(plane: number, ticket: number): void {
    const refused = this.refreshCertificates(() => this.#answer(plane, ticket, 'OK\r\n'))
    if (refused !== null) this.#answer(plane, ticket, `ERROR ${refused}\r\n`)
  }

  #answer(plane: number, ticket: number, reply: string): void {
    this.#options.post(plane, { type: 'answer', ticket, reply })
  }

  #gather(message: (gathering: number, plane: number) => ToData, then: (conns: readonly Conn[]) => void): void {
    const gathering = ++this.#lastGathering
    const all = Array.from({ length: this.#options.planes() }, (_, i) => i)
    this.#gatherings.set(gathering, { missing: new Set(all), conns: [], then })
    for (const one of all) this.#options.post(one, message(gathering, one))
  }

  #gathered(plane: number, number: number, conns: Conn[]): void {
    const gathering = this.#gatherings.get(number)
    if (!gathering?.missing.delete(plane)) return
    gathering.conns.push(...conns)
    if (gathering.missing.size > 0) return
    this.#gatherings.delete(number)
    gathering.then(gathering.conns)
  }
}
