/**
 * One client's connection: bytes straight into the engine's memory, replies straight out of it; what the engine cannot
 * answer alone becomes a Request, and the answers go out in the order of the requests.
 *
 *   input:  socket -> [kept: came, not worked on] -> engine.run | filling (a value going into its item)
 *                                                               | collecting (a request that must be whole first)
 *   output: pending (requests under way, answered in order) ; out (bytes that the socket did not take) ; sending (a large
 *           value, sent from where it lies: nothing else is worked on until it is out)
 *
 * While a request is pending nothing else of this connection is executed, with one exception: requests that go to other
 * nodes may be pipelined, as long as all of them were routed by the same epoch. So one client's order for one key holds,
 * even if the route changes in between.
 *
 * A request for another node whose link is open goes out from the engine's memory, and is kept nowhere; so do those behind it.
 *
 * `#drive` is the only one that moves things, and never runs inside itself: an answer that comes from within a step is
 * noticed by the next step. So a client that sends ten thousand commands at once costs no stack.
 */
import { Stop, type Turn } from '../engine/contract.js'
import { requestOf } from '../engine/pieces.js'
import { copyBytes } from '../transport/copy-bytes.js'
import type { Connection, ConnectionHandler, Timer } from '../transport/loop.js'
import { type CloseReason, type ConnState, numberOf } from './conn-events.js'
import type { DataPlane } from './data-plane.js'
import { InputBuffer } from './input-buffer.js'
import { Pending, type PendingHost, PendingInParts } from './pending.js'
import { type ReplyStream, shapeOf, tokensOf } from './request.js'

/** Requests and bytes of one connection that may be at other nodes at once; more are not read until some are answered. */
const PIPELINED_MAX = 1024
const PIPELINED_BYTES_MAX = 4 << 20
/** Replies of other nodes that one connection may make us hold, by the size of those that came so far. */
const REPLY_BYTES_MAX = 16 << 20
const REPLY_BYTES_FIRST = 65_536
const REPLY_BYTES_LEAST = 4096
/** What is looked at in one go of bytes that were kept behind pending requests. */
const PIPELINED_COPY_MAX = 16_384
/** Bytes read ahead while requests are pending. */
const AHEAD_BYTES_MAX = 65_536
/** A retrieval line may be long (PROTOCOL D1), but not without end. */
const KEPT_BYTES_MAX = 1 << 20
/** PROTOCOL D1: at this length the engine looks at a line that has no end yet. */
const LINE_MAX = 2048
/** Replies that go out together are joined up to this size: one system call instead of many. */
const JOINED_BYTES_MAX = 65_536
const LF = 0x0a
/** Commands of one line that need no key's place. */
const SHAPELESS = new Set(['get', 'gets', 'gat', 'gats', 'stats', 'version', 'verbosity', 'config', 'mn', 'flush_all'])
const wordOf = (line: Buffer) => tokensOf(line)[0]?.toString('latin1') ?? ''

