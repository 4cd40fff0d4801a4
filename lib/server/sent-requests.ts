/**
 * Requests that another node has been sent and has not answered, by the number of their frame. Numbers grow by one and most answers come
 * in that order, so a ring finds nearly all of them; one that is still there when its place is needed again moves to a map.
 */
import type { Request } from './request.js'

const PLACES = 4096

export class SentRequests {
  readonly #ring: (Request | null)[] = new Array<Request | null>(PLACES).fill(null)
  readonly #late = new Map<number, Request>()
  #lastId = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The number that its frame gets, also in `sentId`. */
  add(request: Request): number {
    const id = (this.#lastId + 1) >>> 0
    this.#lastId = id
    const place = id % PLACES
    const older = this.#ring[place]
    if (older) this.#late.set(older.sentId!, older)
    this.#ring[place] = request
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
    const all = [...this.#late.values(), ...this.#ring.filter(request => request !== null)]
    this.#late.clear()
    this.#ring.fill(null)
    this.#size = 0
    const age = (request: Request) => (this.#lastId - request.sentId!) >>> 0
    return all.sort((a, b) => age(b) - age(a))
  }
}
