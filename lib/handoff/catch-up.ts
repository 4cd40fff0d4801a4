/**
 * The clock of a node that begins. Versions order writes and flushes of a whole tier (DESIGN 1), and a node that comes back
 * with an empty memory knows none: what it wrote would look older than a flush_all that happened before. So before it
 * acts by its first topology it hears the clock of every other member; one that does not answer in time is not there.
 *
 *   greet ----> every member         greeting(version) ----> observe
 */
import type { EngineApi } from '../engine/contract.js'
import type { Message } from './wire.js'

/** What a node says of its clock, and of the last flush_all that it knows; `flushInSec`: one that is still to come, 0: none. */
export function greetingOf(store: Pick<EngineApi, 'version' | 'flushed'>, flushInSec: number): Message {
  return { type: 'greeting', version: store.version().toString(), flushed: store.flushed().toString(), flushInSec }
}

export interface CatchUpEffects {
  send(member: number, message: Message): boolean
  observe(version: bigint): void
  /** Every member has answered, or is not there. Called once. */
  done(): void
}

/** How long a member may take to answer, ms. A dead one costs a starting node this much. */
const TIME_LIMIT_MS = 2000

export class CatchUp {
  readonly #effects: CatchUpEffects
  readonly #heard = new Set<number>()
  #waiting = new Set<number>()
  #until: number | null = null
  #over = false

  constructor(effects: CatchUpEffects) {
    this.#effects = effects
  }

  get over(): boolean {
    return this.#over
  }

  /** Has any member answered? */
  get hasHeard(): boolean {
    return this.#heard.size > 0
  }

  /** Members that a link is needed to. */
  wanted(): ReadonlySet<number> {
    return this.#waiting
  }

  /** The first topology, or a newer one before this is over. */
  ask(members: readonly number[]): void {
    const before = this.#waiting
    this.#waiting = new Set(members.filter(member => !this.#heard.has(member)))
    for (const member of this.#waiting) if (!before.has(member)) this.linkUp(member)
    this.#check()
  }

  linkUp(member: number): void {
    if (this.#waiting.has(member)) this.#effects.send(member, { type: 'greet' })
  }

  greeted(member: number, version: bigint): void {
    this.#effects.observe(version)
    this.#heard.add(member)
    if (this.#waiting.delete(member)) this.#check()
  }

  tick(now: number): void {
    if (this.#over || this.#waiting.size === 0) return
    this.#until ??= now + TIME_LIMIT_MS
    if (now < this.#until) return
    this.#waiting.clear()
    this.#check()
  }

  #check(): void {
    if (this.#over || this.#waiting.size > 0) return
    this.#over = true
    this.#effects.done()
  }
}
