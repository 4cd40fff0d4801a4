/**
 * Copies a range of bytes without making a Buffer of it: for a few dozen bytes, as keys and short requests are, a loop costs less
 * than the view that `set` needs; and a plain view costs less than a Buffer's. Pure.
 */
const LOOP_BYTES_MAX = 32
/** Up to here a loop over words costs less than `set` does, which takes its time where memory is shared. */
export const WORD_LOOP_BYTES_MAX = 512

/** `length` bytes of `source` from `from` on go to `at` of `target`; both ranges must exist. */
export function copyBytes(source: Uint8Array, from: number, target: Uint8Array, at: number, length: number): void {
  if (length > LOOP_BYTES_MAX) {
    const isAll = from === 0 && length === source.length
    target.set(isAll ? source : new Uint8Array(source.buffer, source.byteOffset + from, length), at)
    return
  }
  for (let i = 0; i < length; i++) target[at + i] = source[from + i]!
}

/** As copyBytes, by words: both ends must be at multiples of 4, and up to 3 bytes behind them are copied, too. */
export function copyWords(source: Int32Array, from: number, target: Int32Array, at: number, length: number): void {
  const end = (from + length + 3) >>> 2
  let to = at >>> 2
  for (let word = from >>> 2; word < end; word++) target[to++] = source[word]!
}
