/**
 * One question to every node of a tier: `stats`, `stats items` ... Each answers for itself, over the control links. Who has
 * not answered when the time is up is left out: the answer comes without its part, never later than that.
 *
 *   start ----ask(id, question)----> every member           told(id, text) ----> until all have, or the time is up ----> done
 *
 * Pure, like lib/handoff: messages and time in, effects out.
 */
import type { Message } from '../handoff/wire.js'

export interface GatherEffects {
  /** Numbers of the nodes to ask: everybody but this one. */
  members(): number[]
  send(member: number, message: Message): boolean
  /** The text of each that answered. */
  done(ticket: number, question: string, texts: ReadonlyMap<number, string>): void
  refused(ticket: number, reason: string): void
}

interface Running {
  ticket: number
  id: number
  question: string
  until: number
  waiting: Set<number>
  texts: Map<number, string>
  bytes: number
}

/** How long a member may take, ms: a node that is gone makes `stats` of a router that late. */
const TIME_LIMIT_MS = 1000
/** Questions under way at once; more are refused. */
const RUNNING_MAX = 64
/** One answer, and all answers to one question, in bytes. What is over counts as not answered. */
export const TEXT_BYTES_MAX = 1 << 20
const ALL_BYTES_MAX = 64 << 20

export class Gather {
  readonly #effects: GatherEffects
  readonly #running = new Map<number, Running>()
  #ids = 0
  #now = 0

  constructor(effects: GatherEffects) {
    this.#effects = effects
  }

  start(ticket: number, question: string): void {
    if (this.#running.size >= RUNNING_MAX) {
      this.#effects.refused(ticket, 'too many questions to the whole tier at once')
      return
    }
    const id = ++this.#ids
    const waiting = new Set(this.#effects.members())
    const running = { ticket, id, question, until: this.#now + TIME_LIMIT_MS, waiting, texts: new Map(), bytes: 0 }
    this.#running.set(id, running)
    for (const member of waiting) this.#effects.send(member, { type: 'ask', id, question })
    this.#check(running)
  }

  /** Members that a link is needed to. */
  wanted(): Set<number> {
    const members = new Set<number>()
    for (const { waiting } of this.#running.values()) for (const member of waiting) members.add(member)
    return members
  }

  /** What was asked over an earlier link may be lost: it is asked again. */
  linkUp(member: number): void {
    for (const { id, question, waiting } of this.#running.values()) {
      if (waiting.has(member)) this.#effects.send(member, { type: 'ask', id, question })
    }
  }

  told(member: number, id: number, text: string): void {
    const running = this.#running.get(id)
    if (!running?.waiting.delete(member)) return
    running.bytes += text.length
    if (text.length <= TEXT_BYTES_MAX && running.bytes <= ALL_BYTES_MAX) running.texts.set(member, text)
    this.#check(running)
  }

  /** Loop time, ms; called at least every few ms while anything is wanted. */
  tick(now: number): void {
    this.#now = now
    for (const running of [...this.#running.values()]) if (now >= running.until) this.#end(running)
  }

  #check(running: Running): void {
    if (running.waiting.size === 0) this.#end(running)
  }

  #end({ id, ticket, question, texts }: Running): void {
    this.#running.delete(id)
    this.#effects.done(ticket, question, texts)
  }
}
