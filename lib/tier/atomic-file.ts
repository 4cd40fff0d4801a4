/**
 * A file that is either the old one or the new one, whatever happens in between: written beside, synced, renamed over.
 * The only place of lib/tier that writes to a disk; knows nothing of what is in the files.
 */
import { closeSync, fsync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

/** Something on the disk that cannot be used; the message is a sentence for people. */
export class DamagedFile extends Error {}

export function writeAtomically(path: string, text: string, mode = 0o644): void {
  const beside = `${path}.tmp`
  const file = openSync(beside, 'w', mode)
  try {
    writeWhole(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(beside, path)
  syncDirectory(dirname(path))
}

/**
 * The same without standing still for the disk. One at a time for one path. What only touches memory is done at once: on a busy
 * machine each trip to another thread and back costs more than all of it.
 */
export async function writeAtomicallySoon(path: string, text: string, mode = 0o644): Promise<void> {
  const beside = `${path}.tmp`
  const file = openSync(beside, 'w', mode)
  try {
    writeWhole(file, text)
    await sync(file)
  } finally {
    closeSync(file)
  }
  renameSync(beside, path)
  const directory = openSync(dirname(path), 'r')
  try {
    await sync(directory)
  } finally {
    closeSync(directory)
  }
}

const sync = promisify(fsync)

function writeWhole(file: number, text: string): void {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
}

/** Null when there is no such file; any other trouble is a sentence. */
export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw new DamagedFile(`${path} cannot be read (${reasonOf(error)})`)
  }
}

export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    throw new DamagedFile(`the directory ${path} cannot be made (${reasonOf(error)})`)
  }
}

/** The rename itself must be on the disk too, or a crash could bring the old name back. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'part of the path is no directory',
  EISDIR: 'it is a directory',
  EEXIST: 'a file is in the way',
}

export function reasonOf(error: unknown): string {
  const code = codeOf(error)
  return (code && REASONS[code]) ?? code ?? String(error)
}
