/**
 * One end of a connection of the simulated world. Each direction is ordered and bounded; its pieces arrive one by one after
 * random delays. An end that closed or crashed takes what still arrives and answers with a reset, as a kernel does.
 */
import type { Address, Connection, ConnectionHandler, Timer } from './loop.js'
import type { SimulatedListener } from './simulated.js'
import type { SimulatedLoop } from './simulated-loop.js'
import { CLOSED_HERE, RESET_BY_PEER, wordsOf } from './words.js'

/** The least time between two turns of one connection: virtual time has to pass while unread bytes wait. */
const TURN_MS = 0.02

export class SimulatedConnection implements Connection {
  readonly loop: SimulatedLoop
  readonly remoteHost: string
  readonly remote: Address
  readonly local: Address
  handler: ConnectionHandler = SILENT
  readonly #number: number
  #peer: SimulatedConnection | null = null
  #connected = false
  #inbox: Uint8Array[] = []
  #firstAt = 0
  /** Bytes of the direction towards this end: unread here, and still on the way. */
  #unreadBytes = 0
  #comingBytes = 0
  /** What this end sent arrives not before this time: order is kept per direction. */
  #arrivalLast = 0
  /** Arrivals that wait for a cut to heal. */
  #held: (() => void)[] = []
  #ended = false
  #paused = false
  #wantsRoom = false
  #scheduled = false
  #closed = false
  #told = false

  constructor(loop: SimulatedLoop, remoteHost: string, remote: Address, local: Address) {
    this.loop = loop
    this.remoteHost = remoteHost
    this.remote = remote
    this.local = local
    this.#number = loop.world.nextConnection()
    loop.world.connections.add(this)
  }

  get closed(): boolean {
    return this.#closed
  }

  // --- Connection

