/**
 * One client's connection: bytes straight into the engine's memory, replies straight out of it; what the engine cannot
 * answer alone becomes a Request, and the answers go out in the order of the requests.
 *
 *   input:  kept (unprocessed bytes) | collecting (a request whose value is still coming) | filling (a value going into its item)
 *   output: out (bytes that the socket did not take) ; pending (requests under way, answered in order)
 *
 * While a request is pending nothing else of this connection is executed, with one exception: requests that go to other
 * nodes may be pipelined, as long as all of them were routed by the same epoch. So one client's order for one key holds,
 * even if the route changes in between.
 */
import { Stop, type Turn } from '../engine/contract.js'
import type { Connection, ConnectionHandler } from '../transport/loop.js'
import type { DataPlane } from './data-plane.js'
import { type Request, shapeOf } from './request.js'

interface Pending extends Request {
  reply: Buffer | null
}

const PIPELINED_MAX = 1024
const PIPELINED_BYTES_MAX = 4 << 20
/** A retrieval line may be long (PROTOCOL D1), but not without end. */
const KEPT_BYTES_MAX = 1 << 20
/** Turns of one connection before others have theirs. */
const TURNS_MAX = 8
const EMPTY = Buffer.alloc(0)

export class ClientConnection implements ConnectionHandler {
  readonly #plane: DataPlane
  readonly #connection: Connection
  readonly #onGone: () => void
  #kept: Buffer = EMPTY
  #resume = 0
  #filling: { offset: number; left: number; handle: number } | null = null
  #collecting: { bytes: Buffer; filled: number } | null = null
  #out: Buffer[] = []
  #pending: Pending[] = []
  #pendingBytes = 0
  /** Epoch by which all pending requests were forwarded; -1: the pending one is not a forward. */
  #pipelineEpoch = -1
  #reading = true
  /** The client has ended its side; or quit was said: close once everything is out. */
  #ended = false
  #closing = false
  #working = false

  constructor(plane: DataPlane, connection: Connection, onGone: () => void) {
    this.#plane = plane
    this.#connection = connection
    this.#onGone = onGone
  }

  /** The server stops. */
  shut(): void {
    this.#closing = true
    this.#closeWhenOut()
  }

