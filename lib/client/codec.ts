/**
 * From a value to what is stored and back: serializer, then compressor. Reading text is the hot path: it is decoded where
 * the socket put it, without a copy.
 */
import type { WireReply } from '../protocol/index.js'
import { brotliCompressor, type CompressionOptions, type Compressor, gzipCompressor } from './compression.js'
import { ClientError } from './errors.js'
import { type Encoded, Flags, type Serializer, typed } from './serializer.js'

const MIN_BYTES = 4096

export class Codec<Value> {
  readonly #serializer: Serializer<Value>
  readonly #writer: Compressor | null
  readonly #readers: readonly Compressor[]
  readonly #minBytes: number
  readonly #bytesMax: number
  /** Text may be read in place. */
  readonly #isTyped: boolean
  /** All bits that a compressor may have set. */
  readonly #compressed: number

  constructor(serializer: Serializer<Value>, compression: CompressionOptions | null, bytesMax: number) {
    this.#serializer = serializer
    this.#isTyped = (serializer as unknown) === typed
    this.#writer = compression ? compressorOf(compression.with ?? 'gzip') : null
    this.#minBytes = compression?.minBytes ?? MIN_BYTES
    const known = [gzipCompressor, brotliCompressor]
    this.#readers = this.#writer && !known.includes(this.#writer) ? [this.#writer, ...known] : known
    this.#compressed = this.#readers.reduce((bits, { flag }) => bits | flag, 0)
    this.#bytesMax = bytesMax
  }

  /** Throws, or rejects with, BAD_VALUE or VALUE_TOO_LARGE. */
  encode(value: Value): Encoded | Promise<Encoded> {
    let encoded: Encoded
    try {
      encoded = this.#serializer.encode(value)
    } catch (error) {
      if (error instanceof ClientError) throw error
      throw new ClientError('BAD_VALUE', `the value cannot be serialized: ${textOf(error)}`, null, error)
    }
    const { bytes, flags } = encoded
    if (!Number.isInteger(flags) || flags < 0 || flags > 0xffffffff) {
      throw new ClientError(
        'BAD_VALUE',
        `the serializer gave flags of ${flags}: they must be a whole number of 32 bits`,
      )
    }
    if (this.#writer && bytes.length >= this.#minBytes) return this.#compress(this.#writer, encoded)
    return this.#bounded(encoded)
  }

  /** The value of a reply. Throws, or rejects with, BAD_VALUE. */
  decode(reply: WireReply, flags: number): Value | Promise<Value> {
    if (flags === Flags.TEXT && this.#isTyped) {
      return reply.valueBytes.toString('utf8', reply.valueStart, reply.valueEnd) as Value
    }
    return this.decodeBytes(reply.copyValue(), flags)
  }

  decodeBytes(bytes: Buffer, flags: number): Value | Promise<Value> {
    if ((flags & this.#compressed) === 0) return this.#deserialize(bytes, flags)
    const value = this.#decompress(bytes, flags)
    // Nobody may look at it before the rest of its reply is in; its failure must not count as unheard meanwhile.
    value.catch(() => {})
    return value
  }

  /** A number that incr can work on, with the flags that the serializer gives numbers. */
  encodeCount(count: number | bigint): Encoded {
    const bytes = Buffer.from(String(count))
    try {
      const encoded = this.#serializer.encode(count as Value)
      if (encoded.bytes.equals(bytes)) return encoded
    } catch {
      // A serializer that takes no numbers: then it is text.
    }
    return { bytes, flags: 0 }
  }

  async #compress(writer: Compressor, { bytes, flags }: Encoded): Promise<Encoded> {
    const small = await writer.compress(bytes)
    // What does not shrink is not worth the work of every reader.
    return this.#bounded(
      small.length < bytes.length ? { bytes: small, flags: (flags | writer.flag) >>> 0 } : { bytes, flags },
    )
  }

  async #decompress(bytes: Buffer, flags: number): Promise<Value> {
    const reader = this.#readers.find(({ flag }) => (flags & flag) !== 0)!
    let whole: Buffer
    try {
      whole = await reader.decompress(bytes, this.#bytesMax)
    } catch (error) {
      throw new ClientError('BAD_VALUE', `the value cannot be decompressed: ${textOf(error)}`, null, error)
    }
    return this.#deserialize(whole, (flags & ~reader.flag) >>> 0)
  }

  #deserialize(bytes: Buffer, flags: number): Value {
    try {
      return this.#serializer.decode(bytes, flags)
    } catch (error) {
      throw new ClientError('BAD_VALUE', `the value with flags ${flags} cannot be read: ${textOf(error)}`, null, error)
    }
  }

  #bounded(encoded: Encoded): Encoded {
    const { length } = encoded.bytes
    if (length <= this.#bytesMax) return encoded
    throw new ClientError('VALUE_TOO_LARGE', `a value of ${length} bytes is more than valueBytesMax, ${this.#bytesMax}`)
  }
}

function compressorOf(by: NonNullable<CompressionOptions['with']>): Compressor {
  return by === 'gzip' ? gzipCompressor : by === 'brotli' ? brotliCompressor : by
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
