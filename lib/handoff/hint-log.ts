/**
 * The hint log of a node (DESIGN 8): what it wrote or deleted for nodes that are away, or while it was blind, on its own disk,
 * so that a later life of it still knows. One log per absent node (`home`, a node number).
 *
 *   append --------> the home's log, and every other that has the key ("once in a log, always in the log")
 *   find, read ----> the newest of a key          replay ----> everything for a home that is back
 *   appendHanded --> what was given away is not replayed any more         forget ----> the outage is over
 *
 * Callbacks say null when the call is safe: the entry is in the file, or the disk says that this log overflowed. They may be
 * called before the method returns. Pure: the disk, the wall clock and the random seed are handed in; `tick` moves it.
 * Bounds: HintLimits, for each home.
 */
import { strict as assert } from 'node:assert'
import { recordHead } from '../engine/record.js'
import { agree } from './hint-agree.js'
import { chooseSegments, compact, compactName } from './hint-compaction.js'
import { type HintDisk, type HintFile, removeAll } from './hint-disk.js'
import { type HintContext, HintHome, type HintLimits } from './hint-home.js'
import { HintState, hashKey, type IndexEntry, type KeyHash } from './hint-index.js'
import type { HintLoss } from './hint-manifest.js'
import { newManifest, openHome } from './hint-open.js'
import { HintReplay, type ReplayPart, readHint } from './hint-read.js'
import { parseSegmentName } from './hint-segment.js'
import type { FsyncPolicy } from './hint-sync.js'
import { type HintDone, together } from './hint-writer.js'

export interface HintLogOptions {
  disk: HintDisk
  /** Its name: logs of another tier are not believed. */
  tier: string
  /** Random bytes, other ones for each process. */
  seed: Uint8Array
  wallClock(): number
  onEvent(sentence: string): void
  limits?: Partial<HintLimits>
  fsync?: FsyncPolicy
}

export const HINT_LIMITS: HintLimits = {
  segmentBytesMax: 4 << 20,
  bytesMax: 256 << 20,
  ageMaxMs: 24 * 3600 * 1000,
  keysMax: 1_000_000,
  queueBytesMax: 64 << 20,
}
const FSYNC_MS = 1000

/** Writes of a home from a generation on may be missing: such keys are answered as misses, never by what the home remembers. */
export interface LostHints extends HintLoss {
  home: number
}

export type FoundHint =
  | { state: 'held'; home: number; generation: number; version: bigint; deleted: boolean }
  | { state: 'handed'; home: number; generation: number; version: bigint; to: number }
  /** Nothing is known of this key, and something may have been. */
  | { state: 'lost'; losses: LostHints[] }

export interface HintStats {
  home: number
  /** Keys that have an entry, those handed over among them. */
  keys: number
  /** Of the newest entries. */
  bytes: number
  diskBytes: number
  oldestAgeMs: number
  /** `overflowed`: writes are left out. `failing`: the disk takes not even that; writes for the home must be refused. */
  state: 'logging' | 'overflowed' | 'failing' | 'forgetting'
  leftOut: number
  loss: HintLoss | null
}

interface Entry {
  log: HintHome
  replay: HintReplay
  compacting: boolean
  /** A compaction that the disk refused is not tried again before. */
  compactAfterMs: number
  /** `forget` was called: what comes for this home meanwhile waits for the new log. */
  forgetting: { done: HintDone; waiting: (() => void)[]; running: boolean } | null
}

const COMPACT_AGAIN_MS = 10_000

export class HintLog {
  readonly #context: HintContext
  readonly #homes = new Map<number, Entry>()
  #nowMs = 0
  #segmentIds = 0

