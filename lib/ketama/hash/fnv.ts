/** FNV as C programs on x86 run it: a byte from 0x80 enters sign-extended. */

/** 32-bit FNV-1a. */
export function fnv1a32(bytes: Uint8Array, length: number): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ ((bytes[i]! << 24) >> 24), 0x01000193)
  return hash >>> 0
}

/**
 * What libhashkit and twemproxy call fnv1a_64: the low halves of its two constants in 32 bits. It mixes badly: keys that
 * differ in the last digits only lie next to each other. For compatibility alone.
 */
export function fnv1a64Low(bytes: Uint8Array, length: number): number {
  let hash = 0x84222325
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ ((bytes[i]! << 24) >> 24), 0x1b3)
  return hash >>> 0
}
