/**
 * Records of one home's log, back from the disk: the newest of one key, or all of them in the order in which they were written,
 * from where the last walk ended. While one is read its key may get a newer one, or a compaction may move it: then it is looked
 * up again; only a record that still is where the index says, and cannot be read, is damage.
 */
import { agedRecord } from '../engine/record.js'
import { decodeHint, type HintFields, HintKind, keyOfHint, SEGMENT_HEADER } from './hint-format.js'
import type { HintHome } from './hint-home.js'
import { HintState, hashKey, type KeyHash } from './hint-index.js'
import { scanSegment } from './hint-scan.js'
import type { Segment } from './hint-segment.js'

/** `record`: the engine's, with what is left of its time to live now. */
export interface ReplayedHint {
  key: Uint8Array
  generation: number
  version: bigint
  record: Uint8Array
}

export interface ReplayPart {
  hints: ReplayedHint[]
  /** Where the next part begins: also in a later life of this process, and after a compaction. */
  next: number
  /** Nothing more is on the disk now. */
  end: boolean
}

/** A part ends after so many bytes, whatever is asked for. */
const PART_BYTES_MAX = 1 << 20

/** null without a problem: the key has no record to give any more (it was handed over, or its log overflowed or was forgotten). */
export function readHint(
  home: HintHome,
  hash: KeyHash,
  key: Uint8Array,
  done: (record: Uint8Array | null, problem: string | null) => void,
): void {
  const entry = home.index.get(hash)
  const segment = entry && home.segmentOf(entry.segment)
  if (!entry || !segment || entry.state === HintState.handed) {
    done(null, null)
    return
  }
  const whole = (bytes: Uint8Array): Uint8Array | null => {
    const hint = bytes.length === entry.length ? decodeHint(bytes) : null
    if (hint?.kind !== HintKind.write || Buffer.compare(keyOfHint(hint), key) !== 0) return null
    return aged(home, hint)
  }
  const queued = home.writer.at(entry.segment, entry.offset)
  if (queued) {
    done(whole(queued), null)
    return
  }
  home.context.disk.read(segment.name, entry.offset, entry.length, (error, bytes) => {
    const record = error ? null : whole(bytes)
    if (record) {
      done(record, null)
      return
    }
    const now = home.index.get(hash)
    if (now?.segment !== entry.segment || now.offset !== entry.offset) {
      readHint(home, hash, key, done)
      return
    }
    const problem = `${segment.name}, byte ${entry.offset}: ${error?.message ?? 'the record is damaged'}`
    home.lose(hash, problem)
    done(null, problem)
  })
}

function aged(home: HintHome, hint: HintFields): Uint8Array {
  const seconds = Math.floor(Math.max(0, home.context.wallClock() - hint.writtenAtMs) / 1000)
  return agedRecord(hint.body, seconds)
}

/** Where in the files the walk of one log stands, so that the next part need not look for its first record. */
export class HintReplay {
  readonly #home: HintHome
  #at: { sequence: number; segment: Segment; offset: number } | null = null

  constructor(home: HintHome) {
    this.#home = home
  }

  /** At most `max` records from sequence `from` on, each the newest of its key. What waits for the disk is not among them. */
  read(from: number, max: number, done: (part: ReplayPart, problem: string | null) => void): void {
    this.#walk({ hints: [], next: from, end: false }, max, 0, done)
  }

  #walk(part: ReplayPart, max: number, bytes: number, done: (part: ReplayPart, problem: string | null) => void): void {
    const home = this.#home
    const { shape } = home
    const segment = home.segments.find(one => one.made && one.nextSequence > part.next)
    if (!segment || (this.#at?.segment === segment && this.#at.offset >= segment.written)) {
      done({ ...part, end: true }, null)
      return
    }
    const known = this.#at?.segment === segment && this.#at.sequence === part.next ? this.#at.offset : SEGMENT_HEADER
    const until = segment.written
    const scan = {
      ...{ name: segment.name, from: Math.min(known, until), until },
      onRecord: (hint: HintFields, offset: number) => {
        if (home.shape !== shape) return false // its newest may have moved: looked at again below
        if (hint.sequence < part.next) return true
        if (this.#isNewest(hint, segment, offset)) {
          const record = aged(home, hint)
          const key = keyOfHint(hint).slice()
          part.hints.push({ key, generation: hint.generation, version: hint.version, record })
          bytes += record.length
        }
        part.next = hint.sequence + 1
        return part.hints.length < max && bytes < PART_BYTES_MAX
      },
    }
    scanSegment(home.context.disk, scan, end => {
      if (home.shape !== shape) {
        this.#at = null
        if (part.hints.length > 0) done(part, null)
        else this.#walk(part, max, bytes, done)
        return
      }
      if (end.state === 'broken' || end.state === 'unreadable') {
        const problem = `${segment.name}: ${end.state === 'broken' ? `byte ${end.offset} is damaged` : end.error.message}`
        home.overflow(problem)
        done({ ...part, end: true }, problem)
        return
      }
      this.#at = { sequence: part.next, segment, offset: end.offset }
      if (end.state === 'stopped') {
        done(part, null)
        return
      }
      // Of a closed segment everything was seen, also when its last records were compacted away.
      if (until === segment.bytes && segment !== home.segments.at(-1)) part.next = segment.nextSequence
      this.#walk(part, max, bytes, done)
    })
  }

  #isNewest(hint: HintFields, segment: Segment, offset: number): boolean {
    if (hint.kind !== HintKind.write) return false
    const entry = this.#home.index.get(hashKey(this.#home.context.seed, keyOfHint(hint)))
    return entry?.segment === segment.id && entry.offset === offset
  }
}