  private constructor(options: HintLogOptions) {
    const { limits, fsync, ...rest } = options
    this.#context = {
      ...rest,
      limits: { ...HINT_LIMITS, ...limits },
      fsync: fsync ?? FSYNC_MS,
      nextSegmentId: () => this.#segmentIds++,
    }
  }

  /** Reads what is there. `problem`: the folder cannot be read at all, and there is no log. */
  static open(options: HintLogOptions, done: (log: HintLog | null, problem: string | null) => void): void {
    const log = new HintLog(options)
    options.disk.list((error, files) => {
      if (error) done(null, `the hint logs cannot be read: ${error.message}`)
      else log.#openAll(files, () => done(log, null))
    })
  }

  /**
   * A write or deletion by this node, in the engine's record, which has the key. What is over a limit or cannot be written is
   * left out, and the log says so from then on.
   */
  append(home: number, hint: { generation: number; record: Uint8Array }, done: HintDone): void {
    const { key } = recordHead(hint.record)
    const hash = hashKey(this.#context.seed, key)
    const others = this.#having(hash).filter(entry => entry.log.home !== home)
    const all = together(1 + others.length, done)
    this.#with(home, log => log.appendWrite(hash, hint.generation, hint.record, all))
    for (const { log } of others) log.appendWrite(hash, hint.generation, hint.record, all)
  }

  /** The disk does not take writes of this key for this home, nor the news that they are missing: a sentence. Null: it may. */
  refusal(home: number, key: Uint8Array): string | null {
    const own = this.#homes.get(home)
    const entries = own ? [own] : []
    if (this.#homes.size > 1) entries.push(...this.#having(hashKey(this.#context.seed, key)))
    const failing = entries.find(({ log, forgetting }) => !forgetting && !log.writable)
    return failing ? `the hint log of node ${failing.log.home} cannot be written` : null
  }

  /**
   * From now on there is a log for this home, also on the disk. `isVoid`: an earlier life may have had one that is not here, so
   * a new one knows that it lacks something.
   */
  begin(home: number, isVoid: boolean): void {
    this.#with(home, log => log.begin(isVoid))
  }

  /** The key was handed to node `to` for `generation`: no log replays or answers it any more. */
  appendHanded(key: Uint8Array, generation: number, to: number, done: HintDone): void {
    const hash = hashKey(this.#context.seed, key)
    const having = this.#having(hash)
    const all = together(having.length, done)
    for (const { log } of having) log.appendHanded(hash, generation, key, to, all)
  }

  /** flush_all: nothing up to this version counts any more, in any log. */
  appendFlush(generation: number, version: bigint, done: HintDone): void {
    const entries = [...this.#homes.values()].filter(entry => !entry.forgetting)
    const all = together(entries.length, done)
    for (const { log } of entries) log.appendFlush(generation, version, all)
  }

  /** The highest version of a flush that any log has: a node that begins flushes up to it. */
  get flushedVersion(): bigint {
    let version = 0n
    for (const { log } of this.#homes.values()) if (log.flushedVersion > version) version = log.flushedVersion
    return version
  }

  /** What the logs know of a key; null: nothing was ever logged of it. */
  find(key: Uint8Array): FoundHint | null {
    const found = this.#newest(hashKey(this.#context.seed, key))
    if (found) {
      const { home, entry } = found
      const { generation, version, state, to } = entry
      if (state === HintState.handed) return { state: 'handed', home, generation, version, to }
      return { state: 'held', home, generation, version, deleted: state === HintState.deleted }
    }
    const losses = this.losses()
    return losses.length > 0 ? { state: 'lost', losses } : null
  }

  /** Has the log of this home the write of a key that has this version? */
  has(home: number, key: Uint8Array, version: bigint): boolean {
    const entry = this.#homes.get(home)
    if (!entry || entry.forgetting) return false
    const hint = entry.log.index.get(hashKey(this.#context.seed, key))
    return hint?.version === version && hint.state !== HintState.handed
  }

  /** Once all that was appended for this home so far is on the disk, or was left out. */
  whenWritten(home: number, done: () => void): void {
    const entry = this.#homes.get(home)
    if (entry) entry.log.writer.whenWritten(done)
    else done()
  }

  /**
   * The newest record of a key: with what is left of its time to live; a tombstone when that ran out. null: there is none (any
   * more); with a problem: it cannot be read, and the key counts as lost from now on.
   */
  read(key: Uint8Array, done: (record: Uint8Array | null, problem: string | null) => void): void {
    const hash = hashKey(this.#context.seed, key)
    const found = this.#newest(hash)
    if (found) readHint(found.log, hash, key, done)
    else done(null, null)
  }

  /**
   * At most `max` entries of a home, in the order in which they were written, of each key only the newest and only what was not
   * handed over. `from`: 0, or `next` of the part before. One at a time for a home.
   */
  replay(home: number, from: number, max: number, done: (part: ReplayPart, problem: string | null) => void): void {
    const entry = this.#homes.get(home)
    if (entry && !entry.forgetting) entry.replay.read(from, max, done)
    else done({ hints: [], next: from, end: true }, null)
  }

  /** The outage is over everywhere: the files go, and the loss, if any, is forgotten too. */
  forget(home: number, done: HintDone): void {
    const entry = this.#homes.get(home)
    if (!entry) {
      done(null)
      return
    }
    if (entry.forgetting) {
      entry.forgetting.waiting.push(() => this.forget(home, done))
      return
    }
    entry.forgetting = { done, waiting: [], running: false }
    this.#forgetSoon(entry)
  }

  homes(): number[] {
    return [...this.#homes].filter(([, entry]) => !entry.forgetting).map(([home]) => home)
  }

  losses(): LostHints[] {
    const losses: LostHints[] = []
    for (const [home, { log, forgetting }] of this.#homes)
      if (log.loss && !forgetting) losses.push({ home, ...log.loss })
    return losses
  }

  /** Does the disk know of every loss? */
  get areLossesSafe(): boolean {
    for (const { log, forgetting } of this.#homes.values()) if (!log.isLossSafe && !forgetting) return false
    return true
  }

  /** Once it does. With a failure when it does not take that news now. */
  whenLossesSafe(done: HintDone): void {
    const unsafe = [...this.#homes.values()].filter(({ log, forgetting }) => !log.isLossSafe && !forgetting)
    const all = together(unsafe.length, done)
    for (const { log } of unsafe) log.whenLossSafe(all)
  }

  stats(): HintStats[] {
    const now = this.#context.wallClock()
    return [...this.#homes].map(([home, { log, forgetting }]) => ({
      ...{ home, keys: log.index.size, bytes: log.liveBytes, diskBytes: log.diskBytes },
      oldestAgeMs: Math.max(0, now - (log.oldestMs ?? now)),
      state: forgetting ? 'forgetting' : !log.writable ? 'failing' : log.logging ? 'logging' : 'overflowed',
      ...{ leftOut: log.leftOut, loss: log.loss },
    }))
  }

  /** Milliseconds of any clock that does not go back. Syncs, compacts and looks at limits: some ten times a second. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs
    for (const entry of [...this.#homes.values()]) {
      if (entry.forgetting) {
        this.#forgetSoon(entry)
        continue
      }
      entry.log.tick(nowMs)
      this.#compactSoon(entry)
    }
  }

  /** Nothing is under way. What is appended later is under way again. */
  get idle(): boolean {
    for (const { log, compacting, forgetting } of this.#homes.values()) {
      if (!log.idle || compacting || forgetting) return false
    }
    return true
  }

  // --- opening

  #openAll(files: readonly HintFile[], done: () => void): void {
    const byHome = new Map<number, HintFile[]>()
    const unfinished: string[] = []
    for (const file of files) {
      const home = homeOf(file.name)
      if (home === null) continue
      if (file.name === compactName(home)) unfinished.push(file.name)
      else byHome.set(home, [...(byHome.get(home) ?? []), file])
    }
    const homes = [...byHome]
    const next = (index: number) => {
      const one = homes[index]
      if (!one) {
        agree(
          [...this.#homes.values()].map(({ log }) => log),
          done,
        )
        return
      }
      openHome(this.#context, one[0], one[1], log => {
        if (log) this.#add(log)
        next(index + 1)
      })
    }
    removeAll(this.#context.disk, unfinished, () => next(0))
  }

  #add(log: HintHome): Entry {
    const entry = { log, replay: new HintReplay(log), compacting: false, compactAfterMs: 0, forgetting: null }
    this.#homes.set(log.home, entry)
    return entry
  }

  // --- keys

  /** Does it now, or when what is there has been forgotten. */
  #with(home: number, act: (log: HintHome) => void): void {
    const entry = this.#homes.get(home)
    if (entry?.forgetting) entry.forgetting.waiting.push(() => this.#with(home, act))
    else act((entry ?? this.#add(new HintHome(this.#context, newManifest(this.#context.tier, home), false))).log)
  }

  #having(hash: KeyHash): Entry[] {
    return [...this.#homes.values()].filter(({ log, forgetting }) => !forgetting && log.index.has(hash))
  }

  /** Of two with the same version, the one that was handed over: that came later. */
  #newest(hash: KeyHash): { home: number; log: HintHome; entry: IndexEntry } | null {
    let best: { home: number; log: HintHome; entry: IndexEntry } | null = null
    for (const [home, { log, forgetting }] of this.#homes) {
      const entry = forgetting ? null : log.index.get(hash)
      if (!entry) continue
      const newer = !best || entry.version > best.entry.version
      const handed = entry.version === best?.entry.version && entry.state === HintState.handed
      if (newer || handed) best = { home, log, entry }
    }
    return best
  }

  // --- background

  #compactSoon(entry: Entry): void {
    if (entry.compacting || entry.forgetting || this.#nowMs < entry.compactAfterMs) return
    const segments = chooseSegments(entry.log)
    if (segments.length === 0) return
    entry.compacting = true
    compact(entry.log, segments, failure => {
      entry.compacting = false
      if (failure === null) {
        this.#compactSoon(entry)
        return
      }
      entry.compactAfterMs = this.#nowMs + COMPACT_AGAIN_MS
      this.#context.onEvent(`the hint log of node ${entry.log.home} cannot be compacted: ${failure}`)
    })
  }

  /** As soon as nothing else is done to its files. Until the manifest is gone the next opening goes on with this. */
  #forgetSoon(entry: Entry): void {
    const { log, forgetting } = entry
    assert(forgetting, 'asked for')
    if (forgetting.running || entry.compacting || !log.idle) return
    forgetting.running = true
    const end = (error: Error | null) => {
      forgetting.running = false
      if (error) {
        entry.forgetting = null
        log.abandon(`it cannot be removed: ${error.message}`)
      } else this.#homes.delete(log.home)
      forgetting.done(error && `the hint log of node ${log.home} cannot be removed: ${error.message}`)
      for (const act of forgetting.waiting) act()
    }
    const { disk } = this.#context
    const { name, exists } = log.manifest
    const removeManifest = (error: Error | null) => (error ? end(error) : disk.remove(name, end))
    // The manifest goes when the others are surely gone: segments without one would count as damage.
    const removed = (error: Error | null) => {
      if (error || !exists) end(error)
      else log.sync.now(name, removeManifest)
    }
    // Also files that this log does not know any more, as the disk refused to remove them before: the next log has their names.
    const remove = (error: Error | null) => {
      if (error) end(error)
      else
        disk.list((failure, files) => {
          const names = files.map(file => file.name).filter(one => one !== name && homeOf(one) === log.home)
          if (failure) end(failure)
          else removeAll(disk, names, removed)
        })
    }
    log.sync.stop(() => {
      if (!exists) {
        remove(null)
        return
      }
      log.manifest.change({ forgotten: true })
      log.manifest.save(remove)
    })
  }
}

function homeOf(name: string): number | null {
  const other = /^home-(\d{1,5})\.(?:log|compact)$/.exec(name)
  return other ? Number(other[1]) : (parseSegmentName(name)?.home ?? null)
}
