/**
 * The hint log's disk: real files in one folder. Everything is asynchronous (Node's thread pool), so the control plane never waits
 * for a disk. Handles of files that are written stay open, a few at a time; whatever fails is a sentence's end for people.
 */
import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { DiskDone, HintDisk, HintFile } from '../handoff/hint-disk.js'
import { HintLog, type HintLogOptions } from '../handoff/hint-log.js'
import { reasonOf } from '../tier/atomic-file.js'

const HANDLES_MAX = 16
const MODE = 0o600

interface Opened {
  handle: Promise<FileHandle>
  users: number
}

/** Throws an Error with a sentence when the folder cannot be read. */
export function openHintLog(
  folder: string,
  options: Pick<HintLogOptions, 'tier' | 'onEvent' | 'limits' | 'fsync'>,
): Promise<{ log: HintLog; files: HintFiles }> {
  const files = new HintFiles(folder)
  return new Promise((resolve, reject) => {
    HintLog.open({ ...options, disk: files, seed: randomBytes(16), wallClock: Date.now }, (log, problem) => {
      if (log) resolve({ log, files })
      else reject(new Error(`${folder}: ${problem}`))
    })
  })
}

export class HintFiles implements HintDisk {
  readonly folder: string
  readonly #opened = new Map<string, Opened>()
  /** Names came or went since the folder was last synced, or that failed; at first: in an earlier life, perhaps. */
  #namesChanged = true
  /** The folder is being synced: whoever comes meanwhile waits for that. */
  #namesSyncing: Promise<void> | null = null

  constructor(folder: string) {
    this.folder = folder
  }

  list(done: (error: Error | null, files: HintFile[]) => void): void {
    const work = async () => {
      await mkdir(this.folder, { recursive: true, mode: 0o700 })
      const names = await readdir(this.folder)
      return Promise.all(names.map(async name => ({ name, bytes: (await stat(join(this.folder, name))).size })))
    }
    work().then(
      files => done(null, files),
      (error: unknown) => done(plain(error), []),
    )
  }

  read(name: string, offset: number, length: number, done: (error: Error | null, bytes: Uint8Array) => void): void {
    const work = async () => {
      const handle = await open(join(this.folder, name), 'r')
      try {
        const bytes = Buffer.allocUnsafeSlow(length)
        let at = 0
        while (at < length) {
          const { bytesRead } = await handle.read(bytes, at, length - at, offset + at)
          if (bytesRead === 0) break
          at += bytesRead
        }
        return bytes.subarray(0, at)
      } finally {
        await handle.close()
      }
    }
    work().then(
      bytes => done(null, bytes),
      (error: unknown) => done(plain(error), new Uint8Array(0)),
    )
  }

  write(name: string, offset: number, bytes: Uint8Array, done: DiskDone): void {
    const work = async (handle: FileHandle) => {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, offset + at)
        at += bytesWritten
      }
    }
    this.#end(this.#with(name, work, true), done)
  }

  sync(name: string, done: DiskDone): void {
    const work = async () => {
      await this.#with(name, handle => handle.datasync())
      await this.#syncNames()
    }
    this.#end(work(), done)
  }

  syncNames(done: DiskDone): void {
    this.#end(this.#syncNames(), done)
  }

  truncate(name: string, bytes: number, done: DiskDone): void {
    this.#end(
      this.#with(name, handle => handle.truncate(bytes)),
      done,
    )
  }

  rename(from: string, to: string, done: DiskDone): void {
    const work = async () => {
      await this.#close(from)
      await rename(join(this.folder, from), join(this.folder, to))
      this.#namesChanged = true
    }
    this.#end(work(), done)
  }

  remove(name: string, done: DiskDone): void {
    const work = async () => {
      await this.#close(name)
      await rm(join(this.folder, name), { force: true })
      this.#namesChanged = true
    }
    this.#end(work(), done)
  }

  /** Closes what is open. Nothing is lost without it. */
  async close(): Promise<void> {
    await Promise.all([...this.#opened.keys()].map(name => this.#close(name)))
  }

  async #syncNames(): Promise<void> {
    while (this.#namesSyncing) await this.#namesSyncing.catch(() => {})
    if (!this.#namesChanged) return
    this.#namesChanged = false
    const work = async () => {
      const folder = await open(this.folder, 'r')
      await folder.sync().finally(() => folder.close())
    }
    this.#namesSyncing = work()
    try {
      await this.#namesSyncing
    } catch (error) {
      this.#namesChanged = true
      throw error
    } finally {
      this.#namesSyncing = null
    }
  }

  #end(work: Promise<void>, done: DiskDone): void {
    work.then(
      () => done(null),
      (error: unknown) => done(plain(error)),
    )
  }

  async #with(name: string, work: (handle: FileHandle) => Promise<void>, make = false): Promise<void> {
    const opened = this.#opened.get(name) ?? { handle: this.#open(name, make), users: 0 }
    this.#opened.delete(name) // to the end: the one used last
    this.#opened.set(name, opened)
    opened.users++
    try {
      await work(await opened.handle)
    } catch (error) {
      if (this.#opened.get(name) === opened) this.#opened.delete(name)
      void opened.handle.then(handle => handle.close()).catch(() => {})
      throw error
    } finally {
      opened.users--
      this.#closeSome()
    }
  }

  async #open(name: string, make: boolean): Promise<FileHandle> {
    const path = join(this.folder, name)
    try {
      return await open(path, 'r+')
    } catch (error) {
      if (!make || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    this.#namesChanged = true
    return open(path, 'wx+', MODE)
  }

  #closeSome(): void {
    for (const [name, { users }] of this.#opened) {
      if (this.#opened.size <= HANDLES_MAX) return
      if (users === 0) this.#close(name).catch(() => {}) // written it is: `write` said so
    }
  }

  async #close(name: string): Promise<void> {
    const opened = this.#opened.get(name)
    if (!opened) return
    this.#opened.delete(name)
    await (await opened.handle).close()
  }
}

function plain(error: unknown): Error {
  return new Error(reasonOf(error))
}
