/**
 * Warm restart (-e): what a node alone holds is written to a file when it stops, and read back when it starts again. A file is
 * read once: it says what was true when the node stopped, and nothing of the life after.
 *
 *   one line of JSON (format, program, layout, time) padded to 4096 bytes | ranges: offset, length, bytes | end, sha-256 of all before
 *
 * Written beside and renamed, so that a file is whole or not there; a torn or strange one is refused with a sentence, and the
 * node starts empty.
 */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { fixedRanges, type ImageRange, imageLayout, isLocked, usedRanges } from '../engine/arena-image.js'
import type { Arena } from '../engine/contract.js'

const FORMAT = 1
const HEAD_BYTES = 4096
const STEP = 1 << 24
const SUM_BYTES = 32
/** Names of the flags that decide the layout. */
const FLAGS: Record<string, string> = {
  ...{ memoryLimitMb: '-m', itemSizeMax: '-I', growthFactor: '-f', chunkSizeMin: '-n', threads: '-t' },
  ...{ cas: '-C', hashPower: '-o hashpower', slabChunkMax: '-o slab_chunk_max' },
}

/** One step of what is read or written next. */
interface Place {
  file: number
  at: number
  sum: Hash
}

/** Null: it is written. Else a sentence why not; the file is then as it was before. Nobody may be using the arena. */
export function saveMemory(arena: Arena, path: string, wallClock: number, version: string): string | null {
  if (isLocked(arena)) return `the memory file ${path} is not written: a thread was ended in the middle of a request`
  const beside = `${path}.new`
  try {
    const file = openSync(beside, 'w', 0o600)
    try {
      const head = { format: FORMAT, version, layout: imageLayout(arena), savedAt: wallClock }
      const place: Place = { file, at: 0, sum: createHash('sha256') }
      put(place, Buffer.from(`${JSON.stringify(head).padEnd(HEAD_BYTES - 1)}\n`))
      const bytes = new Uint8Array(arena.memory.buffer)
      for (const range of [...fixedRanges(arena), ...usedRanges(arena)]) {
        for (let done = 0; done < range.length; done += STEP) {
          put(place, bytes.slice(range.offset + done, range.offset + Math.min(range.length, done + STEP)))
        }
      }
      put(place, place.sum.copy().digest())
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(beside, path)
    return null
  } catch (error) {
    rmSync(beside, { force: true })
    return `the memory file ${path} cannot be written: ${(error as Error).message}`
  }
}

export type Loaded = { savedAt: number; bytes: number } | { refused: string } | null

/**
 * Into a fresh arena, which a refusal may leave half filled: it must then be reset. Null: there is no such file. The file is
 * gone afterwards, unless it was refused.
 */
export function loadMemory(arena: Arena, path: string): Loaded {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    return refusal(path, (error as Error).message)
  }
  try {
    const place: Place = { file, at: 0, sum: createHash('sha256') }
    const size = fstatSync(file).size
    const head = headOf(take(place, HEAD_BYTES))
    if (typeof head === 'string') return refusal(path, head)
    const wanted = imageLayout(arena)
    const other = Object.keys(wanted).find(name => wanted[name] !== head.layout[name])
    if (other) {
      const what = FLAGS[other] ?? other
      return refusal(path, `it was written with another ${what} (${head.layout[other]}, now ${wanted[other]})`)
    }
    // First all of it, so that nothing is believed of a file that is torn.
    while (place.at < size - SUM_BYTES) take(place, Math.min(STEP, size - SUM_BYTES - place.at))
    if (!place.sum.copy().digest().equals(take(place, SUM_BYTES))) return refusal(path, 'its checksum is wrong')
    place.at = HEAD_BYTES
    const fill = (ranges: ImageRange[]) => {
      const bytes = new Uint8Array(arena.memory.buffer)
      for (const { offset, length } of ranges) {
        for (let done = 0; done < length; done += STEP) {
          bytes.set(take(place, Math.min(STEP, length - done)), offset + done)
        }
      }
    }
    fill(fixedRanges(arena))
    fill(usedRanges(arena))
    if (place.at !== size - SUM_BYTES) return refusal(path, 'it has another length than it says')
    rmSync(path)
    return { savedAt: head.savedAt, bytes: size }
  } catch (error) {
    return refusal(path, (error as Error).message)
  } finally {
    closeSync(file)
  }
}

function refusal(path: string, why: string): Loaded {
  return { refused: `the memory file ${path} is not used, and the node starts empty: ${why}` }
}

function headOf(bytes: Buffer): { layout: Record<string, number | boolean>; savedAt: number } | string {
  try {
    const head = JSON.parse(bytes.toString()) as Record<string, unknown>
    if (head.format !== FORMAT) return `it is of format ${String(head.format)}, not ${FORMAT}`
    if (typeof head.layout !== 'object' || head.layout === null) return 'it does not say how it was laid out'
    return { layout: head.layout as Record<string, number | boolean>, savedAt: Number(head.savedAt) }
  } catch {
    return 'it is no memory file'
  }
}

function put(place: Place, bytes: Uint8Array): void {
  place.sum.update(bytes)
  for (let at = 0; at < bytes.length; ) at += writeSync(place.file, bytes, at)
  place.at += bytes.length
}

function take(place: Place, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; ) {
    const read = readSync(place.file, bytes, at, length - at, place.at + at)
    if (read === 0) throw new Error('it ends too early')
    at += read
  }
  place.at += length
  place.sum.update(bytes)
  return bytes
}
