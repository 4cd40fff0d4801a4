/**
 * What the connections of one loop receive and send in a turn, each in few system calls instead of many (call-ring.ts).
 *
 *   ready descriptors -> receive: one call, a slot for each -> their owners are told, and take from the slots
 *   sends -> hold: copied, in order -> flush: one call, at the end of the turn or when there is no room
 *
 * A send that is held counts as taken; what the kernel then does not take is its connection's to send later. So small sends alone are
 * held. Sends leave in the order in which they were made, those that are not held included: who sends directly flushes first.
 */
import type { CallRing } from './call-ring.js'
import { copyBytes, copyWords, WORD_LOOP_BYTES_MAX } from './copy-bytes.js'
import { type Libc, MSG_DONTWAIT, MSG_NOSIGNAL } from './libc.js'

export interface Batched {
  readonly fd: number
  /** What was received for it lies in `bytes`; `result`: how much, 0 for the end, or the negative errno. */
  onReceived(bytes: Uint8Array, at: number, result: number): void
  /** The turn goes on: what was not taken must be kept elsewhere. */
  onSlotEnds(): void
  /** The held bytes were sent, or some of them, or none; `result` as that of send. */
  onSent(bytes: Uint8Array, at: number, length: number, result: number): void
  /** The held bytes must not leave any more. */
  onForbidden(): void
}

/** Calls of one batch: more are cheaper by little, and the other side gets to work later. */
export const BATCH_CALLS = 32
/** A slot's bytes: requests and replies of usual size. Who gets more at once is not received for ahead. */
export const SLOT_BYTES = 2048
/** The largest send that is held. */
export const HELD_BYTES_MAX = 4096
const OUT_BYTES = 64 * 1024
/** With fewer calls at once, single ones cost as much. */
export const CALLS_LEAST = 5

/** Where in the loop's memory to receive, for whoever looks ahead. */
export interface Slots {
  offset: number
  /** SLOTS_BYTES at least. */
  length: number
}

export const SLOTS_BYTES = BATCH_CALLS * SLOT_BYTES

export class Batch {
  readonly #libc: Libc
  readonly #ring: CallRing
  /** The slots begin at `#slotsFrom` of it. */
  readonly #slots: Uint8Array
  readonly #slotsFrom: number
  readonly #slotsAt: number
  readonly #isShown: boolean
  readonly #receivers: Batched[] = []
  /** Sends are held at multiples of 4. */
  readonly #out = new Uint8Array(OUT_BYTES)
  readonly #outWords = new Int32Array(this.#out.buffer)
  readonly #memory: Uint8Array
  readonly #memoryWords: Int32Array
  readonly #outAt: number
  #outBytes = 0
  readonly #senders: (Batched | null)[] = []
  readonly #starts = new Int32Array(BATCH_CALLS)
  readonly #lengths = new Int32Array(BATCH_CALLS)
  #held = 0
  #guarded = 0
  readonly #isGuarded = new Uint8Array(BATCH_CALLS)
  /** Asked right before guarded sends leave. */
  mayLeave: () => boolean = () => true

  #one: (offset: number, length: number) => void = () => {}
  #all: () => void = () => {}

  /** `slots` of `memory`; null: in bytes of its own. */
  constructor(libc: Libc, ring: CallRing, memory: Uint8Array, slots: Slots | null) {
    if (slots && slots.length < SLOTS_BYTES)
      throw new Error(`${slots.length} bytes are too few for ${BATCH_CALLS} slots`)
    this.#libc = libc
    this.#ring = ring
    this.#memory = memory
    this.#memoryWords = new Int32Array(memory.buffer, memory.byteOffset, Math.floor(memory.length / 4))
    this.#isShown = slots !== null
    this.#slots = this.#isShown ? memory : new Uint8Array(SLOTS_BYTES)
    this.#slotsFrom = slots?.offset ?? 0
    this.#slotsAt = libc.addressOf(this.#slots) + this.#slotsFrom
    this.#outAt = libc.addressOf(this.#out)
  }

  // --- receiving

