/**
 * The bytes of a hint log's segments. Pure. Little endian.
 *
 *   segment:  | header, 64 bytes | record | record | ...
 *
 *   header     0 checksum of 4..63   4 "CHNT"   8 format (u16)   10 home (u16)   12 checksum of the tier's name
 *             16 first, 20 last: the numbers of the segments that it stands for; they differ after a compaction
 *             24 rewrite: 0 as it was written, else which compaction of these numbers   28 count of records (rewritten only)
 *             32 first sequence (u64)   40 next sequence (u64; 0: as it was written, may still grow)
 *             48 made at, ms (u64)   56 bytes after the header (rewritten only)   60 unused
 *
 *   record     0 checksum of 4..47   4 kind   5 unused   6 to (u16, kind handed)   8 length of the body   12 checksum of the body
 *             16 sequence (u64)   24 version (u64)   32 written at, wall clock, ms (u64)   40 generation   44 "HINT"
 *             48 body ... | "ENDH"
 *
 *   body of a write: the engine's record (lib/engine/record.ts); of `handed`: the key; of `flush`: nothing.
 *
 * Sequences of one home's log ascend by one from record to record; in a rewritten segment some are missing. The header of a
 * record has a checksum of its own, so that its length can be trusted, and the last bytes of header and record are never zero:
 * what a stopped write left is told from what was damaged later (`judge`).
 */
import { strict as assert } from 'node:assert'
import zlib from 'node:zlib'
import { recordHead } from '../engine/record.js'
import { crc32 } from '../ketama/hash/crc32.js'

export const SEGMENT_HEADER = 64
export const HINT_HEADER = 48
export const HINT_OVERHEAD = HINT_HEADER + 4
const SEGMENT_MAGIC = 0x544e4843
const HINT_MAGIC = 0x544e4948
const END_MAGIC = 0x48444e45
export const HINT_FORMAT = 1

/** Append only: these are on disks. */
export const HintKind = { write: 1, handed: 2, flush: 3 } as const
export type HintKind = (typeof HintKind)[keyof typeof HintKind]

export interface SegmentHeader {
  home: number
  tier: string
  first: number
  last: number
  rewrite: number
  firstSequence: number
  /** Of a segment that a compaction wrote: it is whole from the start. null: records are appended to it. */
  rewritten: { nextSequence: number; count: number; bytes: number } | null
  madeAtMs: number
}

export interface HintFields {
  kind: HintKind
  /** Node number that the key was handed to; 0 for the other kinds. */
  to: number
  sequence: number
  version: bigint
  writtenAtMs: number
  generation: number
  body: Uint8Array
}

/** CRC-32; Node has a much faster one from 20.15 on. */
const checksum: (bytes: Uint8Array, from: number, to: number) => number =
  typeof zlib.crc32 === 'function'
    ? (bytes, from, to) => zlib.crc32(bytes.subarray(from, to))
    : (bytes, from, to) => crc32(bytes.subarray(from, to), to - from)
export const checksumOf = (text: string): number => checksum(Buffer.from(text), 0, Buffer.byteLength(text))
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER)
  const view = viewOf(bytes)
  view.setUint32(4, SEGMENT_MAGIC, true)
  view.setUint16(8, HINT_FORMAT, true)
  view.setUint16(10, header.home, true)
  view.setUint32(12, checksumOf(header.tier), true)
  view.setUint32(16, header.first, true)
  view.setUint32(20, header.last, true)
  view.setUint32(24, header.rewrite, true)
  view.setUint32(28, header.rewritten?.count ?? 0, true)
  view.setBigUint64(32, BigInt(header.firstSequence), true)
  view.setBigUint64(40, BigInt(header.rewritten?.nextSequence ?? 0), true)
  view.setBigUint64(48, BigInt(header.madeAtMs), true)
  view.setUint32(56, header.rewritten?.bytes ?? 0, true)
  view.setUint32(0, checksum(bytes, 4, SEGMENT_HEADER), true)
  return bytes
}

