/**
 * What a data plane does while its node has no lease: what lives elsewhere is passed on as ever, what needs this node's word
 * is refused with the reason, and what needs nobody's (version, stats) is answered. Data plane; on the path of a request only
 * while there is no lease.
 *
 * A node that steps aside knows that others act soon: it falls silent a moment before its lease ends, so that no answer is cut off, and
 * what it would refuse waits until then.
 */
import type { Loop } from '../transport/loop.js'
import { Fence } from './fence.js'
import { type Request, serverError, shapeOf, tokensOf } from './request.js'

export interface SilenceOptions {
  loop: Loop
  /** Shared with the control plane; null: a node alone. */
  words: Int32Array | null
}

/** How the plane passes on what lives elsewhere. */
interface Elsewhere {
  owner(key: Uint8Array): number | null
  forward(owner: number, request: Request): void
  /** Until the control plane knows who acts. */
  park(key: Uint8Array, request: Request): void
  /** A get of several keys, of which this node's own are answered by `local`. */
  multi(request: Request, local: (part: Request) => void): void
}

const RETRIEVALS = new Set(['get', 'gets', 'gat', 'gats'])
/** Longer than a turn that begins before it takes, as a rule. */
const EARLY_MS = 50
const NEEDS_NO_LEASE = new Set(['version', 'stats', 'verbosity', 'mn', 'config', 'quit'])

export class Silence {
  readonly #loop: Loop
  readonly #fence: Fence | null
  #isSilent = false
  #isLeaving = false
  #reason = 'this node may not answer for its keys now'

  constructor({ loop, words }: SilenceOptions) {
    this.#loop = loop
    this.#fence = words && new Fence(words)
  }

  /** News of the control plane. */
  tell(lapsed: string | null): void {
    if (lapsed !== null) this.#reason = lapsed
    if (this.#fence) this.#isSilent = lapsed !== null
  }

  /** The node steps aside, or does not any more. */
  leaves(isLeaving: boolean): void {
    this.#isLeaving = isLeaving
  }

  /** Before a turn: one look at a flag of this thread; the fence is asked only when it was closed before. */
  get isSilent(): boolean {
    if (this.#isLeaving && this.#fence?.mayAct(this.#loop, EARLY_MS) === false) return true
    if (this.#isSilent && this.#fence!.mayAct(this.#loop)) this.#isSilent = false
    return this.#isSilent
  }

  /** Right before replies of this node's own are sent (DESIGN 8, case 13): one load and a compare. False: they must not be. */
  mayReply(): boolean {
    if (this.#fence === null || this.#fence.mayAct(this.#loop)) return true
    this.#isSilent = true
    this.#fence.count('cut')
    return false
  }

  /** False: the request needs no lease, and may be executed. */
  refuses(request: Request, elsewhere: Elsewhere): boolean {
    const refuse = (one: Request) => {
      const own = this.#isLeaving ? shapeOf(one.bytes) : null
      if (own) {
        elsewhere.park(own.key, one)
        return
      }
      this.#fence?.count('refused')
      one.answer(serverError(one, this.#reason))
    }
    const shape = shapeOf(request.bytes)
    const owner = shape && elsewhere.owner(shape.key)
    const command = tokensOf(request.bytes)[0]?.toString('latin1') ?? ''
    if (owner !== null) elsewhere.forward(owner, request)
    else if (!shape && NEEDS_NO_LEASE.has(command)) return false
    else if (!shape && RETRIEVALS.has(command)) elsewhere.multi(request, refuse)
    else refuse(request)
    return true
  }

  get stats(): [string, number][] {
    const fence = this.#fence
    if (!fence) return []
    return [
      ['fenced', fence.isUp ? 1 : 0],
      ['lease_held', fence.mayAct(this.#loop) ? 1 : 0],
      ['lease_lapses', fence.counted('lapses')],
      ['lease_refused', fence.counted('refused')],
      ['lease_connections_cut', fence.counted('cut')],
    ]
  }
}
