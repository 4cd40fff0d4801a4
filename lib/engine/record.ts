/**
 * The bytes of an ItemRecord: an item or a tombstone on its way between nodes. The engine writes and reads them itself
 * (lib/engine/assembly/handoff.ts); this is for tests and for whoever must look into one. Pure.
 *
 *    0 format   1 bits   2 keyLength   3 unused   4 flags (u32)   8 version (u64)
 *   16 seconds to live (u32)   20 bytes (u32)   24 key ... value (without \r\n), cas unique (u64) if it has its own
 *
 * Little endian. The remaining time to live travels, not the date (DESIGN 8, case 6).
 */
import type { ItemRecord } from './contract.js'

export const RECORD_HEADER = 24
const FORMAT = 1
const Bits = {
  ...{ fetched: 1, active: 2, tombstone: 4, expires: 8 },
  ...{ stale: 16, tokenSent: 32, keyBinary: 64, ownCas: 128 },
} as const

export interface RecordFields {
  key: Uint8Array
  /** null: a tombstone. */
  value: Uint8Array | null
  flags: number
  version: bigint
  /** Seconds left; null: never expires. */
  toLiveSec: number | null
  fetched: boolean
  active: boolean
}

export function encodeRecord(fields: RecordFields): ItemRecord {
  const { key, value, flags, version, toLiveSec, fetched, active } = fields
  if (key.length === 0 || key.length > 250) throw new Error(`a key of ${key.length} bytes is no key`)
  const record = new Uint8Array(RECORD_HEADER + key.length + (value?.length ?? 0))
  const view = new DataView(record.buffer)
  const bits = (fetched ? Bits.fetched : 0) | (active ? Bits.active : 0) | (toLiveSec === null ? 0 : Bits.expires)
  view.setUint8(0, FORMAT)
  view.setUint8(1, value ? bits : Bits.tombstone)
  view.setUint8(2, key.length)
  view.setUint32(4, flags, true)
  view.setBigUint64(8, version, true)
  view.setUint32(16, toLiveSec ?? 0, true)
  view.setUint32(20, value?.length ?? 0, true)
  record.set(key, RECORD_HEADER)
  if (value) record.set(value, RECORD_HEADER + key.length)
  return record
}

export function decodeRecord(record: ItemRecord): RecordFields {
  checkRecord(record)
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
  const bits = view.getUint8(1)
  const valueAt = RECORD_HEADER + view.getUint8(2)
  return {
    key: record.slice(RECORD_HEADER, valueAt),
    value: bits & Bits.tombstone ? null : record.slice(valueAt, valueAt + view.getUint32(20, true)),
    flags: view.getUint32(4, true),
    version: view.getBigUint64(8, true),
    toLiveSec: bits & Bits.expires ? view.getUint32(16, true) : null,
    fetched: (bits & Bits.fetched) !== 0,
    active: (bits & Bits.active) !== 0,
  }
}

/** Length of the record that begins at `offset`. */
export function recordLength(bytes: Uint8Array, offset: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, RECORD_HEADER)
  const cas = view.getUint8(1) & Bits.ownCas ? 8 : 0
  return RECORD_HEADER + view.getUint8(2) + view.getUint32(20, true) + cas
}

/** Where, from the start of the record at `offset`, its key ends; and its value. */
export function recordKeyEnd(bytes: Uint8Array, offset: number): number {
  return RECORD_HEADER + bytes[offset + 2]!
}

export function recordValueEnd(bytes: Uint8Array, offset: number): number {
  const { buffer, byteOffset } = bytes
  return recordKeyEnd(bytes, offset) + new DataView(buffer, byteOffset + offset, RECORD_HEADER).getUint32(20, true)
}

/** Records come from other nodes: one that is not whole is refused before the engine copies from it. */
export function checkRecord(record: ItemRecord): void {
  if (record.length <= RECORD_HEADER) throw new Error(`a record of ${record.length} bytes is cut short`)
  if (record[0] !== FORMAT) throw new Error(`a record of format ${record[0]} is unknown here`)
  const length = recordLength(record, 0)
  if (record[2] === 0 || record[2]! > 250 || length !== record.length) {
    throw new Error(`a record of ${record.length} bytes says that it has ${length}`)
  }
}

export interface RecordHead {
  /** A view of the record's bytes. */
  key: Uint8Array
  version: bigint
  tombstone: boolean
}

/** What a record is about, without a copy. Throws as `checkRecord`. */
export function recordHead(record: ItemRecord): RecordHead {
  checkRecord(record)
  const view = new DataView(record.buffer, record.byteOffset, RECORD_HEADER)
  return {
    key: record.subarray(RECORD_HEADER, RECORD_HEADER + record[2]!),
    version: view.getBigUint64(8, true),
    tombstone: (record[1]! & Bits.tombstone) !== 0,
  }
}

/** That the same key was deleted by the write of the same version. */
export function tombstoneOfRecord(record: ItemRecord): ItemRecord {
  const { key, version } = recordHead(record)
  return encodeRecord({ key, version, value: null, flags: 0, toLiveSec: null, fetched: false, active: false })
}

/** A record that has lain for so many seconds, a copy if it expires: with what is left of its time to live, or as a tombstone. */
export function agedRecord(record: ItemRecord, seconds: number): ItemRecord {
  checkRecord(record)
  if ((record[1]! & Bits.expires) === 0) return record
  const toLive = new DataView(record.buffer, record.byteOffset, RECORD_HEADER).getUint32(16, true)
  if (toLive <= seconds) return tombstoneOfRecord(record)
  const copy = record.slice()
  new DataView(copy.buffer, copy.byteOffset).setUint32(16, toLive - seconds, true)
  return copy
}
