/**
 * flush_all of a whole tier, started at this node: a version that wins over everything written before, everywhere.
 *
 *   1. ask every member for its clock                    V = the highest of all
 *   2. put every member's clock on V                     what is written from then on is newer, whoever has flushed
 *   3. tell every member: whatever has a version <= V is gone, also when it arrives later
 *
 * Whatever was acknowledged before the flush began has a version <= V, wherever it is, also in flight between two nodes.
 * Writes that run at the same time may land on either side. If a new generation shows up on the way (a member may have
 * handed keys to a node that was not asked), it begins again; all steps may be repeated without harm. One that fails
 * half-way has flushed some members, or may yet: no write that follows it is lost with them.
 */
import type { Message } from './wire.js'

export interface FlushEffects {
  /** Null: this node does not know yet. */
  members(): number[] | null
  epoch(): number
  version(): bigint
  send(member: number, message: Message): boolean
  /** Flush here too. */
  apply(version: bigint, delaySec: number): void
  done(ticket: number, failure: string | null): void
}

type Step = 'clock' | 'raise' | 'flush'

interface Running {
  ticket: number
  delaySec: number
  until: number
  id: number
  epoch: number
  step: Step
  version: bigint
  waiting: Set<number>
  /** False: this node does not know yet whom to ask. */
  knowsMembers: boolean
}

/** flush_all commands that may run at once; more are refused. */
const RUNNING_MAX = 256
const TIME_LIMIT_MS = 5000

export class TierFlush {
  readonly #effects: FlushEffects
  readonly #running = new Map<number, Running>()
  #ids = 0
  #now = 0

  constructor(effects: FlushEffects) {
    this.#effects = effects
  }

  start(ticket: number, delaySec: number): void {
    if (this.#running.size >= RUNNING_MAX) {
      this.#effects.done(ticket, 'too many flush_all commands at once')
      return
    }
    const until = this.#now + TIME_LIMIT_MS
    const waiting = new Set<number>()
    const fresh = { id: 0, epoch: 0, step: 'clock' as const, version: 0n, waiting, knowsMembers: false }
    this.#askClocks({ ticket, delaySec, until, ...fresh })
  }

  /** Nobody waits for it any more: it goes no step further. */
  forget(ticket: number): void {
    for (const running of this.#running.values()) {
      if (running.ticket === ticket) this.#running.delete(running.id)
    }
  }

  /** Does anybody wait for the end of one? */
  get isRunning(): boolean {
    return this.#running.size > 0
  }

  /** Members that a link is needed to. */
  wanted(): Set<number> {
    const members = new Set<number>()
    for (const running of this.#running.values()) for (const member of running.waiting) members.add(member)
    return members
  }

  linkUp(member: number): void {
    for (const running of this.#running.values()) if (running.waiting.has(member)) this.#say(running, member)
  }

  onMessage(member: number, message: Message): void {
    if (message.type !== 'clocked' && message.type !== 'flushed') return
    const running = this.#running.get(message.id)
    if (!running?.waiting.delete(member)) return
    if (message.type === 'clocked' && running.step === 'clock') {
      const version = BigInt(message.version)
      if (version > running.version) running.version = version
    }
    this.#advance(running)
  }

  tick(now: number): void {
    this.#now = now
    for (const running of [...this.#running.values()]) {
      if (now < running.until) {
        if (!running.knowsMembers && this.#effects.members() !== null) this.#askClocks(running)
        else this.#withoutFormer(running)
        continue
      }
      this.#running.delete(running.id)
      const members = [...running.waiting].join(', ')
      const failure = running.knowsMembers
        ? `flush_all was not confirmed by node ${members}`
        : 'this node has no ring yet'
      this.#effects.done(running.ticket, failure)
    }
  }

  /** Who holds nothing any more is not waited for. */
  #withoutFormer(running: Running): void {
    const members = this.#effects.members()
    const former = members === null ? [] : [...running.waiting].filter(member => !members.includes(member))
    for (const member of former) running.waiting.delete(member)
    if (former.length > 0) this.#advance(running)
  }

  #askClocks(running: Running): void {
    running.epoch = this.#effects.epoch()
    running.version = this.#effects.version()
    this.#begin(running, 'clock')
    this.#advance(running)
  }

  #begin(running: Running, step: Step): void {
    this.#running.delete(running.id)
    running.id = ++this.#ids
    running.step = step
    const members = this.#effects.members()
    running.knowsMembers = members !== null
    running.waiting = new Set(members ?? [])
    this.#running.set(running.id, running)
    for (const member of running.waiting) this.#say(running, member)
  }

  #say({ step, id, version, delaySec }: Running, member: number): void {
    if (step !== 'flush') this.#effects.send(member, { type: 'clock', id, version: version.toString() })
    else this.#effects.send(member, { type: 'flush', id, version: version.toString(), delaySec })
  }

  #advance(running: Running): void {
    if (running.waiting.size > 0 || !running.knowsMembers) return
    if (running.epoch !== this.#effects.epoch()) {
      this.#askClocks(running)
      return
    }
    if (running.step === 'clock') {
      this.#begin(running, 'raise')
      this.#advance(running)
      return
    }
    if (running.step === 'raise') {
      this.#effects.apply(running.version, running.delaySec)
      this.#begin(running, 'flush')
      this.#advance(running)
      return
    }
    this.#running.delete(running.id)
    this.#effects.done(running.ticket, null)
  }
}
