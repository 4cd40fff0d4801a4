/**
 * Frames of a peer link, all little endian:
 *
 *   0        4      5      6        8        12       16
 *   | length | type | hops | spare  | id     | epoch  | [clock, 4 bytes, of a request and of a clock] payload ...
 *
 * `length` counts the whole frame. `epoch` is the sender's current generation (DESIGN 8, "How knowledge travels"). `clock` is of
 * the dialer's monotonic clock, ms, the lower 32 bits (clock-bound.ts).
 * Types are wire format: append only.
 */
import { copyBytes } from './copy-bytes.js'

export const FrameType = {
  /** Handshake, JSON payload (link.ts). */
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  refuse: 5,
  /** Data links: a memcached request, and when it may not be executed any more; the reply's bytes; the asker is gone. */
  request: 16,
  reply: 17,
  cancel: 18,
  /** Data links: "what does your clock show?", by the acceptor, and the dialer's answer. */
  clock: 19,
  /** Control links: messages of lib/handoff (its wire.ts encodes them). */
  handoff: 32,
  /** Control links: questions to voters and their answers (lib/tier/vote-wire.ts). */
  vote: 33,
  /** Topology store: JSON. */
  store: 48,
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export const FRAME_HEADER_BYTES = 16
/** A frame longer than this is a broken peer: the link is closed. -I 1g plus room. */
export const FRAME_BYTES_MAX = (1 << 30) + (1 << 20)
/** Version of the frames and of the handoff messages; peers with another are refused with a sentence. */
export const PEER_PROTOCOL_VERSION = 4

export interface Frame {
  type: number
  hops: number
  id: number
  epoch: number
  /** Of a request and of a clock; 0 where there is none. */
  clock?: number
  payload: Uint8Array
}

/** Bytes before the payload. */
export function headerBytes(type: number): number {
  return type === FrameType.request || type === FrameType.clock ? FRAME_HEADER_BYTES + 4 : FRAME_HEADER_BYTES
}

/** Writes a whole frame at `at` of `target`, where there is room for it; its payload is [from, from + length) of `source`. */
export function writeFrame(
  target: Uint8Array,
  at: number,
  { type, hops, id, epoch, clock }: Omit<Frame, 'payload'>,
  source: Uint8Array,
  from: number,
  length: number,
): void {
  const header = headerBytes(type)
  writeUint32(target, at, header + length)
  target[at + 4] = type
  target[at + 5] = hops
  target[at + 6] = 0
  target[at + 7] = 0
  writeUint32(target, at + 8, id)
  writeUint32(target, at + 12, epoch)
  if (header > FRAME_HEADER_BYTES) writeUint32(target, at + FRAME_HEADER_BYTES, clock ?? 0)
  copyBytes(source, from, target, at + header, length)
}

export function encodeFrame(frame: Frame): Buffer {
  const { payload } = frame
  const bytes = Buffer.allocUnsafe(headerBytes(frame.type) + payload.length)
  writeFrame(bytes, 0, frame, payload, 0, payload.length)
  return bytes
}

function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value
  target[at + 1] = value >>> 8
  target[at + 2] = value >>> 16
  target[at + 3] = value >>> 24
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/** The bytes are no frames of ours. */
export class FrameError extends Error {}

const PARTIAL_BYTES_MIN = 4096
/** A larger buffer is given back as soon as its frame is through. */
const PARTIAL_BYTES_KEPT = 1 << 20

/**
 * Frames out of bytes that were cut anywhere. Feed bytes, then call `next` until it gives null: from then on nothing of the
 * fed bytes is borrowed. Whoever stops earlier calls `keep`. A frame that lies whole in the fed bytes is not copied; one in
 * pieces gathers in a buffer that doubles as bytes really arrive, so a length alone never takes memory.
 */
export class FrameDecoder {
  /** Longest frame allowed; the link raises it once the peer has proved who it is. */
  frameBytesMax: number
  #input: Uint8Array = new Uint8Array(0)
  #at = 0
  #partial: Buffer = Buffer.alloc(PARTIAL_BYTES_MIN)
  #gathered = 0
  #delivered = false

  constructor(frameBytesMax = FRAME_BYTES_MAX) {
    this.frameBytesMax = frameBytesMax
  }

  feed(bytes: Uint8Array): void {
    if (this.#at < this.#input.length) {
      const rest = this.#input.subarray(this.#at)
      this.#input = Buffer.concat([rest, bytes])
    } else this.#input = bytes
    this.#at = 0
  }

  /** The fed bytes are about to be reused, and not all frames were taken out yet. */
  keep(): void {
    if (this.#at === this.#input.length) return
    this.#input = Uint8Array.prototype.slice.call(this.#input, this.#at)
    this.#at = 0
  }

  /** The next frame; its payload is valid until the next call. Throws a FrameError when the bytes are no frames. */
  next(): Frame | null {
    this.#forgetDelivered()
    if (this.#gathered === 0) {
      const whole = this.#wholeInInput()
      if (whole) return whole
    }
    if (!this.#gather(FRAME_HEADER_BYTES)) return null
    const length = this.#checkedLength(this.#partial, 0)
    if (!this.#gather(length)) return null
    this.#delivered = true
    return frameAt(this.#partial, 0, length)
  }

  #forgetDelivered(): void {
    if (!this.#delivered) return
    this.#delivered = false
    this.#gathered = 0
    if (this.#partial.length > PARTIAL_BYTES_KEPT) this.#partial = Buffer.alloc(PARTIAL_BYTES_MIN)
  }

  #wholeInInput(): Frame | null {
    const left = this.#input.length - this.#at
    if (left < FRAME_HEADER_BYTES) return null
    const length = this.#checkedLength(this.#input, this.#at)
    if (left < length) return null
    const frame = frameAt(this.#input, this.#at, length)
    this.#at += length
    return frame
  }

  /** Moves input behind what is gathered until there are `length` bytes. */
  #gather(length: number): boolean {
    const count = Math.min(length - this.#gathered, this.#input.length - this.#at)
    if (count > 0) {
      const needed = this.#gathered + count
      if (needed > this.#partial.length) this.#grow(needed, length)
      this.#partial.set(this.#input.subarray(this.#at, this.#at + count), this.#gathered)
      this.#gathered = needed
      this.#at += count
    }
    return this.#gathered >= length
  }

  #grow(needed: number, length: number): void {
    const larger = Buffer.allocUnsafe(Math.min(length, Math.max(needed, this.#partial.length * 2)))
    larger.set(this.#partial.subarray(0, this.#gathered))
    this.#partial = larger
  }

  #checkedLength(bytes: Uint8Array, at: number): number {
    const length = readUint32(bytes, at)
    if (length < FRAME_HEADER_BYTES || length > this.frameBytesMax) {
      throw new FrameError(
        `a frame says it is ${length} bytes long, allowed are ${FRAME_HEADER_BYTES} to ${this.frameBytesMax}`,
      )
    }
    return length
  }
}

function frameAt(bytes: Uint8Array, at: number, length: number): Frame {
  const type = bytes[at + 4]!
  const header = headerBytes(type)
  if (length < header) throw new FrameError(`a frame of type ${type} says it is ${length} bytes long`)
  return {
    type,
    hops: bytes[at + 5]!,
    id: readUint32(bytes, at + 8),
    epoch: readUint32(bytes, at + 12),
    clock: header > FRAME_HEADER_BYTES ? readUint32(bytes, at + FRAME_HEADER_BYTES) : 0,
    payload: bytes.subarray(at + header, at + length),
  }
}
