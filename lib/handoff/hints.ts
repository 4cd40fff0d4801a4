/**
 * What handoff asks of the hint log (DESIGN 8): what this node wrote or deleted while a node that is away could not be
 * asked, kept on its disk, one log a home. lib/server implements it over files; a node that is no part of a tier with
 * absence has none.
 *
 * A void log is one that may lack something it should have (overflow, damage, disk full, lost): then what the home
 * remembers of the time before must not be trusted for any arc that the log covers.
 */
import type { HintStats } from './hint-log.js'

export interface Hints {
  /** Generation in which the newest logged write of the key was made; -1: there is none. */
  find(key: Uint8Array): number
  /**
   * The record of that write, its time to live as of now; null: it ran out or cannot be read, which counts as deleted once that
   * loss is safe.
   */
  read(key: Uint8Array, done: (record: Uint8Array | null) => void): void
  /**
   * Logs what this node now holds for a key. `done` when it is on disk, or when the log is void; with a failure when the disk does
   * not even take that: a later life would believe what is older, so the write must not be acknowledged. Order is kept.
   */
  note(
    home: number,
    key: Uint8Array,
    generation: number,
    record: Uint8Array,
    done: (failure: string | null) => void,
  ): void
  /** Why a write of the key must not even be executed: the disk is known to take nothing. Null: nothing is known against it. */
  refusal(home: number, key: Uint8Array): string | null
  /**
   * From now on no later life finds the key in a log: it is about to be handed over. The log that has it calls it deleted. `done` as of
   * `note`; with a failure it must not be handed over.
   */
  bury(key: Uint8Array, tombstone: Uint8Array, done: (failure: string | null) => void): void
  /** The newest logged write of the key is in the log of this home, too. `done` when it is on disk, or that log's loss is. */
  keep(key: Uint8Array, home: number, done: () => void): void
  /** All logged keys, in any order. */
  keys(): Iterable<Uint8Array>
  /** May it lack something that it should have? Where there is none, nothing was to be logged, if logs can be had at all. */
  isVoid(home: number): boolean
  /** Has a log for this home lost something, so that an absence of a key in it says nothing? False where nothing is ever logged. */
  isLossy(home: number): boolean
  /** Has any? */
  readonly isAnyLossy: boolean
  /**
   * Does the disk know of every loss? A later life believes the logs as the disk has them. So until then nothing is told, and
   * nothing is given away, that follows from what a log lacks: not that a key is missing, nor that a home's memory does not count.
   */
  readonly areLossesSafe: boolean
  /**
   * Memory is without a key whose write was refused: the disk may have that write all the same, or not. `putBack` when all losses are
   * safe, and before anybody is told so. `mark`: generation of what this node knew before, and will know again; -1: nothing.
   */
  setAside(key: Uint8Array, mark: number, putBack: () => void): void
  /** Generation of what is set aside of a key: what comes from a node that acted before is older. -1: nothing. */
  aside(key: Uint8Array): number
  /** `done` once it does: at once if nothing was lost. With a failure, a sentence, while the disk takes no such news. */
  whenLossesSafe(done: (failure: string | null) => void): void
  /** Homes for which there is a log. */
  homes(): Iterable<number>
  /**
   * From now on there is a log for this home. `isVoid`: an earlier life of the node may have had one that is not here, so the
   * log is void if it is new.
   */
  open(home: number, isVoid: boolean): void
  /** These writes are of no use any more, and newer ones will not be logged. `done` when they are gone for good, and all losses safe. */
  drop(keys: readonly Uint8Array[], done: () => void): void
  /** The outage is over. `done` when the log is gone for good. */
  forget(home: number, done: () => void): void
  /** Nothing that was written up to this version counts any more. */
  flush(generation: number, version: bigint): void
  /** The newest version of which that was said, in this life or an earlier one, as far as there were logs; 0: none. */
  readonly flushed: bigint
  /** For people. */
  readonly stats: readonly HintStats[]
  /** `now`: ms of a clock that does not go back. Some ten times a second. */
  tick(now: number): void
}

/** Of a node that never has to remember. */
export const NO_HINTS: Hints = {
  find: () => -1,
  read: (_key, done) => done(null),
  note: (_home, _key, _generation, _record, done) => done(null),
  refusal: () => null,
  bury: (_key, _tombstone, done) => done(null),
  keep: (_key, _home, done) => done(),
  keys: () => [],
  isVoid: () => true,
  isLossy: () => false,
  isAnyLossy: false,
  areLossesSafe: true,
  setAside: (_key, _mark, putBack) => putBack(),
  aside: () => -1,
  whenLossesSafe: done => done(null),
  homes: () => [],
  open: () => {},
  drop: (_keys, done) => done(),
  forget: (_home, done) => done(),
  flush: () => {},
  flushed: 0n,
  tick: () => {},
  stats: [],
}
