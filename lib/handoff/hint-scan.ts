/**
 * Walks over the records of one segment on the disk, a piece at a time, so that the thread is never held for long: at opening,
 * for replay, for compaction.
 */

import type { HintDisk } from './hint-disk.js'
import { decodeHint, HINT_HEADER, type HintFields, hintLength } from './hint-format.js'

/** Read and looked at in one go, some two milliseconds; a longer record is read whole. */
const PIECE_BYTES = 64 * 1024

export type ScanEnd =
  /** Everything up to the end was seen. */
  | { state: 'end'; offset: number }
  /** `onRecord` asked to stop; `offset` is behind the record it was shown. */
  | { state: 'stopped'; offset: number }
  /** No whole record begins at `offset`, or not the one that must be there. */
  | { state: 'broken'; offset: number }
  | { state: 'unreadable'; error: Error }

export interface Scan {
  name: string
  from: number
  /** Bytes of the file that count. */
  until: number
  /** False: stop. `bytes` is the whole record, only good during the call. null: this record must not be here. */
  onRecord(hint: HintFields, offset: number, bytes: Uint8Array): boolean | null
}

export function scanSegment(disk: HintDisk, scan: Scan, done: (end: ScanEnd) => void): void {
  const { name, until } = scan
  const next = (offset: number, want: number): void => {
    if (offset === until) {
      done({ state: 'end', offset })
      return
    }
    const length = Math.min(want, until - offset)
    disk.read(name, offset, length, (error, bytes) => {
      if (error) done({ state: 'unreadable', error })
      else if (bytes.length < length) done({ state: 'broken', offset })
      else walk(offset, bytes)
    })
  }
  const walk = (start: number, bytes: Uint8Array): void => {
    let at = 0
    while (at < bytes.length) {
      const more = start + bytes.length < until
      const length = hintLength(bytes, at)
      if (length === null && more && bytes.length - at < HINT_HEADER) break
      if (length !== null && more && at + length > bytes.length && start + at + length <= until) {
        next(start + at, Math.max(length, PIECE_BYTES))
        return
      }
      const record = length === null || at + length > bytes.length ? null : bytes.subarray(at, at + length)
      const hint = record && decodeHint(record)
      const go = hint ? scan.onRecord(hint, start + at, record) : null
      if (go === null) {
        done({ state: 'broken', offset: start + at })
        return
      }
      at += length ?? 0
      if (!go) {
        done({ state: 'stopped', offset: start + at })
        return
      }
    }
    next(start + at, PIECE_BYTES)
  }
  next(scan.from, PIECE_BYTES)
}
