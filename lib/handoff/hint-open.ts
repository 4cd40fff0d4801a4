/**
 * What a node's earlier lives left of one home's log: read, checked, and made the log to go on with.
 *
 *   manifest says 3..6:   3-3   4-5.1   4-4 (left over: 4-5.1 stands for it)   6-6   [7-7: not named yet, nothing in it]
 *
 * Whatever is not as it must be makes the log *damaged*: none of it is believed, for the part that is missing may have been the
 * newest of any key. Then the loss is written down, the files go, and a new log begins. Only what a stopped write left at the
 * very end is cut off without a word: nobody was told that it succeeded.
 */

import { recordHead } from '../engine/record.js'
import { type DiskDone, type HintFile, removeAll } from './hint-disk.js'
import { decodeSegmentHeader, type HintFields, HintKind, judge, keyOfHint, SEGMENT_HEADER } from './hint-format.js'
import { type HintContext, HintHome } from './hint-home.js'
import { HintState, hashKey } from './hint-index.js'
import { decodeManifest, type HintManifest, MANIFEST_BYTES } from './hint-manifest.js'
import { manifestName } from './hint-manifest-file.js'
import { type ScanEnd, scanSegment } from './hint-scan.js'
import { parseSegmentName, type Segment, type SegmentRange } from './hint-segment.js'

interface Found extends SegmentRange {
  file: HintFile
}

/** Sequences of a log that begins anew are above all that the damaged one can have had: so many, or a million a second. */
const SEQUENCES_PER_LOG = 2 ** 40
const SEQUENCES_PER_MS = 1000

export function newManifest(tier: string, home: number): HintManifest {
  const none = { first: 1, last: 0, base: SEQUENCES_PER_LOG, fromGeneration: null, loss: null }
  return { tier, home, ...none, forgotten: false, logging: true }
}

/** null: there is nothing to go on with. Never fails: what cannot be used is said in a sentence. */
export function openHome(
  context: HintContext,
  home: number,
  files: readonly HintFile[],
  done: (log: HintHome | null) => void,
): void {
  new Opening(context, home, files, done).start()
}

class Opening {
  readonly #context: HintContext
  readonly #home: number
  readonly #found: Found[] = []
  readonly #manifestFile: HintFile | undefined
  readonly #done: (log: HintHome | null) => void
  #manifest: HintManifest
  #log: HintHome

  constructor(context: HintContext, home: number, files: readonly HintFile[], done: (log: HintHome | null) => void) {
    this.#context = context
    this.#home = home
    this.#done = done
    this.#manifestFile = files.find(file => file.name === manifestName(home))
    for (const file of files) {
      const range = parseSegmentName(file.name)
      if (range) this.#found.push({ ...range, file })
    }
    this.#manifest = newManifest(context.tier, home)
    this.#log = new HintHome(context, this.#manifest, false)
  }

