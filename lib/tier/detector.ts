/**
 * Who is alive, by heartbeats alone: every member says that it lives, with its incarnation and a number that grows. Pure:
 * heartbeats and `now` in, opinions out. An opinion is no fact: what follows from one is the controller's business
 * (absence.ts), and a node that was only slow proves it by its next heartbeat.
 *
 *            silence of suspectAfterMs                    the controller declares it (promises, one lease)
 *   alive ------------------------------> suspect - - - - - - - - - - - - - - - - - - - - - - - - -> away
 *     ^                                      |                                                        |
 *     +-------- any later heartbeat ---------+                       heartbeats for the hold time     |
 *     +-----------------------------------------------------------------------------------------------+
 *
 * A pause of the node and its death look the same from here: silence. What can be told apart is our own pause: when our
 * clock jumps between two looks, it was we who did not listen, and everybody's silence starts over.
 *
 * Damping: the first outage ends as soon as the node is heard again. One that goes away again within FLAP_MEMORY_MS has to
 * be heard without a gap for HOLD_FIRST_MS, and twice as long each further time, up to HOLD_MAX_MS.
 */
export interface DetectorOptions {
  /** Silence after which a node is suspected, ms. Lower notices sooner, and suspects nodes that are only slow. */
  suspectAfterMs: number
  /** Two looks further apart than this: we were paused ourselves. */
  jumpMs: number
}

export interface Heartbeat {
  /** Decimal; a later start of the node has a higher one. */
  incarnation: string
  /** Grows with every heartbeat of an incarnation. */
  beat: number
}

export type Opinion = 'alive' | 'suspect'

/** What a look found; `silentMs` is how long the node has not been heard. */
export type Finding =
  | { type: 'suspected'; node: number; silentMs: number }
  | { type: 'refuted'; node: number; silentMs: number; restarted: boolean }
  | { type: 'jumped'; ms: number }

/** Outages that count together. */
export const FLAP_MEMORY_MS = 600_000
export const HOLD_FIRST_MS = 5000
export const HOLD_MAX_MS = 60_000

interface Observed {
  incarnation: bigint
  beat: number
  heardAt: number
  /** Start of the unbroken run of heartbeats that goes on now. */
  steadySince: number
  opinion: Opinion
  /** When it was declared away, the newest last; those of FLAP_MEMORY_MS. */
  outages: number[]
}

export class Detector {
  readonly #options: DetectorOptions
  readonly #nodes = new Map<number, Observed>()
  #lookedAt: number | null = null
  #findings: Finding[] = []

  constructor(options: DetectorOptions) {
    this.#options = options
  }

  /** A node to watch; it is given the full time from now on. Known ones stay as they are. */
  expect(node: number, now: number): void {
    if (this.#nodes.has(node)) return
    const fresh = { incarnation: -1n, beat: -1, heardAt: now, steadySince: now, opinion: 'alive' as const, outages: [] }
    this.#nodes.set(node, fresh)
  }

  /** The others are not watched any more. */
  keep(nodes: ReadonlySet<number>): void {
    for (const node of this.#nodes.keys()) if (!nodes.has(node)) this.#nodes.delete(node)
  }

  /** What is no news (a repetition, an older life) is no sign of life. */
  heard(node: number, { incarnation, beat }: Heartbeat, now: number): void {
    this.expect(node, now)
    const known = this.#nodes.get(node)!
    const life = BigInt(incarnation)
    if (life < known.incarnation || (life === known.incarnation && beat <= known.beat)) return
    const silentMs = now - known.heardAt
    const restarted = known.incarnation >= 0n && life > known.incarnation
    if (restarted || known.opinion === 'suspect' || silentMs >= this.#options.suspectAfterMs) known.steadySince = now
    if (known.opinion === 'suspect') this.#findings.push({ type: 'refuted', node, silentMs, restarted })
    Object.assign(known, { incarnation: life, beat, heardAt: now, opinion: 'alive' })
  }

  /** Looks at everybody's silence. Call it often, and with every heartbeat that has come told before. */
  look(now: number): Finding[] {
    const { suspectAfterMs, jumpMs } = this.#options
    const passed = this.#lookedAt === null ? 0 : now - this.#lookedAt
    this.#lookedAt = now
    if (passed > jumpMs || passed < 0) {
      this.#findings.push({ type: 'jumped', ms: passed })
      for (const known of this.#nodes.values()) Object.assign(known, { heardAt: now, steadySince: now })
    }
    for (const [node, known] of this.#nodes) {
      const silentMs = now - known.heardAt
      if (known.opinion === 'suspect' || silentMs < suspectAfterMs) continue
      known.opinion = 'suspect'
      this.#findings.push({ type: 'suspected', node, silentMs })
    }
    const findings = this.#findings
    this.#findings = []
    return findings
  }

  /** A node that nobody told us to expect is not suspected. */
  opinion(node: number): Opinion {
    return this.#nodes.get(node)?.opinion ?? 'alive'
  }

  silentMs(node: number, now: number): number {
    return now - (this.#nodes.get(node)?.heardAt ?? now)
  }

  declaredAway(node: number, now: number): void {
    const known = this.#nodes.get(node)
    if (!known) return
    known.outages = [...known.outages.filter(at => now - at < FLAP_MEMORY_MS), now]
  }

  /** Has it been heard, and for long enough, that its outage may end? A life never heard of proves nothing. */
  mayReturn(node: number, now: number): boolean {
    const known = this.#nodes.get(node)
    if (!known || known.opinion === 'suspect' || known.incarnation < 0n) return false
    return now - known.steadySince >= this.holdMs(node, now)
  }

  /** How long it has to be heard without a gap before its outage ends, ms. */
  holdMs(node: number, now: number): number {
    const outages = this.#nodes.get(node)?.outages.filter(at => now - at < FLAP_MEMORY_MS).length ?? 0
    return outages <= 1 ? 0 : Math.min(HOLD_MAX_MS, HOLD_FIRST_MS * 2 ** (outages - 2))
  }
}
