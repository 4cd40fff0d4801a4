/**
 * Requests that another node has been sent and has not answered, by the number of their frame. Numbers grow by one and most answers come
 * in that order, so a ring finds nearly all of them; one that is still there when its place is needed again moves to a map.
 * Each has a time limit, after which nobody executes it any more.
 */
import type { Request } from './request.js'

const PLACES = 4096

export class SentRequests {
  readonly #ring: (Request | null)[] = new Array<Request | null>(PLACES).fill(null)
  /** Time limits of those in the ring. */
  readonly #limits = new Float64Array(PLACES)
  /** Those that lost their place, with their limits in `until`. */
  readonly #late = new Map<number, Request>()
  #lastId = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Number of the one that was added last. */
  get lastId(): number {
    return this.#lastId
  }

  /** The number that its frame gets, also in `sentId`. */
  add(request: Request, limit: number): number {
    const id = (this.#lastId + 1) >>> 0
    this.#lastId = id
    const place = id % PLACES
    const older = this.#ring[place]
    if (older) {
      older.until = this.#limits[place]!
      this.#late.set(older.sentId!, older)
    }
    this.#ring[place] = request
    this.#limits[place] = limit
    request.sentId = id
    this.#size++
    return id
  }

  /** Whose answer it is; it is not awaited any more. Null: nobody's. */
  take(id: number): Request | null {
    const place = id % PLACES
    let request = this.#ring[place] ?? null
    if (request?.sentId === id) this.#ring[place] = null
    else {
      request = this.#late.get(id) ?? null
      if (request) this.#late.delete(id)
    }
    if (request) this.#size--
    return request
  }

  /** All of them, the oldest first, and none is left. */
  takeAll(): Request[] {
    return this.takeLate(() => true)
  }

  /** Those whose time limit `isLate`, the oldest first. */
  takeLate(isLate: (limit: number, request: Request) => boolean): Request[] {
    const late = [...this.#late.values()].filter(request => isLate(request.until!, request))
    for (let place = 0; place < PLACES; place++) {
      const request = this.#ring[place]
      if (request && isLate(this.#limits[place]!, request)) late.push(request)
    }
    for (const { sentId } of late) this.take(sentId!)
    const age = (request: Request) => (this.#lastId - request.sentId!) >>> 0
    return late.sort((a, b) => age(b) - age(a))
  }
}
