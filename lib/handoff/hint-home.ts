/**
 * The hint log of one absent home: what may be appended, what is the newest of each key, and when the log is not to be believed
 * any more.
 *
 *   append -> HintWriter: queue, segment file, (sync) -> done
 *       \---> HintIndex: the newest record of the key, from `append` on; until it is on the disk it is read from the queue
 *
 * Always true: (1) whatever `done(null)` was said of is in the files, or the manifest on the disk says that the log
 * overflowed; so no later life takes an older record for the newest. (2) The index has no record that a write came after: of
 * a key whose write was left out it has none. (3) The other way round, what the index lacks a later life may find on the disk,
 * until the manifest there says that the log overflowed (`isLossSafe`): whoever acts on a loss waits for that.
 */
import { strict as assert } from 'node:assert'
import { recordHead } from '../engine/record.js'
import { type DiskDone, type HintDisk, removeAll } from './hint-disk.js'
import { encodeHint, HINT_OVERHEAD, HintKind, SEGMENT_HEADER } from './hint-format.js'
import { HintIndex, HintState, type IndexEntry, type KeyHash } from './hint-index.js'
import type { HintLoss, HintManifest } from './hint-manifest.js'
import { ManifestFile } from './hint-manifest-file.js'
import { type Segment, segmentName } from './hint-segment.js'
import { type FsyncPolicy, HintSync } from './hint-sync.js'
import { type HintDone, HintWriter, type Queued } from './hint-writer.js'

export interface HintLimits {
  /** A segment is closed before it grows beyond this; one larger record has a segment of its own. */
  segmentBytesMax: number
  /** Bytes of the newest records of one home. The files may have twice that and two segments more, while they are compacted. */
  bytesMax: number
  /** Age of the oldest of them. */
  ageMaxMs: number
  /** Keys of one home; each costs 48 to 96 bytes of memory. */
  keysMax: number
  /** Bytes that wait for the disk. */
  queueBytesMax: number
}

export interface HintContext {
  disk: HintDisk
  tier: string
  limits: HintLimits
  fsync: FsyncPolicy
  /** Random: keys are hashed with it. */
  seed: Uint8Array
  /** Milliseconds since 1970. */
  wallClock(): number
  /** A sentence for the log. */
  onEvent(sentence: string): void
  nextSegmentId(): number
}

export class HintHome {
  readonly home: number
  readonly context: HintContext
  readonly index = new HintIndex()
  readonly manifest: ManifestFile
  readonly sync: HintSync
  readonly writer: HintWriter
  segments: Segment[] = []
  nextSequence: number
  /** Writes with a version up to this do not count, and the record that says so. */
  flushedVersion = 0n
  flush: IndexEntry | null = null
  /** Writes that were left out since the log overflowed. */
  leftOut = 0
  /** Another one whenever segments were replaced or removed: a walk over them begins anew. */
  shape = 0
  /** The disk knows that the log overflowed, if it did. */
  #markSafe = true
  /** Nor did it take that when it was tried last. */
  #markRefused = false
  #marking = false
  #unmarked: HintDone[] = []
  /** Files of a log that is not to be believed, which the disk does not know. */
  #doomed: string[] = []
  /** A later life will miss some of them: the manifest on the disk names them. */
  #isMissed = false

