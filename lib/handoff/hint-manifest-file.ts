/**
 * The manifest of one log and how it gets to the disk: one write after the other; a state that a newer one has overtaken is left
 * out, and whoever waited for it waits for the newer one.
 */
import type { DiskDone, HintDisk } from './hint-disk.js'
import { encodeManifest, type HintManifest } from './hint-manifest.js'
import type { HintSync } from './hint-sync.js'

export const manifestName = (home: number) => `home-${home}.log`

export class ManifestFile {
  readonly name: string
  value: HintManifest
  /** There is one on the disk, though perhaps an older one. */
  exists: boolean
  /** Number of the last segment that the one on the disk names. */
  namedLast: number
  readonly #disk: HintDisk
  readonly #sync: HintSync
  #saving = false
  #waiting: DiskDone[] = []

  constructor(disk: HintDisk, sync: HintSync, value: HintManifest, exists: boolean) {
    this.#disk = disk
    this.#sync = sync
    this.name = manifestName(value.home)
    this.value = value
    this.exists = exists
    this.namedLast = exists ? value.last : 0
  }

  get busy(): boolean {
    return this.#saving
  }

  change(change: Partial<HintManifest>): void {
    this.value = { ...this.value, ...change }
  }

  save(done: DiskDone): void {
    this.#waiting.push(done)
    if (!this.#saving) this.#write()
  }

  #write(): void {
    this.#saving = true
    const waiting = this.#waiting.splice(0)
    const { last } = this.value
    const end = (error: Error | null) => {
      this.#saving = false
      if (!error) {
        this.exists = true
        this.namedLast = last
      }
      if (this.#waiting.length > 0) this.#write()
      for (const done of waiting) done(error)
    }
    // That a log is not to be believed, has lost something, or is over, must not be forgotten.
    const grave = !this.value.logging || this.value.forgotten || this.value.loss !== null
    this.#disk.write(this.name, 0, encodeManifest(this.value), error => {
      if (error) end(error)
      else if (grave) this.#sync.now(this.name, end)
      else this.#sync.written(this.name, end)
    })
  }
}
