/**
 * Messages between the control planes of two nodes. The *taker* dials the *source*; on that one ordered link:
 *
 *   taker                          source
 *   resume   ------------------->            first message of every link: what had arrived before the last link broke
 *            <-------------------  handed    ... and what had not, again, before anything else
 *   take     ------------------->            one key, now (first touch takes)
 *            <-------------------  taken     its record, or nothing is known
 *   pull     ------------------->            a batch, please
 *            <-------------------  batch
 *   ack      ------------------->            everything up to `seq` is installed (also inside resume, take and pull)
 *   hear     ------------------->            do you act by my generation?
 *            <-------------------  heard     now I do
 *
 * Either side may say: tell / topology (knowledge travels), clock / clocked / flush / flushed (flush_all of the tier), ask / told
 * (stats of the tier: lib/server/gather.ts).
 *
 *   bytes: | head length u32 | head JSON | count u32 | (length u32, bytes) ... |      little endian
 *
 * A take and its answer, which come one a key while requests wait, have no JSON: lib/handoff/take-wire.ts.
 */
import { decodeTake, encodeTake, isTake } from './take-wire.js'

export type Message =
  | { type: 'resume'; source: string; ack: number }
  | { type: 'handed'; seq: number; generation: number; records: Uint8Array[] }
  | {
      type: 'take'
      id: number
      generation: number
      ack: number
      /** Asked in the place of a node that is away, which should have taken the key in this generation. */
      kept?: number
      key: Uint8Array
    }
  | {
      type: 'taken'
      id: number
      seq: number
      generation: number
      /** The source never saw the key: only the taker knows it, as of this generation; 0: only a node that is away. */
      blind?: number
      key: Uint8Array
      record: Uint8Array | null
    }
  | { type: 'declined'; id: number; reason: string }
  | { type: 'pull'; id: number; generation: number; ack: number; bytesMax: number }
  | {
      type: 'batch'
      id: number
      seq: number
      generation: number
      /** `more`: pull again; `wait`: the source has not settled an earlier generation itself; `done`: nothing is left. */
      state: 'more' | 'wait' | 'done'
      /** Share of the source's walk that is behind it, 0..1. */
      fraction: number
      /** How late the source's own loop runs, milliseconds: its sign of load. */
      lagMs: number
      /** With `done`: what the taker remembers of before must not be trusted, the source's log is void. */
      isVoid?: boolean
      /** With `done`: homes for which the source has a log that lacks something. What the source may have written because they were away is lost. */
      lossy?: number[]
      records: Uint8Array[]
    }
  | { type: 'ack'; ack: number }
  | { type: 'tell' }
  | { type: 'topology'; text: string }
  | { type: 'greet' }
  /** `flushed`: the version of the last flush_all; `flushInSec`: one with a delay is still to come at the one greeted; 0: none. */
  | { type: 'greeting'; version: string; flushed: string; flushInSec: number }
  /** `version`: the clock of whoever is asked goes on from there at least. */
  | { type: 'clock'; id: number; version: string }
  | { type: 'clocked'; id: number; version: string }
  | { type: 'flush'; id: number; version: string; delaySec: number }
  | { type: 'flushed'; id: number }
  | { type: 'ask'; id: number; question: string }
  | { type: 'told'; id: number; text: string }
  /** Answered when the generation that it came with is in force. */
  | { type: 'hear'; id: number }
  | { type: 'heard'; id: number }

export type TakeMessage = Extract<Message, { type: 'take' | 'taken' }>
export type MessageType = Message['type']

/** What the fields of a head must be: whole numbers from 0, other numbers, texts, versions, one of some words; `?`: or missing. */
type Field = 'count' | 'counts?' | 'flag?' | 'number' | 'text' | 'version' | readonly string[]