  constructor(context: HintContext, manifest: HintManifest, onDisk: boolean) {
    const { disk, fsync } = context
    this.context = context
    this.home = manifest.home
    this.nextSequence = manifest.base
    this.sync = new HintSync(disk, fsync, (name, error) => this.#onSyncError(name, error))
    this.manifest = new ManifestFile(disk, this.sync, manifest, onDisk)
    this.writer = new HintWriter(disk, this.sync, this.manifest, (lost, error) => this.#onFailed(lost, error))
  }

  get logging(): boolean {
    return this.manifest.value.logging
  }

  get loss(): HintLoss | null {
    return this.manifest.value.loss
  }

  /** False: the disk did not even take the news that the log overflowed. Writes for this home must be refused. */
  get writable(): boolean {
    return this.#markSafe || !this.#markRefused
  }

  /** The disk knows that this log lacks something, if it does: no later life believes what is left of it. */
  get isLossSafe(): boolean {
    return this.#markSafe
  }

  /** Once it does. With a failure while it is known not to take that: `tick` tries again. */
  whenLossSafe(done: HintDone): void {
    if (this.#markSafe) done(null)
    else if (this.#marking || !this.#markRefused) {
      this.#unmarked.push(done)
      this.#mark()
    } else done(`the hint log of node ${this.home} cannot be written`)
  }

  get liveBytes(): number {
    return this.segments.reduce((sum, segment) => sum + segment.live, 0)
  }

  get diskBytes(): number {
    return this.segments.reduce((sum, segment) => sum + segment.bytes, 0)
  }

  /** Wall clock of the oldest record that counts, as far as segments tell; null: there is none. */
  get oldestMs(): number | null {
    return this.segments.find(segment => segment.live > 0)?.oldestMs ?? null
  }

  /** Its manifest is written, if there is none; until it is on the disk, a later life takes the log for void. */
  begin(isVoid: boolean): void {
    if (this.manifest.exists || this.manifest.busy || this.segments.length > 0) return
    const why = 'it begins with this life of the node'
    if (isVoid) this.manifest.change({ loss: { fromGeneration: 0, sinceMs: this.context.wallClock(), why } })
    this.manifest.save(() => {})
  }

  /** `record`: the engine's, of a value or a tombstone. */
  appendWrite(hash: KeyHash, generation: number, record: Uint8Array, done: HintDone): void {
    const { version, tombstone } = recordHead(record)
    const state = tombstone ? HintState.deleted : HintState.value
    this.#append(HintKind.write, hash, { generation, version, state, to: 0 }, record, done)
  }

  /** The key is `to`'s now. Its version stays the one that the key had. */
  appendHanded(hash: KeyHash, generation: number, key: Uint8Array, to: number, done: HintDone): void {
    const version = this.index.get(hash)?.version ?? 0n
    this.#append(HintKind.handed, hash, { generation, version, state: HintState.handed, to }, key, done)
  }

  /** Nothing up to this version counts any more. */
  appendFlush(generation: number, version: bigint, done: HintDone): void {
    const entry = { generation, version, state: HintState.deleted, to: 0 }
    this.#append(HintKind.flush, null, entry, new Uint8Array(0), done)
    this.#flushTo(version) // also when the record was left out
  }

  /** The record at this place is the newest: of its key, or of those that flush. */
  learn(hash: KeyHash | null, entry: IndexEntry): void {
    if (!hash && entry.version <= this.flushedVersion) return
    const before = hash ? this.index.set(hash, entry) : this.flush
    if (before) this.#dead(before)
    this.segmentOf(entry.segment)!.live += entry.length
    if (hash) return
    this.flush = entry
    this.#flushTo(entry.version)
  }

  /** The newest record of this key cannot be read. */
  lose(hash: KeyHash, why: string): void {
    const before = this.index.delete(hash)
    if (before) this.#dead(before)
    this.overflow(why)
  }

  /** Its files could not all be removed: whatever is left of them is not believed. */
  abandon(why: string): void {
    this.index.clear()
    this.segments = []
    this.shape++
    this.manifest.change({ forgotten: false })
    if (this.logging) this.overflow(why)
    else this.distrust()
  }

  /**
   * The disk holds what is not to be believed, and has not been told so yet. `files`: of that log, other than its manifest; `isMissed`:
   * without them the manifest that is there will not be believed.
   */
  distrust(files: readonly string[] = [], isMissed = false): void {
    this.#doomed.push(...files)
    this.#isMissed ||= isMissed
    this.#markSafe = false
    this.#mark()
  }

  segmentOf(id: number): Segment | undefined {
    return this.segments.findLast(segment => segment.id === id)
  }

  /** Writes are left out from now on. Said once. `why`: a sentence's end. */
  overflow(why: string): void {
    if (!this.logging) return
    const { fromGeneration, loss } = this.manifest.value
    const sinceMs = loss?.sinceMs ?? this.context.wallClock()
    const from = loss?.fromGeneration ?? fromGeneration ?? 0
    this.manifest.change({ logging: false, loss: { fromGeneration: from, sinceMs, why } })
    this.#markSafe = false
    const consequence = `writes for it are not kept on disk any more, and a restart loses those since generation ${from}`
    this.context.onEvent(`the hint log of node ${this.home} overflowed (${why}): ${consequence}`)
    this.#mark()
  }

  tick(nowMs: number): void {
    if (!this.#markSafe) this.#mark()
    const { limits, wallClock } = this.context
    const oldest = this.oldestMs
    if (this.logging && oldest !== null && wallClock() - oldest > limits.ageMaxMs) {
      this.overflow(`its oldest entry is more than ${limits.ageMaxMs / 1000} seconds old`)
    }
    this.sync.tick(nowMs)
  }

  /** Nothing is being written, nor waits for that. */
  get idle(): boolean {
    return !this.writer.busy && !this.manifest.busy && !this.sync.busy && !this.#marking
  }

  #append(
    kind: HintKind,
    hash: KeyHash | null,
    entry: Pick<IndexEntry, 'generation' | 'version' | 'state' | 'to'>,
    body: Uint8Array,
    done: HintDone,
  ): void {
    const length = HINT_OVERHEAD + body.length
    const full = this.logging ? this.#full(length, hash) : null
    if (full) this.overflow(full)
    if (!this.logging) {
      this.#leaveOut(hash, done)
      this.#answer()
      return
    }
    const { generation, version, to } = entry
    const segment = this.#segmentFor(length, generation)
    const sequence = this.nextSequence++
    segment.nextSequence = this.nextSequence
    const writtenAtMs = this.context.wallClock()
    const bytes = encodeHint({ kind, to, sequence, version, writtenAtMs, generation, body })
    const offset = segment.bytes
    segment.bytes += length
    this.learn(hash, { segment: segment.id, offset, length, ...entry })
    this.writer.push({ segment, offset, bytes, hash, done })
  }

  /** The limit that one more record would go over; null: none. */
  #full(length: number, hash: KeyHash | null): string | null {
    const { bytesMax, segmentBytesMax, keysMax, queueBytesMax } = this.context.limits
    const { queuedBytes } = this.writer
    if (this.liveBytes + length > bytesMax) return `it may have ${bytesMax} bytes`
    if (this.diskBytes + length > 2 * (bytesMax + segmentBytesMax)) return `its files may have twice ${bytesMax} bytes`
    if (queuedBytes > 0 && queuedBytes + length > queueBytesMax) return `${queueBytesMax} bytes wait for the disk`
    if (hash && this.index.size >= keysMax && !this.index.has(hash)) return `it may have ${keysMax} keys`
    return null
  }

  #segmentFor(length: number, generation: number): Segment {
    const last = this.segments.at(-1)
    if (last && !last.closed) {
      if (last.bytes === SEGMENT_HEADER || last.bytes + length <= this.context.limits.segmentBytesMax) return last
      last.closed = true
    }
    const number = (last?.last ?? this.manifest.value.last) + 1
    const range = { first: number, last: number, rewrite: 0 }
    const segment: Segment = {
      ...range,
      ...{ id: this.context.nextSegmentId(), name: segmentName(this.home, range) },
      ...{ firstSequence: this.nextSequence, nextSequence: this.nextSequence },
      ...{ bytes: SEGMENT_HEADER, written: SEGMENT_HEADER, live: 0, made: false, closed: false },
      oldestMs: this.context.wallClock(),
    }
    this.segments.push(segment)
    if (this.manifest.value.fromGeneration === null) this.manifest.change({ fromGeneration: generation })
    return segment
  }

  /** What is known of the key is older than the write that is left out. */
  #leaveOut(hash: KeyHash | null, done: HintDone): void {
    const before = hash && this.index.delete(hash)
    if (before) this.#dead(before)
    this.leftOut++
    this.#unmarked.push(done)
  }

