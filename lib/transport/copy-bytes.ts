/**
 * Copies a range of bytes without making a Buffer of it: for a few dozen bytes, as keys and short requests are, a loop costs less
 * than the view that `set` needs; and a plain view costs less than a Buffer's. Pure.
 */
const LOOP_BYTES_MAX = 32

/** `length` bytes of `source` from `from` on go to `at` of `target`; both ranges must exist. */
export function copyBytes(source: Uint8Array, from: number, target: Uint8Array, at: number, length: number): void {
  if (length > LOOP_BYTES_MAX) {
    const isAll = from === 0 && length === source.length
    target.set(isAll ? source : new Uint8Array(source.buffer, source.byteOffset + from, length), at)
    return
  }
  for (let i = 0; i < length; i++) target[at + i] = source[from + i]!
}
