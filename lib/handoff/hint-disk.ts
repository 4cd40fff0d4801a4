/**
 * The disk as the hint log sees it: a handful of files by name in one folder. lib/server/hint-files.ts is one with real
 * files; the tests have one in memory that can be cut at every byte.
 *
 * `done` is never called before the method has returned, and exactly once. The log never has two writes, or a write and a
 * rename or removal, of one name under way at once; reads may come at any time.
 */
export interface HintFile {
  name: string
  bytes: number
}

export type DiskDone = (error: Error | null) => void

export interface HintDisk {
  list(done: (error: Error | null, files: HintFile[]) => void): void
  /** Fewer bytes than asked for only at the end of the file. */
  read(name: string, offset: number, length: number, done: (error: Error | null, bytes: Uint8Array) => void): void
  /** Makes the file if there is none. `bytes` are not touched until `done`. */
  write(name: string, offset: number, bytes: Uint8Array, done: DiskDone): void
  /** The file's bytes survive a loss of power, and which names there are. */
  sync(name: string, done: DiskDone): void
  /** Of these, which names there are: what was removed does not come back. */
  syncNames(done: DiskDone): void
  truncate(name: string, bytes: number, done: DiskDone): void
  /** Over what has the new name, at once. */
  rename(from: string, to: string, done: DiskDone): void
  /** No error when there is no such file. */
  remove(name: string, done: DiskDone): void
}

/** One after the other; stops at the first that cannot be removed. */
export function removeAll(disk: HintDisk, names: readonly string[], done: DiskDone): void {
  const next = (index: number, error: Error | null): void => {
    const name = error ? undefined : names[index]
    if (name === undefined) done(error)
    else disk.remove(name, late => next(index + 1, late))
  }
  next(0, null)
}
