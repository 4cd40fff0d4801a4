/**
 * A peer link: frames over a Connection after a mutual handshake. It knows no topology and no message beyond the handshake.
 *
 *   dialer:  hello {protocol, purpose, id, incarnation, nonce}     acceptor: challenge {id, incarnation, nonce, proof}
 *   dialer:  proof {proof, clock}                                  acceptor: welcome {id, incarnation} | refuse {sentence}
 *
 * A proof is an HMAC-SHA256 by the shared secret over both nonces, both identities, the purpose and the role of the prover,
 * so it serves once, for one link, in one direction. Either side refuses with one plain sentence, sent as `refuse`.
 * The dialer's clock, read after the challenge came, tells the acceptor how late it can be there (clock-bound.ts).
 * Without a secret the HMAC key is empty and the acceptor only takes connections from loopback addresses.
 *
 *   send --> chunks (copied) --once per turn--> connection        connection --> FrameDecoder --> onFrame
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { ClockBound, clockWord } from './clock-bound.js'
import {
  FRAME_BYTES_MAX,
  type Frame,
  FrameDecoder,
  FrameError,
  FrameType,
  headerBytes,
  PEER_PROTOCOL_VERSION,
  writeFrame,
} from './frame.js'
import type { Address, Connection, ConnectionHandler, Loop, Timer } from './loop.js'
import { OutputQueue } from './output-queue.js'
import { isLoopbackAddress } from './words.js'

export type LinkPurpose = 'control' | 'data' | 'store'

export interface LinkIdentity {
  /** Node id, or 'cli' / 'coordinator'. */
  id: string
  /** Decimal string. */
  incarnation: string
}

export interface LinkPeer extends LinkIdentity {
  purpose: LinkPurpose
}

interface LinkOptions {
  /** Shared by the whole tier; null: loopback only. */
  secret: string | null
  self: LinkIdentity
  /**
   * Bytes that may wait for the connection, one frame beyond it allowed. Over it the link is closed. Higher rides out longer
   * stalls of a peer and costs memory per peer. Default 64 MiB.
   */
  queueBytesMax?: number
  /** Default 5000; lower notices dead peers sooner, and cuts links of a machine under heavy load. */
  handshakeLimitMs?: number
  /** Of this build; other values are for tests. */
  protocol?: number
}

export interface DialOptions extends LinkOptions {
  purpose: LinkPurpose
}

export interface AcceptOptions extends LinkOptions {
  accepts: readonly LinkPurpose[]
  /** Asked after the peer has proved itself; a sentence refuses it. */
  authorize?(peer: LinkPeer): string | null
}

export interface LinkCallbacks {
  onOpen(link: Link, peer: LinkPeer): void
  /** The payload is borrowed: valid during the call. */
  onFrame(link: Link, frame: Frame): void
  /** The handshake ended in a refusal, the peer's or ours; `onClose` follows. */
  onRefused(sentence: string): void
  /** Exactly once for every link, opened or not, and never from within a call of `dialLink`, `acceptLink` or `close`. */
  onClose(link: Link, reason: string): void
  /** `send` had returned false, and everything is out now. */
  onDrained?(link: Link): void
}

/** Dials; frames can be sent from `onOpen` on. */
export function dialLink(loop: Loop, to: Address, options: DialOptions, callbacks: LinkCallbacks): Link {
  const link = new Link(loop, to, callbacks, options, { role: 'dialer', purpose: options.purpose })
  link.adopt(loop.connect(to, link))
  return link
}

/** For an `onConnection` of Loop.listen: the link is the connection's handler. */
export function acceptLink(connection: Connection, loop: Loop, options: AcceptOptions, callbacks: LinkCallbacks): Link {
  const { accepts, authorize } = options
  const link = new Link(loop, connection.remote, callbacks, options, { role: 'acceptor', accepts, authorize })
  link.adopt(connection)
  connection.handler = link
  return link
}

type Role =
  | { role: 'dialer'; purpose: LinkPurpose }
  | { role: 'acceptor'; accepts: readonly LinkPurpose[]; authorize: AcceptOptions['authorize'] }

/** Who is speaking, as both sides hash it. */
interface Parties {
  purpose: LinkPurpose
  dialer: LinkIdentity
  acceptor: LinkIdentity
  dialerNonce: string
  acceptorNonce: string
}

type State = 'hello' | 'challenge' | 'proof' | 'welcome' | 'open' | 'closed'

