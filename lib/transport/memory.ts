/** Memory that holds nothing any more, back to the system: where the C library can be called. */
import { loadLibc, MADV_DONTNEED } from './libc.js'

/** What cannot be given back stays with the process, to be used again. Whole pages of the system, which 4096 bytes always are. */
export function giveBackMemory(bytes: Uint8Array, offset: number, length: number): void {
  const { libc } = loadLibc()
  if (!libc) return
  const start = Math.ceil((libc.addressOf(bytes) + offset) / 4096) * 4096
  const end = Math.floor((libc.addressOf(bytes) + offset + length) / 4096) * 4096
  if (end > start) libc.madvise(start, end - start, MADV_DONTNEED)
}
