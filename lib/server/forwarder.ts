/**
 * Data links out: requests of keys that live at other nodes. One link a peer node and worker, dialed on first use,
 * pipelined, replies matched by id. It knows nothing of keys or clients.
 *
 *   send --link open, peer not slow--> frame request id --> ... <-- frame reply id -> request.answer
 *        \--else--> queue --link open again, drained--> the same
 *                         \--a new route, or the node is gone from it--> again (the engine decides anew)
 *
 * A request that was sent when its link broke may have been applied or not: it is answered with an error, never sent again.
 * A request that was sent says until when it may be executed, by this node's clock; some time after that it is given up, together with
 * its link. What else was sent on that link is not answered before its own time is over: it may still arrive, and be executed.
 * A queued request is routed anew only while nothing sent is unanswered at that node: it must not overtake an earlier one.
 */

import { clockWord } from '../transport/clock-bound.js'
import type { Frame } from '../transport/frame.js'
import { FrameType } from '../transport/frame.js'
import { dialLink, type Link, type LinkIdentity } from '../transport/link.js'
import type { Loop, Timer } from '../transport/loop.js'
import type { PeerNode } from './plane.js'
import { type Request, serverError } from './request.js'
import { SentRequests } from './sent-requests.js'

export interface ForwarderOptions {
  loop: Loop
  identity: LinkIdentity
  secret: string | null
  /**
   * How long a request waits for a link, or for its answer, ms. It may be executed in the first four fifths of the latter, so that a
   * client that waits as long as that sees nothing of it come up afterwards.
   */
  timeoutMs: number
  epoch(): number
  count(name: string, by: number): void
  /** A reply carried a higher epoch than ours. */
  heard(epoch: number, from: number): void
  /** A request that was not sent may belong elsewhere by now. */
  again(request: Request): void
}

interface Peer {
  number: number
  node: PeerNode | null
  link: Link | null
  open: boolean
  /** The peer reads more slowly than we write: wait until the link has drained. */
  busy: boolean
  sent: SentRequests
  /** `cancel` of what was sent. */
  cancelSent(this: Request): void
  /** Not sent yet, in order. */
  queue: Request[]
  backoffMs: number
  redial: Timer | null
  watch: Timer | null
  /** Looks for what was sent and is not answered in time. */
  look: Timer | null
  /** The link was given up: what was sent on it waits for its time to be over. */
  isGivenUp: boolean
  /** Number of the last request that was sent on a link that was given up. */
  givenUpTo: number
  /** `bytesRead` of the link at the last look. */
  bytesRead: number
}

const HOPS_MAX = 8
/** Requests and bytes that may wait for one node's link; more are answered with an error. */
const QUEUE_MAX = 65_536
const QUEUE_BYTES_MAX = 128 << 20
const BACKOFF_MIN_MS = 10
const BACKOFF_MAX_MS = 500
const NO_BYTES = new Uint8Array(0)
/** Part of the time limit in which a request that was sent may be executed. */
const EXECUTED_PART = 0.8
/** A link that brought so many bytes since the last look is in the middle of long answers, and not given up. */
const ALIVE_BYTES = 64 << 10

