/**
 * Frames of a peer link, all little endian:
 *
 *   0        4      5      6        8        12       16
 *   | length | type | hops | spare  | id     | epoch  | payload (length - 16 bytes) ...
 *
 * `length` counts the whole frame. `epoch` is the sender's current generation (DESIGN 8, "How knowledge travels").
 * Types are wire format: append only.
 */
export const FrameType = {
  /** Handshake, JSON payload (link.ts). */
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  refuse: 5,
  /** Data links: a memcached request; the reply's bytes; the asker is gone. */
  request: 16,
  reply: 17,
  cancel: 18,
  /** Control links: messages of lib/handoff (its wire.ts encodes them). */
  handoff: 32,
  /** Topology store: JSON. */
  store: 48,
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export const FRAME_HEADER_BYTES = 16
/** A frame longer than this is a broken peer: the link is closed. -I 1g plus room. */
export const FRAME_BYTES_MAX = (1 << 30) + (1 << 20)
/** Version of the frames and of the handoff messages; peers with another are refused with a sentence. */
export const PEER_PROTOCOL_VERSION = 1

export interface Frame {
  type: number
  hops: number
  id: number
  epoch: number
  payload: Uint8Array
}
