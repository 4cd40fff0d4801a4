/** Jenkins' one_at_a_time as libhashkit and twemproxy run it on x86: a byte from 0x80 enters as a negative number. */
export function oneAtATime(bytes: Uint8Array, length: number): number {
  let hash = 0
  for (let i = 0; i < length; i++) {
    hash = (hash + ((bytes[i]! << 24) >> 24)) | 0
    hash = (hash + (hash << 10)) | 0
    hash ^= hash >>> 6
  }
  hash = (hash + (hash << 3)) | 0
  hash ^= hash >>> 11
  return (hash + (hash << 15)) >>> 0
}
