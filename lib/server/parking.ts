/**
 * Requests that wait for their key: one take a key and worker is asked of the control plane, the others wait in order
 * behind it. A guarded request waits for the control plane to execute it, and the others of its key behind it in the same way.
 * Bounded in number and bytes; nobody waits longer than the time limit, and nothing is executed after it. What another node passed on
 * has its limit from there, so that it may be over before that of those who came earlier.
 */

import { keyOfName, nameOfKey } from '../engine/key-name.js'
import type { Loop, Timer } from '../transport/loop.js'
import { type Request, serverError } from './request.js'

export interface ParkingOptions {
  loop: Loop
  timeoutMs: number
  need(ticket: number, key: Buffer): void
  /** `leftMs`: after that it must not be executed. */
  guard(ticket: number, key: Buffer, bytes: Buffer, leftMs: number): void
  /** May this node still say what it did? When not, the request has been told so. */
  mayAnswer(request: Request): boolean
  forget(ticket: number): void
  /** Try again: the engine decides anew. */
  execute(request: Request): void
  count(name: string, by: number): void
}

interface Parked {
  ticket: number
  name: string
  requests: Request[]
  /** The first of them, which the control plane executes; null: the key is being taken. */
  guarded: Request | null
  timer: Timer
}

const REQUESTS_MAX = 100_000
const BYTES_MAX = 256 << 20
const TOO_LATE = "the key's previous node cannot be reached"
const NOT_EXECUTED = 'a node is away, and the request could not be executed in time'

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
    return this.#byKey.size > 0 && this.#byKey.has(nameOfKey(key))
  }

  /** Until its key was taken. */
  park(key: Uint8Array, request: Request): void {
    const ticket = this.#wait(key, request, null)
    if (ticket === null) return
    this.#options.count('takes', 1)
    this.#options.need(ticket, Buffer.from(key))
  }

  /** Until the control plane has executed it. */
  guard(key: Uint8Array, request: Request): void {
    const ticket = this.#wait(key, request, request)
    if (ticket === null) return
    request.cancel = () => {
      this.#options.forget(ticket)
      this.granted(ticket, request) // those behind it go on
    }
    this.#options.count('guarded_requests', 1)
    this.#options.guard(ticket, Buffer.from(key), request.bytes, request.until! - this.#options.loop.now())
  }

  /** The ticket, when it is the first of its key. */
  #wait(key: Uint8Array, request: Request, guarded: Request | null): number | null {
    const { count, loop, timeoutMs } = this.#options
    if (this.#requests >= REQUESTS_MAX || this.#bytes + request.bytes.length > BYTES_MAX) {
      count('parked_refused', 1)
      request.answer(serverError(request, 'too many requests wait for this key'))
      return null
    }
    count('parked_requests', 1)
    this.#requests++
    this.#bytes += request.bytes.length
    request.cancel = null
    const now = loop.now()
    request.until ??= now + timeoutMs
    const name = nameOfKey(key)
    const known = this.#byKey.get(name)
    if (known) {
      known.requests.push(request)
      if (request.until < known.timer.at) this.#limitAnew(known)
      return null
    }
    const ticket = this.nextTicket()
    const parked = { ticket, name, requests: [request], guarded, timer: this.#limit(ticket, request.until - now) }
    this.#byKey.set(name, parked)
    this.#byTicket.set(ticket, parked)
    return ticket
  }

  #limit(ticket: number, afterMs: number): Timer {
    return this.#options.loop.setTimer(Math.max(0, afterMs), () => this.#expire(ticket))
  }

  /** To the end of the one that may wait the least. */
  #limitAnew(parked: Parked): void {
    const { loop } = this.#options
    let until = Number.POSITIVE_INFINITY
    for (const request of parked.requests) until = Math.min(until, request.until!)
    loop.clearTimer(parked.timer)
    parked.timer = this.#limit(parked.ticket, until - loop.now())
  }

  #isLate(request: Request): boolean {
    return request.until! <= this.#options.loop.now()
  }

  /** Those who have waited too long are told so; the take goes on for those who have not. */
  #expire(ticket: number): void {
    const { forget } = this.#options
    const parked = this.#byTicket.get(ticket)
    if (!parked) return
    const { guarded } = parked
    if (guarded && this.#isLate(guarded)) {
      forget(ticket)
      guarded.cancel = null
      guarded.answer(serverError(guarded, NOT_EXECUTED))
      this.granted(ticket, guarded)
      return
    }
    const late = parked.requests.filter(request => request.dropped || this.#isLate(request))
    if (late.length === parked.requests.length) {
      forget(ticket)
      this.refused(ticket, TOO_LATE)
      return
    }
    parked.requests = parked.requests.filter(request => !late.includes(request))
    this.#discount(late)
    this.#limitAnew(parked)
    this.#refuse(late, TOO_LATE)
  }

  /** They begin again, but for the one that is done with. */
  granted(ticket: number, done?: Request): void {
    const key = this.#byTicket.get(ticket)?.name
    if (key === undefined) return
    for (const request of this.#leave(ticket)) {
      if (request === done) continue
      if (request.dropped) this.#options.count('requests_dropped', 1)
      else if (this.#isLate(request)) request.answer(serverError(request, TOO_LATE))
      // If one of them has to take again, those after it wait behind it, whatever the engine would say now.
      else if (this.#byKey.has(key)) this.park(keyOfName(key), request)
      else this.#options.execute(request)
    }
  }

  executed(ticket: number, reply: Uint8Array): void {
    const request = this.#byTicket.get(ticket)?.guarded
    if (!request) return
    request.cancel = null
    // What comes of the answer waits behind those who are here already.
    if (this.#options.mayAnswer(request)) request.answer(Buffer.from(reply.buffer, reply.byteOffset, reply.length))
    this.granted(ticket, request)
  }

  refused(ticket: number, reason: string): void {
    this.#refuse(this.#leave(ticket), reason)
  }

  #refuse(requests: Request[], reason: string): void {
    for (const request of requests) {
      if (request.dropped) this.#options.count('requests_dropped', 1)
      else request.answer(serverError(request, reason))
    }
  }

  #leave(ticket: number): Request[] {
    const parked = this.#byTicket.get(ticket)
    if (!parked) return []
    this.#options.loop.clearTimer(parked.timer)
    this.#byTicket.delete(ticket)
    this.#byKey.delete(parked.name)
    if (parked.guarded) parked.guarded.cancel = null
    this.#discount(parked.requests)
    return parked.requests
  }

  #discount(requests: Request[]): void {
    this.#requests -= requests.length
    for (const request of requests) this.#bytes -= request.bytes.length
  }
}
