/**
 * The messages between planes that come by the thousand, as bytes for a SharedPort: what a take of a key needs. All others go as
 * they are. Pure.
 *
 *   need      | 1 | ticket u32 | key |
 *   forget    | 2 | ticket u32 |
 *   granted   | 3 | ticket u32 |           little endian
 */
import { copyBytes } from '../transport/copy-bytes.js'
import type { ShortForm } from '../transport/plane-port.js'
import { ENTRY_BYTES_MAX } from '../transport/shared-ring.js'
import type { ToControl, ToData } from './plane.js'

const NEED = 1
const FORGET = 2
const GRANTED = 3
const HEAD_BYTES = 5
const TICKET_MAX = 0xffffffff

export const toControlForm: ShortForm<ToControl> = {
  write(message, target) {
    if (message.type === 'forget') return writeHead(target, FORGET, message.ticket)
    if (message.type !== 'need') return 0
    const { ticket, key } = message
    if (key.length > ENTRY_BYTES_MAX - HEAD_BYTES || writeHead(target, NEED, ticket) === 0) return 0
    copyBytes(key, 0, target, HEAD_BYTES, key.length)
    return HEAD_BYTES + key.length
  },
  read(bytes) {
    const ticket = ticketOf(bytes)
    return bytes[0] === FORGET ? { type: 'forget', ticket } : { type: 'need', ticket, key: bytes.slice(HEAD_BYTES) }
  },
}

export const toDataForm: ShortForm<ToData> = {
  write: (message, target) => (message.type === 'granted' ? writeHead(target, GRANTED, message.ticket) : 0),
  read: bytes => ({ type: 'granted', ticket: ticketOf(bytes) }),
}

/** 0: tickets have grown beyond what it can say. */
function writeHead(target: Uint8Array, kind: number, ticket: number): number {
  if (ticket > TICKET_MAX) return 0
  target[0] = kind
  target[1] = ticket
  target[2] = ticket >>> 8
  target[3] = ticket >>> 16
  target[4] = ticket >>> 24
  return HEAD_BYTES
}

function ticketOf(bytes: Uint8Array): number {
  return (bytes[1]! | (bytes[2]! << 8) | (bytes[3]! << 16) | (bytes[4]! << 24)) >>> 0
}
