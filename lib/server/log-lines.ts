/** What a watcher reads: one line an entry, in memcached's words and order (PROTOCOL D11). Pure. */
import type { LogEntry } from '../engine/log-reader.js'

/** In the order of lib/engine/assembly/log.ts. */
const GET_STATUS = ['not_found', 'found', 'flushed', 'expired']
const STORE_STATUS = ['not_stored', 'stored', 'exists', 'not_found', 'too_large', 'no_memory']
/** In the order of lib/engine/assembly/storage.ts. */
const STORE_COMMANDS = ['set', 'add', 'replace', 'append', 'prepend', 'cas']
const DELETE_COMMANDS = ['delete', 'md']

export function logLine(entry: LogEntry): string {
  // The fraction has no leading zeros, as in memcached.
  return `ts=${entry.seconds}.${entry.microseconds} gid=${entry.number} ${logWords(entry)}\n`
}

/** Of a line, when so many before it found no room. */
export const skippedLine = (lines: number): string => `skipped=${lines}\n`

/** What happened, without when. */
export function logWords({ type, text, status, command, slabClass, bytes, connection, ttl, la }: LogEntry): string {
  switch (type) {
    case 'item_get':
      return `type=item_get key=${uri(text)} status=${GET_STATUS[status]} clsid=${slabClass} cfd=${connection} size=${bytes}`
    case 'item_store':
      return `type=item_store key=${uri(text)} status=${STORE_STATUS[status]} cmd=${STORE_COMMANDS[command]} ttl=${ttl} clsid=${slabClass} cfd=${connection} size=${bytes}`
    case 'eviction':
      return `type=eviction key=${uri(text)} fetch=${status ? 'yes' : 'no'} ttl=${ttl} la=${la} clsid=${slabClass} size=${bytes}`
    case 'deleted':
      return `type=deleted key=${uri(text)} cmd=${DELETE_COMMANDS[command]} clsid=${slabClass} size=${bytes}`
    default:
      return text.toString()
  }
}

const ESCAPED = Array.from({ length: 256 }, (_, byte) => {
  const letter = String.fromCharCode(byte)
  return /[0-9A-Za-z\-._~]/.test(letter) ? letter : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
})

/** A key as metadump and watch show it: everything but unreserved characters of a URI is escaped. */
export function uri(key: Uint8Array): string {
  let text = ''
  for (const byte of key) text += ESCAPED[byte]
  return text
}