const FIELDS: Record<Exclude<MessageType, TakeMessage['type']>, Record<string, Field>> = {
  resume: { source: 'text', ack: 'count' },
  handed: { seq: 'count', generation: 'count' },
  declined: { id: 'count', reason: 'text' },
  pull: { id: 'count', generation: 'count', ack: 'count', bytesMax: 'count' },
  batch: {
    ...({ id: 'count', seq: 'count', generation: 'count', fraction: 'number', lagMs: 'number' } as const),
    state: ['more', 'wait', 'done'],
    isVoid: 'flag?',
    lossy: 'counts?',
  },
  ack: { ack: 'count' },
  tell: {},
  topology: { text: 'text' },
  greet: {},
  greeting: { version: 'version', flushed: 'version', flushInSec: 'count' },
  clock: { id: 'count', version: 'version' },
  clocked: { id: 'count', version: 'version' },
  flush: { id: 'count', version: 'version', delaySec: 'count' },
  flushed: { id: 'count' },
  ask: { id: 'count', question: 'text' },
  told: { id: 'count', text: 'text' },
  hear: { id: 'count' },
  heard: { id: 'count' },
}
/** A version has 64 bits. */
const VERSION = /^\d{1,20}$/

export function encode(message: Message): Uint8Array {
  if (message.type === 'take' || message.type === 'taken') return encodeTake(message)
  const { records = [], ...head } = message as Message & { records?: Uint8Array[] }
  const text = Buffer.from(JSON.stringify(head))
  let size = 8 + text.length
  for (const part of records) size += 4 + part.length
  const bytes = Buffer.allocUnsafe(size)
  let at = bytes.writeUInt32LE(text.length, 0)
  at += text.copy(bytes, at)
  at = bytes.writeUInt32LE(records.length, at)
  for (const part of records) {
    at = bytes.writeUInt32LE(part.length, at)
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** The parts are copies: they may be kept. Throws an Error with a sentence on bytes that no peer of this version sends. */
export function decode(payload: Uint8Array): Message {
  const bytes = Buffer.from(payload)
  if (isTake(bytes)) return decodeTake(bytes)
  const head = readHead(bytes)
  const parts = readParts(bytes, 4 + bytes.readUInt32LE(0))
  if (head.type === 'handed' || head.type === 'batch') return { ...head, records: parts }
  return head
}

function readHead(bytes: Buffer): Message {
  if (bytes.length < 8) throw new Error(`a handoff message of ${bytes.length} bytes is too short`)
  const length = bytes.readUInt32LE(0)
  if (length > bytes.length - 8) throw new Error(`a handoff message claims a head of ${length} bytes`)
  const head: unknown = JSON.parse(bytes.toString('utf8', 4, 4 + length))
  const fields = (head ?? {}) as Record<string, unknown>
  const type = String(fields.type)
  if (!Object.hasOwn(FIELDS, type)) throw new Error(`unknown handoff message ${type}`)
  for (const [name, field] of Object.entries(FIELDS[type as keyof typeof FIELDS])) {
    if (!isField(fields[name], field)) throw new Error(`a handoff message ${type} has a ${name} that is none`)
  }
  return head as Message
}

function isField(value: unknown, field: Field): boolean {
  if (field === 'flag?') return value === undefined || typeof value === 'boolean'
  if (field === 'counts?')
    return value === undefined || (Array.isArray(value) && value.every(one => isField(one, 'count')))
  if (field === 'count') return Number.isSafeInteger(value) && (value as number) >= 0
  if (field === 'number') return typeof value === 'number'
  if (typeof value !== 'string') return false
  if (field === 'version') return VERSION.test(value)
  return field === 'text' || field.includes(value)
}

function readParts(bytes: Buffer, start: number): Uint8Array[] {
  const parts: Uint8Array[] = []
  let at = start + 4
  for (let left = bytes.readUInt32LE(start); left > 0; left--) {
    const length = at + 4 <= bytes.length ? bytes.readUInt32LE(at) : -1
    if (length < 0 || at + 4 + length > bytes.length)
      throw new Error('a handoff message ends in the middle of a record')
    parts.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return parts
}
