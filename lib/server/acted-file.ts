/**
 * The newest generation by which a life of this node may have acted while somebody was away, in a file of one size, written over in
 * place so that it needs no room. It is on the disk before such a picture is in force: so a later life knows of which outages the
 * earlier one never heard, and that a hint log which is not there lacks nothing.
 *
 *   acted-epoch    "       42\n"     missing or anything else: nothing is known
 */
import { promises } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Acted } from './control-plane.js'

const DIGITS = 15
const SHAPE = /^ *\d+\n$/
const AGAIN_MS = 1000

export class ActedFile implements Acted {
  readonly before: number | null
  readonly #path: string
  readonly #onProblem: (sentence: string) => void
  /** On the disk. */
  #noted: number | null
  #running = false
  #waiting: { epoch: number; then: () => void }[] = []

  constructor(path: string, before: number | null, onProblem: (sentence: string) => void) {
    this.#path = path
    this.before = before
    this.#noted = before
    this.#onProblem = onProblem
  }

  static async open(directory: string, onProblem: (sentence: string) => void): Promise<ActedFile> {
    const path = join(directory, 'acted-epoch')
    const text = await promises.readFile(path, 'latin1').catch(() => '')
    return new ActedFile(path, SHAPE.test(text) && text.length === DIGITS + 1 ? Number(text) : null, onProblem)
  }

  isNoted(epoch: number, hasAbsence: boolean): boolean {
    return this.#noted !== null && (this.#noted >= epoch || !hasAbsence)
  }

  note(epoch: number, then: () => void): void {
    this.#waiting.push({ epoch, then })
    if (!this.#running) void this.#run()
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) {
      const due = this.#waiting.splice(0)
      const epoch = Math.max(this.#noted ?? 0, ...due.map(one => one.epoch))
      await this.#write(epoch)
      this.#noted = epoch
      for (const { then } of due) then()
    }
    this.#running = false
  }

  /** What cannot be written must not stay as it is: it would say that this life acted less than it did. */
  async #write(epoch: number): Promise<void> {
    for (;;) {
      try {
        await this.#overwrite(`${String(epoch).padStart(DIGITS)}\n`)
        return
      } catch (error) {
        if (await this.#remove()) return
        this.#onProblem(`${this.#path} can be neither written nor removed, so no outage is acted in: ${String(error)}`)
        await new Promise(resolve => setTimeout(resolve, AGAIN_MS).unref())
      }
    }
  }

  async #overwrite(text: string): Promise<void> {
    const isNew = this.#noted === null
    const file = await promises.open(this.#path, isNew ? 'w' : 'r+')
    try {
      await file.write(text, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    if (isNew) await syncDirectory(dirname(this.#path))
  }

  async #remove(): Promise<boolean> {
    try {
      await promises.rm(this.#path, { force: true })
      await syncDirectory(dirname(this.#path))
      return true
    } catch {
      return false
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await promises.open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
