/**
 * Commands that concern every node of a tier: the control plane does them (`flush`, `gather`), the client waits for its word.
 * What is not here acts on the node that is asked: logs, crawler, slabs, dumps and settings are those of one process.
 */
import type { DataPort, PeerNode } from './plane.js'
import { type Request, serverError } from './request.js'
import { mergedStats, type NodeFigures, resetReply, statsByNode } from './tier-stats.js'

export interface TierCommandsOptions {
  port: DataPort
  /** Number for a message to the control plane. */
  nextTicket(): number
  /** Unix seconds. */
  wallClock(): number
  /** This node's own reply to `stats` with these words behind it. */
  ownStats(words: readonly string[]): Buffer
}

interface Waiting {
  request: Request
  reply(nodes: readonly NodeFigures[]): Buffer
}

/** What is behind `stats` and can be told of several nodes as of one; and what `stats nodes` tells of each. */
const OF_THE_TIER = new Set(['', 'items', 'slabs', 'sizes'])
const OF_EACH_NODE = new Set(['', 'items', 'slabs', 'sizes', 'settings', 'handoff'])
/** PROTOCOL D5: more is a date. */
const RELATIVE_MAX_SEC = 2_592_000
const OK = Buffer.from('OK\r\n')

export class TierCommands {
  readonly #options: TierCommandsOptions
  readonly #waiting = new Map<number, Waiting>()
  #inTier = false
  #isRouter = false

  constructor(options: TierCommandsOptions) {
    this.#options = options
  }

  onRoute(self: number, nodes: readonly PeerNode[]): void {
    this.#inTier = nodes.length > 0
    this.#isRouter = nodes.find(node => node.number === self)?.weight === 0
  }

  /** Through a router the tier's figures; from a node that keeps items its own, as whoever watches nodes expects. */
  stats(request: Request, words: readonly string[]): void {
    const [first, ...others] = words
    if (this.#inTier && first === 'nodes' && OF_EACH_NODE.has(others.join(' '))) {
      this.#gather(request, others, statsByNode)
      return
    }
    const question = words.join(' ')
    if (this.#inTier && question === 'handoff') {
      const ticket = this.#wait(request, ([own]) => Buffer.from(own?.text ?? 'ERROR\r\n'))
      this.#options.port.post({ type: 'own', ticket, question })
      return
    }
    if (this.#isRouter && question === 'reset') this.#gather(request, words, resetReply)
    else if (this.#isRouter && OF_THE_TIER.has(question)) {
      this.#gather(request, words, nodes => mergedStats(nodes, words))
    } else request.answer(this.#options.ownStats(words))
  }

  /** Arguments were checked by the engine: an optional delay, an optional noreply. */
  flush(request: Request, words: readonly string[]): void {
    const delay = /^-?\d+$/.test(words[1] ?? '') ? Number(words[1]) : 0
    const fromNow = delay > RELATIVE_MAX_SEC ? delay - Math.floor(this.#options.wallClock()) : delay
    const ticket = this.#wait(request, () => (serverError(request, '').length === 0 ? Buffer.alloc(0) : OK))
    // PROTOCOL D7: memcached's moment is one second before, so `flush_all 1` acts at once.
    this.#options.port.post({ type: 'flush', ticket, delaySec: Math.max(0, fromNow - 1) })
  }

  #gather(request: Request, words: readonly string[], reply: Waiting['reply']): void {
    const ticket = this.#wait(request, reply)
    this.#options.port.post({ type: 'gather', ticket, question: words.join(' ') })
  }

  #wait(request: Request, reply: Waiting['reply']): number {
    const ticket = this.#options.nextTicket()
    this.#waiting.set(ticket, { request, reply })
    return ticket
  }

  done(ticket: number, nodes: readonly NodeFigures[] = []): void {
    const waiting = this.#waiting.get(ticket)
    this.#waiting.delete(ticket)
    waiting?.request.answer(waiting.reply(nodes))
  }

  /** False: the ticket is not one of these commands'. */
  refused(ticket: number, reason: string): boolean {
    const request = this.#waiting.get(ticket)?.request
    request?.answer(serverError(request, reason))
    return this.#waiting.delete(ticket)
  }
}