  start(): void {
    const { disk, tier } = this.#context
    const file = this.#manifestFile
    if (!file) {
      this.#damaged('its manifest is missing')
      return
    }
    if (file.bytes < MANIFEST_BYTES && this.#found.length === 0) {
      this.#remove(() => this.#done(null)) // the first write of a log that never began
      return
    }
    disk.read(file.name, 0, MANIFEST_BYTES + 1, (error, bytes) => {
      const manifest = error ? `it cannot be read: ${error.message}` : decodeManifest(bytes, tier, this.#home)
      if (typeof manifest === 'string') this.#damaged(`of its manifest: ${manifest}`)
      else this.#sync([file.name], () => this.#withManifest(manifest))
    })
  }

  /** What an earlier life wrote may be seen and still be lost with the power: before more is built on it, it must not. */
  #sync(names: string[], done: () => void): void {
    const next = (index: number): void => {
      const name = names[index]
      if (name === undefined) done()
      else {
        this.#log.sync.now(name, error => {
          if (error) this.#damaged(`${name} cannot be synced: ${error.message}`)
          else next(index + 1)
        })
      }
    }
    next(0)
  }

  #withManifest(manifest: HintManifest): void {
    this.#manifest = manifest
    this.#log = new HintHome(this.#context, manifest, true)
    if (manifest.forgotten) {
      this.#remove(() => this.#done(null))
      return
    }
    if (!manifest.logging) {
      this.#startOver(manifest.loss?.why ?? 'it overflowed')
      return
    }
    const chain = this.#chain()
    if (typeof chain === 'string') {
      this.#damaged(chain)
      return
    }
    const leftOver = this.#found.filter(found => !chain.includes(found)).map(found => found.file.name)
    const names = chain.map(found => found.file.name)
    const read = () =>
      removeAll(this.#context.disk, leftOver, error => {
        if (error) this.#sayUnremoved(error)
        this.#readNext(chain, 0)
      })
    this.#sync(names, read)
  }

  /** The files that stand for first..last, in order; a sentence's end when one is missing. */
  #chain(): Found[] | string {
    const { first, last } = this.#manifest
    const chain: Found[] = []
    for (let number = first; ; ) {
      const found = this.#found
        .filter(one => one.first === number)
        .reduce<Found | null>((best, one) => (best && best.rewrite > one.rewrite ? best : one), null)
      if (!found) return number > last ? chain : `its segment ${number} is missing`
      chain.push(found)
      number = found.last + 1
    }
  }

  #readNext(chain: Found[], index: number): void {
    const found = chain[index]
    if (!found) {
      this.#nameLast()
      return
    }
    const { name, bytes } = found.file
    const { disk, tier } = this.#context
    disk.read(name, 0, SEGMENT_HEADER, (error, head) => {
      if (error) {
        this.#damaged(`${name} cannot be read: ${error.message}`)
        return
      }
      const header = decodeSegmentHeader(head, tier)
      if (typeof header === 'string' && found.first > this.#manifest.last) {
        removeAll(disk, [name], late => {
          if (late) this.#sayUnremoved(late)
          this.#nameLast()
        })
        return
      }
      if (typeof header === 'string') {
        this.#damaged(`of ${name}: ${header}`)
        return
      }
      const { first, last, rewrite, firstSequence, rewritten, madeAtMs } = header
      const isIt =
        header.home === this.#home && first === found.first && last === found.last && rewrite === found.rewrite
      if (!isIt || firstSequence !== this.#log.nextSequence) {
        this.#damaged(`${name} does not follow what is before it`)
        return
      }
      const segment: Segment = {
        ...{ first, last, rewrite, name, id: this.#context.nextSegmentId(), firstSequence },
        ...{ nextSequence: firstSequence, bytes, written: bytes, live: 0, oldestMs: madeAtMs, made: true },
        closed: rewritten !== null || index < chain.length - 1,
      }
      this.#log.segments.push(segment)
      this.#scan(segment, rewritten, index === chain.length - 1, () => this.#readNext(chain, index + 1))
    })
  }

  /** A segment that was made, but not named any more, has room for what comes: now it is named. */
  #nameLast(): void {
    const log = this.#log
    const last = log.segments.at(-1)?.last ?? 0
    if (last <= log.manifest.value.last) {
      this.#done(log)
      return
    }
    log.manifest.change({ last })
    log.manifest.save(error => {
      if (error) log.overflow(`it cannot be written: ${error.message}`)
      this.#done(log)
    })
  }

  #scan(
    segment: Segment,
    rewritten: { nextSequence: number; count: number; bytes: number } | null,
    isLast: boolean,
    next: () => void,
  ): void {
    const { name } = segment
    let count = 0
    let reason = 'a record of it is not as it was written'
    const onRecord = (hint: HintFields, offset: number, bytes: Uint8Array): true | null => {
      const fits = rewritten
        ? hint.sequence >= segment.nextSequence && hint.sequence < rewritten.nextSequence
        : hint.sequence === segment.nextSequence
      if (!fits) return null
      const problem = this.#learn(segment, hint, offset, bytes.length)
      if (problem) {
        reason = problem
        return null
      }
      if (count++ === 0) segment.oldestMs = hint.writtenAtMs
      segment.nextSequence = hint.sequence + 1
      return true
    }
    const whole = () => {
      if (rewritten) segment.nextSequence = rewritten.nextSequence
      this.#log.nextSequence = segment.nextSequence
      next()
    }
    const ended = (end: ScanEnd) => {
      const complete = !rewritten || (rewritten.count === count && rewritten.bytes === segment.bytes - SEGMENT_HEADER)
      if (end.state === 'end' && complete) whole()
      else if (end.state === 'unreadable') this.#damaged(`${name} cannot be read: ${end.error.message}`)
      else if (end.state === 'broken' && isLast && !rewritten) this.#cut(segment, end.offset, reason, whole)
      else this.#damaged(`${name}, byte ${end.offset}: ${complete ? reason : 'records of it are missing'}`)
    }
    scanSegment(this.#context.disk, { name, from: SEGMENT_HEADER, until: segment.bytes, onRecord }, ended)
  }

  /** A sentence's end for a record that this version cannot use. */
  #learn(segment: Segment, hint: HintFields, offset: number, length: number): string | null {
    const { kind, generation, version, to } = hint
    if (kind !== HintKind.write && kind !== HintKind.handed && kind !== HintKind.flush) return `unknown kind ${kind}`
    let state: HintState = kind === HintKind.handed ? HintState.handed : HintState.value
    try {
      if (kind === HintKind.write && recordHead(hint.body).tombstone) state = HintState.deleted
    } catch (error) {
      return (error as Error).message
    }
    const hash = kind === HintKind.flush ? null : hashKey(this.#context.seed, keyOfHint(hint))
    this.#log.learn(hash, { segment: segment.id, offset, length, generation, version, state, to })
    return null
  }

  /** Of the last segment: what a stopped write left. */
  #cut(segment: Segment, offset: number, reason: string, next: () => void): void {
    const { disk } = this.#context
    const { name } = segment
    disk.read(name, offset, segment.bytes - offset, (error, rest) => {
      if (error || judge(rest) === 'damaged') {
        this.#damaged(`${name}, byte ${offset}: ${error?.message ?? reason}`)
        return
      }
      disk.truncate(name, offset, late => {
        if (late) {
          this.#damaged(`${name} cannot be cut: ${late.message}`)
          return
        }
        segment.bytes = offset
        segment.written = offset
        this.#sync([name], next)
      })
    })
  }

  #damaged(why: string): void {
    const from = this.#manifest.loss?.fromGeneration ?? this.#manifest.fromGeneration ?? 0
    this.#context.onEvent(
      `the hint log of node ${this.#home} is damaged (${why}): what it held from generation ${from} on is lost`,
    )
    this.#startOver(why)
  }

  /** A new log that knows what was lost with this one. */
  #startOver(why: string): void {
    const { first, loss, fromGeneration, base } = this.#manifest
    const now = this.#context.wallClock()
    const last = Math.max(first - 1, this.#manifest.last, ...this.#found.map(found => found.last))
    const manifest: HintManifest = {
      ...newManifest(this.#context.tier, this.#home),
      ...{ first: last + 1, last, base: Math.max(base + SEQUENCES_PER_LOG, Math.floor(now) * SEQUENCES_PER_MS) },
      loss: loss ?? { fromGeneration: fromGeneration ?? 0, sinceMs: now, why },
    }
    const log = new HintHome(this.#context, manifest, this.#manifestFile !== undefined)
    const names = this.#found.map(found => found.file.name)
    log.manifest.save(error => {
      if (error) {
        this.#context.onEvent(`the hint log of node ${this.#home} cannot be written: ${error.message}`)
        log.manifest.change({ logging: false })
        log.distrust(
          names,
          this.#found.some(found => found.last <= this.#manifest.last),
        )
        this.#done(log)
        return
      }
      removeAll(this.#context.disk, names, late => {
        if (late) this.#sayUnremoved(late)
        this.#done(log)
      })
    })
  }

  /** What could not be removed must not become a part of the next log. */
  #remove(done: () => void): void {
    const names = [...this.#found.map(found => found.file.name), manifestName(this.#home)]
    const end: DiskDone = error => {
      if (!error) {
        done()
        return
      }
      this.#sayUnremoved(error)
      this.#startOver(`it cannot be removed: ${error.message}`)
    }
    removeAll(this.#context.disk, names, end)
  }

  #sayUnremoved(error: Error): void {
    this.#context.onEvent(`files of the hint log of node ${this.#home} cannot be removed: ${error.message}`)
  }
}
