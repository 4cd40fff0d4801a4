/** Texts as UTF-8 bytes in one shared buffer, so that hashing a key allocates nothing. A lone surrogate becomes U+FFFD. */
const encoder = new TextEncoder()

/** The buffer of the last `utf8` call; it is replaced by a larger one when a text needs that. */
export const scratch = { bytes: new Uint8Array(1024) }

/** Writes the text to `scratch.bytes`; answers the number of bytes. */
export function utf8(text: string): number {
  if (text.length * 3 > scratch.bytes.length) scratch.bytes = new Uint8Array(text.length * 6)
  return encoder.encodeInto(text, scratch.bytes).written
}

/** A hash of the first `length` bytes, 32 bits, unsigned. */
export type ByteHash = (bytes: Uint8Array, length: number) => number

/** The same hash over a text or over bytes. */
export function overKeys(hash: ByteHash): (key: string | Uint8Array) => number {
  return key => {
    if (typeof key !== 'string') return hash(key, key.length)
    const length = utf8(key)
    return hash(scratch.bytes, length)
  }
}
