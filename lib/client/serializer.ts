/**
 * Values as bytes and 32 bits of flags, and back. The default one reads what npm memcached and memcache-client wrote: their
 * flags for JSON, bytes and numbers are the same; text has flags 0, as in most clients of other languages.
 */
import { ClientError } from './errors.js'

export interface Encoded {
  bytes: Buffer
  flags: number
}

/** Both ways between a value and its bytes. `Value` is what the client takes and gives. */
export interface Serializer<Value> {
  /** May throw: the call is rejected with BAD_VALUE and this as its cause. */
  encode(value: Value): Encoded
  /** The bytes are the callee's to keep. May throw as `encode`. */
  decode(bytes: Buffer, flags: number): Value
}

export const Flags = { TEXT: 0, JSON: 1 << 1, BYTES: 1 << 2, NUMBER: 1 << 3, BIGINT: 1 << 5 } as const
/** What of the flags says a type; the rest is compression and other people's. */
const TYPE_BITS = Flags.JSON | Flags.BYTES | Flags.NUMBER | Flags.BIGINT

/**
 * Strings, bytes (as Buffers), numbers and bigints come back as what they were; anything else goes through JSON. Numbers
 * and bigints are stored as decimal text, so that incr and decr work on them.
 */
export const typed: Serializer<unknown> = {
  encode(value) {
    switch (typeof value) {
      case 'string':
        return { bytes: Buffer.from(value), flags: Flags.TEXT }
      case 'number':
        return { bytes: Buffer.from(String(value)), flags: Flags.NUMBER }
      case 'bigint':
        return { bytes: Buffer.from(String(value)), flags: Flags.BIGINT }
    }
    const bytes = bytesOf(value)
    if (bytes) return { bytes, flags: Flags.BYTES }
    const text = JSON.stringify(value) as string | undefined
    if (text === undefined) throw new ClientError('BAD_VALUE', `a value of type ${typeof value} cannot be stored`)
    return { bytes: Buffer.from(text), flags: Flags.JSON }
  },
  decode(bytes, flags) {
    switch (flags & TYPE_BITS) {
      case Flags.JSON:
        return JSON.parse(bytes.toString()) as unknown
      case Flags.BYTES:
        return bytes
      case Flags.NUMBER:
        return Number(bytes.toString())
      case Flags.BIGINT:
        return BigInt(bytes.toString().trim())
    }
    return bytes.toString()
  },
}

/** Everything is JSON, whatever the flags say. */
export const json: Serializer<unknown> = {
  encode(value) {
    const text = JSON.stringify(value) as string | undefined
    if (text === undefined) throw new ClientError('BAD_VALUE', `a value of type ${typeof value} is no JSON`)
    return { bytes: Buffer.from(text), flags: Flags.JSON }
  },
  decode: bytes => JSON.parse(bytes.toString()) as unknown,
}

/** Buffers come out; bytes and text go in. Flags are 0. */
export const raw: Serializer<Uint8Array | string> = {
  encode(value) {
    const bytes = typeof value === 'string' ? Buffer.from(value) : bytesOf(value)
    if (!bytes) throw new ClientError('BAD_VALUE', `the raw serializer takes bytes and strings, not ${typeof value}`)
    return { bytes, flags: 0 }
  },
  decode: bytes => bytes,
}

/** The same bytes as a Buffer; null if they are none. */
export function bytesOf(value: unknown): Buffer | null {
  if (Buffer.isBuffer(value)) return value
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return value instanceof ArrayBuffer ? Buffer.from(value) : null
}
