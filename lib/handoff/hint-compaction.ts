/**
 * Room that superseded records take is won back: a few neighbouring closed segments become one that has only the newest
 * records of their keys, with the sequences they had. One segment's worth of work at a time.
 *
 *   4-4 |a b a' c|   5-5 |b' d a''|   6-6 |...      b', c, d live
 *   home-3.compact  --rename-->  4-5.1 |c b' d|     then 4-4 and 5-5 are removed
 *
 * Safe at every step: until the rename nothing has changed, and it waits until what supersedes is on the disk itself; after it 4-5.1 stands for both, and what is left of them is
 * removed at the next opening. A record that was superseded meanwhile was copied in vain.
 */
import { removeAll } from './hint-disk.js'
import { encodeSegmentHeader, HintKind, keyOfHint, SEGMENT_HEADER } from './hint-format.js'
import type { HintHome } from './hint-home.js'
import { hashKey, type KeyHash } from './hint-index.js'
import { scanSegment } from './hint-scan.js'
import { type Segment, segmentName } from './hint-segment.js'

export const compactName = (home: number) => `home-${home}.compact`

interface Copied {
  /** null: the record that flushes. */
  hash: KeyHash | null
  from: { segment: number; offset: number }
  offset: number
  length: number
}

const WRITE_BYTES_MAX = 1 << 20

/** Neighbours that are worth it, when more than half of the log is superseded; empty: not now. */
export function chooseSegments(home: HintHome): Segment[] {
  const closed = home.segments.slice(0, -1).filter(segment => segment.made && segment.written === segment.bytes)
  if (!home.logging || closed.length === 0 || 2 * home.liveBytes > home.diskBytes) return []
  const size = (segment: Segment) => segment.bytes - SEGMENT_HEADER
  const dead = (segment: Segment) => size(segment) - segment.live
  const worth = (segment: Segment | undefined): segment is Segment =>
    segment !== undefined && 2 * dead(segment) > size(segment)
  const { segmentBytesMax } = home.context.limits
  const small = (segment: Segment | undefined): segment is Segment =>
    segment !== undefined && 4 * size(segment) < segmentBytesMax
  let from = closed.findIndex(worth)
  if (from < 0) return []
  let to = from + 1
  let live = closed[from]!.live
  const fits = (segment: Segment | undefined): segment is Segment =>
    (worth(segment) || small(segment)) && live + segment.live <= segmentBytesMax
  for (let next = closed[to]; fits(next); next = closed[++to]) live += next.live
  for (let next = closed[from - 1]; fits(next); next = closed[from - 1]) {
    live += next.live
    from--
  }
  return closed.slice(from, to)
}

/** `done` with a sentence when the disk refused; the log is as good as before. */
export function compact(home: HintHome, segments: Segment[], done: (failure: string | null) => void): void {
  new Compaction(home, segments, done).start()
}

class Compaction {
  readonly #home: HintHome
  readonly #segments: Segment[]
  readonly #done: (failure: string | null) => void
  readonly #copied: Copied[] = []
  readonly #bytes: Uint8Array[] = []
  #size = SEGMENT_HEADER

  constructor(home: HintHome, segments: Segment[], done: (failure: string | null) => void) {
    this.#home = home
    this.#segments = segments
    this.#done = done
  }

  start(): void {
    this.#read(0)
  }

  #read(index: number): void {
    const segment = this.#segments[index]
    if (!segment) {
      this.#write()
      return
    }
    const { index: table, context } = this.#home
    const scan = {
      ...{ name: segment.name, from: SEGMENT_HEADER, until: segment.bytes },
      onRecord: (hint: Parameters<typeof keyOfHint>[0], offset: number, bytes: Uint8Array) => {
        const hash = hint.kind === HintKind.flush ? null : hashKey(context.seed, keyOfHint(hint))
        const newest = hash ? table.get(hash) : this.#home.flush
        if (newest?.segment !== segment.id || newest.offset !== offset) return true
        const from = { segment: segment.id, offset }
        this.#copied.push({ hash, from, offset: this.#size, length: bytes.length })
        this.#bytes.push(bytes.slice())
        this.#size += bytes.length
        return true
      },
    }
    scanSegment(context.disk, scan, end => {
      if (end.state === 'end') {
        this.#read(index + 1)
        return
      }
      const why = end.state === 'unreadable' ? end.error.message : 'a record of it is damaged'
      if (this.#current()) this.#home.overflow(`${segment.name}: ${why}`)
      this.#done(null)
    })
  }