  onReadable(): void {
    this.#plane.newTurn()
    this.#work(() => {
      for (let turns = 0; turns < TURNS_MAX && this.#mayRead(); turns++) if (!this.#receive()) return
    })
  }

  onWritable(): void {
    const out = this.#out
    this.#out = []
    for (let i = 0; i < out.length; i++) {
      const sent = this.#connection.write(out[i]!)
      if (sent < out[i]!.length) {
        this.#out = [out[i]!.subarray(sent), ...out.slice(i + 1)]
        return
      }
    }
    this.#work(() => this.#goOn())
  }

  onClose(): void {
    this.#closing = true
    if (this.#filling) this.#plane.engine.abandon(this.#filling.handle)
    this.#filling = null
    for (const request of this.#pending) {
      if (request.reply) continue
      request.dropped = true
      request.cancel?.()
    }
    this.#pending = []
    this.#kept = EMPTY
    this.#out = []
    this.#onGone()
  }

  /** Everything that may change what is wanted from the socket runs inside; answers may come from within. */
  #work(task: () => void): void {
    if (this.#working) {
      task()
      return
    }
    this.#working = true
    task()
    this.#working = false
    if (this.#connection.closed) return
    this.#closeWhenOut()
    const wanted = this.#mayRead() || (this.#pending.length > 0 && this.#canPipeline())
    if (wanted === this.#reading) return
    this.#reading = wanted
    if (wanted) this.#connection.resumeReading()
    else this.#connection.pauseReading()
  }

  #mayRead(): boolean {
    return (
      !this.#closing && !this.#ended && this.#out.length === 0 && (this.#pending.length === 0 || this.#canPipeline())
    )
  }

  #canPipeline(): boolean {
    return (
      this.#pipelineEpoch >= 0 &&
      this.#kept.length < 65_536 &&
      !this.#collecting &&
      this.#pending.length < PIPELINED_MAX &&
      this.#pendingBytes < PIPELINED_BYTES_MAX
    )
  }

  #closeWhenOut(): void {
    const idle = this.#out.length === 0 && this.#pending.length === 0
    if (idle && (this.#closing || this.#ended) && !this.#connection.closed) this.#connection.close()
  }

  // --- input

  /** False: nothing more to read now. */
  #receive(): boolean {
    const { engine } = this.#plane
    if (this.#filling) return this.#fill()
    if (this.#collecting) return this.#collect()
    const { rx } = engine
    const kept = this.#kept
    const room = rx.length - kept.length
    if (this.#pending.length > 0 || room < rx.length / 2) return this.#receiveAside()
    const count = this.#connection.recv(rx.offset + kept.length, room)
    if (!this.#came(count)) return false
    if (kept.length > 0) engine.bytes.set(kept, rx.offset)
    this.#kept = EMPTY
    this.#run(rx.offset, kept.length + count)
    return true
  }

  /** Input that cannot go into rx: a long line, or bytes behind pending requests. */
  #receiveAside(): boolean {
    const bytes = this.#connection.read()
    if (bytes === null) return false
    if (!this.#came(bytes.length === 0 ? -1 : bytes.length)) return false
    this.#kept = Buffer.concat([this.#kept, bytes])
    this.#goOn()
    if (this.#kept.length > KEPT_BYTES_MAX) this.#closing = true
    return true
  }

  #came(count: number): boolean {
    if (count === 0) return false
    if (count < 0) {
      this.#ended = true
      return false
    }
    this.#plane.engine.count('bytes_read', count)
    return true
  }

  #fill(): boolean {
    const filling = this.#filling!
    const count = this.#connection.recv(filling.offset, filling.left)
    if (!this.#came(count)) return false
    filling.offset += count
    filling.left -= count
    if (filling.left > 0) return true
    this.#filling = null
    const turn = this.#plane.engine.finish(filling.handle)
    this.#resume = turn.resume
    this.#sendTx(turn)
    if (turn.stop === Stop.forward || turn.stop === Stop.take) {
      const request = this.#newRequest(this.#copy(turn.requestOffset, turn.requestLength))
      this.#begin(request, turn.stop === Stop.forward ? turn.epoch : -1)
      this.#plane.dispatch(turn, request)
    } else if (turn.stop === Stop.close) this.#closing = true
    return true
  }

  #collect(): boolean {
    const collecting = this.#collecting!
    const bytes = this.#connection.read()
    if (bytes === null) return false
    if (!this.#came(bytes.length === 0 ? -1 : bytes.length)) return false
    const part = bytes.subarray(0, collecting.bytes.length - collecting.filled)
    collecting.bytes.set(part, collecting.filled)
    collecting.filled += part.length
    if (part.length < bytes.length) this.#kept = Buffer.from(bytes.subarray(part.length))
    if (collecting.filled === collecting.bytes.length) {
      this.#collecting = null
      this.#start(collecting.bytes)
      this.#goOn()
    }
    return true
  }

  /** Runs the engine over a range of its memory that holds all unprocessed input. */
  #run(offset: number, length: number): void {
    const { engine } = this.#plane
    const turn = engine.run(offset, length, this.#resume)
    this.#resume = turn.resume
    this.#sendTx(turn)
    const { stop } = turn
    const rest = offset + turn.consumed
    const left = length - turn.consumed
    if (stop === Stop.done || stop === Stop.full) {
      if (left > 0) this.#kept = this.#copy(rest, left)
    } else if (stop === Stop.value) {
      this.#filling = { offset: turn.fillOffset, left: turn.fillLength, handle: turn.handle }
    } else if (stop === Stop.close) this.#closing = true
    else if (left < turn.requestLength) {
      const bytes = Buffer.allocUnsafe(turn.requestLength)
      bytes.set(engine.bytes.subarray(rest, rest + left))
      this.#collecting = { bytes, filled: left }
    } else {
      const { requestOffset, requestLength } = turn
      const request = this.#newRequest(this.#copy(requestOffset, requestLength))
      if (left > requestLength) this.#kept = this.#copy(rest + requestLength, left - requestLength)
      this.#begin(request, stop === Stop.forward ? turn.epoch : -1)
      this.#plane.dispatch(turn, request)
    }
    if (stop === Stop.full || (this.#kept.length > 0 && this.#pending.length > 0)) this.#goOn()
  }

  /** Goes on with what was kept, as far as answers under way and the socket allow. */
  #goOn(): void {
    for (;;) {
      if (this.#closing || this.#out.length > 0 || this.#kept.length === 0 || this.#filling || this.#collecting) return
      if (this.#pending.length > 0) {
        if (!this.#pipelineNext()) return
        continue
      }
      const { engine } = this.#plane
      const kept = this.#kept
      const area = kept.length <= engine.rx.length ? engine.rx : engine.scratch
      const length = Math.min(kept.length, area.length)
      const before = this.#resume
      this.#kept = EMPTY
      engine.bytes.set(kept.subarray(0, length), area.offset)
      this.#run(area.offset, length)
      if (length < kept.length) this.#kept = Buffer.concat([this.#kept, kept.subarray(length)])
      if (this.#kept.length >= kept.length && this.#resume === before) return // only the start of a line is left
    }
  }

  /** A further request behind pending ones, if it goes to another node by the same epoch. */
  #pipelineNext(): boolean {
    if (!this.#canPipeline() || this.#plane.engine.epoch() !== this.#pipelineEpoch || this.#resume !== 0) return false
    const shape = shapeOf(this.#kept)
    if (!shape || shape.length > this.#kept.length) return false
    const owner = this.#plane.ownerElsewhere(shape.key)
    if (owner === null) return false
    const request = this.#newRequest(Buffer.from(this.#kept.subarray(0, shape.length)))
    this.#kept = this.#kept.subarray(shape.length)
    this.#begin(request, this.#pipelineEpoch)
    this.#plane.forward(owner, request)
    return true
  }

  // --- requests under way

  #newRequest(bytes: Buffer): Pending {
    const request: Pending = {
      bytes,
      hops: 0,
      dropped: false,
      cancel: null,
      reply: null,
      answer: reply => {
        request.reply = reply
        if (!request.dropped) this.#work(() => this.#flush())
      },
    }
    return request
  }

  #begin(request: Pending, forwardEpoch: number): void {
    this.#pending.push(request)
    this.#pendingBytes += request.bytes.length
    this.#pipelineEpoch = forwardEpoch
  }

  /** A collected request: the engine decides anew, as time has passed. */
  #start(bytes: Buffer): void {
    const request = this.#newRequest(bytes)
    this.#begin(request, -1)
    this.#plane.execute(request)
  }

  #flush(): void {
    while (this.#pending[0]?.reply) {
      const { reply, bytes } = this.#pending.shift()!
      this.#pendingBytes -= bytes.length
      this.#send(reply!)
    }
    if (this.#pending.length === 0) this.#goOn()
  }

  // --- output

  #sendTx(turn: Turn): void {
    if (turn.txLength === 0) return
    const { engine } = this.#plane
    engine.count('bytes_written', turn.txLength)
    const sent = this.#out.length > 0 ? 0 : this.#connection.send(engine.tx.offset, turn.txLength)
    if (sent < turn.txLength) this.#out.push(this.#copy(engine.tx.offset + sent, turn.txLength - sent))
  }

  #send(reply: Buffer): void {
    if (reply.length === 0 || this.#connection.closed) return
    this.#plane.engine.count('bytes_written', reply.length)
    const sent = this.#out.length > 0 ? 0 : this.#connection.write(reply)
    if (sent < reply.length) this.#out.push(reply.subarray(sent))
  }

  #copy(offset: number, length: number): Buffer {
    return Buffer.from(this.#plane.engine.bytes.slice(offset, offset + length).buffer)
  }
}
