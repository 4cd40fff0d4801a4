/**
 * The hint log of a simulated node. What was noted is on disk some steps later; a crash in between loses it, or not. Like
 * the real one it answers from its index at once.
 */
import type { Hints } from '../../lib/handoff/hints.js'

interface Entry {
  homes: ReadonlySet<number>
  generation: number
  record: Uint8Array
}

const text = (key: Uint8Array) => Buffer.from(key).toString('latin1')

export class ModelHints implements Hints {
  #index = new Map<string, Entry>()
  readonly #disk = new Map<string, Entry>()
  readonly #homes = new Set<number>()
  readonly #void = new Set<number>()
  #after: (delay: number, run: () => void) => void = () => {}
  #random: () => number = Math.random

  /** A new life: only what is on disk is known. */
  restart(after: (delay: number, run: () => void) => void, random: () => number): void {
    this.#after = after
    this.#random = random
    this.#index = new Map(this.#disk)
  }

  /** Is this very write of the key on disk? */
  has(key: string, version: bigint): boolean {
    const entry = this.#disk.get(key)
    return entry !== undefined && BigInt(JSON.parse(Buffer.from(entry.record).toString()).version) === version
  }

  find(key: Uint8Array): number {
    return this.#index.get(text(key))?.generation ?? -1
  }

  read(key: Uint8Array, done: (record: Uint8Array | null) => void): void {
    this.#after(this.#random() * 4, () => done(this.#index.get(text(key))?.record ?? null))
  }

  note(
    home: number,
    key: Uint8Array,
    generation: number,
    record: Uint8Array,
    done: (failure: string | null) => void,
  ): void {
    const noted = () => done(null)
    const homes = new Set(this.#index.get(text(key))?.homes).add(home)
    this.#write(text(key), { homes, generation, record }, noted)
  }

  bury(key: Uint8Array, tombstone: Uint8Array, done: () => void): void {
    const known = this.#index.get(text(key))!
    this.#write(text(key), { ...known, record: tombstone }, done)
  }

  keep(key: Uint8Array, home: number, done: () => void): void {
    const known = this.#index.get(text(key))
    if (known) this.#write(text(key), { ...known, homes: new Set(known.homes).add(home) }, done)
    else done()
  }

  keys(): Iterable<Uint8Array> {
    return [...this.#index.keys()].map(key => Buffer.from(key, 'latin1'))
  }

  isVoid(home: number): boolean {
    return this.#void.has(home)
  }

  homes(): Iterable<number> {
    return this.#homes
  }

  open(home: number): void {
    this.#homes.add(home) // the disk is never replaced here
  }

  drop(keys: readonly Uint8Array[], done: () => void): void {
    for (const key of keys) this.#index.delete(text(key))
    this.#after(this.#random() * 4, () => {
      for (const key of keys) this.#disk.delete(text(key))
      done()
    })
  }

  forget(home: number, done: () => void): void {
    for (const map of [this.#index, this.#disk])
      for (const [key, entry] of map) {
        const homes = new Set(entry.homes)
        if (!homes.delete(home)) continue
        if (homes.size > 0) map.set(key, { ...entry, homes })
        else map.delete(key)
      }
    this.#homes.delete(home)
    this.#void.delete(home)
    done()
  }

  flush(): void {} // nothing is flushed here

  tick(): void {}

  readonly stats = []

  #write(key: string, entry: Entry, done: () => void): void {
    this.#index.set(key, entry)
    this.#after(this.#random() * 4, () => {
      const now = this.#index.get(key)
      if (!now) return done() // forgotten or dropped meanwhile: that comes after it on disk, too
      const newest = this.#disk.get(key)
      const version = (one: Entry) => BigInt(JSON.parse(Buffer.from(one.record).toString()).version)
      if (!newest || version(newest) <= version(entry)) this.#disk.set(key, { ...entry, homes: now.homes })
      done()
    })
  }
}
