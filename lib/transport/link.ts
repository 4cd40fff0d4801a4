/**
 * A peer link: frames over a Connection after a mutual handshake.
 *
 *   dialer:  hello {protocol, purpose, id, incarnation, nonce} -->
 *                                            <-- challenge {id, incarnation, nonce, proof}   :acceptor
 *   dialer:  proof {proof}                   -->
 *                                            <-- welcome {}  |  refuse {sentence}
 *
 * A proof is an HMAC-SHA256 of everything both sides said and of the side's role, so that it cannot be sent back or used on
 * another link; the secret itself never travels. Without a secret the key is empty, and an acceptor takes only connections
 * from this machine. It may not know what frames mean; frames of the handshake never reach the owner.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { encodeFrame, FRAME_BYTES_MAX, type Frame, FrameDecoder, FrameType, PEER_PROTOCOL_VERSION } from './frame.js'
import type { Address, Connection, ConnectionHandler, Loop, Timer } from './loop.js'
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

export interface LinkCallbacks {
  /** The handshake is through. */
  onOpen(link: Link, peer: LinkPeer): void
  /** The payload is valid during the call only. */
  onFrame(link: Link, frame: Frame): void
  /** The handshake failed, here or there: one sentence. `onClose` follows. */
  onRefused(sentence: string): void
  /** Once, last. */
  onClose(link: Link, reason: string): void
  /** What `send` had to queue is out. */
  onDrained?(link: Link): void
}

interface CommonOptions {
  self: LinkIdentity
  secret: string | null
  /** Bytes that may wait for a slow peer; over it the link is closed. */
  queueBytesMax?: number
  /** For tests of other versions. */
  protocol?: number
}

export interface DialOptions extends CommonOptions {
  purpose: LinkPurpose
}

export interface AcceptOptions extends CommonOptions {
  accepts: LinkPurpose[]
  /** A sentence refuses the peer. */
  authorize?(peer: LinkPeer): string | null
}

const QUEUE_BYTES_MAX = 64 << 20
const HANDSHAKE_MS = 5000
/** Nobody may make us keep more than this before the handshake is through. */
const HANDSHAKE_FRAME_BYTES_MAX = 4096
/** Frames handled in one turn of a link before others have theirs. */
const READS_PER_TURN = 16

export function dialLink(loop: Loop, address: Address, options: DialOptions, callbacks: LinkCallbacks): Link {
  const link = new Link(loop, callbacks, options, null)
  link.attach(loop.connect(address, link))
  return link
}

export function acceptLink(connection: Connection, loop: Loop, options: AcceptOptions, callbacks: LinkCallbacks): Link {
  const link = new Link(loop, callbacks, { ...options, purpose: 'control' }, options)
  link.attach(connection)
  return link
}

interface Hello {
  protocol: number
  purpose: LinkPurpose
  id: string
  incarnation: string
  nonce: string
}

type Step = 'hello' | 'challenge' | 'proof' | 'welcome' | 'open' | 'closed'

export class Link implements ConnectionHandler {
  readonly #loop: Loop
  readonly #callbacks: LinkCallbacks
  readonly #options: DialOptions
  /** Null on the dialing side. */
  readonly #accept: AcceptOptions | null
  readonly #decoder = new FrameDecoder(HANDSHAKE_FRAME_BYTES_MAX)
  readonly #nonce = randomBytes(16).toString('hex')
  #connection: Connection | null = null
  #step: Step
  #hello: Hello | null = null
  #peer: LinkPeer | null = null
  #timer: Timer | null
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #paused = false
  #reason = ''

