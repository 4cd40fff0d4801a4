/** Requests to one node and not to the owner of a key: stats, version, flush_all, config, and those of a new connection. */
import { BadReply, Kind, type WireReply } from '../../protocol/index.js'
import { ClientError, errorOfLine } from '../errors.js'
import type { Outbox } from '../outbox.js'
import { Request, SimpleRequest } from '../request.js'

/** A whole line whose reply is one line. */
export class LineRequest extends SimpleRequest<string> {
  readonly #line: string
  readonly #kinds: readonly Kind[]

  constructor(command: string, line: string, kinds: readonly Kind[], isRead: boolean) {
    super(command, null, isRead)
    this.#line = line
    this.#kinds = kinds
  }

  write(out: Outbox): void {
    out.text(`${this.#line}\r\n`)
  }

  answer(reply: WireReply): string {
    if (this.#kinds.includes(reply.kind)) return reply.line
    throw new BadReply(`"${reply.line}" in answer to ${this.command}`)
  }
}

export const versionRequest = (): LineRequest => new LineRequest('version', 'version', [Kind.VERSION], true)
export const flushRequest = (delaySec: number): LineRequest =>
  new LineRequest('flush_all', delaySec > 0 ? `flush_all ${delaySec}` : 'flush_all', [Kind.OK], false)

/** STAT lines until END; `stats reset` answers RESET. */
export class StatsRequest extends Request<Map<string, string>> {
  readonly #what: string
  readonly #stats = new Map<string, string>()

  constructor(what: string) {
    super('stats', null, true)
    this.#what = what
  }

  write(out: Outbox): void {
    out.text(this.#what === '' ? 'stats\r\n' : `stats ${this.#what}\r\n`)
  }

  take(reply: WireReply): boolean {
    if (reply.kind === Kind.STAT) {
      const [, name = '', value = ''] = /^\S+ (\S+) ?(.*)$/.exec(reply.line) ?? []
      this.#stats.set(name, value)
      return false
    }
    if (reply.kind === Kind.ERROR) this.refuse(reply)
    else if (reply.kind === Kind.END || reply.kind === Kind.RESET) this.resolve(this.#stats)
    else throw new BadReply(`"${reply.line}" in answer to stats`)
    return true
  }
}

/** `config get <what>`: the payload; null if the server does not know it. */
export class ConfigRequest extends Request<string | null> {
  readonly #what: string
  #text: string | null = null

  constructor(what: string) {
    super('config', null, true)
    this.#what = what
  }

  write(out: Outbox): void {
    out.text(`config get ${this.#what}\r\n`)
  }

  take(reply: WireReply): boolean {
    if (reply.kind === Kind.CONFIG) {
      this.#text = reply.copyValue().toString()
      return false
    }
    if (reply.kind !== Kind.END && reply.kind !== Kind.ERROR) throw new BadReply(`"${reply.line}" in answer to config`)
    this.resolve(this.#text)
    return true
  }
}

/** ASCII authentication (PROTOCOL D12): a set whose value is "user password". */
export class AuthRequest extends SimpleRequest<void> {
  readonly #login: Buffer

  constructor(user: string, password: string) {
    super('auth', null, false)
    this.#login = Buffer.from(`${user} ${password}`)
  }

  write(out: Outbox): void {
    out.text(`set auth 0 0 ${this.#login.length}\r\n`)
    out.block(this.#login)
  }

  override take(reply: WireReply): boolean {
    if (reply.kind !== Kind.ERROR) return super.take(reply, false)
    this.reject(new ClientError('AUTH_FAILED', reply.line, this.node))
    return true
  }

  answer(reply: WireReply): void {
    if (reply.kind !== Kind.STORED) throw new BadReply(`"${reply.line}" in answer to a login`)
  }
}

/** Does the server know meta commands? Those that do say MN; versions before 1.6.6 had another answer and other flags. */
export class DetectRequest extends Request<boolean> {
  constructor() {
    super('mn', null, true)
  }

  write(out: Outbox): void {
    out.text('mn\r\n')
  }

  take(reply: WireReply): boolean {
    if (reply.kind === Kind.ERROR && reply.line !== 'ERROR' && !reply.line.startsWith('CLIENT_ERROR bad command')) {
      this.reject(errorOfLine(reply.line, this.node!))
    } else this.resolve(reply.kind === Kind.MN)
    return true
  }
}