  recv(offset: number, length: number): number {
    const first = this.#inbox[0]
    if (!first) return this.#ended ? -1 : 0
    const count = Math.min(length, first.length - this.#firstAt)
    this.loop.memory.set(first.subarray(this.#firstAt, this.#firstAt + count), offset)
    this.#consume(first, count)
    return count
  }

  read(): Uint8Array | null {
    const first = this.#inbox[0]
    if (!first) return this.#ended ? EMPTY : null
    const bytes = first.subarray(this.#firstAt)
    this.#consume(first, bytes.length)
    return bytes
  }

  send(offset: number, length: number): number {
    return this.write(this.loop.memory.subarray(offset, offset + length))
  }

  write(bytes: Uint8Array): number {
    if (this.#closed) return bytes.length
    const count = this.#roomFor(bytes.length)
    if (count < bytes.length) this.#wantRoom()
    if (count > 0) this.#sendPieces(bytes.subarray(0, count))
    return count
  }

  pauseReading(): void {
    this.#paused = true
  }

  resumeReading(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#scheduleReadable()
  }

  close(): void {
    if (this.#closed) return
    this.#trace('close')
    const peer = this.#peer
    this.#drop(CLOSED_HERE)
    if (peer) this.#travel(() => peer.#onEnd())
  }

  destroy(): void {
    if (this.#closed) return
    this.#trace('reset')
    const peer = this.#peer
    this.#drop(CLOSED_HERE)
    if (peer) this.#travel(() => peer.break(RESET_BY_PEER))
  }

  // --- for the loop and the world

  /** The first packet of a connection; every answer takes a way back. */
  dial(): void {
    const { world } = this.loop
    const limit = world.after(world.options.silenceLimitMs, () => this.break(wordsOf('ETIMEDOUT')))
    this.#travel(() => {
      if (this.#closed) return
      const listener = world.listenerAt({ host: this.remoteHost, port: this.remote.port })
      if (listener) this.#meet(listener, limit)
      else this.#travel(() => this.break(wordsOf('ECONNREFUSED')))
    })
  }

  #meet(listener: SimulatedListener, limit: Timer): void {
    const other = new SimulatedConnection(listener.loop, this.loop.host, this.local, this.remote)
    other.#peer = this
    other.#connected = true
    this.#peer = other
    this.#trace(`accepted as ${other.#number}`)
    // First the answer, then whatever the listener says at once.
    other.#travel(() => {
      this.loop.world.cancel(limit)
      this.#onConnect()
    })
    other.handler = listener.accept(other)
  }

  /** Both ends hear that the connection is broken; for this end: now. */
  break(reason: string): void {
    if (this.#closed) return
    this.#trace(`broken: ${reason}`)
    const peer = this.#peer
    this.#drop(reason)
    if (peer) this.#travel(() => peer.break(reason))
  }

  /** This end's process is gone. Its kernel ends the connection, politely or with a reset. */
  vanish(): void {
    if (this.#closed) return
    const peer = this.#peer
    this.#drop(CLOSED_HERE)
    if (!peer) return
    const polite = this.loop.world.random() < 0.5
    this.#travel(() => (polite ? peer.#onEnd() : peer.break(RESET_BY_PEER)))
  }

  // --- the way

  #roomFor(length: number): number {
    const { world } = this.loop
    const peer = this.#peer
    if (!peer || !this.#connected || this.#wantsRoom) return 0
    const room = Math.max(0, world.options.bufferBytesMax - peer.#unreadBytes - peer.#comingBytes)
    const count = Math.min(length, room)
    return count > 1 && world.random() < world.options.shortSendChance
      ? 1 + Math.floor(world.random() * (count - 1))
      : count
  }

  #wantRoom(): void {
    if (this.#wantsRoom) return
    this.#wantsRoom = true
    this.loop.world.after(TURN_MS, () => this.#checkRoom())
  }

  #checkRoom(): void {
    const peer = this.#peer
    if (!this.#wantsRoom || this.#closed || !peer || !this.#connected || !this.loop.alive) return
    if (!peer.#closed && peer.#unreadBytes + peer.#comingBytes > this.loop.world.options.bufferBytesMax / 2) return
    this.#wantsRoom = false
    this.handler.onWritable(this)
  }

  #sendPieces(bytes: Uint8Array): void {
    const { world } = this.loop
    const peer = this.#peer!
    if (world.options.resetChance > 0 && world.random() < world.options.resetChance) {
      world.after(world.latency(), () => this.break(RESET_BY_PEER))
    }
    const copy = Uint8Array.prototype.slice.call(bytes)
    peer.#comingBytes += copy.length
    let at = 0
    while (at < copy.length) {
      const left = copy.length - at
      const count =
        left > 1 && world.random() < world.options.splitChance ? 1 + Math.floor(world.random() * (left - 1)) : left
      const piece = copy.subarray(at, at + count)
      this.#travel(() => peer.#onPiece(piece))
      at += count
    }
  }

  /** Runs `arrive` at the other side after a delay, behind everything this end sent before; held while the way is cut. */
  #travel(arrive: () => void): void {
    const { world } = this.loop
    const at = Math.max(this.#arrivalLast, world.now + world.latency())
    this.#arrivalLast = at
    world.after(at - world.now, () => this.#pass(arrive))
  }

  #pass(arrive: () => void): void {
    const { world, host } = this.loop
    if (this.#held.length === 0 && !world.isCut(host, this.remoteHost)) {
      arrive()
      return
    }
    this.#held.push(arrive)
    if (this.#held.length > 1) return
    const broken = world.after(world.options.silenceLimitMs, () => this.break(wordsOf('ETIMEDOUT')))
    world.whenHealed(host, this.remoteHost, () => {
      world.cancel(broken)
      const held = this.#held
      this.#held = []
      for (const one of held) this.#travel(one)
    })
  }

  // --- arrivals; the life they were meant for may be over

  #onConnect(): void {
    if (this.#closed) return
    this.#connected = true
    if (!this.loop.alive) return
    this.handler.onConnect?.(this)
    this.#checkRoom()
  }

  #onPiece(piece: Uint8Array): void {
    this.#comingBytes -= piece.length
    if (this.#closed) {
      const peer = this.#peer
      if (peer && !peer.#closed) this.#travel(() => peer.break(RESET_BY_PEER))
      return
    }
    this.#trace(`got ${piece.length}`)
    this.#inbox.push(piece)
    this.#unreadBytes += piece.length
    this.#tellReadable()
  }

  #onEnd(): void {
    if (this.#closed) return
    this.#trace('peer ended')
    this.#ended = true
    this.#tellReadable()
    this.#checkRoom()
  }

  #consume(first: Uint8Array, count: number): void {
    this.#firstAt += count
    this.#unreadBytes -= count
    if (this.#firstAt === first.length) {
      this.#inbox.shift()
      this.#firstAt = 0
    }
    const peer = this.#peer
    if (peer === null) return
    if (peer.#wantsRoom) this.#travel(() => peer.#checkRoom())
  }

  #tellReadable(): void {
    if (this.#closed || this.#paused || !this.loop.alive) return
    this.handler.onReadable(this)
    if (this.#inbox.length > 0) this.#scheduleReadable()
  }

  #scheduleReadable(): void {
    if (this.#scheduled || (this.#inbox.length === 0 && !this.#ended)) return
    this.#scheduled = true
    this.loop.world.after(TURN_MS, () => {
      this.#scheduled = false
      this.#tellReadable()
    })
  }

  #drop(reason: string): void {
    this.#closed = true
    this.#inbox = []
    this.#unreadBytes = 0
    this.loop.world.connections.delete(this)
    // Not the loop's own `soon`: a loop that stops still lets its connections say that they are closed.
    if (this.#told) return
    this.#told = true
    const { alive } = this.loop
    this.loop.world.soon(() => {
      if (alive && !this.loop.crashed) this.handler.onClose(this, reason)
    })
  }

  #trace(what: string): void {
    if (this.loop.world.traced) this.loop.world.trace(`${this.loop.host} connection ${this.#number}: ${what}`)
  }
}

const EMPTY = new Uint8Array(0)
const SILENT: ConnectionHandler = { onReadable() {}, onWritable() {}, onClose() {} }
