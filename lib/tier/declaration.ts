/**
 * The controller's side of fencing: asks the voters for what the document announces (`declaring`, `previous`), counts their
 * promises, and says what may be published. Pure; `now` is the controller's own monotonic clock. It remembers nothing that
 * a restart of the controller would need: the announcements stand in the document, and voters promise the same thing twice.
 *
 * The store's own promise is the announcement: it was saved before anybody saw it, and the store vouches by its document.
 */
import { fencingOf, isMajority, leaseOverMs, STORE_VOTER, sessionOf, type VoterName, votingSets } from './fencing.js'
import type { Topology } from './topology.js'
import type { PromiseRequest } from './voter.js'

interface Asked {
  request: PromiseRequest
  promised: Set<VoterName>
  askedAt: number
  /** When a majority of every set that matters had promised; null: not yet. */
  enoughAt: number | null
}

/** Questions are repeated, as links break and voters start again. */
const ASK_AGAIN_MS = 250

export class Declarations {
  readonly #asked = new Map<string, Asked>()

  /** What voters must be asked now. Call it with every new document and every look. */
  ask(topology: Topology, now: number): { voter: number; request: PromiseRequest }[] {
    const wanted = requestsOf(topology)
    const keys = new Set(wanted.map(keyOf))
    for (const key of this.#asked.keys()) if (!keys.has(key)) this.#asked.delete(key)
    const questions: { voter: number; request: PromiseRequest }[] = []
    for (const request of wanted) {
      const asked = this.#of(request)
      this.#count(topology, asked, now)
      if (asked.enoughAt !== null || now - asked.askedAt < ASK_AGAIN_MS) continue
      asked.askedAt = now
      for (const voter of namedIn(topology)) if (!asked.promised.has(voter)) questions.push({ voter, request })
    }
    return questions
  }

  promised(topology: Topology, voter: number, request: PromiseRequest, now: number): void {
    const asked = this.#asked.get(keyOf(request))
    if (!asked) return
    asked.promised.add(voter)
    this.#count(topology, asked, now)
  }

  /** May the node be published as away: has a majority promised, and is every lease over that it can still have? */
  isOver(topology: Topology, node: number, session: number, now: number): boolean {
    return this.#isOver(topology, { type: 'promise', node, session }, now)
  }

  /** May the set of voters before the present one be forgotten? */
  isRetired(topology: Topology, term: number, now: number): boolean {
    return this.#isOver(topology, { type: 'retire', term }, now)
  }

  /** Who has not promised yet, for people; null when it is not asked for. */
  missing(topology: Topology, node: number, session: number): VoterName[] | null {
    const asked = this.#asked.get(keyOf({ type: 'promise', node, session }))
    return asked ? namedIn(topology).filter(voter => !asked.promised.has(voter)) : null
  }

  #isOver(topology: Topology, request: PromiseRequest, now: number): boolean {
    const asked = this.#asked.get(keyOf(request))
    const fencing = fencingOf(topology)
    if (!asked || !fencing) return false
    this.#count(topology, asked, now)
    const leaseMs = Math.max(...votingSets(fencing).map(voters => voters.leaseMs))
    return asked.enoughAt !== null && now - asked.enoughAt >= leaseOverMs(leaseMs)
  }

  #of(request: PromiseRequest): Asked {
    const key = keyOf(request)
    let asked = this.#asked.get(key)
    if (!asked) {
      asked = { request, promised: new Set([STORE_VOTER]), askedAt: Number.NEGATIVE_INFINITY, enoughAt: null }
      this.#asked.set(key, asked)
    }
    return asked
  }

  #count(topology: Topology, asked: Asked, now: number): void {
    const fencing = fencingOf(topology)
    if (!fencing) return
    // The set that goes is over when its own majority says so; a session needs the majority of both.
    const sets = asked.request.type === 'retire' ? (fencing.previous ? [fencing.previous] : []) : votingSets(fencing)
    const enough = sets.length > 0 && sets.every(voters => isMajority(voters, voter => asked.promised.has(voter)))
    // A set that has come since needs its majority as well: then the time counts from there.
    asked.enoughAt = enough ? (asked.enoughAt ?? now) : null
  }
}

function requestsOf(topology: Topology): PromiseRequest[] {
  const fencing = fencingOf(topology)
  if (!fencing) return []
  const sessions = topology.nodes
    .filter(node => node.declaring)
    .map((node): PromiseRequest => ({ type: 'promise', node: node.number, session: sessionOf(node) }))
  return fencing.previous ? [...sessions, { type: 'retire', term: fencing.previous.term }] : sessions
}

function namedIn(topology: Topology): number[] {
  const fencing = fencingOf(topology)
  return fencing ? [...new Set(votingSets(fencing).flatMap(voters => voters.named))] : []
}

function keyOf(request: PromiseRequest): string {
  return request.type === 'retire' ? `retire ${request.term}` : `promise ${request.node} ${request.session}`
}