export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #peers = new Map<number, Peer>()
  #known = new Map<number, PeerNode>()
  #queuedBytes = 0
  #stopped = false

  constructor(options: ForwarderOptions) {
    this.#options = options
  }

  /** A new route is in force. */
  setNodes(nodes: readonly PeerNode[]): void {
    this.#known = new Map(nodes.map(node => [node.number, node]))
    const again: Request[] = []
    for (const [number, peer] of this.#peers) {
      const node = this.#known.get(number) ?? null
      const was = peer.node
      if (node && was && (was.dataHost !== node.dataHost || was.dataPort !== node.dataPort)) this.#hangUp(peer)
      peer.node = node ?? was
      if (node?.isAway) this.#lose(peer)
      if (peer.sent.size > 0) continue
      again.push(...this.#takeQueue(peer))
      if (!node || node.isAway) this.#forget(peer)
    }
    for (const request of again) this.#options.again(request)
  }

  send(owner: number, request: Request): void {
    this.#options.count('forwarded_requests', 1)
    if (request.hops >= HOPS_MAX) {
      this.#options.count('hops_refused', 1)
      this.#fail(request, 'too many hops')
      return
    }
    const peer = this.#peer(owner)
    if (peer.open && !peer.busy) this.#transmit(peer, request, request.bytes, 0, request.bytes.length)
    else this.#wait(peer, request)
  }

  /** Would a request go out at once? */
  isOpen(owner: number): boolean {
    const peer = this.#peers.get(owner)
    return peer?.open === true && !peer.busy
  }

  /** As send, where `isOpen`, for the first hop of a request that is `length` bytes of `memory` from `from` on: it has none of its own. */
  sendFrom(owner: number, request: Request, memory: Uint8Array, from: number, length: number): void {
    this.#options.count('forwarded_requests', 1)
    this.#transmit(this.#peer(owner), request, memory, from, length)
  }

  stop(): void {
    this.#stopped = true
    for (const peer of [...this.#peers.values()]) this.#forget(peer)
  }

  #peer(number: number): Peer {
    let peer = this.#peers.get(number)
    if (!peer) {
      const node = this.#known.get(number) ?? null
      peer = {
        ...{ number, node, link: null, open: false, busy: false, sent: new SentRequests(), queue: [] },
        ...{ backoffMs: BACKOFF_MIN_MS, redial: null, watch: null, cancelSent: () => {} },
        ...{ look: null, isGivenUp: false, givenUpTo: 0, bytesRead: 0 },
      }
      peer.cancelSent = this.#canceller(peer)
      this.#peers.set(number, peer)
    }
    return peer
  }

  #transmit(peer: Peer, request: Request, memory: Uint8Array, from: number, length: number): void {
    const { epoch, loop, timeoutMs } = this.#options
    const now = loop.now()
    let left = timeoutMs * EXECUTED_PART
    if (request.until !== undefined) left = Math.min(left, request.until - now)
    const id = peer.sent.add(request, now + left)
    request.cancel = peer.cancelSent
    const clock = clockWord(loop.clock() + left)
    const { link } = peer
    if (!link!.sendFrom(FrameType.request, id, epoch(), request.hops + 1, clock, memory, from, length)) peer.busy = true
    if (!peer.look) this.#lookLater(peer)
  }

  // --- answers that do not come

  #lookLater(peer: Peer): void {
    const { loop, timeoutMs } = this.#options
    peer.look = loop.setTimer((timeoutMs * (1 - EXECUTED_PART)) / 4, () => {
      peer.look = null
      this.#giveUpLate(peer)
      if (peer.sent.size > 0) this.#lookLater(peer)
    })
  }

  /** Whoever passes on for others waits less long than the first, so that of a chain only the link breaks that does not work. */
  #giveUpLate(peer: Peer): void {
    const { link, sent } = peer
    const bytesRead = link?.bytesRead ?? 0
    const isAlive = link !== null && bytesRead - peer.bytesRead >= ALIVE_BYTES
    peer.bytesRead = bytesRead
    if (isAlive) return
    const now = this.#options.loop.now()
    const graceMs = this.#options.timeoutMs * (1 - EXECUTED_PART)
    const late = sent.takeLate((limit, { hops }) => limit + (hops === 0 ? graceMs : graceMs / 2) <= now)
    if (late.length === 0) return
    const isOfLink = ({ sentId }: Request) => ((sentId! - peer.givenUpTo) | 0) > 0
    if (peer.open && late.some(isOfLink)) {
      peer.isGivenUp = true
      peer.givenUpTo = sent.lastId
      peer.open = false
      link?.destroy()
    }
    for (const request of late) this.#fail(request, `node ${peer.node?.id ?? peer.number} did not answer in time`)
  }

  #canceller(peer: Peer): Peer['cancelSent'] {
    const { epoch } = this.#options
    return function (this: Request) {
      const { sent, open, link } = peer
      const id = this.sentId!
      if (sent.take(id) && open) link?.send(FrameType.cancel, id, epoch(), NO_BYTES)
    }
  }

  // --- waiting for a link

  #wait(peer: Peer, request: Request): void {
    const { loop, timeoutMs } = this.#options
    if (peer.queue.length >= QUEUE_MAX || this.#queuedBytes + request.bytes.length > QUEUE_BYTES_MAX) {
      this.#fail(request, `too many requests wait for node ${peer.node?.id ?? peer.number}`)
      return
    }
    request.until ??= loop.now() + timeoutMs
    peer.queue.push(request)
    this.#queuedBytes += request.bytes.length
    request.cancel = () => {
      const at = peer.queue.indexOf(request)
      if (at < 0) return
      peer.queue.splice(at, 1)
      this.#queuedBytes -= request.bytes.length
    }
    this.#dial(peer)
    this.#watch(peer)
  }

  #takeQueue(peer: Peer): Request[] {
    const queue = peer.queue
    peer.queue = []
    for (const request of queue) {
      this.#queuedBytes -= request.bytes.length
      request.cancel = null
    }
    return queue
  }

  #sendQueue(peer: Peer): void {
    peer.busy = false
    const queue = this.#takeQueue(peer)
    let at = 0
    while (at < queue.length && !peer.busy) {
      const request = queue[at++]!
      this.#transmit(peer, request, request.bytes, 0, request.bytes.length)
    }
    for (; at < queue.length; at++) this.#wait(peer, queue[at]!)
  }

  /** A link that hangs in its handshake, or a node that nobody knows, must not hold requests for ever. */
  #watch(peer: Peer): void {
    const first = peer.queue[0]
    if (!first || peer.watch) return
    const { loop } = this.#options
    peer.watch = loop.setTimer(Math.max(1, first.until! - loop.now()), () => {
      peer.watch = null
      this.#expire(peer)
      this.#watch(peer)
    })
  }

  #expire(peer: Peer): void {
    const now = this.#options.loop.now()
    const { node } = peer
    const who = node ? `node ${node.id} (${node.host}:${node.port})` : 'the node that owns this key'
    const late = peer.queue.filter(request => request.until! <= now)
    if (late.length === 0) return
    peer.queue = peer.queue.filter(request => request.until! > now)
    for (const request of late) {
      this.#queuedBytes -= request.bytes.length
      this.#fail(request, `${who} cannot be reached`)
    }
  }

  // --- the link

  #dial(peer: Peer): void {
    const { node } = peer
    if (this.#stopped || peer.link || !node || peer.redial) return
    const { loop, identity, secret } = this.#options
    const address = { host: node.dataHost, port: node.dataPort }
    const options = { self: identity, secret, purpose: 'data' as const }
    peer.link = dialLink(loop, address, options, {
      onOpen: (link, remote) => {
        if (remote.id === node.id) this.#onOpen(peer)
        else link.close()
      },
      onFrame: (link, frame) => this.#onFrame(peer, link, frame),
      onRefused: () => {},
      onClose: () => this.#onClose(peer),
      onDrained: () => this.#sendQueue(peer),
    })
  }

  #onOpen(peer: Peer): void {
    peer.open = true
    peer.bytesRead = 0
    peer.backoffMs = BACKOFF_MIN_MS
    this.#sendQueue(peer)
  }

  #onFrame(peer: Peer, link: Link, frame: Frame): void {
    if (frame.type === FrameType.clock) {
      const { epoch, loop } = this.#options
      link.send(FrameType.clock, frame.id, epoch(), NO_BYTES, 0, clockWord(loop.clock()))
      return
    }
    if (frame.type !== FrameType.reply) return
    const request = peer.sent.take(frame.id)
    if (frame.epoch > this.#options.epoch()) this.#options.heard(frame.epoch, peer.number)
    if (!request) return
    request.cancel = null
    if (request.answerBorrowed) request.answerBorrowed(frame.payload)
    else request.answer(Buffer.from(frame.payload))
  }

  /** No more is sent on the link; `onClose` follows. */
  #hangUp(peer: Peer): void {
    peer.open = false
    peer.link?.close()
  }

  #onClose(peer: Peer): void {
    peer.link = null
    peer.open = false
    const isForgotten = this.#peers.get(peer.number) !== peer
    const isKnown = this.#known.has(peer.number)
    if (!peer.isGivenUp || isForgotten || !isKnown) this.#lose(peer)
    peer.isGivenUp = false
    if (isForgotten) return
    if (!isKnown) {
      const again = this.#takeQueue(peer)
      this.#forget(peer)
      for (const request of again) this.#options.again(request)
      return
    }
    if (peer.queue.length === 0 || peer.redial) return
    peer.redial = this.#options.loop.setTimer(peer.backoffMs, () => {
      peer.redial = null
      this.#expire(peer)
      if (peer.queue.length > 0) this.#dial(peer)
    })
    peer.backoffMs = Math.min(BACKOFF_MAX_MS, peer.backoffMs * 2)
  }

  /** What was sent may have been executed or not. */
  #lose(peer: Peer): void {
    const lost = peer.sent.takeAll()
    const { node, number } = peer
    const reason = node?.isAway ? `node ${node.id} is away` : `connection to node ${node?.id ?? number} lost`
    for (const request of lost) this.#fail(request, reason)
  }

  #forget(peer: Peer): void {
    const { loop } = this.#options
    if (peer.redial) loop.clearTimer(peer.redial)
    if (peer.watch) loop.clearTimer(peer.watch)
    if (peer.look) loop.clearTimer(peer.look)
    peer.redial = null
    peer.watch = null
    peer.look = null
    this.#hangUp(peer)
    this.#peers.delete(peer.number)
  }

  #fail(request: Request, reason: string): void {
    this.#options.count('forwarded_errors', 1)
    request.cancel = null
    request.answer(serverError(request, reason))
  }
}
