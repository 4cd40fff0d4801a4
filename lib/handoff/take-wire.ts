/**
 * Takes and their answers as bytes. They begin with a head length that no other message of wire.ts has. Pure.
 *
 *   take    | 0 u32 | 1 u32 | id f64 | ack f64 | generation u32 | kept + 1 u32  | key length u32 | 0 u32             | key |
 *   taken   | 0 u32 | 2 u32 | id f64 | seq f64 | generation u32 | blind + 1 u32 | key length u32 | record length + 1 | key | record |
 *
 * Little endian; what has a 1 added is 0 when it is missing.
 */
import type { TakeMessage } from './wire.js'

const TAKE = 1
const TAKEN = 2
const HEAD_BYTES = 40
const AT = { kind: 4, id: 8, stream: 16, generation: 24, more: 28, keyLength: 32, record: 36 } as const

export const isTake = (bytes: Buffer): boolean => bytes.length >= HEAD_BYTES && bytes.readUInt32LE(0) === 0

export function encodeTake(message: TakeMessage): Uint8Array {
  const { key } = message
  const isAsked = message.type === 'take'
  const record = isAsked ? null : message.record
  const more = isAsked ? message.kept : message.blind
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + key.length + (record?.length ?? 0))
  bytes.writeUInt32LE(0, 0)
  bytes.writeUInt32LE(isAsked ? TAKE : TAKEN, AT.kind)
  bytes.writeDoubleLE(message.id, AT.id)
  bytes.writeDoubleLE(isAsked ? message.ack : message.seq, AT.stream)
  bytes.writeUInt32LE(message.generation, AT.generation)
  bytes.writeUInt32LE(more === undefined ? 0 : more + 1, AT.more)
  bytes.writeUInt32LE(key.length, AT.keyLength)
  bytes.writeUInt32LE(record === null ? 0 : record.length + 1, AT.record)
  bytes.set(key, HEAD_BYTES)
  if (record) bytes.set(record, HEAD_BYTES + key.length)
  return bytes
}

/** Key and record are parts of `bytes`. Throws an Error with a sentence on bytes that no peer of this version sends. */
export function decodeTake(bytes: Buffer): TakeMessage {
  const kind = bytes.readUInt32LE(AT.kind)
  const id = count(bytes, AT.id, 'id')
  const stream = count(bytes, AT.stream, 'place in the stream')
  const generation = bytes.readUInt32LE(AT.generation)
  const more = bytes.readUInt32LE(AT.more)
  const recordAt = HEAD_BYTES + bytes.readUInt32LE(AT.keyLength)
  const record = bytes.readUInt32LE(AT.record)
  if (bytes.length !== recordAt + Math.max(0, record - 1)) throw new Error('a take has another length than it says')
  const key = bytes.subarray(HEAD_BYTES, recordAt)
  if (kind === TAKE) {
    const take = { type: 'take', id, generation, ack: stream, key } as const
    return more === 0 ? take : { ...take, kept: more - 1 }
  }
  if (kind !== TAKEN) throw new Error(`a take of an unknown kind ${kind}`)
  const taken = {
    type: 'taken',
    id,
    seq: stream,
    generation,
    key,
    record: record === 0 ? null : bytes.subarray(recordAt),
  } as const
  return more === 0 ? taken : { ...taken, blind: more - 1 }
}

function count(bytes: Buffer, at: number, name: string): number {
  const value = bytes.readDoubleLE(at)
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`a take has a ${name} that is none`)
  return value
}
