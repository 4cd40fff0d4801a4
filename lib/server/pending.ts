/**
 * A request of a client's connection that is under way: what its connection must know to send the answer in its turn. A class, not
 * an object of closures: one is made for every request that goes to another node.
 */
import type { ReplyArena } from './reply-arena.js'
import type { ReplyStream, Request } from './request.js'

/** Its connection. */
export interface PendingHost {
  readonly number: number
  readonly arena: ReplyArena
  /** An answer is here: it goes out before the loop waits again. */
  wake(): void
  close(): void
  handOver(watcher: number): void
}

/** An answer that is put together only when it goes out: in the engine's memory, from where it is sent. */
export interface Assembly {
  /** Room it needs there. */
  readonly sizeMax: number
  /** Called once; its length. */
  putAt(offset: number): number
}

export class Pending implements Request {
  readonly bytes: Buffer
  /** Of the request, in bytes, wherever they are. */
  readonly size: number
  readonly noreply: boolean | undefined
  readonly hops = 0
  dropped = false
  cancel: ((this: Request) => void) | null = null
  sentId = 0
  pipelined = false
  until: number | undefined = undefined
  isAnswered = false
  /** The answer is [replyAt, replyAt + replyLength) of it. */
  reply: Buffer | null = null
  replyAt = 0
  replyLength = 0
  /** `reply` goes back to the arena. */
  isLent = false
  /** It is being answered in parts; `isAnswered` comes with the last one. */
  stream: ReplyStream | null = null
  /** Instead of `reply`. */
  assembly: Assembly | null = null
  protected readonly host: PendingHost

  /** `bytes` null: they are on their way to another node, and not kept. */
  constructor(host: PendingHost, bytes: Buffer | null, size: number, noreply?: boolean) {
    this.host = host
    this.bytes = bytes ?? NOTHING
    this.size = size
    this.noreply = noreply
  }

  get connection(): number {
    return this.host.number
  }

  cut(): void {
    this.host.close()
  }

  answer(reply: Buffer): void {
    this.reply = reply
    this.replyAt = 0
    this.replyLength = reply.length
    this.isAnswered = true
    if (!this.dropped) this.host.wake()
  }

  answerAssembled(assembly: Assembly): void {
    this.assembly = assembly
    this.isAnswered = true
    if (!this.dropped) this.host.wake()
  }

  answerBorrowed(reply: Uint8Array): void {
    const { arena } = this.host
    this.reply = arena.put(reply)
    this.replyAt = arena.at
    this.isLent = arena.isOwn
    this.replyLength = reply.length
    this.isAnswered = true
    if (!this.dropped) this.host.wake()
  }
}

/** Of a connection that can take an answer bit by bit, and show lines. */
export class PendingInParts extends Pending {
  becomeWatcher(watcher: number): void {
    this.host.handOver(watcher)
  }

  answerInParts(stream: ReplyStream): void {
    if (this.dropped) stream.close()
    else {
      this.stream = stream
      this.host.wake()
    }
  }
}

const NOTHING = Buffer.alloc(0)