const QUEUE_BYTES_MAX = 64 * 1024 * 1024
const HANDSHAKE_LIMIT_MS = 5000
/** Before a peer has proved itself it may not make us hold more than this. */
const HANDSHAKE_FRAME_BYTES_MAX = 4096
/** From here on `send` asks its caller to wait. */
const BUSY_BYTES = 256 * 1024
const READS_PER_TURN = 8
/** What a link copies its reads to; a longer read gets a copy of its own. */
const INPUT_BYTES_MIN = 4096
const INPUT_BYTES_MAX = 65_536
const NOTHING = Buffer.alloc(0)
const ID_LENGTH_MAX = 250
const NONCE_BYTES = 16
const SECRETS_DIFFER = 'the peer secret is not the same on both sides'

export class Link implements ConnectionHandler {
  readonly remote: Address
  readonly #loop: Loop
  readonly #callbacks: LinkCallbacks
  readonly #options: LinkOptions
  readonly #role: Role
  readonly #decoder = new FrameDecoder(HANDSHAKE_FRAME_BYTES_MAX)
  readonly #output = new OutputQueue()
  readonly #nonce = randomBytes(NONCE_BYTES).toString('hex')
  readonly #limit: Timer
  /** The dialer's clock as the acceptor knows it; whoever uses it keeps it new. */
  readonly peerClock = new ClockBound()
  #challengedAt = 0
  #bytesRead = 0
  #connection!: Connection
  #state: State
  #parties: Parties | null = null
  #peer: LinkPeer | null = null
  #reason: string | null = null
  #paused = false
  #flushAsked = false
  readonly #flushSoon = () => {
    this.#flushAsked = false
    this.#flush()
  }
  #input: Buffer = NOTHING
  #blocked = false
  #owesDrained = false

  constructor(loop: Loop, remote: Address, callbacks: LinkCallbacks, options: LinkOptions, role: Role) {
    this.#loop = loop
    this.remote = remote
    this.#callbacks = callbacks
    this.#options = options
    this.#role = role
    this.#state = role.role === 'acceptor' ? 'hello' : 'challenge'
    const limitMs = options.handshakeLimitMs ?? HANDSHAKE_LIMIT_MS
    this.#limit = loop.setTimer(limitMs, () => this.#end(`no handshake within ${limitMs} ms`))
  }

  /** For dialLink and acceptLink. */
  adopt(connection: Connection): void {
    this.#connection = connection
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  /** Who the peer proved to be; null before `onOpen`. */
  get peer(): LinkPeer | null {
    return this.#peer
  }

  /** Bytes that `send` accepted and the connection has not taken. */
  get queuedBytes(): number {
    return this.#output.bytes
  }

  /** All that came, also of a frame that is not whole yet. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Copies the frame. False: it is accepted, but the peer is slower than we are; better wait for `onDrained`. On a link that is not open: lost. */
  send(type: number, id: number, epoch: number, payload: Uint8Array, hops = 0, clock = 0): boolean {
    return this.sendFrom(type, id, epoch, hops, clock, payload, 0, payload.length)
  }

  /** As send; the payload is `length` bytes of `memory` from `from` on. */
  sendFrom(
    type: number,
    id: number,
    epoch: number,
    hops: number,
    clock: number,
    memory: Uint8Array,
    from: number,
    length: number,
  ): boolean {
    if (this.#state !== 'open') return false
    if (this.#output.bytes > (this.#options.queueBytesMax ?? QUEUE_BYTES_MAX)) {
      this.#end(`${this.#output.bytes} bytes wait for a peer that does not read them`)
      return false
    }
    this.#push(type, id, epoch, hops, clock, memory, from, length)
    if (!this.#blocked && this.#output.bytes >= BUSY_BYTES) this.#flush()
    if (this.#blocked || this.#output.bytes >= BUSY_BYTES) this.#owesDrained = true
    return !this.#owesDrained
  }

  /** No `onFrame` until `resume`; frames that have arrived are kept. */
  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#connection.pauseReading()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#loop.soon(() => {
      if (this.#paused || this.#state === 'closed') return
      this.#takeFrames()
      // As only the last word counts: a frame's callback may have paused again.
      if (!this.#paused && !this.#isClosed()) this.#connection.resumeReading()
    })
  }

  /** Idempotent. What can go out at once still goes. */
  close(): void {
    this.#end('closed')
  }

  /** As close, with a reset: as little as possible of what was sent still arrives. */
  destroy(): void {
    if (this.#isClosed()) return
    this.#state = 'closed'
    this.#reason = 'given up'
    this.#connection.destroy()
  }

  // --- ConnectionHandler

  onConnect(): void {
    if (this.#role.role !== 'dialer') return
    const { self, protocol = PEER_PROTOCOL_VERSION } = this.#options
    this.#say(FrameType.hello, { protocol, purpose: this.#role.purpose, ...identityOf(self), nonce: this.#nonce })
  }

  onReadable(connection: Connection): void {
    for (let reads = 0; reads < READS_PER_TURN && !this.#paused && !this.#isClosed(); reads++) {
      const bytes = connection.read()
      if (bytes === null) return
      if (bytes.length === 0) {
        this.#end('closed by the peer')
        return
      }
      const { length } = bytes
      this.#bytesRead += length
      this.#decoder.feed(this.#copyOf(bytes))
      this.#takeFrames()
      // There was no more: asking again would only cost a system call.
      if (length < (connection.readBytesMax ?? 0)) return
    }
  }

  onWritable(): void {
    this.#blocked = false
    this.#flush()
  }

  onClose(_connection: Connection, reason: string): void {
    this.#state = 'closed'
    this.#loop.clearTimer(this.#limit)
    this.#output.clear()
    this.#callbacks.onClose(this, this.#reason ?? reason)
  }

  // --- frames

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #takeFrames(): void {
    try {
      while (!this.#paused && !this.#isClosed()) {
        const frame = this.#decoder.next()
        if (!frame) return
        if (this.#state === 'open') this.#callbacks.onFrame(this, frame)
        else this.#onHandshake(frame)
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#end(`the peer does not speak our protocol: ${error.message}`)
      return
    }
    if (!this.#isClosed()) this.#decoder.keep()
  }

  /**
   * A copy: `bytes` is borrowed until the next call on this loop, and handling a frame may well make one. The decoder borrows
   * the copy until it has said null, and has a copy of its own of what is left when it did not come to that.
   */
  #copyOf(bytes: Uint8Array): Uint8Array {
    const { length } = bytes
    if (this.#input.length < length) {
      this.#input = Buffer.allocUnsafeSlow(Math.min(INPUT_BYTES_MAX, Math.max(INPUT_BYTES_MIN, 2 * length)))
    }
    if (this.#input.length < length) return Buffer.from(bytes)
    this.#input.set(bytes)
    return this.#input.subarray(0, length)
  }

  #push(
    type: number,
    id: number,
    epoch: number,
    hops: number,
    clock: number,
    memory: Uint8Array,
    from: number,
    length: number,
  ): void {
    const output = this.#output
    const at = output.claim(headerBytes(type) + length)
    writeFrame(output.claimed, at, { type, hops, id, epoch, clock }, memory, from, length)
    if (this.#flushAsked || this.#blocked) return
    this.#flushAsked = true
    this.#loop.soon(this.#flushSoon)
  }

  #flush(): void {
    if (this.#blocked || this.#isClosed()) return
    for (let head = this.#output.head; head; head = this.#output.head) {
      const count = this.#connection.write(head)
      this.#output.consume(count)
      if (count < head.length) {
        this.#blocked = true
        return
      }
    }
    if (!this.#owesDrained) return
    this.#owesDrained = false
    this.#loop.soon(() => {
      if (this.#state === 'open' && !this.#owesDrained) this.#callbacks.onDrained?.(this)
    })
  }

  #end(reason: string): void {
    if (this.#isClosed()) return
    this.#flush()
    this.#state = 'closed'
    this.#reason = reason
    this.#connection.close()
  }

  // --- handshake

  #say(type: number, content: Record<string, unknown>): void {
    const payload = Buffer.from(JSON.stringify(content))
    this.#push(type, 0, 0, 0, 0, payload, 0, payload.length)
  }

  #refuse(sentence: string): void {
    this.#say(FrameType.refuse, { sentence })
    this.#callbacks.onRefused(sentence)
    this.#end(`refused: ${sentence}`)
  }

  #onHandshake(frame: Frame): void {
    if (frame.type > FrameType.refuse) throw new FrameError(`frame type ${frame.type} before the handshake`)
    const content = contentOf(frame)
    if (frame.type === FrameType.refuse) {
      const sentence = text(content.sentence, 1000)
      this.#callbacks.onRefused(sentence)
      this.#end(`refused by the peer: ${sentence}`)
    } else if (this.#state === 'hello' && frame.type === FrameType.hello) this.#onHello(content)
    else if (this.#state === 'challenge' && frame.type === FrameType.challenge) this.#onChallenge(content)
    else if (this.#state === 'proof' && frame.type === FrameType.proof) this.#onProof(content)
    else if (this.#state === 'welcome' && frame.type === FrameType.welcome) this.#onWelcome()
    else throw new FrameError(`frame type ${frame.type} in the handshake`)
  }

  #onHello(content: Record<string, unknown>): void {
    if (this.#role.role !== 'acceptor') return
    const { self, secret, protocol = PEER_PROTOCOL_VERSION } = this.#options
    if (content.protocol !== protocol) {
      this.#refuse(`the peer protocol is version ${protocol} here, not ${String(content.protocol).slice(0, 20)}`)
      return
    }
    const purpose = this.#role.accepts.find(one => one === content.purpose)
    if (!purpose) {
      const asked = JSON.stringify(content.purpose ?? null).slice(0, 40)
      this.#refuse(`this port takes ${this.#role.accepts.join(' and ')} links, not ${asked}`)
      return
    }
    if (secret === null && !isLoopbackAddress(this.remote.host)) {
      this.#refuse(`without a peer secret only loopback addresses may connect, not ${this.remote.host}`)
      return
    }
    const dialer = parseIdentity(content)
    const nonces = { dialerNonce: text(content.nonce, 64), acceptorNonce: this.#nonce }
    this.#parties = { purpose, dialer, acceptor: identityOf(self), ...nonces }
    this.#state = 'proof'
    this.#challengedAt = this.#loop.clock()
    this.#say(FrameType.challenge, { ...identityOf(self), nonce: this.#nonce, proof: this.#proofOf('acceptor') })
  }

  #onChallenge(content: Record<string, unknown>): void {
    if (this.#role.role !== 'dialer') return
    const acceptor = parseIdentity(content)
    const nonces = { dialerNonce: this.#nonce, acceptorNonce: text(content.nonce, 64) }
    this.#parties = { purpose: this.#role.purpose, dialer: identityOf(this.#options.self), acceptor, ...nonces }
    if (!same(text(content.proof, 64), this.#proofOf('acceptor'))) {
      this.#refuse(SECRETS_DIFFER)
      return
    }
    this.#state = 'welcome'
    this.#say(FrameType.proof, { proof: this.#proofOf('dialer'), clock: clockWord(this.#loop.clock()) })
  }

  #onProof(content: Record<string, unknown>): void {
    if (this.#role.role !== 'acceptor' || !this.#parties) return
    if (!same(text(content.proof, 64), this.#proofOf('dialer'))) {
      this.#refuse(SECRETS_DIFFER)
      return
    }
    const peer = { ...this.#parties.dialer, purpose: this.#parties.purpose }
    const refused = this.#role.authorize?.(peer) ?? null
    if (refused !== null) {
      this.#refuse(refused)
      return
    }
    this.peerClock.learn(this.#challengedAt, whole32(content.clock))
    this.#say(FrameType.welcome, { ...identityOf(this.#options.self) })
    this.#opened(peer)
  }

  #onWelcome(): void {
    if (this.#parties) this.#opened({ ...this.#parties.acceptor, purpose: this.#parties.purpose })
  }

  #opened(peer: LinkPeer): void {
    this.#loop.clearTimer(this.#limit)
    this.#state = 'open'
    this.#peer = peer
    this.#decoder.frameBytesMax = FRAME_BYTES_MAX
    this.#callbacks.onOpen(this, peer)
  }

  #proofOf(role: Role['role']): string {
    const { purpose, dialer, acceptor, dialerNonce, acceptorNonce } = this.#parties!
    const { secret, protocol = PEER_PROTOCOL_VERSION } = this.#options
    const told = ['continuum peer link', role, protocol, purpose, dialerNonce, acceptorNonce]
    const who = [dialer.id, dialer.incarnation, acceptor.id, acceptor.incarnation]
    return createHmac('sha256', secret ?? '')
      .update(JSON.stringify([...told, ...who]))
      .digest('hex')
  }
}

function identityOf({ id, incarnation }: LinkIdentity): LinkIdentity {
  return { id, incarnation }
}

function parseIdentity(content: Record<string, unknown>): LinkIdentity {
  return { id: text(content.id, ID_LENGTH_MAX), incarnation: text(content.incarnation, 20) }
}

function contentOf(frame: Frame): Record<string, unknown> {
  try {
    const { buffer, byteOffset, length } = frame.payload
    const content: unknown = JSON.parse(Buffer.from(buffer, byteOffset, length).toString())
    if (typeof content === 'object' && content !== null) return content as Record<string, unknown>
  } catch {
    // Falls through: not JSON is as bad as JSON of something else.
  }
  throw new FrameError('a handshake that is not a JSON object')
}

function text(value: unknown, lengthMax: number): string {
  if (typeof value === 'string' && value.length <= lengthMax) return value
  throw new FrameError('a handshake with a field missing or too long')
}

function whole32(value: unknown): number {
  if (typeof value === 'number' && value === value >>> 0) return value
  throw new FrameError('a handshake without a clock')
}

function same(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