/** A sentence's end for a header that is not one of this tier's. The tier of what is returned is the one asked for. */
export function decodeSegmentHeader(bytes: Uint8Array, tier: string): SegmentHeader | string {
  if (bytes.length < SEGMENT_HEADER) return 'its header is cut short'
  const view = viewOf(bytes)
  if (view.getUint32(4, true) !== SEGMENT_MAGIC) return 'it is no segment of a hint log'
  if (view.getUint32(0, true) !== checksum(bytes, 4, SEGMENT_HEADER)) return 'the checksum of its header is wrong'
  const format = view.getUint16(8, true)
  if (format !== HINT_FORMAT) return `it has format ${format}, which this version does not know`
  if (view.getUint32(12, true) !== checksumOf(tier)) return `it is not of the tier ${tier}`
  const nextSequence = Number(view.getBigUint64(40, true))
  return {
    ...{ home: view.getUint16(10, true), tier, first: view.getUint32(16, true), last: view.getUint32(20, true) },
    ...{ rewrite: view.getUint32(24, true), firstSequence: Number(view.getBigUint64(32, true)) },
    rewritten: nextSequence && { nextSequence, count: view.getUint32(28, true), bytes: view.getUint32(56, true) },
    madeAtMs: Number(view.getBigUint64(48, true)),
  } as SegmentHeader
}

export function encodeHint(hint: HintFields): Uint8Array {
  const { body } = hint
  const bytes = new Uint8Array(HINT_OVERHEAD + body.length)
  const view = viewOf(bytes)
  view.setUint8(4, hint.kind)
  view.setUint16(6, hint.to, true)
  view.setUint32(8, body.length, true)
  view.setUint32(12, checksum(body, 0, body.length), true)
  view.setBigUint64(16, BigInt(hint.sequence), true)
  view.setBigUint64(24, hint.version, true)
  view.setBigUint64(32, BigInt(Math.max(0, Math.floor(hint.writtenAtMs))), true)
  view.setUint32(40, hint.generation, true)
  view.setUint32(44, HINT_MAGIC, true)
  view.setUint32(0, checksum(bytes, 4, HINT_HEADER), true)
  bytes.set(body, HINT_HEADER)
  view.setUint32(HINT_HEADER + body.length, END_MAGIC, true)
  return bytes
}

/** Length of the whole record whose header begins at `offset`; null: no such header is there. */
export function hintLength(bytes: Uint8Array, offset: number): number | null {
  if (offset + HINT_HEADER > bytes.length) return null
  const view = viewOf(bytes)
  if (view.getUint32(offset + 44, true) !== HINT_MAGIC) return null
  if (view.getUint32(offset, true) !== checksum(bytes, offset + 4, offset + HINT_HEADER)) return null
  return HINT_OVERHEAD + view.getUint32(offset + 8, true)
}

/** The record that fills `bytes`, its body a view of them; null: it is damaged. */
export function decodeHint(bytes: Uint8Array): HintFields | null {
  if (hintLength(bytes, 0) !== bytes.length) return null
  const view = viewOf(bytes)
  const body = bytes.subarray(HINT_HEADER, bytes.length - 4)
  if (view.getUint32(bytes.length - 4, true) !== END_MAGIC) return null
  if (view.getUint32(12, true) !== checksum(body, 0, body.length)) return null
  return {
    kind: view.getUint8(4) as HintKind,
    to: view.getUint16(6, true),
    sequence: Number(view.getBigUint64(16, true)),
    version: view.getBigUint64(24, true),
    writtenAtMs: Number(view.getBigUint64(32, true)),
    generation: view.getUint32(40, true),
    body,
  }
}

/** The key that a record is about. Not for `flush`. */
export function keyOfHint(hint: HintFields): Uint8Array {
  assert(hint.kind !== HintKind.flush, 'a flush is about no key')
  return hint.kind === HintKind.write ? recordHead(hint.body).key : hint.body
}

/**
 * What is wrong where a segment that may still grow does not go on with a whole record. `rest`: all bytes from there to the
 * end of the file.
 *
 *   torn      it ends too early, or in nothing but zeros: a write that was stopped, so nobody was told that it succeeded
 *   damaged   anything else: it was whole once
 */
export function judge(rest: Uint8Array): 'torn' | 'damaged' {
  const length = hintLength(rest, 0)
  if (length === null) return rest.length < HINT_HEADER || isZero(rest, HINT_HEADER - 1) ? 'torn' : 'damaged'
  return length > rest.length || isZero(rest, length - 1) ? 'torn' : 'damaged'
}

function isZero(bytes: Uint8Array, from: number): boolean {
  for (let at = from; at < bytes.length; at++) if (bytes[at] !== 0) return false
  return true
}