  #onFailed(lost: Queued[], error: Error): void {
    for (const { hash, done } of lost) this.#leaveOut(hash, done)
    const halfMade = this.segments.filter(segment => !segment.made).map(segment => segment.name)
    removeAll(this.context.disk, halfMade, () => {})
    this.segments = this.segments.filter(segment => segment.made)
    for (const segment of this.segments) Object.assign(segment, { closed: true, bytes: segment.written })
    this.overflow(`it cannot be written: ${error.message}`)
    this.#answer()
  }

  #onSyncError(name: string, error: Error): void {
    // A file that a compaction has removed meanwhile needs no sync.
    const counts = name === this.manifest.name || this.segments.some(segment => segment.name === name)
    if (counts) this.overflow(`it cannot be synced: ${error.message}`)
  }

  #answer(): void {
    if (!this.#markSafe) this.#mark()
    else for (const done of this.#unmarked.splice(0)) done(null)
  }

  /** Tells the disk that this log overflowed. When it does not take even that, the files go: a log that lacks some is not believed, nor one that is not there. */
  #mark(): void {
    if (this.#marking) return
    this.#marking = true
    const end = (failure: string | null) => {
      this.#marking = false
      this.#markSafe = failure === null
      this.#markRefused = failure !== null
      for (const done of this.#unmarked.splice(0)) done(failure)
    }
    this.manifest.save(error => {
      if (error) {
        const why = `the hint log of node ${this.home} cannot be written: ${error.message}`
        this.#dropFiles(late => end(late && why))
        return
      }
      this.#isMissed = false
      end(null)
    })
  }

  #dropFiles(done: DiskDone): void {
    const { manifest } = this
    for (const { made, name, last } of this.segments) {
      if (made) this.#doomed.push(name)
      this.#isMissed ||= made && last <= manifest.namedLast
    }
    this.index.clear()
    this.segments = []
    this.shape++
    // A manifest that names no segment says that nothing is missing: it goes as well, also one of which it is not known whether it is there.
    const withManifest = !this.#isMissed
    const names = withManifest ? [...this.#doomed, manifest.name] : this.#doomed
    removeAll(this.context.disk, names, error => {
      if (error) {
        done(error)
        return
      }
      if (withManifest) manifest.exists = false
      const end: DiskDone = late => {
        if (!late) this.#doomed = []
        done(late)
      }
      // Or they come back when the power is lost.
      if (withManifest) this.sync.names(end)
      else this.sync.now(manifest.name, end)
    })
  }

  #flushTo(version: bigint): void {
    if (version <= this.flushedVersion) return
    this.flushedVersion = version
    this.index.flush(version, entry => this.#dead(entry))
  }

  #dead(entry: IndexEntry): void {
    const segment = this.segmentOf(entry.segment)
    if (!segment) return
    segment.live -= entry.length
    assert(segment.live >= 0, 'no segment has less than nothing')
  }
}
