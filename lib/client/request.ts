/**
 * One request on its way: it writes itself in the meta or the classic protocol, takes its replies, and settles its promise
 * exactly once. Once sent it stays in its connection's queue until its replies are through, also when nobody waits any more
 * (timeout, abort): replies come in order, and that is all that tells whose they are.
 *
 *   waiting --write--> sent --take ... take--> settled
 *      \                 \--connection lost--> again elsewhere (reads) or rejected
 *       \--node ejected--> again elsewhere or rejected
 */
import { Kind, type WireReply } from '../protocol/index.js'
import { ClientError, type ErrorNode, errorOfLine } from './errors.js'
import type { WireKey } from './key.js'
import type { Outbox } from './outbox.js'

/** Finds a node for a request. */
export interface Router {
  route(request: Request<unknown>): void
}

/** Attempts after the first; only for what was not sent, or is a read. */
const ATTEMPTS_MORE = 3

export abstract class Request<Result> {
  /** memcached's name of it, for errors and traces. */
  readonly command: string
  /** Null: it is for one node, not for the owner of a key. */
  readonly key: WireKey | null
  readonly promise: Promise<Result>
  settled = false
  /** Ticks of the sweeper: how long it may take, and when that is over. */
  timeoutTicks = 0
  deadline = 0
  /** Of memory while it is on its way. */
  bytes = 64
  node: ErrorNode | null = null
  router: Router | null = null
  /** May be sent twice without harm. */
  readonly isRead: boolean
  #attemptsLeft = ATTEMPTS_MORE
  #resolve!: (result: Result | PromiseLike<Result>) => void
  #reject!: (error: unknown) => void

  constructor(command: string, key: WireKey | null, isRead: boolean) {
    this.command = command
    this.key = key
    this.isRead = isRead
    this.promise = new Promise<Result>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Throws a ClientError if this server cannot be asked this. */
  abstract write(out: Outbox, meta: boolean): void

  /** One reply; true: it was the last. Throws BadReply for what is no answer to this; must not throw otherwise. */
  abstract take(reply: WireReply, meta: boolean): boolean

  resolve(result: Result | PromiseLike<Result>): void {
    this.settled = true
    this.#resolve(result)
  }

  reject(error: unknown): void {
    this.settled = true
    this.#reject(error)
  }

  /** The node cannot serve it; `sent`: it may have been carried out. */
  fail(error: ClientError, sent: boolean): void {
    if (this.settled) return
    if (this.router && (!sent || this.isRead) && this.#attemptsLeft > 0) {
      this.#attemptsLeft--
      this.router.route(this as Request<unknown>)
    } else this.reject(error)
  }

  /** The server's own words of refusal. */
  refuse(reply: WireReply): void {
    if (!this.settled) this.reject(errorOfLine(reply.line, this.node ?? NOWHERE))
  }
}

const NOWHERE: ErrorNode = { host: '?', port: 0 }

/** A request with one reply, in whichever protocol. */
export abstract class SimpleRequest<Result> extends Request<Result> {
  /** What the reply says. Throws a ClientError, or BadReply for what is no answer to this. */
  abstract answer(reply: WireReply, meta: boolean): Result

  take(reply: WireReply, meta: boolean): boolean {
    if (reply.kind === Kind.ERROR) this.refuse(reply)
    else if (!this.settled) {
      try {
        this.resolve(this.answer(reply, meta))
      } catch (error) {
        if (!(error instanceof ClientError)) throw error
        this.reject(error)
      }
    }
    return true
  }
}