  #write(): void {
    const { context, home } = this.#home
    const { disk, tier } = context
    const [first, last] = [this.#segments[0]!, this.#segments.at(-1)!]
    const header = encodeSegmentHeader({
      ...{ home, tier, first: first.first, last: last.last, rewrite: this.#rewrite() },
      ...{ firstSequence: first.firstSequence, madeAtMs: Math.max(0, Math.floor(first.oldestMs)) },
      rewritten: {
        nextSequence: last.nextSequence,
        count: this.#copied.length,
        bytes: this.#size - SEGMENT_HEADER,
      },
    })
    const name = compactName(home)
    const whole = Buffer.concat([header, ...this.#bytes])
    const next = (offset: number) => {
      const piece = whole.subarray(offset, offset + WRITE_BYTES_MAX)
      disk.write(name, offset, piece, error => {
        if (error) this.#giveUp(error)
        else if (offset + piece.length < whole.length) next(offset + piece.length)
        else this.#home.sync.now(name, late => (late ? this.#giveUp(late) : this.#wait()))
      })
    }
    disk.remove(name, error => (error ? this.#giveUp(error) : next(0)))
  }

  /** Records may be missing from the copy because of newer ones that are still on their way: those must be there first. */
  #wait(): void {
    const { writer, sync } = this.#home
    writer.whenWritten(() => sync.all(error => (error ? this.#giveUp(error) : this.#rename())))
  }

  #rename(): void {
    const { disk } = this.#home.context
    const from = compactName(this.#home.home)
    if (!this.#current()) {
      disk.remove(from, () => this.#done(null))
      return
    }
    const [first, last] = [this.#segments[0]!.first, this.#segments.at(-1)!.last]
    const name = segmentName(this.#home.home, { first, last, rewrite: this.#rewrite() })
    disk.rename(from, name, error => {
      if (error) this.#giveUp(error)
      else this.#home.sync.now(name, late => this.#replace(name, late))
    })
  }

  /** Index and list of segments change in one step; a walk that is under way notices by `shape`. */
  #replace(name: string, unsynced: Error | null): void {
    const home = this.#home
    const { disk } = home.context
    const at = home.segments.indexOf(this.#segments[0]!)
    if (!this.#current()) {
      disk.remove(name, () => this.#done(null))
      return
    }
    const [first, last] = [this.#segments[0]!, this.#segments.at(-1)!]
    const segment: Segment = {
      ...{ first: first.first, last: last.last, rewrite: this.#rewrite(), name, id: home.context.nextSegmentId() },
      ...{ firstSequence: first.firstSequence, nextSequence: last.nextSequence },
      ...{ bytes: this.#size, written: this.#size, live: 0, made: true, closed: true },
      oldestMs: Math.min(...this.#segments.map(one => one.oldestMs)),
    }
    for (const { hash, from, offset, length } of this.#copied) {
      const to = { segment: segment.id, offset }
      const moved = hash ? home.index.move(hash, from, to) : this.#moveFlush(from, to)
      if (moved) segment.live += length
    }
    home.segments.splice(at, this.#segments.length, segment)
    home.shape++
    if (unsynced) home.overflow(`it cannot be synced: ${unsynced.message}`)
    const names = this.#segments.map(one => one.name)
    removeAll(disk, names, error => this.#done(error && `${error.message}`))
  }

  #moveFlush(from: { segment: number; offset: number }, to: { segment: number; offset: number }): boolean {
    const { flush } = this.#home
    if (flush?.segment !== from.segment || flush.offset !== from.offset) return false
    this.#home.flush = { ...flush, ...to }
    return true
  }

  #rewrite(): number {
    return Math.max(...this.#segments.map(segment => segment.rewrite)) + 1
  }

  /** The segments are still those of the log. */
  #current(): boolean {
    return this.#segments.every(segment => this.#home.segments.includes(segment))
  }

  #giveUp(error: Error): void {
    this.#home.context.disk.remove(compactName(this.#home.home), () => this.#done(error.message))
  }
}
