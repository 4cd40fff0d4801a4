/**
 * Requests that wait for their key: one take a key and worker is asked of the control plane, the others wait in order
 * behind it. Bounded in number and bytes; nobody waits longer than the time limit.
 */
import type { Loop, Timer } from '../transport/loop.js'
import { keyName, type Request, serverError } from './request.js'

export interface ParkingOptions {
  loop: Loop
  timeoutMs: number
  need(ticket: number, key: Buffer): void
  forget(ticket: number): void
  /** Try again: the engine decides anew. */
  execute(request: Request): void
  count(name: string, by: number): void
}

interface Parked {
  ticket: number
  name: string
  requests: Request[]
  timer: Timer
}

const REQUESTS_MAX = 100_000
const BYTES_MAX = 256 << 20

export class Parking {
  readonly #options: ParkingOptions
  readonly #byKey = new Map<string, Parked>()
  readonly #byTicket = new Map<number, Parked>()
  #tickets = 0
  #requests = 0
  #bytes = 0

  constructor(options: ParkingOptions) {
    this.#options = options
  }

  /** Keys that have somebody waiting. */
  get size(): number {
    return this.#byKey.size
  }

  /** Number for a message to the control plane; shared with those who ask it for other things. */
  nextTicket(): number {
    return ++this.#tickets
  }

  has(key: Uint8Array): boolean {
    return this.#byKey.size > 0 && this.#byKey.has(keyName(key))
  }

  park(key: Uint8Array, request: Request): void {
    const { count, loop, timeoutMs } = this.#options
    if (this.#requests >= REQUESTS_MAX || this.#bytes + request.bytes.length > BYTES_MAX) {
      count('parked_refused', 1)
      request.answer(serverError(request, 'too many requests wait for this key'))
      return
    }
    count('parked_requests', 1)
    this.#requests++
    this.#bytes += request.bytes.length
    request.cancel = null
    const name = keyName(key)
    const known = this.#byKey.get(name)
    if (known) {
      known.requests.push(request)
      return
    }
    const ticket = this.nextTicket()
    const timer = loop.setTimer(timeoutMs, () => {
      this.#options.forget(ticket)
      this.refused(ticket, "the key's previous node cannot be reached")
    })
    const parked = { ticket, name, requests: [request], timer }
    this.#byKey.set(name, parked)
    this.#byTicket.set(ticket, parked)
    count('takes', 1)
    this.#options.need(ticket, Buffer.from(key))
  }

  granted(ticket: number): void {
    for (const request of this.#leave(ticket)) {
      if (request.dropped) this.#options.count('requests_dropped', 1)
      else this.#options.execute(request)
    }
  }

  refused(ticket: number, reason: string): void {
    for (const request of this.#leave(ticket)) {
      if (!request.dropped) request.answer(serverError(request, reason))
    }
  }

  #leave(ticket: number): Request[] {
    const parked = this.#byTicket.get(ticket)
    if (!parked) return []
    this.#options.loop.clearTimer(parked.timer)
    this.#byTicket.delete(ticket)
    this.#byKey.delete(parked.name)
    this.#requests -= parked.requests.length
    for (const request of parked.requests) this.#bytes -= request.bytes.length
    return parked.requests
  }
}
