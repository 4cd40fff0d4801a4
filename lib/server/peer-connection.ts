/**
 * Data links in: requests that other nodes pass on. Each frame is one request; replies may go back in any order, but for
 * one key the requests of a link are executed in the order they came.
 *
 *   frame --epoch higher than ours?--> held until that generation is in force (the link is not read meanwhile)
 *         --key has somebody waiting?--> behind them
 *         --passed on under an older epoch and not answered yet?--> behind that
 *         --too late, by the asker's clock?--> refused, wherever it waited
 *         --> execute
 *
 * How far the asker's clock is by now, at most, is asked of it when the link opens, and every two seconds since (clock-bound.ts).
 * A link is not read while its replies do not get out, or while too many of its requests are under way.
 */

import { nameOfKey } from '../engine/key-name.js'
import type { Frame } from '../transport/frame.js'
import { FrameType } from '../transport/frame.js'
import type { Link, LinkCallbacks, LinkPeer } from '../transport/link.js'
import type { Timer } from '../transport/loop.js'
import type { DataPlane } from './data-plane.js'
import type { Parking } from './parking.js'
import { type Request, serverError, shapeOf } from './request.js'

interface PeerRequest extends Request {
  link: LinkState
  /** Of the frame that it came in. */
  epoch: number
  /** It went on to a third node: those behind it are to be let go exactly once. */
  passedOn: PassedOn | null
}

interface LinkState {
  link: Link
  requests: Map<number, PeerRequest>
  requestBytes: number
  /** The frame that waits for a generation; nothing more is read until it is in force. */
  held: { epoch: number; request: PeerRequest } | null
  /** The asker reads its replies more slowly than it asks. */
  slow: boolean
  paused: boolean
  /** When the asker was asked for its clock, if it has not answered yet. */
  clockAskedAt: number | null
}

/** Requests of other nodes that went on to a third, by key, until they are answered. */
interface PassedOn {
  name: string
  epoch: number
  count: number
  /** Most hops that one of them had made when it came. One that comes with more may be the same, sent back: it must not wait behind itself. */
  hops: number
  behind: PeerRequest[]
}

/** Requests of one link under way at once, and their bytes; beyond them the asker's waits are its own. */
const REQUESTS_MAX = 65_536
const REQUEST_BYTES_MAX = 64 << 20
/** Higher spares a few bytes, and makes requests seem older than they are: by a hundredth of it. */
const CLOCK_EVERY_MS = 2000
const TOO_LATE = 'the request came too late to be executed'
const NO_BYTES = new Uint8Array(0)

export class PeerConnections implements LinkCallbacks {
  readonly #plane: DataPlane
  readonly #parking: Parking
  readonly #links = new Map<Link, LinkState>()
  readonly #passedOn = new Map<string, PassedOn>()
  /** Generation that began this node's session; what was asked by an older one may be from before it was declared away. */
  #since = 0
  /**
   * The newest epoch whose route this plane was told of. The engine may have a newer one that the control plane has just published: until it
   * has told, this node may have no lease yet to act by it, and what peers ask by it waits.
   */
  #begun = 0
  #clockTimer: Timer | null = null

  constructor(plane: DataPlane, parking: Parking) {
    this.#plane = plane
    this.#parking = parking
  }