  constructor(loop: Loop, callbacks: LinkCallbacks, options: DialOptions, accept: AcceptOptions | null) {
    this.#loop = loop
    this.#callbacks = callbacks
    this.#options = options
    this.#accept = accept
    this.#step = accept ? 'hello' : 'challenge'
    this.#timer = loop.setTimer(HANDSHAKE_MS, () => {
      this.#timer = null
      this.#refuse(`no handshake within ${HANDSHAKE_MS / 1000} s`)
    })
  }

  /** For dialLink and acceptLink only. */
  attach(connection: Connection): void {
    this.#connection = connection
    connection.handler = this
    if (this.#accept && this.#options.secret === null && !isLoopbackAddress(connection.remote.host)) {
      this.#loop.soon(() => this.#refuse('without a secret only this machine may connect'))
    }
  }

  get peer(): LinkPeer | null {
    return this.#peer
  }

  get open(): boolean {
    return this.#step === 'open'
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** False when bytes had to be queued: better wait for `onDrained`. Nothing happens before the link is open or after it closed. */
  send(type: number, id: number, epoch: number, payload: Uint8Array, hops = 0): boolean {
    if (this.#step !== 'open') return false
    return this.#write(encodeFrame({ type, hops, id, epoch, payload }))
  }

  pause(): void {
    this.#paused = true
    this.#connection?.pauseReading()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#connection?.resumeReading()
    this.#loop.soon(() => this.#deliver())
  }

  close(): void {
    this.#end('closed')
    this.#connection?.close()
  }

  // --- the connection

  onConnect(): void {
    const { self, purpose, protocol = PEER_PROTOCOL_VERSION } = this.#options
    this.#hello = { protocol, purpose, ...self, nonce: this.#nonce }
    this.#say(FrameType.hello, this.#hello)
  }

  onReadable(connection: Connection): void {
    for (let reads = 0; reads < READS_PER_TURN && !this.#paused && this.#step !== 'closed'; reads++) {
      const bytes = connection.read()
      if (bytes === null) return
      if (bytes.length === 0) {
        this.#end('closed by the peer')
        connection.close()
        return
      }
      // A copy: `bytes` is borrowed until the next call on this loop, and handling a frame may well make one.
      this.#decoder.feed(Buffer.from(bytes))
      this.#deliver()
    }
  }

  onWritable(): void {
    while (this.#queue.length > 0) {
      const first = this.#queue[0]!
      const sent = this.#connection!.write(first)
      this.#queuedBytes -= sent
      if (sent < first.length) {
        this.#queue[0] = first.subarray(sent)
        return
      }
      this.#queue.shift()
    }
    this.#callbacks.onDrained?.(this)
  }

  onClose(_connection: Connection, reason: string): void {
    this.#end(this.#reason || reason)
    this.#callbacks.onClose(this, this.#reason)
  }

  #deliver(): void {
    try {
      for (;;) {
        if (this.#paused || this.#step === 'closed') {
          this.#decoder.keep()
          return
        }
        const frame = this.#decoder.next()
        if (!frame) return
        if (this.#step === 'open') this.#callbacks.onFrame(this, frame)
        else this.#shake(frame)
      }
    } catch (error) {
      if (!(error instanceof Error) || !/^a frame says/.test(error.message)) throw error
      if (this.#step === 'open') {
        this.#end(error.message)
        this.#connection?.destroy()
      } else this.#refuse('what came is no handshake of a peer')
    }
  }

  #write(bytes: Uint8Array): boolean {
    const connection = this.#connection!
    let rest = bytes
    if (this.#queue.length === 0) {
      const sent = connection.write(bytes)
      if (sent === bytes.length) return true
      rest = bytes.subarray(sent)
    }
    this.#queue.push(rest)
    this.#queuedBytes += rest.length
    if (this.#queuedBytes > (this.#options.queueBytesMax ?? QUEUE_BYTES_MAX)) {
      this.#end('the peer reads too slowly')
      connection.destroy()
    }
    return false
  }

  // --- the handshake

  #shake(frame: Frame): void {
    const said = parse(frame.payload)
    if (frame.type === FrameType.refuse) {
      this.#refused(typeof said.sentence === 'string' ? said.sentence.slice(0, 500) : 'the peer refused')
    } else if (this.#step === 'hello' && frame.type === FrameType.hello) this.#onHello(said)
    else if (this.#step === 'challenge' && frame.type === FrameType.challenge) this.#onChallenge(said)
    else if (this.#step === 'proof' && frame.type === FrameType.proof) this.#onProof(said)
    else if (this.#step === 'welcome' && frame.type === FrameType.welcome) this.#opened()
    else this.#refuse('what came is no handshake of a peer')
  }

  #onHello(said: Record<string, unknown>): void {
    const { protocol, purpose, id, incarnation, nonce } = said
    const ours = this.#options.protocol ?? PEER_PROTOCOL_VERSION
    if (protocol !== ours) {
      this.#refuse(`peer protocol ${String(protocol)} is not spoken here, only ${ours}`)
      return
    }
    if (typeof id !== 'string' || typeof incarnation !== 'string' || typeof nonce !== 'string') {
      this.#refuse('what came is no handshake of a peer')
      return
    }
    if (!this.#accept!.accepts.includes(purpose as LinkPurpose)) {
      this.#refuse(`links for "${String(purpose)}" are not taken here`)
      return
    }
    this.#hello = { protocol: ours, purpose: purpose as LinkPurpose, id, incarnation, nonce }
    this.#peer = { id, incarnation, purpose: purpose as LinkPurpose }
    const { self } = this.#options
    this.#step = 'proof'
    this.#say(FrameType.challenge, { ...self, nonce: this.#nonce, proof: this.#proof('acceptor', self, this.#nonce) })
  }

  #onChallenge(said: Record<string, unknown>): void {
    const { id, incarnation, nonce, proof } = said
    if (typeof id !== 'string' || typeof incarnation !== 'string' || typeof nonce !== 'string') {
      this.#refuse('what came is no handshake of a peer')
      return
    }
    const peer = { id, incarnation }
    if (!equal(proof, this.#proof('acceptor', peer, nonce))) {
      this.#refuse('the peer secret is wrong')
      return
    }
    this.#peer = { ...peer, purpose: this.#options.purpose }
    this.#step = 'welcome'
    this.#say(FrameType.proof, { proof: this.#proof('dialer', peer, nonce) })
  }

  #onProof(said: Record<string, unknown>): void {
    if (!equal(said.proof, this.#proof('dialer', this.#options.self, this.#nonce))) {
      this.#refuse('the peer secret is wrong')
      return
    }
    const refusal = this.#accept?.authorize?.(this.#peer!) ?? null
    if (refusal !== null) {
      this.#refuse(refusal)
      return
    }
    this.#say(FrameType.welcome, {})
    this.#opened()
  }

  #opened(): void {
    this.#step = 'open'
    this.#stopTimer()
    this.#decoder.frameBytesMax = FRAME_BYTES_MAX
    this.#callbacks.onOpen(this, this.#peer!)
  }

  /** Everything that both sides have said, and who says it. */
  #proof(role: 'dialer' | 'acceptor', acceptor: LinkIdentity, acceptorNonce: string): string {
    const { protocol, purpose, id, incarnation, nonce } = this.#hello!
    const said = [role, protocol, purpose, id, incarnation, nonce, acceptor.id, acceptor.incarnation, acceptorNonce]
    return createHmac('sha256', this.#options.secret ?? '')
      .update(JSON.stringify(said))
      .digest('hex')
  }

  #say(type: number, said: object): void {
    this.#write(encodeFrame({ type, hops: 0, id: 0, epoch: 0, payload: Buffer.from(JSON.stringify(said)) }))
  }

  /** This side will not: says so to both. */
  #refuse(sentence: string): void {
    if (this.#step === 'open' || this.#step === 'closed') return
    if (this.#connection && this.#hello) this.#say(FrameType.refuse, { sentence })
    else if (this.#connection && this.#accept) this.#say(FrameType.refuse, { sentence })
    this.#refused(sentence)
  }

  #refused(sentence: string): void {
    this.#end(sentence)
    this.#callbacks.onRefused(sentence)
    this.#connection?.close()
  }

  #end(reason: string): void {
    if (this.#step === 'closed') return
    this.#step = 'closed'
    this.#reason = reason
    this.#stopTimer()
    this.#queue = []
    this.#queuedBytes = 0
  }

  #stopTimer(): void {
    if (this.#timer) this.#loop.clearTimer(this.#timer)
    this.#timer = null
  }
}

function parse(payload: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function equal(given: unknown, expected: string): boolean {
  if (typeof given !== 'string' || given.length !== expected.length) return false
  return timingSafeEqual(Buffer.from(given), Buffer.from(expected))
}
