/**
 * The node's hint log as handoff asks for it: what hints.ts says, on top of HintLog. It adds the keys themselves, which the
 * log has on the disk alone, and the answers for a node whose log could not be opened: then nothing is remembered, and
 * whatever could have been is void.
 */

import { keyOfName, nameOfKey } from '../engine/key-name.js'
import type { HintLog, HintStats } from './hint-log.js'
import { type HintDone, together } from './hint-writer.js'
import type { Hints } from './hints.js'

/** Entries read at once when the log of an earlier life is gone through. */
const PART = 1000

export class LoggedHints implements Hints {
  #log: HintLog | null = null
  /** Those that were logged and not handed over, and some that a flush or a forgotten outage has overtaken. */
  readonly #keys = new Set<string>()
  /** Who cannot go on before the losses are safe: tried again with every tick. */
  #waiting: (() => void)[] = []
  /** What brings back to memory what it held before a write was refused. */
  #aside: { name: string; mark: number; putBack: () => void }[] = []

  /** `done` when all that an earlier life has left is known. Before anything else is asked. */
  attach(log: HintLog, done: () => void): void {
    this.#log = log
    const homes = log.homes()
    const next = (index: number, from: number): void => {
      const home = homes[index]
      if (home === undefined) {
        done()
        return
      }
      log.replay(home, from, PART, part => {
        for (const { key } of part.hints) this.#keys.add(nameOfKey(key))
        if (part.end) next(index + 1, 0)
        else next(index, part.next)
      })
    }
    next(0, 0)
  }

  get stats(): HintStats[] {
    return this.#log?.stats() ?? []
  }

  find(key: Uint8Array): number {
    if (this.#keys.size === 0) return -1
    const found = this.#log?.find(key)
    return found?.state === 'held' ? found.generation : -1
  }

  read(key: Uint8Array, done: (record: Uint8Array | null) => void): void {
    if (this.#log) this.#log.read(key, done)
    else done(null)
  }

  note(home: number, key: Uint8Array, generation: number, record: Uint8Array, done: HintDone): void {
    if (!this.#log) {
      done(null)
      return
    }
    this.#log.append(home, { generation, record }, done)
    // A log that overflowed leaves the key out: then it has no place here, either, and both stay bounded.
    if (this.#log.find(key)?.state === 'held' || !this.isLossy(home)) this.#keys.add(nameOfKey(key))
    else this.#keys.delete(nameOfKey(key))
  }

  refusal(home: number, key: Uint8Array): string | null {
    return this.#log?.refusal(home, key) ?? null
  }

  bury(key: Uint8Array, tombstone: Uint8Array, done: HintDone): void {
    const found = this.#log?.find(key)
    // What a log has lost of the key may still be on the disk.
    if (found?.state !== 'held') this.whenLossesSafe(done)
    else this.#log!.append(found.home, { generation: found.generation, record: tombstone }, done)
  }

  keep(key: Uint8Array, home: number, done: () => void): void {
    const log = this.#log
    const found = log?.find(key)
    // What cannot be read, or be written, leaves a log that is void.
    const end = () => this.#untilLossesSafe(done)
    if (found?.state !== 'held') {
      end()
      return
    }
    if (log!.has(home, key, found.version)) {
      log!.whenWritten(home, end)
      return
    }
    log!.read(key, record => {
      if (record) log!.append(home, { generation: found.generation, record }, end)
      else end()
    })
  }

  *keys(): Generator<Uint8Array> {
    for (const name of this.#keys) {
      const key = keyOfName(name)
      if (this.find(key) >= 0) yield key
      else this.#keys.delete(name)
    }
  }

  isVoid(home: number): boolean {
    return this.#log === null || this.isLossy(home)
  }

  get isAnyLossy(): boolean {
    return this.#log !== null && this.#log.losses().length > 0
  }

  isLossy(home: number): boolean {
    return this.#log?.losses().some(loss => loss.home === home) ?? false
  }

  get areLossesSafe(): boolean {
    return this.#log === null || (this.#aside.length === 0 && this.#log.areLossesSafe)
  }

  setAside(key: Uint8Array, mark: number, putBack: () => void): void {
    this.#aside.push({ name: nameOfKey(key), mark, putBack })
    this.#untilLossesSafe(() => {})
  }

  aside(key: Uint8Array): number {
    if (this.#aside.length === 0) return -1
    const name = nameOfKey(key)
    return Math.max(-1, ...this.#aside.filter(aside => aside.name === name).map(({ mark }) => mark))
  }

  whenLossesSafe(done: HintDone): void {
    if (!this.#log) {
      done(null)
      return
    }
    const log = this.#log
    log.whenLossesSafe(failure => {
      if (failure === null && !log.areLossesSafe) {
        this.whenLossesSafe(done) // of a loss since then: what was set aside because of it must not come back yet
        return
      }
      if (failure === null) for (const { putBack } of this.#aside.splice(0)) putBack()
      done(failure)
    })
  }

  #untilLossesSafe(done: () => void): void {
    this.whenLossesSafe(failure => {
      if (failure === null) done()
      else this.#waiting.push(() => this.#untilLossesSafe(done))
    })
  }

  homes(): Iterable<number> {
    return this.#log?.homes() ?? []
  }

  open(home: number, isVoid: boolean): void {
    this.#log?.begin(home, isVoid)
  }

  drop(keys: readonly Uint8Array[], done: () => void): void {
    const all = together(keys.length, () => this.#untilLossesSafe(done))
    for (const key of keys) {
      this.#keys.delete(nameOfKey(key))
      const found = this.#log?.find(key)
      if (found?.state === 'held') this.#log!.appendHanded(key, found.generation, 0, all)
      else all(null)
    }
  }

  forget(home: number, done: () => void): void {
    if (this.#log) this.#log.forget(home, () => done())
    else done()
  }

  flush(generation: number, version: bigint): void {
    this.#log?.appendFlush(generation, version, () => {})
  }

  get flushed(): bigint {
    return this.#log?.flushedVersion ?? 0n
  }

  tick(now: number): void {
    this.#log?.tick(now)
    for (const again of this.#waiting.splice(0)) again()
  }
}