export class ClientConnection implements ConnectionHandler {
  readonly #plane: DataPlane
  readonly #connection: Connection
  readonly #onGone: (reason: CloseReason) => void
  readonly #Request: typeof Pending
  readonly #host: PendingHost
  readonly #kept = new InputBuffer()
  /** What is kept is the start of a line: wait for more of it. */
  #incomplete = false
  #resume = 0
  #filling: { offset: number; left: number; handle: number; line: Buffer | null } | null = null
  #collecting: { bytes: Buffer; filled: number } | null = null
  #out: Buffer[] = []
  #sending: { handle: number; chunk: number; offset: number; left: number } | null = null
  #pending: Pending[] = []
  #pendingBytes = 0
  /** How large this connection's forwarded replies tend to be. */
  #replyBytes = REPLY_BYTES_FIRST
  /** Epoch by which all pending requests were forwarded; -1: the pending one is not a forward. */
  #pipelineEpoch = -1
  #reading = true
  /** No more input will come: the client ended its side, or the server stops. What came is still worked on. */
  #ended = false
  /** quit was said, or a line on which memcached closes: nothing more is worked on. */
  #closing = false
  #driving = false
  /** The last read took everything: asking again would only cost a system call. */
  #drained = false
  #wakePending = false
  readonly #driveNow = () => {
    this.#wakePending = false
    this.#plane.newTurn(this.#number)
    this.#drive(0)
  }
  #turnTimer: Timer | null = null
  #seenAt: number
  /** Loop time of the last event of the client, ms. */
  activeAt: number
  #reason: CloseReason = 'normal'
  /** Takes the connection over once all answers are out. */
  #successor: (() => void) | null = null
  readonly #number: number

  /** `takesParts`: an answer without end may be sent as the client takes it. */
  constructor(plane: DataPlane, connection: Connection, onGone: (reason: CloseReason) => void, takesParts = true) {
    this.#Request = takesParts ? PendingInParts : Pending
    this.#plane = plane
    this.#connection = connection
    this.#onGone = onGone
    this.#seenAt = plane.idleTick
    this.#number = numberOf(connection)
    this.#host = {
      number: this.#number,
      arena: plane.arena,
      wake: () => this.#driveSoon(),
      close: () => connection.close(),
      handOver: watcher => this.#handOver(watcher),
    }
    this.activeAt = plane.loop.now()
  }

  get connection(): Connection {
    return this.#connection
  }

  get state(): ConnState {
    if (this.#closing || this.#ended) return 'conn_closing'
    if (this.#out.length > 0) return 'conn_mwrite'
    if (this.#pending.length > 0) return 'conn_io_queue'
    return this.#filling || this.#collecting ? 'conn_nread' : 'conn_read'
  }

  /** Idle ticks of the plane since the client sent or took something; 0 while it waits for an answer of ours. */
  get idleTicks(): number {
    return this.#pending.length > 0 ? 0 : this.#plane.idleTick - this.#seenAt
  }

  /** Bytes that came before this connection was its handler's. */
  goOnFrom(bytes: Uint8Array): void {
    this.#kept.append(bytes)
    this.onReadable()
  }

  onReadable(): void {
    this.#seenAt = this.#plane.idleTick
    this.activeAt = this.#plane.loop.now()
    this.#plane.newTurn(this.#number)
    this.#drive(this.#plane.readsPerEvent)
  }

  onWritable(): void {
    this.#seenAt = this.#plane.idleTick
    const out = this.#out
    let done = 0
    while (done < out.length) {
      const first = out[done]!
      const sent = this.#connection.write(first)
      if (sent < first.length) {
        out[done] = first.subarray(sent)
        break
      }
      done++
    }
    out.splice(0, done)
    if (out.length > 0) return
    this.#sendPieces()
    if (this.#sending) return
    this.#plane.newTurn(this.#number)
    this.#drive(0)
  }

  /** The server stops: what came is answered, then the connection is closed. */
  shut(): void {
    this.#ended = true
    this.#reason = 'shutdown'
    this.#drive(0)
  }

  /** It was idle for too long. */
  kick(): void {
    this.#reason = 'idle_timeout'
    this.#connection.close()
  }

  onClose(): void {
    if (this.#reason === 'normal' && !this.#closing && !this.#ended) this.#reason = 'error'
    this.#closing = true
    if (this.#turnTimer) this.#plane.loop.clearTimer(this.#turnTimer)
    this.#turnTimer = null
    if (this.#filling) this.#plane.engine.abandon(this.#filling.handle)
    this.#filling = null
    if (this.#sending) this.#plane.engine.release(this.#sending.handle)
    this.#sending = null
    this.#collecting = null
    const pending = this.#pending
    this.#pending = []
    for (const request of pending) {
      request.stream?.close()
      if (request.isAnswered) continue
      request.dropped = true
      request.cancel?.()
    }
    this.#kept.clear()
    this.#out = []
    this.#onGone(this.#reason)
  }

  // --- the one place where things move

  #drive(readsMax: number): void {
    if (this.#driving || this.#connection.closed) return
    this.#driving = true
    let reads = readsMax
    let steps = this.#plane.stepsPerEvent
    this.#drained = false
    for (;;) {
      this.#sendAnswers()
      if (steps === 0) {
        this.#plane.engine.count('conn_yields', 1)
        this.#driveNextTurn()
        break
      }
      if (this.#workOnKept()) {
        steps--
        continue
      }
      if (reads === 0 || this.#drained || !this.#mayRead() || !this.#receive()) break
      if (--reads === 0 && !this.#drained) this.#plane.engine.count('conn_yields', 1)
    }
    this.#driving = false
    if (this.#connection.closed) return
    if (this.#successor && this.#pending.length === 0 && !this.#stuck) {
      this.#successor()
      return
    }
    const moreToDo = this.#turnTimer !== null && !this.#closing
    if ((this.#closing || (this.#ended && !moreToDo)) && !this.#stuck && this.#pending.length === 0) {
      this.#connection.close()
      return
    }
    const wanted = this.#mayRead()
    if (wanted === this.#reading) return
    this.#reading = wanted
    if (wanted) this.#connection.resumeReading()
    else this.#connection.pauseReading()
  }

  /** Answers of one turn of the loop go out together. */
  #driveSoon(): void {
    if (this.#driving || this.#wakePending) return
    this.#wakePending = true
    this.#plane.loop.soon(this.#driveNow)
  }

  #driveNextTurn(): void {
    if (this.#turnTimer) return
    this.#turnTimer = this.#plane.loop.setTimer(0, () => {
      this.#turnTimer = null
      this.#plane.newTurn(this.#number)
      this.#drive(0)
    })
  }

  // --- input

  #mayRead(): boolean {
    if (this.#closing || this.#ended || this.#successor || this.#stuck) return false
    return this.#pending.length === 0 || (this.#canPipeline() && this.#kept.length < AHEAD_BYTES_MAX)
  }

  /** Reads once. False: nothing more to read now. */
  #receive(): boolean {
    const { engine } = this.#plane
    if (this.#filling) return this.#came(this.#fillFromSocket(this.#filling))
    const kept = this.#kept.length
    const { rx } = engine
    if (this.#collecting || kept > rx.length / 2) return this.#receiveAside()
    const isBehind = this.#pending.length > 0
    if (kept === 0 && !isBehind && this.#runInPlace()) return true
    if (isBehind && (kept > LINE_MAX || this.#resume !== 0)) return this.#receiveAside()
    const count = this.#connection.recv(rx.offset + kept, rx.length - kept)
    if (!this.#came(count)) return false
    this.#drained = kept + count < rx.length
    if (kept > 0) engine.bytes.set(this.#kept.bytes, rx.offset)
    this.#kept.clear()
    this.#incomplete = false
    if (isBehind) {
      const used = this.#forwardRest(rx.offset, kept + count)
      if (used < kept + count) this.#kept.append(engine.bytes.subarray(rx.offset + used, rx.offset + kept + count))
      return true
    }
    this.#run(rx.offset, kept + count, false)
    return true
  }

  /** Runs what the loop has received into the engine's memory. False: there is nothing of the kind. */
  #runInPlace(): boolean {
    const at = this.#connection.recvInPlace?.() ?? -1
    if (at < 0) return false
    const count = this.#connection.receivedBytes!
    this.#came(count)
    this.#drained = true
    this.#incomplete = false
    this.#run(at, count, false)
    return true
  }

  #fillFromSocket(filling: { offset: number; left: number }): number {
    const count = this.#connection.recv(filling.offset, filling.left)
    this.#drained = count < filling.left
    if (count > 0) this.#filled(count)
    return count
  }

  /** Input that cannot go into rx: a long line, a request to be collected, or bytes behind pending requests. */
  #receiveAside(): boolean {
    const bytes = this.#connection.read()
    if (bytes === null || !this.#came(bytes.length === 0 ? -1 : bytes.length)) return false
    const before = this.#kept.length
    this.#kept.append(bytes)
    const after = this.#kept.length
    // A line that grows is not looked at again and again: only when it may have ended, or is too long for most commands.
    if (bytes.includes(LF) || (before <= LINE_MAX && after > LINE_MAX)) this.#incomplete = false
    if (after > KEPT_BYTES_MAX && this.#incomplete) this.#closeRefused()
    return true
  }

  #came(count: number): boolean {
    if (count < 0) this.#ended = true
    if (count <= 0) return false
    this.#plane.engine.countRead(count)
    return true
  }

  /** One step with what was kept. False: it must wait, for the socket, for an answer or for more input. */
  #workOnKept(): boolean {
    const kept = this.#kept
    if (this.#closing || this.#successor || this.#stuck || kept.length === 0) return false
    if (this.#filling) {
      const part = kept.bytes.subarray(0, this.#filling.left)
      this.#plane.engine.bytes.set(part, this.#filling.offset)
      kept.take(part.length)
      this.#filled(part.length)
      return true
    }
    if (this.#collecting) {
      this.#collect(this.#collecting)
      return true
    }
    if (this.#pending.length > 0) return this.#pipelineNext()
    if (this.#incomplete) return false
    this.#runKept()
    return true
  }

  #runKept(): void {
    const { engine } = this.#plane
    const kept = this.#kept.bytes
    const area = kept.length <= engine.rx.length ? engine.rx : engine.scratch
    const length = Math.min(kept.length, area.length)
    engine.bytes.set(kept.subarray(0, length), area.offset)
    this.#run(area.offset, length, true)
    if (!this.#incomplete || length === kept.length) return
    // There is more of it than fitted; a line that fills the whole area can never be run.
    if (this.#kept.length === kept.length) this.#closeRefused()
    this.#incomplete = false
  }

  /** Runs the engine over [offset, offset + length): a copy of what is kept, or bytes that nobody else has. */
  #run(offset: number, length: number, isKept: boolean): void {
    const { engine, silence } = this.#plane
    if (silence.isSilent) {
      if (!isKept) this.#kept.append(engine.bytes.subarray(offset, offset + length))
      this.#runSilently()
      return
    }
    const turn = engine.run(offset, length, this.#resume)
    const { stop, consumed, requestOffset, requestLength } = turn
    this.#resume = turn.resume
    this.#sendTx(turn)
    let used = consumed
    let request: Pending | null = null
    const { owner, epoch, noreply } = turn
    if (stop === Stop.value) {
      used = length
      const line = turn.lineLength > 0 ? this.#copy(requestOffset, turn.lineLength) : null
      this.#filling = { offset: turn.fillOffset, left: turn.fillLength, handle: turn.handle, line }
    } else if (stop === Stop.pieces) {
      this.#sending = { handle: turn.handle, chunk: 0, offset: 0, left: 0 }
      this.#sendPieces()
    } else if (stop === Stop.close) this.#close(turn)
    else if (stop === Stop.done) this.#incomplete = consumed < length
    else if (stop === Stop.forward && length - consumed >= requestLength && this.#mayForwardFrom(owner)) {
      this.#forwardFrom(owner, epoch, requestOffset, requestLength, noreply !== 0)
      used = consumed + requestLength
      used += this.#forwardRest(offset + used, length - used)
    } else if (stop === Stop.multi && this.#splitGet(requestOffset, requestLength)) {
      used = consumed + requestLength
    } else if (stop !== Stop.full && length - consumed < requestLength) {
      const bytes = Buffer.allocUnsafe(requestLength)
      bytes.set(engine.bytes.subarray(offset + consumed, offset + length))
      this.#collecting = { bytes, filled: length - consumed }
      used = length
    } else if (stop !== Stop.full) {
      request = this.#newRequest(this.#copy(requestOffset, requestLength))
      request.pipelined = turn.txLength > 0
      used = consumed + requestLength
    }
    if (isKept) this.#kept.take(used)
    else if (used < length) this.#kept.append(engine.bytes.subarray(offset + used, offset + length))
    if (request && !this.#connection.closed) this.#dispatch(turn, request)
  }

  /** This node has no lease: the engine's own loop answers nothing, requests go one by one the way of those that must wait. */
  #runSilently(): void {
    const { bytes } = this.#kept
    const line = bytes.indexOf(LF) + 1
    const size = shapeOf(bytes)?.length ?? line
    if (this.#resume !== 0 || size > this.#plane.engine.scratch.length) {
      this.#connection.close()
      return
    }
    this.#incomplete = line === 0
    if (line === 0) return
    const request = Buffer.allocUnsafe(size)
    const filled = bytes.copy(request, 0, 0, size)
    this.#kept.take(filled)
    if (filled < size) {
      this.#collecting = { bytes: request, filled }
      return
    }
    // What has no shape may have a value behind it that would be taken for commands.
    this.#closing = !SHAPELESS.has(wordOf(request)) && shapeOf(request) === null
    const pending = this.#newRequest(request)
    this.#begin(pending, -1)
    this.#plane.execute(pending)
  }

  /** quit, or what memcached closes on. */
  #close({ refused }: Turn): void {
    this.#closing = true
    if (refused) this.#reason = 'error'
  }

  #closeRefused(): void {
    this.#closing = true
    this.#reason = 'error'
  }

  #filled(count: number): void {
    const filling = this.#filling!
    filling.offset += count
    filling.left -= count
    if (filling.left > 0) return
    this.#filling = null
    const turn = this.#plane.engine.finish(filling.handle, filling.line)
    this.#resume = turn.resume
    this.#sendTx(turn)
    if (turn.stop === Stop.value) this.#filling = { ...filling, offset: turn.fillOffset, left: turn.fillLength }
    else if (turn.stop === Stop.close) this.#close(turn)
    else if (turn.stop !== Stop.done) {
      this.#dispatch(turn, this.#newRequest(requestOf(this.#plane.engine, turn)))
    }
  }

  #collect(collecting: { bytes: Buffer; filled: number }): void {
    const part = this.#kept.bytes.subarray(0, collecting.bytes.length - collecting.filled)
    collecting.bytes.set(part, collecting.filled)
    collecting.filled += part.length
    this.#kept.take(part.length)
    if (collecting.filled < collecting.bytes.length) return
    this.#collecting = null
    // The engine decides anew, as time has passed.
    const request = this.#newRequest(collecting.bytes)
    this.#begin(request, -1)
    this.#plane.execute(request)
  }

  // --- requests under way

  #newRequest(bytes: Buffer): Pending {
    return new this.#Request(this.#host, bytes, bytes.length)
  }

  /** As soon as the answers are out. */
  #handOver(watcher: number): void {
    this.#successor = () => this.#plane.startWatching(this, watcher)
  }

  #dispatch(turn: Turn, request: Pending): void {
    this.#begin(request, turn.stop === Stop.forward ? turn.epoch : -1)
    this.#plane.dispatch(turn, request)
  }

  #begin(request: Pending, forwardEpoch: number): void {
    this.#pending.push(request)
    this.#pendingBytes += request.size
    this.#pipelineEpoch = forwardEpoch
  }

  #canPipeline(): boolean {
    return (
      this.#pipelineEpoch >= 0 &&
      this.#pending.length < PIPELINED_MAX &&
      this.#pending.length * this.#replyBytes < REPLY_BYTES_MAX &&
      this.#pendingBytes < PIPELINED_BYTES_MAX
    )
  }

  /** Does the node's link take a request at once, and is there still somebody to answer? */
  #mayForwardFrom(owner: number): boolean {
    return !this.#connection.closed && this.#plane.reaches(owner)
  }

  /** The request at `offset` of the engine's memory goes out from where it lies; the node's link takes it at once. */
  #forwardFrom(owner: number, epoch: number, offset: number, length: number, noreply: boolean): void {
    const request = new this.#Request(this.#host, null, length, noreply)
    this.#begin(request, epoch)
    this.#plane.forwardFrom(owner, request, offset, length)
  }

  /** A get of many keys that lies in the engine's memory, and is kept nowhere else. False: it is to be dispatched. */
  #splitGet(offset: number, length: number): boolean {
    if (this.#connection.closed) return false
    const request = new this.#Request(this.#host, null, length, false)
    if (!this.#plane.splitGet(request, offset, length)) return false
    this.#begin(request, -1)
    return true
  }

  /** Requests behind pending ones, from the engine's memory, as far as #pipelineNext would take them. How many bytes went out. */
  #forwardRest(offset: number, length: number): number {
    const { engine, self } = this.#plane
    if (this.#resume !== 0) return 0
    let used = 0
    while (used < length && this.#canPipeline()) {
      const size = engine.ownerOfRequest(offset + used, length - used)
      const { owner, epoch, noreply } = engine.turn
      if (size === 0 || owner === self || epoch !== this.#pipelineEpoch || !this.#plane.reaches(owner)) break
      this.#forwardFrom(owner, epoch, offset + used, size, noreply !== 0)
      used += size
    }
    return used
  }

  /** A further request behind pending ones, if it goes to another node by the same epoch. */
  #pipelineNext(): boolean {
    if (!this.#canPipeline() || this.#resume !== 0) return false
    const { engine } = this.#plane
    const length = Math.min(this.#kept.length, PIPELINED_COPY_MAX)
    engine.bytes.set(this.#kept.bytes.subarray(0, length), engine.rx.offset)
    const used = this.#forwardRest(engine.rx.offset, length)
    if (used > 0) {
      this.#kept.take(used)
      return true
    }
    const shape = shapeOf(this.#kept.bytes)
    if (!shape || shape.length > this.#kept.length) return false
    const owner = this.#plane.ownerElsewhere(shape.key)
    // Looked at after the owner: epochs only grow, so the owner was found by this very epoch.
    if (owner === null || this.#plane.engine.epoch() !== this.#pipelineEpoch) return false
    const request = this.#newRequest(Buffer.from(this.#kept.bytes.subarray(0, shape.length)))
    this.#kept.take(shape.length)
    this.#begin(request, this.#pipelineEpoch)
    this.#plane.forward(owner, request)
    return true
  }

  // --- output

  #sendAnswers(): void {
    const pending = this.#pending
    const { engine } = this.#plane
    const { offset } = engine.tx
    let size = 0
    let done = 0
    for (; done < pending.length && pending[done]!.isAnswered; done++) {
      const request = pending[done]!
      const { reply, replyAt, assembly } = request
      this.#pendingBytes -= request.size
      if (assembly && size > 0 && size + assembly.sizeMax > JOINED_BYTES_MAX) {
        this.#sendFrom(offset, size)
        size = 0
      }
      if (assembly) request.replyLength = assembly.putAt(offset + size)
      const { replyLength } = request
      this.#replyBytes = Math.max(replyLength, REPLY_BYTES_LEAST, this.#replyBytes * 0.875)
      if (assembly) {
        size += replyLength
        continue
      }
      if (size > 0 && size + replyLength > JOINED_BYTES_MAX) {
        this.#sendFrom(offset, size)
        size = 0
      }
      if (replyLength > JOINED_BYTES_MAX) this.#send(reply!.subarray(replyAt, replyAt + replyLength))
      else if (replyLength > 0) {
        copyBytes(reply!, replyAt, engine.bytes, offset + size, replyLength)
        size += replyLength
        if (request.isLent) this.#plane.arena.give(reply!)
      }
    }
    if (done === 1) pending.shift()
    else if (done > 0) pending.splice(0, done)
    if (size > 0) this.#sendFrom(offset, size)
    const first = pending[0]
    if (first?.stream && this.#out.length === 0) this.#sendPart(first, first.stream)
  }

  /** One part each turn of the loop, once the socket took the one before: others have their turn, nothing piles up. */
  #sendPart(request: Pending, stream: ReplyStream): void {
    const part = stream.next()
    if (part) this.#send(part)
    else {
      stream.close()
      request.stream = null
      request.isAnswered = true
    }
    if (this.#out.length === 0) this.#driveNextTurn()
  }

  #send(bytes: Buffer): void {
    if (bytes.length === 0 || this.#connection.closed) return
    this.#plane.engine.countWritten(bytes.length)
    const sent = this.#out.length > 0 ? 0 : this.#connection.write(bytes)
    if (sent < bytes.length) this.#out.push(bytes.subarray(sent))
  }

  /** Sends from the engine's memory; a copy of what the socket does not take goes later. `own`: this node's word, see Silence. */
  #sendFrom(offset: number, length: number, own = false): void {
    if (this.#connection.closed) return
    this.#plane.engine.countWritten(length)
    const sent = this.#out.length > 0 ? 0 : this.#connection.send(offset, length, own)
    if (sent < length) this.#out.push(this.#copy(offset + sent, length - sent))
  }

  #sendTx(turn: Turn): void {
    if (turn.txLength === 0) return
    const { engine, silence } = this.#plane
    if (!silence.mayReply()) {
      this.#connection.close()
      return
    }
    this.#sendFrom(engine.tx.offset, turn.txLength, true)
  }

  /** What was answered has not all gone out yet. */
  get #stuck(): boolean {
    return this.#out.length > 0 || this.#sending !== null
  }

  /** Sends as much of a large value as the socket takes. */
  #sendPieces(): void {
    const { engine } = this.#plane
    const sending = this.#sending
    while (sending && this.#out.length === 0 && !this.#connection.closed) {
      if (sending.left === 0) {
        sending.chunk = engine.nextPiece(sending.handle, sending.chunk)
        if (sending.chunk === 0) {
          engine.release(sending.handle)
          this.#sending = null
          return
        }
        sending.offset = engine.turn.fillOffset
        sending.left = engine.turn.fillLength
      }
      const sent = this.#connection.send(sending.offset, sending.left)
      engine.countWritten(sent)
      sending.offset += sent
      sending.left -= sent
      if (sending.left > 0) return
    }
  }

  #copy(offset: number, length: number): Buffer {
    const copy = Buffer.allocUnsafe(length)
    copy.set(this.#plane.engine.bytes.subarray(offset, offset + length))
    return copy
  }
}
