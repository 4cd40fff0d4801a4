/**
 * Warm restart (-e): what a node holds is written to a file when it stops, and read back when it starts again. A file is
 * read once: it says what was true when the node stopped, and nothing of the life after. That of a node of a tier says whose it is
 * (lib/tier/kept-memory.ts), and whoever reads it says whether that may be believed.
 *
 *   one line of JSON (format, program, layout, time, owner) padded to 4096 bytes | ranges: offset, length, bytes | end, sha-256 of all before
 *
 * Written beside and renamed, so that a file is whole or not there; a torn or strange one is refused with a sentence, and the
 * node starts empty.
 */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { fixedRanges, type ImageRange, imageLayout, isLocked, usedRanges } from '../engine/arena-image.js'
import type { Arena } from '../engine/contract.js'
import type { MemoryOwner } from '../tier/kept-memory.js'

const FORMAT = 2
const HEAD_BYTES = 4096
const STEP = 1 << 24
const SUM_BYTES = 32
/** Names of the flags that decide the layout. */
const FLAGS: Record<string, string> = {
  ...{ memoryLimitMb: '-m', itemSizeMax: '-I', growthFactor: '-f', chunkSizeMin: '-n', threads: '-t' },
  ...{ cas: '-C', hashPower: '-o hashpower', slabChunkMax: '-o slab_chunk_max', pages: 'layout of the memory' },
}

/** One step of what is read or written next. */
interface Place {
  file: number
  at: number
  sum: Hash
}

/** Null: it is written. Else a sentence why not; the file is then as it was before. Nobody may be using the arena. */
export function saveMemory(
  arena: Arena,
  path: string,
  wallClock: number,
  version: string,
  owner: MemoryOwner | null = null,
): string | null {
  if (isLocked(arena)) return `the memory file ${path} is not written: a thread was ended in the middle of a request`
  const beside = `${path}.new`
  try {
    const file = openSync(beside, 'w', 0o600)
    try {
      const head = { format: FORMAT, version, layout: imageLayout(arena), savedAt: wallClock, owner }
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

export type Loaded = { savedAt: number; bytes: number; owner: MemoryOwner | null } | { refused: string } | null

/** Why a node alone does not believe a file; null: it does. */
export const ofNodeAlone = (owner: MemoryOwner | null): string | null =>
  owner && `it is of node "${owner.node}" of tier "${owner.tier}"`

/**
 * Into a fresh arena, which a refusal may leave half filled: it must then be reset. Null: there is no such file. The file is
 * gone afterwards, unless it was refused. `whyNot`: half a sentence why a file of this owner is not believed.
 */
export function loadMemory(
  arena: Arena,
  path: string,
  whyNot: (owner: MemoryOwner | null) => string | null = ofNodeAlone,
): Loaded {
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
    const why = whyNot(head.owner)
    if (why !== null) return refusal(path, why)
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
    return { savedAt: head.savedAt, bytes: size, owner: head.owner }
  } catch (error) {
    return refusal(path, (error as Error).message)
  } finally {
    closeSync(file)
  }
}

function refusal(path: string, why: string): Loaded {
  return { refused: `the memory file ${path} is not used, and the node starts empty: ${why}` }
}

interface Head {
  layout: Record<string, number | boolean>
  savedAt: number
  owner: MemoryOwner | null
}

function headOf(bytes: Buffer): Head | string {
  try {
    const head = JSON.parse(bytes.toString()) as Record<string, unknown>
    if (head.format !== FORMAT) return `it is of format ${String(head.format)}, not ${FORMAT}`
    if (typeof head.layout !== 'object' || head.layout === null) return 'it does not say how it was laid out'
    const owner = head.owner === undefined || head.owner === null ? null : ownerFrom(head.owner)
    if (owner === undefined) return 'it does not say whose it is'
    return { layout: head.layout as Record<string, number | boolean>, savedAt: Number(head.savedAt), owner }
  } catch {
    return 'it is no memory file'
  }
}

function ownerFrom(value: unknown): MemoryOwner | undefined {
  const { tier, node, incarnation, base, epoch } = Object(value) as Record<keyof MemoryOwner, unknown>
  const isNamed = typeof tier === 'string' && typeof node === 'string' && typeof incarnation === 'string'
  if (!isNamed || typeof base !== 'number' || typeof epoch !== 'number') return undefined
  return { tier, node, incarnation, base, epoch }
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
