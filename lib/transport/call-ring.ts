/**
 * Several socket calls for the price of one: Linux's io_uring as a batch of calls, and for nothing else. Each is a recv or a send
 * that must not wait (MSG_DONTWAIT): the kernel makes it at once or says EAGAIN, so nothing is under way when `submit` has
 * returned, and no memory is lent to the kernel for longer than the call. What a call does stays as it is; what is saved is the way into
 * the kernel and, more, the way from JavaScript to the C library. No policy here.
 *
 *   add, add, add ... -> submit (one io_uring_enter) -> result(0), result(1), result(2) ...
 *
 * The layout is that of io_uring_setup(2), without any of its flags: Linux 5.6, all 64-bit.
 */
import { Errno, errnoName, type Libc, type Mapping, MSG_DONTWAIT, MSG_NOSIGNAL } from './libc.js'

const PARAMS_BYTES = 120
/** mmap offsets of the two areas. */
const RINGS_AT = 0
const ENTRIES_AT = 0x10000000
const FEATURE_SINGLE_MMAP = 1
const ENTRY_WORDS = 16
const COMPLETION_WORDS = 4
const SEND = 26
const RECV = 27
const ENTER_GETEVENTS = 1

export class CallRing {
  readonly #libc: Libc
  readonly #fd: number
  readonly #mapped: [address: number, bytes: number][]
  /** Both rings. */
  #rings: Int32Array
  #entries: Int32Array
  readonly #submitHead: number
  readonly #submitTail: number
  readonly #submitMask: number
  readonly #doneHead: number
  readonly #doneTail: number
  readonly #doneMask: number
  readonly #doneAt: number
  readonly #results: Int32Array
  #tail: number
  #count = 0

  /** A ring for at most `calls` calls at once (a power of two), or one sentence that says why there is none. */
  static open(libc: Libc, calls: number): CallRing | string {
    const params = new DataView(new ArrayBuffer(PARAMS_BYTES))
    const fd = libc.uringSetup(calls, libc.addressOf(new Uint8Array(params.buffer)))
    if (fd < 0) return `the system does not let this process use io_uring (${errnoName(libc.errno())})`
    const ring = (params.getUint32(20, true) & FEATURE_SINGLE_MMAP) === 0 ? null : CallRing.#map(libc, fd, params)
    if (ring) return ring
    libc.close(fd)
    return 'io_uring cannot be mapped here'
  }

  static #map(libc: Libc, fd: number, params: DataView): CallRing | null {
    const entries = params.getUint32(0, true)
    const ringBytes = Math.max(
      params.getUint32(40 + 6 * 4, true) + entries * 4,
      params.getUint32(80 + 5 * 4, true) + params.getUint32(4, true) * COMPLETION_WORDS * 4,
    )
    const rings = libc.mapShared(fd, RINGS_AT, ringBytes)
    if (!rings) return null
    const places = libc.mapShared(fd, ENTRIES_AT, entries * ENTRY_WORDS * 4)
    if (places) return new CallRing(libc, fd, params, rings, places)
    libc.munmap(rings.address, ringBytes)
    return null
  }

  private constructor(libc: Libc, fd: number, params: DataView, rings: Mapping, entries: Mapping) {
    const submit = (word: number) => params.getUint32(40 + word * 4, true) / 4
    const done = (word: number) => params.getUint32(80 + word * 4, true) / 4
    this.#libc = libc
    this.#fd = fd
    this.#mapped = [rings, entries].map(({ address, bytes }) => [address, bytes.byteLength])
    this.#rings = new Int32Array(rings.bytes)
    this.#entries = new Int32Array(entries.bytes)
    this.#submitHead = submit(0)
    this.#submitTail = submit(1)
    this.#submitMask = this.#rings[submit(2)]!
    this.#doneHead = done(0)
    this.#doneTail = done(1)
    this.#doneMask = this.#rings[done(2)]!
    this.#doneAt = done(5)
    this.#tail = this.#rings[this.#submitTail]!
    const capacity = params.getUint32(0, true)
    this.#results = new Int32Array(capacity)
    // Place i of the queue is entry i, for good.
    for (let i = 0; i < capacity; i++) this.#rings[submit(6) + i] = i
  }

  /** Calls that were added and not submitted. */
  get count(): number {
    return this.#count
  }

  get isFull(): boolean {
    return this.#count === this.#results.length
  }

  recv(fd: number, address: number, length: number): void {
    this.#add(RECV, fd, address, length, MSG_DONTWAIT)
  }

  send(fd: number, address: number, length: number): void {
    this.#add(SEND, fd, address, length, MSG_DONTWAIT | MSG_NOSIGNAL)
  }

  /** Makes the calls, in their order. */
  submit(): void {
    const count = this.#count
    this.#count = 0
    const rings = this.#rings
    Atomics.store(rings, this.#submitTail, this.#tail)
    let taken = this.#enter(count, 0, 0)
    if (taken < count) {
      // The kernel was short of something; what it did not look at comes back as if there were nothing to do now.
      this.#tail = Atomics.load(rings, this.#submitHead)
      Atomics.store(rings, this.#submitTail, this.#tail)
      this.#results.fill(-Errno.EAGAIN, taken, count)
    }
    while (taken > 0) {
      taken -= this.#collect()
      // Cannot be: none of them may wait. But memory is only ours again when all are back.
      if (taken > 0) this.#enter(0, taken, ENTER_GETEVENTS)
    }
  }

  /** Of the call that was added so-and-so-many-th: what it returned, or the negative of its errno. Valid until the next `submit`. */
  result(index: number): number {
    return this.#results[index]!
  }

  close(): void {
    this.#rings = this.#entries = new Int32Array(0)
    for (const [address, bytes] of this.#mapped) this.#libc.munmap(address, bytes)
    this.#libc.close(this.#fd)
  }

  #add(operation: number, fd: number, address: number, length: number, flags: number): void {
    const entries = this.#entries
    const at = (this.#tail & this.#submitMask) * ENTRY_WORDS
    entries[at] = operation
    entries[at + 1] = fd
    // A store into the array keeps the low 32 bits.
    entries[at + 4] = address
    entries[at + 5] = address / 0x1_0000_0000
    entries[at + 6] = length
    entries[at + 7] = flags
    entries[at + 8] = this.#count++
    this.#tail = (this.#tail + 1) | 0
  }

  /** How many were taken from the queue. */
  #enter(submit: number, complete: number, flags: number): number {
    for (;;) {
      const taken = this.#libc.uringEnter(this.#fd, submit, complete, flags)
      if (taken >= 0) return taken
      if (this.#libc.errno() !== Errno.EINTR) return 0
    }
  }

  #collect(): number {
    const rings = this.#rings
    const tail = Atomics.load(rings, this.#doneTail)
    let head = rings[this.#doneHead]!
    const count = (tail - head) | 0
    for (; head !== tail; head = (head + 1) | 0) {
      const at = this.#doneAt + (head & this.#doneMask) * COMPLETION_WORDS
      this.#results[rings[at]!] = rings[at + 2]!
    }
    Atomics.store(rings, this.#doneHead, head)
    return count
  }
}
