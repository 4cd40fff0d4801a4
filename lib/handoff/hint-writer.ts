/**
 * How records of one log get to its segments: in order, one write at a time, and in it whatever has come since the last one.
 *
 *   queue: | r7 r8 r9 | r10 r11      r7..r9 are being written; r10 and r11 go with the next write
 *
 * A segment is on the disk before the manifest names it, and the manifest names it before a record is in it. So a segment
 * that the manifest names and that is not there was lost, and one that it does not name has nothing in it.
 */
import type { HintDisk } from './hint-disk.js'
import { encodeSegmentHeader } from './hint-format.js'
import type { KeyHash } from './hint-index.js'
import type { ManifestFile } from './hint-manifest-file.js'
import type { Segment } from './hint-segment.js'
import type { HintSync } from './hint-sync.js'

/** null: the entry is safe. Else a sentence: neither it nor the news that it is missing could be written. */
export type HintDone = (failure: string | null) => void

export interface Queued {
  segment: Segment
  offset: number
  bytes: Uint8Array
  /** Of its key; null: it is about none. */
  hash: KeyHash | null
  done: HintDone
}

/** One write has so many bytes at most, or one record. */
const WRITE_BYTES_MAX = 1 << 20

export class HintWriter {
  readonly #disk: HintDisk
  readonly #sync: HintSync
  readonly #manifest: ManifestFile
  readonly #onFailed: (lost: Queued[], error: Error) => void
  #queue: Queued[] = []
  /** By segment and offset. */
  readonly #places = new Map<string, Uint8Array>()
  #bytes = 0
  #writing = false

  /** `onFailed`: these were not written, nor will anything be that is in the queue. */
  constructor(
    disk: HintDisk,
    sync: HintSync,
    manifest: ManifestFile,
    onFailed: (lost: Queued[], error: Error) => void,
  ) {
    this.#disk = disk
    this.#sync = sync
    this.#manifest = manifest
    this.#onFailed = onFailed
  }

  get busy(): boolean {
    return this.#writing || this.#queue.length > 0
  }

  get queuedBytes(): number {
    return this.#bytes
  }

  push(queued: Queued): void {
    this.#queue.push(queued)
    this.#bytes += queued.bytes.length
    this.#places.set(`${queued.segment.id}:${queued.offset}`, queued.bytes)
    this.#pump()
  }

  /** Once everything that is in the queue now is written, or was left out. */
  whenWritten(done: () => void): void {
    const last = this.#queue.at(-1)
    if (!last) {
      done()
      return
    }
    const { done: first } = last
    last.done = failure => {
      first(failure)
      done()
    }
  }

  /** A record that is not on the disk yet. */
  at(segment: number, offset: number): Uint8Array | undefined {
    return this.#places.get(`${segment}:${offset}`)
  }

  #pump(): void {
    const first = this.#queue[0]
    if (this.#writing || !first) return
    this.#writing = true
    if (first.segment.made) this.#writeBatch(first)
    else this.#make(first.segment)
  }

  #writeBatch(first: Queued): void {
    const batch: Queued[] = []
    let bytes = 0
    for (const queued of this.#queue) {
      if (queued.segment !== first.segment || (bytes > 0 && bytes + queued.bytes.length > WRITE_BYTES_MAX)) break
      batch.push(queued)
      bytes += queued.bytes.length
    }
    const joined = batch.length === 1 ? first.bytes : Buffer.concat(batch.map(queued => queued.bytes))
    const { name } = first.segment
    const end = (error: Error | null) => (error ? this.#fail(error) : this.#wrote(batch))
    this.#disk.write(name, first.offset, joined, error => (error ? end(error) : this.#sync.written(name, end)))
  }

  #wrote(batch: Queued[]): void {
    this.#queue.splice(0, batch.length)
    for (const { segment, offset, bytes } of batch) {
      segment.written = offset + bytes.length
      this.#bytes -= bytes.length
      this.#places.delete(`${segment.id}:${offset}`)
    }
    this.#writing = false
    this.#pump()
    for (const { done } of batch) done(null)
  }

  #make(segment: Segment): void {
    const { first, last, rewrite, firstSequence, oldestMs } = segment
    const { home, tier } = this.#manifest.value
    const madeAtMs = Math.max(0, Math.floor(oldestMs))
    const header = encodeSegmentHeader({ home, tier, first, last, rewrite, firstSequence, rewritten: null, madeAtMs })
    const end = (error: Error | null) => {
      if (error) {
        this.#fail(error)
        return
      }
      segment.made = true
      this.#writing = false
      this.#pump()
    }
    const name = (error: Error | null) => {
      if (error) {
        end(error)
        return
      }
      this.#manifest.change({ last })
      this.#manifest.save(end)
    }
    const write = (error: Error | null) => {
      if (error) end(error)
      else
        this.#disk.write(segment.name, 0, header, late => (late ? end(late) : this.#sync.written(segment.name, name)))
    }
    if (this.#manifest.exists) write(null)
    else this.#manifest.save(write)
  }

  #fail(error: Error): void {
    const lost = this.#queue.splice(0)
    this.#places.clear()
    this.#bytes = 0
    this.#writing = false
    this.#onFailed(lost, error)
  }
}

/** Calls `done` after so many calls: with the first failure. */
export function together(count: number, done: HintDone): HintDone {
  if (count === 0) {
    done(null)
    return () => {}
  }
  let left = count
  let failure: string | null = null
  return one => {
    failure ??= one
    if (--left === 0) done(failure)
  }
}
