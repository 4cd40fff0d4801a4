/**
 * A pair of ordered message queues between two threads of one process. It may not know what the messages mean.
 *
 *   eventPort    a MessagePort: a thread whose loop is Node's own hears messages as events
 *   SharedPort   short messages go through rings in shared memory, the others through a MessagePort that nobody listens to; a
 *                thread is woken once, by its own kind of descriptor, and then takes out whatever there is
 *
 * A MessagePort costs each end some tens of microseconds a message (events, cloning), a ring next to nothing.
 *
 * The order of a SharedPort: while a message is under way through the MessagePort, all later ones take that way too. So what
 * lies in the ring is always older than what lies in the port.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { createRing, ENTRY_BYTES_MAX, popEntry, pushEntry, type RingMemory } from './shared-ring.js'

export interface ThreadPort<Out, In> {
  post(message: Out): void
  onMessage: (message: In) => void
}

/** For a thread on Node's own loop, whose other side is one as well. */
export function eventPort<Out, In>(port: MessagePort): ThreadPort<Out, In> {
  const own: ThreadPort<Out, In> = {
    post: message => port.postMessage(message),
    onMessage() {},
  }
  port.on('message', (message: In) => own.onMessage(message))
  return own
}

/** How some messages of a direction look as bytes. */
export interface ShortForm<M> {
  /** Writes it to `target`; its length, up to ENTRY_BYTES_MAX, or 0: it is not one that has a short form. */
  write(message: M, target: Uint8Array): number
  /** `bytes` is borrowed. */
  read(bytes: Uint8Array): M
}

/** One direction. */
export interface WayMemory {
  ring: RingMemory
  words: Int32Array
}

/** Word of `WayMemory.words`: the reader has been woken and has not looked yet. */
const WOKEN = 0
/** Messages ever posted to the MessagePort, and ever taken out of it. */
const POSTED = 1
const RECEIVED = 2

export const createWay = (): WayMemory => ({
  ring: createRing(),
  words: new Int32Array(new SharedArrayBuffer(12)),
})

export interface SharedPortOptions<Out, In> {
  port: MessagePort
  out: WayMemory
  in: WayMemory
  outForm: ShortForm<Out>
  inForm: ShortForm<In>
  /** Gets the other thread to call its `take`. */
  wake(): void
}

export class SharedPort<Out, In> implements ThreadPort<Out, In> {
  onMessage: (message: In) => void = () => {}
  readonly #options: SharedPortOptions<Out, In>
  readonly #entry = new Uint8Array(ENTRY_BYTES_MAX)
  readonly #taken = new Uint8Array(ENTRY_BYTES_MAX)

  constructor(options: SharedPortOptions<Out, In>) {
    this.#options = options
  }

  post(message: Out): void {
    const { out, outForm, port, wake } = this.#options
    const { words, ring } = out
    const isClear = Atomics.load(words, POSTED) === Atomics.load(words, RECEIVED)
    const length = isClear ? outForm.write(message, this.#entry) : 0
    if (length === 0 || !pushEntry(ring, this.#entry, length)) {
      port.postMessage(message)
      Atomics.add(words, POSTED, 1)
    }
    if (Atomics.exchange(words, WOKEN, 1) === 0) wake()
  }

  /** Hands out everything there is. To be called when this thread was woken. */
  take(): void {
    const { words } = this.#options.in
    Atomics.store(words, WOKEN, 0) // first: what comes from here on wakes again
    this.#takeShort()
    while (Atomics.load(words, POSTED) !== Atomics.load(words, RECEIVED)) {
      const got = receiveMessageOnPort(this.#options.port)
      if (!got) return
      this.#takeShort() // older, but not there yet when the ring was looked at
      Atomics.add(words, RECEIVED, 1)
      this.onMessage(got.message as In)
      this.#takeShort()
    }
  }

  #takeShort(): void {
    const { in: way, inForm } = this.#options
    for (let length = popEntry(way.ring, this.#taken); length > 0; length = popEntry(way.ring, this.#taken)) {
      this.onMessage(inForm.read(this.#taken.subarray(0, length)))
    }
  }
}