  /** To be received for by the next `receive`; at most BATCH_CALLS of them. */
  want(receiver: Batched): void {
    const slot = this.#receivers.push(receiver) - 1
    this.#ring.recv(receiver.fd, this.#slotsAt + slot * SLOT_BYTES, SLOT_BYTES)
  }

  receive(): void {
    const receivers = this.#receivers
    if (receivers.length === 0) return
    this.#ring.submit()
    for (let slot = 0; slot < receivers.length; slot++) {
      const at = this.#slotsFrom + slot * SLOT_BYTES
      const result = this.#ring.result(slot)
      receivers[slot]!.onReceived(this.#slots, at, result)
      if (this.#isShown && result > 0) this.#one(at, result)
    }
    if (this.#isShown) this.#all()
  }

  /** Told by `receive`, if the slots lie in memory that others see. */
  onAhead(one: (offset: number, length: number) => void, all: () => void): void {
    this.#one = one
    this.#all = all
  }

  /** The slots are used again. */
  endSlots(): void {
    const receivers = this.#receivers
    for (let slot = 0; slot < receivers.length; slot++) receivers[slot]!.onSlotEnds()
    receivers.length = 0
  }

  // --- sending

  /** Keeps a copy until the next flush; `guarded`: `mayLeave` is asked then. `length` is at most HELD_BYTES_MAX. */
  hold(sender: Batched, source: Uint8Array, from: number, length: number, guarded: boolean): void {
    if (this.#held === BATCH_CALLS || this.#outBytes + length > OUT_BYTES) this.flush()
    const held = this.#held++
    this.#senders[held] = sender
    this.#starts[held] = this.#outBytes
    this.#lengths[held] = length
    this.#isGuarded[held] = guarded ? 1 : 0
    if (guarded) this.#guarded++
    if (source === this.#memory && from % 4 === 0 && length <= WORD_LOOP_BYTES_MAX) {
      copyWords(this.#memoryWords, from, this.#outWords, this.#outBytes, length)
    } else copyBytes(source, from, this.#out, this.#outBytes, length)
    this.#outBytes += (length + 3) & ~3
  }

  /** What is held for it does not leave. */
  drop(sender: Batched): void {
    for (let i = 0; i < this.#held; i++) if (this.#senders[i] === sender) this.#senders[i] = null
  }

  flush(): void {
    const count = this.#held
    if (count === 0) return
    const forbidden = this.#guarded > 0 && !this.mayLeave()
    this.#held = this.#guarded = this.#outBytes = 0
    if (forbidden) this.#forbid(count)
    if (count < CALLS_LEAST) this.#sendOneByOne(count)
    else this.#sendTogether(count)
  }

  #sendTogether(count: number): void {
    const senders = this.#senders
    for (let i = 0; i < count; i++) {
      const sender = senders[i]
      if (sender) this.#ring.send(sender.fd, this.#outAt + this.#starts[i]!, this.#lengths[i]!)
    }
    if (this.#ring.count > 0) this.#ring.submit()
    for (let i = 0, call = 0; i < count; i++) {
      const sender = senders[i]
      senders[i] = null
      if (sender) sender.onSent(this.#out, this.#starts[i]!, this.#lengths[i]!, this.#ring.result(call++))
    }
  }

  #sendOneByOne(count: number): void {
    for (let i = 0; i < count; i++) {
      const sender = this.#senders[i]
      const start = this.#starts[i]!
      const length = this.#lengths[i]!
      this.#senders[i] = null
      if (!sender) continue
      const sent = Number(this.#libc.send(sender.fd, this.#outAt + start, length, MSG_NOSIGNAL | MSG_DONTWAIT))
      sender.onSent(this.#out, start, length, sent < 0 ? -this.#libc.errno() : sent)
    }
  }

  #forbid(count: number): void {
    for (let i = 0; i < count; i++) {
      const sender = this.#senders[i]
      if (!sender || this.#isGuarded[i] === 0) continue
      this.#senders[i] = null
      sender.onForbidden()
    }
  }
}