  onOpen(link: Link, _peer: LinkPeer): void {
    const state = { link, requests: new Map(), requestBytes: 0, held: null, slow: false, paused: false }
    this.#links.set(link, { ...state, clockAskedAt: null })
    if (!this.#clockTimer) this.#askClocksLater()
  }

  #askClocksLater(): void {
    const { loop, engine } = this.#plane
    this.#clockTimer = loop.setTimer(CLOCK_EVERY_MS, () => {
      this.#clockTimer = null
      for (const [link, state] of this.#links) {
        if (state.clockAskedAt !== null || state.slow) continue
        state.clockAskedAt = loop.clock()
        link.send(FrameType.clock, 0, engine.epoch(), NO_BYTES)
      }
      if (this.#links.size > 0) this.#askClocksLater()
    })
  }

  onRefused(): void {
    this.#plane.engine.count('rejected_connections', 1)
  }

  onDrained(link: Link): void {
    const state = this.#links.get(link)
    if (!state) return
    state.slow = false
    this.#steer(state)
  }

  onClose(link: Link): void {
    const state = this.#links.get(link)
    if (!state) return
    this.#links.delete(link)
    const requests = [...state.requests.values()]
    state.requests.clear()
    // All of them first: letting one go must not start another of the same link.
    for (const request of requests) request.dropped = true
    for (const request of requests) this.#drop(request)
  }

  onFrame(link: Link, frame: Frame): void {
    const state = this.#links.get(link)
    if (!state) return
    if (frame.type === FrameType.clock) {
      if (state.clockAskedAt !== null) link.peerClock.learn(state.clockAskedAt, frame.clock!)
      state.clockAskedAt = null
      return
    }
    if (frame.type === FrameType.cancel) {
      const request = state.requests.get(frame.id)
      if (!request) return
      this.#forget(request, frame.id)
      this.#drop(request)
    } else if (frame.type === FrameType.request) {
      const { epoch } = frame
      if (epoch < this.#since) {
        this.onClose(link)
        link.close()
        return
      }
      const request = this.#newRequest(state, frame)
      if (epoch <= this.#begun) this.#start(request)
      else this.#hold(state, epoch, request)
    } else return
    this.#steer(state)
  }

  #hold(state: LinkState, epoch: number, request: PeerRequest): void {
    state.held = { epoch, request }
    if (epoch > this.#plane.engine.epoch()) this.#plane.heard(epoch, this.#plane.numberOf(state.link.peer?.id))
  }

  /** A route is in force: what waited for its epoch goes on. */
  onRoute(epoch: number): void {
    this.#begun = epoch
    for (const state of [...this.#links.values()]) {
      const { held } = state
      if (!held) continue
      if (held.epoch > epoch) {
        this.#hold(state, held.epoch, held.request)
        continue
      }
      state.held = null
      this.#start(held.request)
      this.#steer(state)
    }
  }

  /** The request goes on to a third node: later ones for the same key must not overtake it if the route changes. */
  noteForward(request: Request, epoch: number): void {
    if (!isPeerRequest(request)) return
    const key = shapeOf(request.bytes)?.key
    if (!key) return
    const name = nameOfKey(key)
    let passedOn = request.passedOn ?? this.#passedOn.get(name)
    if (!passedOn) {
      passedOn = { name, epoch, count: 0, hops: 0, behind: [] }
      this.#passedOn.set(name, passedOn)
    }
    // It may be passed on a second time, when it had not been sent before the route changed.
    if (!request.passedOn) passedOn.count++
    passedOn.epoch = epoch
    passedOn.hops = Math.max(passedOn.hops, request.hops)
    request.passedOn = passedOn
  }

  /**
   * Links end now on which something was asked before generation `since`, and what came by them is dropped before this returns;
   * whatever comes of such an age ends its link from now on. Null: all links end.
   */
  cut(since: number | null): void {
    this.#since = since ?? 0
    for (const [link, { requests }] of [...this.#links]) {
      if (since !== null && [...requests.values()].every(({ epoch }) => epoch >= since)) continue
      this.onClose(link)
      link.close()
    }
  }

  stop(): void {
    for (const link of [...this.#links.keys()]) link.close()
  }

  #newRequest(state: LinkState, frame: Frame): PeerRequest {
    const { id, hops } = frame
    const { engine, loop } = this.#plane
    const request: PeerRequest = {
      bytes: Buffer.from(frame.payload),
      hops,
      dropped: false,
      until: loop.now() + state.link.peerClock.left(frame.clock!, loop.clock()),
      cancel: null,
      link: state,
      epoch: frame.epoch,
      passedOn: null,
      cut: () => state.link.close(),
      answer: reply => {
        this.#forget(request, id)
        if (!request.dropped && !state.link.send(FrameType.reply, id, engine.epoch(), reply)) state.slow = true
        this.#release(request)
        this.#steer(state)
      },
    }
    state.requests.set(id, request)
    state.requestBytes += request.bytes.length
    return request
  }

  /** Its answer is not awaited any more, or is here. */
  #forget(request: PeerRequest, id: number): void {
    const { link } = request
    if (link.requests.delete(id)) link.requestBytes -= request.bytes.length
  }

  #start(request: PeerRequest): void {
    if (request.dropped) return
    if (request.until! <= this.#plane.loop.now()) {
      this.#plane.engine.count('requests_dropped', 1)
      request.answer(serverError(request, TOO_LATE))
      return
    }
    if (this.#parking.size > 0 || this.#passedOn.size > 0) {
      const key = shapeOf(request.bytes)?.key
      if (key && this.#parking.has(key)) {
        this.#parking.park(key, request)
        return
      }
      const passedOn = key && this.#passedOn.get(nameOfKey(key))
      const routeChanged = passedOn?.epoch !== this.#plane.engine.epoch()
      if (passedOn && request.hops <= passedOn.hops && (routeChanged || passedOn.behind.length > 0)) {
        passedOn.behind.push(request)
        return
      }
    }
    this.#plane.execute(request)
  }

  /** What it kept others waiting for is answered, or will never be. */
  #release(request: PeerRequest): void {
    const { passedOn } = request
    request.passedOn = null
    if (!passedOn || --passedOn.count > 0) return
    this.#passedOn.delete(passedOn.name)
    for (const behind of passedOn.behind) this.#start(behind)
  }

  #drop(request: PeerRequest): void {
    request.dropped = true
    if (request.cancel) this.#plane.engine.count('requests_dropped', 1)
    request.cancel?.()
    request.cancel = null
    this.#release(request)
  }

  /** Reads the link or not. */
  #steer(state: LinkState): void {
    const tooMany = state.requests.size >= REQUESTS_MAX || state.requestBytes >= REQUEST_BYTES_MAX
    const paused = state.held !== null || state.slow || tooMany
    if (paused === state.paused || !state.link.open) return
    state.paused = paused
    if (paused) state.link.pause()
    else state.link.resume()
  }
}

function isPeerRequest(request: Request): request is PeerRequest {
  return 'passedOn' in request
}
