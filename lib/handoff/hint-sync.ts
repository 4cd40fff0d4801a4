/**
 * When what was written to the files of one log is made to survive a loss of power: at once (`always`: the entry is not
 * safe before), every so many milliseconds, or as the system likes (`never`). A process that ends loses nothing by any of them.
 */
import type { DiskDone, HintDisk } from './hint-disk.js'

export type FsyncPolicy = 'always' | 'never' | number

export class HintSync {
  readonly #disk: HintDisk
  readonly policy: FsyncPolicy
  readonly #onError: (name: string, error: Error) => void
  readonly #dirty = new Set<string>()
  #running = false
  #syncedAtMs = 0
  #idle: (() => void) | null = null

  constructor(disk: HintDisk, policy: FsyncPolicy, onError: (name: string, error: Error) => void) {
    this.#disk = disk
    this.policy = policy
    this.#onError = onError
  }

  get busy(): boolean {
    return this.#running
  }

  /** `done` at once, unless the policy is to wait for the disk. */
  written(name: string, done: DiskDone): void {
    if (this.policy === 'always') {
      this.#disk.sync(name, done)
      return
    }
    if (typeof this.policy === 'number') this.#dirty.add(name)
    done(null)
  }

  /** Sooner than an interval: what must not be lost. */
  now(name: string, done: DiskDone): void {
    if (this.policy === 'never') done(null)
    else this.#disk.sync(name, done)
  }

  /** What was removed must not come back. */
  names(done: DiskDone): void {
    if (this.policy === 'never') done(null)
    else this.#disk.syncNames(done)
  }

  /** Everything that was written so far. */
  all(done: DiskDone): void {
    const names = [...this.#dirty]
    const next = (index: number, error: Error | null): void => {
      const name = error ? undefined : names[index]
      if (name === undefined) done(error)
      else this.#disk.sync(name, late => next(index + 1, late))
    }
    next(0, null)
  }

  tick(nowMs: number): void {
    if (typeof this.policy !== 'number' || this.#running || nowMs - this.#syncedAtMs < this.policy) return
    this.#syncedAtMs = nowMs
    this.#next()
  }

  /** The files are about to be removed: nothing more is synced; `done` when nothing is under way. */
  stop(done: () => void): void {
    this.#dirty.clear()
    if (this.#running) this.#idle = done
    else done()
  }

  #next(): void {
    const [name] = this.#dirty
    this.#running = name !== undefined
    if (name === undefined) {
      this.#idle?.()
      this.#idle = null
      return
    }
    this.#dirty.delete(name)
    this.#disk.sync(name, error => {
      if (error) this.#onError(name, error)
      this.#next()
    })
  }
}
