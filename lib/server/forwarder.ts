/**
 * Data links out: requests of keys that live at other nodes. One link a peer node and worker, dialed on first use,
 * pipelined, replies matched by id. It knows nothing of keys or clients.
 *
 *   send -> queue -> (link open) frame request id --> ... <-- frame reply id -> request.answer
 *
 * A request that was sent when its link broke may have been applied or not: it is answered with an error, never sent again.
 */
import type { Frame } from '../transport/frame.js'
import { FrameType } from '../transport/frame.js'
import { dialLink, type Link, type LinkIdentity } from '../transport/link.js'
import type { Loop, Timer } from '../transport/loop.js'
import type { PeerNode } from './plane.js'
import { type Request, serverError } from './request.js'

export interface ForwarderOptions {
  loop: Loop
  identity: LinkIdentity
  secret: string | null
  /** How long a request waits for a link, ms. */
  timeoutMs: number
  epoch(): number
  count(name: string, by: number): void
  /** A reply carried a higher epoch than ours. */
  heard(epoch: number, from: number): void
}

interface Waiting {
  request: Request
  until: number
}

interface Peer {
  node: PeerNode | null
  link: Link | null
  open: boolean
  lastId: number
  /** Sent, by id. */
  sent: Map<number, Request>
  /** Not sent yet. */
  queue: Waiting[]
  backoffMs: number
  timer: Timer | null
}

const HOPS_MAX = 8
/** Requests that may wait for one node's link; more are answered with an error. */
const QUEUE_MAX = 65_536
const BACKOFF_MIN_MS = 10
const BACKOFF_MAX_MS = 500

export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #peers = new Map<number, Peer>()
  #known = new Map<number, PeerNode>()
  #stopped = false

  constructor(options: ForwarderOptions) {
    this.#options = options
  }

  /** Returns the requests that were not sent yet: by the new route they may belong elsewhere, so the engine decides anew. */
  setNodes(nodes: readonly PeerNode[]): Request[] {
    const known = new Map(nodes.map(node => [node.number, node]))
    for (const node of nodes) {
      const peer = this.#peers.get(node.number)
      if (!peer) continue
      const moved = peer.node && (peer.node.dataHost !== node.dataHost || peer.node.dataPort !== node.dataPort)
      peer.node = node
      if (moved) peer.link?.close()
    }
    const again: Request[] = []
    for (const [number, peer] of this.#peers) {
      for (const { request } of peer.queue.splice(0)) {
        request.cancel = null
        again.push(request)
      }
      if (known.has(number) || peer.sent.size > 0) continue
      peer.link?.close()
      this.#peers.delete(number)
    }
    this.#known = known
    return again
  }

  send(owner: number, request: Request): void {
    const { count } = this.#options
    count('forwarded_requests', 1)
    if (request.hops >= HOPS_MAX) {
      count('hops_refused', 1)
      this.#fail(request, 'too many hops')
      return
    }
    let peer = this.#peers.get(owner)
    if (!peer) {
      const node = this.#known.get(owner) ?? null
      const fresh = { open: false, lastId: 0, sent: new Map(), queue: [], backoffMs: BACKOFF_MIN_MS, timer: null }
      peer = { node, link: null, ...fresh }
      this.#peers.set(owner, peer)
    }
    if (peer.open) {
      this.#transmit(peer, request)
      return
    }
    if (peer.queue.length >= QUEUE_MAX) {
      this.#fail(request, `too many requests wait for node ${peer.node?.id ?? owner}`)
      return
    }
    const waiting = { request, until: this.#options.loop.now() + this.#options.timeoutMs }
    peer.queue.push(waiting)
    const { queue } = peer
    request.cancel = () => {
      const at = queue.indexOf(waiting)
      if (at >= 0) queue.splice(at, 1)
    }
    this.#dial(peer)
    this.#watch(peer)
  }

  stop(): void {
    this.#stopped = true
    for (const peer of this.#peers.values()) {
      if (peer.timer) this.#options.loop.clearTimer(peer.timer)
      peer.link?.close()
    }
  }

  #transmit(peer: Peer, request: Request): void {
    peer.lastId = (peer.lastId + 1) >>> 0
    const id = peer.lastId
    peer.sent.set(id, request)
    const { epoch } = this.#options
    request.cancel = () => {
      if (peer.sent.delete(id)) peer.link?.send(FrameType.cancel, id, epoch(), new Uint8Array(0))
    }
    peer.link!.send(FrameType.request, id, epoch(), request.bytes, request.hops + 1)
  }

  #dial(peer: Peer): void {
    const { node } = peer
    if (this.#stopped || peer.link || !node || peer.timer) return
    const { loop, identity, secret } = this.#options
    const address = { host: node.dataHost, port: node.dataPort }
    peer.link = dialLink(
      loop,
      address,
      { self: identity, secret, purpose: 'data' },
      {
        onOpen: (link, remote) => {
          if (remote.id !== node.id) link.close()
          else this.#onOpen(peer)
        },
        onFrame: (_, frame) => this.#onFrame(peer, frame),
        onRefused: () => {},
        onClose: () => this.#onClose(peer),
      },
    )
  }

  #onOpen(peer: Peer): void {
    peer.open = true
    peer.backoffMs = BACKOFF_MIN_MS
    const queue = peer.queue.splice(0)
    for (const { request } of queue) this.#transmit(peer, request)
  }

  #onFrame(peer: Peer, frame: Frame): void {
    if (frame.type !== FrameType.reply) return
    const request = peer.sent.get(frame.id)
    if (frame.epoch > this.#options.epoch()) this.#options.heard(frame.epoch, peer.node?.number ?? -1)
    if (!request) return
    peer.sent.delete(frame.id)
    request.cancel = null
    request.answer(Buffer.from(frame.payload))
  }

  #onClose(peer: Peer): void {
    peer.link = null
    peer.open = false
    const lost = [...peer.sent.values()]
    peer.sent.clear()
    for (const request of lost) this.#fail(request, `connection to node ${peer.node?.id} lost`)
    if (this.#stopped || peer.queue.length === 0) return
    const { loop } = this.#options
    peer.timer = loop.setTimer(peer.backoffMs, () => {
      peer.timer = null
      this.#expire(peer)
      if (peer.queue.length > 0) this.#dial(peer)
    })
    peer.backoffMs = Math.min(BACKOFF_MAX_MS, peer.backoffMs * 2)
  }

  /** A link that hangs in its handshake, or a node that nobody knows, must not hold requests for ever. */
  #watch(peer: Peer): void {
    if (peer.queue.length !== 1) return
    this.#options.loop.setTimer(this.#options.timeoutMs, () => {
      this.#expire(peer)
      if (peer.queue.length > 0) this.#watchAgain(peer)
    })
  }

  #watchAgain(peer: Peer): void {
    this.#options.loop.setTimer(this.#options.timeoutMs / 4, () => {
      this.#expire(peer)
      if (peer.queue.length > 0) this.#watchAgain(peer)
    })
  }

  #expire(peer: Peer): void {
    const now = this.#options.loop.now()
    while (peer.queue[0] && peer.queue[0].until <= now) {
      const { request } = peer.queue.shift()!
      const { node } = peer
      const who = node ? `node ${node.id} (${node.host}:${node.port})` : 'the node that owns this key'
      this.#fail(request, `${who} cannot be reached`)
    }
  }

  #fail(request: Request, reason: string): void {
    this.#options.count('forwarded_errors', 1)
    request.cancel = null
    request.answer(serverError(request, reason))
  }
}
