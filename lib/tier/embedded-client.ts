/**
 * A TopologyStore over a peer link to a coordinator. The link is dialed again and again, with growing pauses; watches and
 * leases are taken up again after each dial. A request waits for the link until its time is up; a compare-and-set whose
 * link broke fails, as nobody knows whether it went through: read again and see.
 */
import { FrameType } from '../transport/frame.js'
import { dialLink, type Link, type LinkIdentity } from '../transport/link.js'
import type { Loop, Timer } from '../transport/loop.js'
import { decodeReply, encodeStore, type StoreReply, type StoreRequest } from './embedded-wire.js'
import type { NodeStatus, StoreUrl, Versioned, VotingStore } from './store.js'
import type { Topology } from './topology.js'
import type { PromiseRequest, VouchAnswer, VouchRequest } from './voter.js'

export interface EmbeddedClientOptions {
  loop: Loop
  url: StoreUrl
  secret: string | null
  self: LinkIdentity
  /** How long a request may wait, dialing included. Default 5000. */
  requestTimeoutMs?: number
}

interface Request {
  id: number
  message: StoreRequest
  sent: boolean
  timer: Timer
  done: (error: string | null, reply: StoreReply | null) => void
}

const REQUEST_TIMEOUT_MS = 5000
const REQUESTS_MAX = 1000
const BACKOFF_MIN_MS = 50
const BACKOFF_MAX_MS = 1000

export class EmbeddedClient implements VotingStore {
  readonly #options: EmbeddedClientOptions
  readonly #requests = new Map<number, Request>()
  readonly #watchers = new Set<(value: Versioned) => void>()
  /** Leases to renew at once after the link came back. */
  readonly #kept = new Map<string, NodeStatus>()
  #latest: Versioned | null = null
  #link: Link | null = null
  #open = false
  #backoffMs = BACKOFF_MIN_MS
  #redial: Timer | null = null
  #problem: string | null = null
  #refusal: string | null = null
  #lastId = 0
  #closed = false
  #onPromiseAsked: (request: PromiseRequest, confirm: () => void) => void = () => {}

  constructor(options: EmbeddedClientOptions) {
    this.#options = options
    this.#dial()
  }

  read(callback: (error: string | null, value: Versioned | null) => void): void {
    this.#ask({ op: 'read' }, (error, reply) => callback(error, reply?.value ?? null))
  }

