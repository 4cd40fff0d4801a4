/**
 * A disk in memory for the hint log: every operation waits until it is let go on, in an order that the seed picks, and the machine
 * can stop at any of them, in the middle of a write, with or without what was not synced.
 */
import { strict as assert } from 'node:assert'
import type { DiskDone, HintDisk, HintFile } from '../../lib/handoff/hint-disk.js'

interface Waiting {
  name: string
  run(): void
  /** What a stop in the middle of it leaves. */
  tear: ((random: () => number) => void) | null
}

export class MemoryDisk implements HintDisk {
  readonly files = new Map<string, Uint8Array>()
  /** What a loss of power leaves at least. */
  readonly #durable = new Map<string, Uint8Array>()
  /** Not synced yet: the bytes may still have the old name. */
  readonly #renames: { from: string; to: string; bytes: Uint8Array }[] = []
  readonly #random: () => number
  #waiting: Waiting[] = []
  /** Bytes that all files may have together; beyond it a write is cut short and fails. */
  capacity = Number.POSITIVE_INFINITY
  /** Names whose operations fail, with the operation's name. */
  broken: ((operation: string, name: string) => boolean) | null = null
  written = 0

  constructor(random: () => number) {
    this.#random = random
  }

  /** False: nothing was waiting. */
  step(): boolean {
    const [next] = this.#waiting.splice(Math.floor(this.#random() * this.#waiting.length), 1)
    next?.run()
    return next !== undefined
  }

  settle(): void {
    while (this.step());
  }

  get busy(): number {
    return this.#waiting.length
  }

  /** The process ends here: what it had asked for is done, half done, or not. With `power`, what was not synced may go too. */
  crash(power: boolean): void {
    for (const { tear } of this.#waiting) tear?.(this.#random)
    this.#waiting = []
    if (!power) return
    for (const { from, to, bytes } of this.#renames.splice(0)) this.#loseName(from, to, bytes)
    for (const name of new Set([...this.files.keys(), ...this.#durable.keys()])) this.#losePower(name)
  }

  list(done: (error: Error | null, files: HintFile[]) => void): void {
    this.#later('list', '', done as DiskDone, () =>
      done(
        null,
        [...this.files].map(([name, bytes]) => ({ name, bytes: bytes.length })),
      ),
    )
  }

  read(name: string, offset: number, length: number, done: (error: Error | null, bytes: Uint8Array) => void): void {
    this.#later(
      'read',
      name,
      error => done(error, new Uint8Array(0)),
      () => {
        const bytes = this.files.get(name)
        if (bytes) done(null, bytes.slice(offset, offset + length))
        else done(new Error('there is no such file'), new Uint8Array(0))
      },
    )
  }

  write(name: string, offset: number, bytes: Uint8Array, done: DiskDone): void {
    const put = (length: number) => {
      const old = this.files.get(name) ?? new Uint8Array(0)
      assert(offset <= old.length, `${name}: a hole before byte ${offset}`)
      const whole = new Uint8Array(Math.max(old.length, offset + length))
      whole.set(old)
      whole.set(bytes.subarray(0, length), offset)
      this.files.set(name, whole)
      this.written += length
    }
    const run = () => {
      const used = [...this.files.values()].reduce((sum, file) => sum + file.length, 0)
      const grows = Math.max(0, offset + bytes.length - (this.files.get(name)?.length ?? 0))
      const missing = Math.max(0, used + grows - this.capacity)
      put(Math.max(0, bytes.length - missing))
      done(missing > 0 ? new Error('the disk is full') : null)
    }
    // A file is written over in place only where a single sector changes: that is whole or not at all.
    const inPlace = () => offset === 0 && bytes.length === this.files.get(name)?.length
    const tear = (random: () => number) =>
      put(inPlace() ? Math.round(random()) * bytes.length : Math.floor(random() * (bytes.length + 1)))
    this.#later('write', name, done, run, tear)
  }

  sync(name: string, done: DiskDone): void {
    this.#later('sync', name, done, () => {
      const bytes = this.files.get(name)
      if (bytes) this.#durable.set(name, bytes)
      this.#keepNames()
      done(null)
    })
  }

  syncNames(done: DiskDone): void {
    this.#later('sync', '', done, () => {
      this.#keepNames()
      done(null)
    })
  }

  truncate(name: string, bytes: number, done: DiskDone): void {
    this.#later('truncate', name, done, () => {
      this.files.set(name, this.files.get(name)!.slice(0, bytes))
      done(null)
    })
  }

  rename(from: string, to: string, done: DiskDone): void {
    const run = () => {
      this.files.set(to, this.files.get(from)!)
      this.files.delete(from)
      const bytes = this.#durable.get(from)
      this.#durable.delete(from)
      if (bytes) this.#renames.push({ from, to, bytes })
    }
    this.#later(
      'rename',
      from,
      done,
      () => {
        run()
        done(null)
      },
      random => random() < 0.5 && run(),
    )
  }

  remove(name: string, done: DiskDone): void {
    const run = () => this.files.delete(name)
    this.#later(
      'remove',
      name,
      done,
      () => {
        run()
        done(null)
      },
      random => random() < 0.5 && run(),
    )
  }

  #keepNames(): void {
    for (const { to, bytes } of this.#renames.splice(0)) if (this.files.has(to)) this.#durable.set(to, bytes)
    for (const name of [...this.#durable.keys()]) if (!this.files.has(name)) this.#durable.delete(name)
  }

  #later(operation: string, name: string, done: DiskDone, run: () => void, tear: Waiting['tear'] = null): void {
    const go = () => (this.broken?.(operation, name) ? done(new Error('input/output error')) : run())
    this.#waiting.push({ name, run: go, tear })
  }

  #loseName(from: string, to: string, bytes: Uint8Array): void {
    const kept = this.#random() < 0.5
    this.#durable.set(kept ? to : from, bytes)
    if (kept) return
    this.files.set(from, bytes)
    this.files.delete(to)
  }

  /** The bytes that were synced, those of now, or of what was added a part: cut off, or zeros in its place. */
  #losePower(name: string): void {
    const now = this.files.get(name)
    const safe = this.#durable.get(name)
    const choice = Math.floor(this.#random() * 4)
    if (choice === 0 || !now) {
      if (choice === 0 && safe) this.files.set(name, safe)
      else if (choice === 0) this.files.delete(name)
      return
    }
    const sure = safe?.length ?? 0
    const kept = sure + Math.floor(this.#random() * Math.max(0, now.length - sure + 1))
    if (choice === 1 && now.length > sure) this.files.set(name, now.slice(0, kept))
    if (choice === 2 && now.length > sure)
      this.files.set(
        name,
        now.map((byte, at) => (at < kept ? byte : 0)),
      )
  }
}
