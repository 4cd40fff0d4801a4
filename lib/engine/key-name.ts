/** A key's bytes as text, one character each, for maps by key. Knows nothing of who asks. */
export function nameOfKey(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
}

export function keyOfName(name: string): Uint8Array {
  return Buffer.from(name, 'latin1')
}