  compareAndSet(
    expectedRevision: number,
    topology: Topology,
    callback: (error: string | null, done: boolean) => void,
  ): void {
    this.#ask({ op: 'compareAndSet', expected: expectedRevision, topology }, (error, reply) =>
      callback(error, reply?.done ?? false),
    )
  }

  watch(onChange: (value: Versioned) => void): () => void {
    const watcher = (value: Versioned) => onChange(value)
    const first = this.#watchers.size === 0
    this.#watchers.add(watcher)
    if (first) {
      this.#latest = null
      this.#say({ op: 'watch' })
    }
    this.#options.loop.soon(() => {
      if (!first && this.#latest && this.#watchers.has(watcher)) watcher(this.#latest)
    })
    return () => this.#watchers.delete(watcher)
  }

  keepAlive(nodeId: string, status: NodeStatus): void {
    this.#kept.set(nodeId, status)
    this.#say({ op: 'keepAlive', node: nodeId, status })
  }

  statuses(callback: (error: string | null, live: Map<string, NodeStatus>) => void): void {
    this.#ask({ op: 'statuses' }, (error, reply) => callback(error, new Map(reply?.live)))
  }

  vouch(request: VouchRequest, callback: (error: string | null, refusal: VouchAnswer) => void): void {
    // Asked again and again: what waits for a link would be too late for anything when it is there.
    if (!this.#open) {
      this.#options.loop.soon(() => callback(this.#silence(), null))
      return
    }
    this.#ask({ op: 'vouch', request }, (error, reply) => callback(error, reply?.refusal ?? null))
  }

  onPromiseAsked(handler: (request: PromiseRequest, confirm: () => void) => void): void {
    this.#onPromiseAsked = handler
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#redial) this.#options.loop.clearTimer(this.#redial)
    this.#watchers.clear()
    this.#link?.close()
    this.#failAll(() => true, `the link to ${this.#name} was closed`)
  }

  get #name(): string {
    return `the topology store ${this.#options.url.text}`
  }

  // --- requests

  #ask(message: StoreRequest, done: Request['done']): void {
    const { loop, requestTimeoutMs = REQUEST_TIMEOUT_MS } = this.#options
    const refused = this.#requests.size >= REQUESTS_MAX ? `too many requests wait for ${this.#name}` : this.#refusal
    if (refused !== null || this.#closed) {
      loop.soon(() => done(refused ?? `the link to ${this.#name} was closed`, null))
      return
    }
    const id = this.#nextId()
    const timer = loop.setTimer(requestTimeoutMs, () => this.#finish(id, this.#silence(), null))
    const request = { id, message, sent: false, timer, done }
    this.#requests.set(id, request)
    if (this.#open) this.#send(request)
  }

  /** Wraps within 31 bits, as ids are 32 bits wide on the wire; 0 is for changes. */
  #nextId(): number {
    this.#lastId = (this.#lastId % 0x7fff_ffff) + 1
    return this.#lastId
  }

  #silence(): string {
    const reason = this.#problem ?? `no reply within ${(this.#options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS) / 1000} s`
    return `${this.#name} does not answer (${reason})`
  }

  #finish(id: number, error: string | null, reply: StoreReply | null): void {
    const request = this.#requests.get(id)
    if (!request) return
    this.#requests.delete(id)
    this.#options.loop.clearTimer(request.timer)
    request.done(error, reply)
  }

  #failAll(which: (request: Request) => boolean, error: string): void {
    for (const request of [...this.#requests.values()]) {
      if (!which(request)) continue
      this.#requests.delete(request.id)
      this.#options.loop.clearTimer(request.timer)
      this.#options.loop.soon(() => request.done(error, null))
    }
  }

  #send(request: Request): void {
    request.sent = true
    this.#link?.send(FrameType.store, request.id, 0, encodeStore(request.message))
  }

  /** Something that is repeated after every dial: nobody waits for a reply. */
  #say(message: StoreRequest): void {
    if (this.#open) this.#link?.send(FrameType.store, this.#nextId(), 0, encodeStore(message))
  }

  // --- the link

  #dial(): void {
    const { loop, url, self, secret } = this.#options
    this.#redial = null
    this.#link = dialLink(
      loop,
      url.address,
      { self, secret, purpose: 'store' },
      {
        onOpen: link => this.#onOpen(link),
        onFrame: (_, frame) => {
          if (frame.type === FrameType.store) this.#onReply(frame.id, frame.payload)
        },
        onRefused: sentence => {
          this.#refusal = `${this.#name} refused the link: ${sentence}`
          this.#failAll(() => true, this.#refusal)
        },
        onClose: (_, reason) => this.#onClose(reason),
      },
    )
  }

  #onOpen(link: Link): void {
    this.#link = link
    this.#open = true
    this.#backoffMs = BACKOFF_MIN_MS
    this.#problem = null
    this.#refusal = null
    for (const [node, status] of this.#kept) this.#say({ op: 'keepAlive', node, status })
    if (this.#watchers.size > 0) this.#say({ op: 'watch' })
    for (const request of this.#requests.values()) if (!request.sent) this.#send(request)
  }

  #onReply(id: number, payload: Uint8Array): void {
    let reply: StoreReply
    try {
      reply = decodeReply(payload)
    } catch (error) {
      this.#problem = `its reply was not understood: ${(error as Error).message}`
      this.#link?.close()
      return
    }
    const { ask } = reply
    if (id === 0 && reply.value) this.#onChange(reply.value)
    else if (id === 0 && ask) this.#onPromiseAsked(ask, () => this.#say({ op: 'promised', request: ask }))
    else this.#finish(id, reply.error, reply.error === null ? reply : null)
  }

  #onChange(value: Versioned): void {
    if (this.#latest?.revision === value.revision) return
    this.#latest = value
    for (const watcher of [...this.#watchers]) if (this.#watchers.has(watcher)) watcher(value)
  }

  #onClose(reason: string): void {
    this.#open = false
    this.#link = null
    if (this.#closed) return
    this.#problem ??= reason
    this.#failAll(
      request => request.sent && request.message.op === 'compareAndSet',
      `the link to ${this.#name} broke (${reason})`,
    )
    for (const request of this.#requests.values()) request.sent = false
    this.#redial = this.#options.loop.setTimer(this.#backoffMs, () => this.#dial())
    this.#backoffMs = Math.min(BACKOFF_MAX_MS, this.#backoffMs * 2)
  }
}
