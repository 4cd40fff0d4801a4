/**
 * A client's get of many keys, the fast way: the engine splits it where it came in, its lines go out from the engine's memory, and the
 * answers are merged there when they can go out. What it does not take (a node that is not reached at once, very long lines) is
 * multi-get.ts's; that one also merges answers that are too large for the engine's areas.
 *
 *   split --lines of other nodes--> forwardFrom --> answers, copied --all here--> whole.assembly --its turn--> merged into tx
 *         --the line of keys that live here--> execute (what must be taken first is split again, key by key)
 */
import type { KeptGet, SplitGetApi, SplitList } from '../engine/contract.js'
import { CUT_OFF, failureOf, mergeLists } from './multi-get.js'
import type { Assembly, Pending } from './pending.js'
import type { ReplyArena } from './reply-arena.js'
import type { Request } from './request.js'

export interface SplitGetHost {
  /** The engine's memory, and this thread's part of it for replies. */
  readonly bytes: Uint8Array
  readonly txBytes: number
  readonly engine: SplitGetApi
  readonly arena: ReplyArena
  /** This node's number. */
  self: number
  reaches(owner: number): boolean
  forwardFrom(owner: number, request: Request, offset: number, length: number): void
  execute(request: Request): void
}

const NOTHING: Buffer = Buffer.alloc(0)

/** Of a client's get that lies at `offset` of the engine's memory. False: nothing was done. */
export function splitGet(whole: Pending, offset: number, length: number, host: SplitGetHost): boolean {
  const { engine, self } = host
  const lines = engine.split(offset, length, self)
  if (lines === 0) return false
  for (let line = 0; line < lines; line++) {
    const owner = engine.owner(line)
    if (owner !== self && !host.reaches(owner)) return false
  }
  new SplitGet(whole, host).start(lines)
  return true
}

class SplitGet implements Assembly {
  readonly whole: Pending
  readonly host: SplitGetHost
  readonly #kept: KeptGet
  readonly #parts: Part[] = []
  #waiting = 0
  #failure: Buffer | null = null

  constructor(whole: Pending, host: SplitGetHost) {
    this.whole = whole
    this.host = host
    this.#kept = host.engine.keep(host.arena.take(host.engine.keepBytes))
  }

  start(lines: number): void {
    const { engine, self, bytes } = this.host
    this.#waiting = lines
    let local: Part | null = null
    for (let line = 0; line < lines; line++) {
      const owner = engine.owner(line)
      const offset = engine.textOffset(line)
      const length = engine.textLength(line)
      if (owner === self) {
        local = new Part(this, Buffer.from(bytes.slice(offset, offset + length).buffer))
        this.#parts.push(local)
        continue
      }
      const part = new Part(this, NOTHING)
      this.#parts.push(part)
      this.host.forwardFrom(owner, part, offset, length)
    }
    this.whole.cancel = () => this.#cancel()
    // Last: the engine runs, and the texts are gone.
    if (local) this.host.execute(local)
  }

  #cancel(): void {
    for (const part of this.#parts) {
      part.dropped = true
      part.cancel?.()
    }
  }

  answered(part: Part): void {
    this.#failure ??= failureOf(part)
    if (--this.#waiting > 0) return
    this.whole.cancel = null
    const { engine, txBytes } = this.host
    if (this.#failure) this.#answer(this.#failure)
    else if (this.sizeMax <= txBytes && engine.fits(this.#kept, this.#parts)) this.whole.answerAssembled(this)
    else mergeLists(this.#kept, this.#parts, this.host.arena, reply => this.#answer(reply))
  }

  #answer(reply: Buffer): void {
    this.#giveBack()
    this.whole.answer(reply)
  }

  get sizeMax(): number {
    return this.host.engine.mergedMax(this.#parts)
  }

  putAt(offset: number): number {
    const size = this.host.engine.merge(this.#kept, this.#parts, offset)
    this.#giveBack()
    if (size >= 0) return size
    this.host.bytes.set(CUT_OFF, offset)
    return CUT_OFF.length
  }

  #giveBack(): void {
    const { arena } = this.host
    arena.give(this.#kept.bytes)
    for (const { isLent, reply } of this.#parts) if (isLent) arena.give(reply)
  }
}

/** One node's line. */
class Part implements Request, SplitList {
  readonly bytes: Buffer
  readonly noreply = false
  readonly hops = 0
  dropped = false
  cancel: ((this: Request) => void) | null = null
  sentId = 0
  reply = NOTHING
  from = 0
  length = 0
  isLent = false
  readonly #split: SplitGet

  constructor(split: SplitGet, bytes: Buffer) {
    this.#split = split
    this.bytes = bytes
  }

  answer(reply: Buffer): void {
    if (this.dropped) return
    this.reply = reply
    this.length = reply.length
    this.#split.answered(this)
  }

  /** Kept in bytes of its own, which are used again: a chunk of the arena's would be garbage after a few of these. */
  answerBorrowed(reply: Uint8Array): void {
    if (this.dropped) return
    const { length } = reply
    this.reply = this.#split.host.arena.take(length)
    this.reply.set(reply)
    this.isLent = true
    this.length = length
    this.#split.answered(this)
  }
}
