/**
 * Keys as callers have them, and as they go over the wire: one letter a byte. A key is text (UTF-8) or bytes. Text with
 * spaces or control characters is refused; bytes that the text protocol cannot carry go as base64 (meta commands only).
 */
import { KEY_BYTES_MAX } from '../protocol/index.js'
import { ClientError } from './errors.js'

export type Key = string | Uint8Array

/** Everything from ! to ~. */
const PLAIN = /^[!-~]+$/

export class WireKey {
  /** What the ring hashes: the key with its namespace. */
  readonly whole: Key
  /** The word in a request line. */
  readonly word: string
  /** The word is base64, flag b. */
  readonly base64: boolean

  constructor(whole: Key, word: string, base64: boolean) {
    this.whole = whole
    this.word = word
    this.base64 = base64
  }
}

/** Throws BAD_KEY. */
export function wireKey(key: Key, prefix: string): WireKey {
  if (typeof key === 'string') {
    const whole = prefix === '' ? key : prefix + key
    if (PLAIN.test(whole)) {
      if (whole.length > KEY_BYTES_MAX) throw tooLong(whole, whole.length)
      return new WireKey(whole, whole, false)
    }
    return textKey(whole)
  }
  if (!(key instanceof Uint8Array)) throw new ClientError('BAD_KEY', `a key is a string or bytes, not ${typeof key}`)
  return bytesKey(prefix === '' ? key : Buffer.concat([Buffer.from(prefix), key]))
}

function textKey(whole: string): WireKey {
  if (whole === '') throw new ClientError('BAD_KEY', 'the key "" is empty: a key has at least one byte')
  const bytes = Buffer.from(whole)
  if (bytes.length > KEY_BYTES_MAX) throw tooLong(whole, bytes.length)
  const word = bytes.toString('latin1')
  if (!isPlain(bytes)) {
    throw new ClientError(
      'BAD_KEY',
      `the key ${JSON.stringify(whole)} has a space or a control character; give such keys as bytes`,
    )
  }
  return new WireKey(whole, word, false)
}

function bytesKey(whole: Uint8Array): WireKey {
  const bytes = Buffer.from(whole.buffer, whole.byteOffset, whole.length)
  if (bytes.length === 0) throw new ClientError('BAD_KEY', 'the key is empty: a key has at least one byte')
  if (isPlain(bytes)) {
    if (bytes.length > KEY_BYTES_MAX) throw tooLong(bytes.toString('latin1'), bytes.length)
    return new WireKey(whole, bytes.toString('latin1'), false)
  }
  const word = bytes.toString('base64')
  // PROTOCOL D2: the 250 bytes are those of the encoded word.
  if (word.length > KEY_BYTES_MAX) throw tooLong(word, word.length)
  return new WireKey(whole, word, true)
}

/** No space, no control character: bytes from 0x80 on are fine. */
function isPlain(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte <= 32 || byte === 127) return false
  return true
}

function tooLong(key: string, length: number): ClientError {
  return new ClientError('BAD_KEY', `the key "${key.slice(0, 40)}..." has ${length} bytes, more than ${KEY_BYTES_MAX}`)
}
