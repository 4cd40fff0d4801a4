/**
 * Who knows that another node acts now. A node that owns a key blind, because the one it would take it from is away, must be the only one that
 * acts for it: whoever acted before that one may have heard of no change since, and would go on (DESIGN 8, one authority per key).
 *
 *   whenHeard --hear(epoch)--> a node before      it answers when that generation is in force there: it does not act any more
 *             <---- heard ----
 *
 * Each node is asked once a life and generation, whoever waits. Says nothing about what anybody knows of a key. Pure.
 */
import type { Generations } from './generations.js'
import type { Message } from './wire.js'

interface Asked {
  id: number
  epoch: number
  waiting: (() => void)[]
}

export class Hearing {
  readonly #send: (node: number, message: Message) => boolean
  /** Newest generation that is known to be in force at a node. */
  readonly #heard = new Map<number, number>()
  readonly #incarnations = new Map<number, string>()
  readonly #asked = new Map<number, Asked>()
  #ids = 0

  constructor(send: (node: number, message: Message) => boolean) {
    this.#send = send
  }

  /** Nodes that a link is needed to. */
  wanted(): Iterable<number> {
    return this.#asked.keys()
  }

  /** Requests that wait. */
  get waiting(): number {
    let waiting = 0
    for (const asked of this.#asked.values()) waiting += asked.waiting.length
    return waiting
  }

  /**
   * The first node, back from the tenure of `self` that reaches `epoch`, that may still act on the arc as it has not heard of the tenure after its
   * own. Not one that is away: it knows before it acts again. Null: there is none.
   */
  behind(generations: Generations, self: number, epoch: number, arc: number): number | null {
    return generations.heldBackBy(self, epoch, arc, (node, next) => {
      if (node === self || generations.isAwayNow(node) || generations.isLost(node)) return false
      return (this.#heard.get(node) ?? -1) < next
    })
  }

  /** `done` when the node has heard of `epoch`, or when there is a new picture: then it is to be looked at again. */
  whenHeard(node: number, epoch: number, done: () => void): void {
    const asked = this.#asked.get(node)
    if (asked && asked.epoch >= epoch) {
      asked.waiting.push(done)
      return
    }
    const next = { id: ++this.#ids, epoch, waiting: [...(asked?.waiting ?? []), done] }
    this.#asked.set(node, next)
    this.#send(node, { type: 'hear', id: next.id })
  }

  linkUp(node: number, incarnation: string): void {
    if (this.#incarnations.get(node) !== incarnation) this.#heard.delete(node)
    this.#incarnations.set(node, incarnation)
    const asked = this.#asked.get(node)
    if (asked) this.#send(node, { type: 'hear', id: asked.id })
  }

  onHeard(node: number, id: number): void {
    const asked = this.#asked.get(node)
    if (asked?.id !== id) return
    this.#asked.delete(node)
    this.hasHeard(node, asked.epoch)
    for (const done of asked.waiting) done()
  }

  /** The node has answered something that it does not hear before it acts by this generation. */
  hasHeard(node: number, epoch: number): void {
    if (epoch > (this.#heard.get(node) ?? -1)) this.#heard.set(node, epoch)
  }

  /** A new picture: who is asked may be away now, or not matter any more. */
  lookAgain(): void {
    const all = [...this.#asked.values()]
    this.#asked.clear()
    for (const { waiting } of all) for (const done of waiting) done()
  }
}
