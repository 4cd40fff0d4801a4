/** A disk that can be full: some MB of tmpfs, which only root may mount. Unmounted at the end, but not by SIGKILL: then it stays until umount. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { removeAtExit } from './leftovers.js'

const SIZE = '8m'
const FILLER_BYTES = 4096

export class SmallDisk {
  readonly #path: string
  readonly #keep: () => void
  #isMounted = true

  private constructor(path: string) {
    this.#path = path
    this.#keep = removeAtExit(() => this.remove())
  }

  /** `place` leads to it. A sentence: why there is none. */
  static at(place: string): SmallDisk | string {
    const path = mkdtempSync(join(tmpdir(), 'continuum-disk-'))
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', path], { stdio: 'pipe' })
    } catch (error) {
      rmdirSync(path)
      return `no small disk could be mounted (${(error as Error).message.trim().split('\n').at(-1)})`
    }
    mkdirSync(dirname(place), { recursive: true })
    symlinkSync(path, place)
    return new SmallDisk(path)
  }

  /** Until not a byte more is taken. */
  fill(): void {
    for (const bytes of [FILLER_BYTES, 1]) {
      try {
        for (;;) appendFileSync(join(this.#path, 'filler'), Buffer.alloc(bytes))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
    }
  }

  empty(): void {
    rmSync(join(this.#path, 'filler'), { force: true })
  }

  remove(): void {
    if (!this.#isMounted) return
    this.#isMounted = false
    this.#keep()
    execFileSync('umount', ['-l', this.#path], { stdio: 'pipe' })
    rmdirSync(this.#path)
  }
}
