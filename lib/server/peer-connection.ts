/**
 * Data links in: requests that other nodes pass on. Each frame is one request; replies may go back in any order, but for
 * one key the requests of a link are executed in the order they came.
 *
 *   frame --epoch higher than ours?--> held until that generation is in force (the link is not read meanwhile)
 *         --key has somebody waiting?--> behind them
 *         --passed on under an older epoch and not answered yet?--> behind that
 *         --> execute
 */
import type { Frame } from '../transport/frame.js'
import { FrameType } from '../transport/frame.js'
import type { Link, LinkCallbacks, LinkPeer } from '../transport/link.js'
import type { DataPlane } from './data-plane.js'
import type { Parking } from './parking.js'
import { keyName, type Request, shapeOf } from './request.js'

interface PeerRequest extends Request {
  link: LinkState
}

interface LinkState {
  link: Link
  requests: Map<number, PeerRequest>
  /** Frames that wait for a generation, in order. */
  held: { epoch: number; start: () => void }[]
}

/** Requests of other nodes that went on to a third, by key, until they are answered. */
interface PassedOn {
  epoch: number
  count: number
  /** Most hops that one of them had made when it came. One that comes with more may be the same, sent back: it must not wait behind itself. */
  hops: number
  behind: PeerRequest[]
}

export class PeerConnections implements LinkCallbacks {
  readonly #plane: DataPlane
  readonly #parking: Parking
  readonly #links = new Map<Link, LinkState>()
  readonly #passedOn = new Map<string, PassedOn>()

  constructor(plane: DataPlane, parking: Parking) {
    this.#plane = plane
    this.#parking = parking
  }

  onOpen(link: Link, _peer: LinkPeer): void {
    this.#links.set(link, { link, requests: new Map(), held: [] })
  }

  onRefused(): void {
    this.#plane.engine.count('rejected_connections', 1)
  }

  onClose(link: Link): void {
    const state = this.#links.get(link)
    this.#links.delete(link)
    for (const request of state?.requests.values() ?? []) this.#drop(request)
  }

  onFrame(link: Link, frame: Frame): void {
    const state = this.#links.get(link)
    if (!state) return
    if (frame.type === FrameType.cancel) {
      const request = state.requests.get(frame.id)
      if (request) this.#drop(request)
      state.requests.delete(frame.id)
      return
    }
    if (frame.type !== FrameType.request) return
    const request = this.#newRequest(state, frame)
    const { epoch } = frame
    if (epoch <= this.#plane.engine.epoch() && state.held.length === 0) {
      this.#start(request)
      return
    }
    this.#plane.heard(epoch, -1)
    state.held.push({ epoch, start: () => this.#start(request) })
    link.pause()
  }

  /** A route is in force: what waited for its epoch goes on. */
  onRoute(): void {
    for (const state of this.#links.values()) {
      if (state.held.length === 0) continue
      while (state.held[0] && state.held[0].epoch <= this.#plane.engine.epoch()) state.held.shift()!.start()
      if (state.held.length === 0) state.link.resume()
      else this.#plane.heard(state.held[0]!.epoch, -1)
    }
  }

  /** The request goes on to a third node: later ones for the same key must not overtake it if the route changes. */
  noteForward(request: Request, epoch: number): void {
    if (!('link' in request)) return
    const key = shapeOf(request.bytes)?.key
    if (!key) return
    const name = keyName(key)
    const known = this.#passedOn.get(name)
    if (known) {
      known.count++
      known.epoch = epoch
      known.hops = Math.max(known.hops, request.hops)
    } else this.#passedOn.set(name, { epoch, count: 1, hops: request.hops, behind: [] })
    const answer = request.answer
    request.answer = reply => {
      answer(reply)
      this.#answered(name)
    }
  }

  stop(): void {
    for (const link of [...this.#links.keys()]) link.close()
  }

  #newRequest(state: LinkState, frame: Frame): PeerRequest {
    const { id, hops } = frame
    const { engine } = this.#plane
    const request: PeerRequest = {
      bytes: Buffer.from(frame.payload),
      hops,
      dropped: false,
      cancel: null,
      link: state,
      answer: reply => {
        state.requests.delete(id)
        if (!request.dropped) state.link.send(FrameType.reply, id, engine.epoch(), reply)
      },
    }
    state.requests.set(id, request)
    return request
  }

  #start(request: PeerRequest): void {
    if (request.dropped) return
    if (this.#parking.size > 0 || this.#passedOn.size > 0) {
      const key = shapeOf(request.bytes)?.key
      if (key && this.#parking.has(key)) {
        this.#parking.park(key, request)
        return
      }
      const passedOn = key && this.#passedOn.get(keyName(key))
      const routeChanged = passedOn?.epoch !== this.#plane.engine.epoch()
      if (passedOn && request.hops <= passedOn.hops && (routeChanged || passedOn.behind.length > 0)) {
        passedOn.behind.push(request)
        return
      }
    }
    this.#plane.execute(request)
  }

  #answered(name: string): void {
    const passedOn = this.#passedOn.get(name)
    if (!passedOn || --passedOn.count > 0) return
    this.#passedOn.delete(name)
    for (const request of passedOn.behind) this.#start(request)
  }

  #drop(request: PeerRequest): void {
    request.dropped = true
    this.#plane.engine.count('requests_dropped', 1)
    request.cancel?.()
    // What it kept others waiting for will not be answered any more.
    const key = shapeOf(request.bytes)?.key
    if (request.cancel && key) this.#answered(keyName(key))
  }
}
