/** The words of -o about slabs (PROTOCOL D15), in memcached's own sentences where a value is wrong. Pure. */
import type { AutomoveSettings } from '../engine/contract.js'

export interface SlabFlags {
  /** Bytes; null: by -I. */
  chunkMax: number | null
  automove: AutomoveSettings
}

const PAGE_SIZE = 1 << 20
/** The longest key and its header fit in a chunk. */
const CHUNK_MAX_LEAST = 512
const MODE_MAX = 2
const WINDOW_MIN = 3

/** By the words of all -o, or one sentence. */
export function slabFlags(words: ReadonlyMap<string, string>, itemSizeMax: number): SlabFlags | string {
  const number = (name: string, otherwise: number) => {
    const text = words.get(name)
    return text === undefined ? otherwise : /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  }
  const automoveText = words.get('slab_automove')
  const mode = automoveText === '' ? 1 : number('slab_automove', 1)
  if (!(Number.isInteger(mode) && mode <= MODE_MAX)) return 'slab_automove must be between 0 and 2'
  const ratio = number('slab_automove_ratio', 0.8)
  if (!(ratio > 0 && ratio <= 1)) return 'slab_automove_ratio must be > 0 and < 1'
  const window = number('slab_automove_window', 10)
  if (!(Number.isInteger(window) && window >= WINDOW_MIN)) return 'slab_automove_window must be > 2'
  const freeRatio = number('slab_automove_freeratio', 0.01)
  if (!(freeRatio > 0 && freeRatio <= 1)) return 'slab_automove_freeratio must be > 0 and < 1'
  const chunkMax = words.has('slab_chunk_max') ? number('slab_chunk_max', 0) : null
  const refused = chunkMax === null ? null : refuseChunkMax(chunkMax, itemSizeMax)
  if (refused !== null) return refused
  return { chunkMax, automove: { reassign: !words.has('no_slab_reassign'), mode, window, ratio, freeRatio } }
}

function refuseChunkMax(bytes: number, itemSizeMax: number): string | null {
  if (!(Number.isInteger(bytes) && bytes >= CHUNK_MAX_LEAST)) {
    return `-o slab_chunk_max=${bytes}: must be a number of bytes from ${CHUNK_MAX_LEAST} up`
  }
  if (bytes > itemSizeMax) {
    return `slab_chunk_max (bytes: ${bytes}) cannot be larger than -I (item_size_max ${itemSizeMax})`
  }
  if (itemSizeMax % bytes !== 0) {
    return `-I (item_size_max: ${itemSizeMax}) must be evenly divisible by slab_chunk_max (bytes: ${bytes})`
  }
  if (PAGE_SIZE % bytes !== 0) {
    return `slab_chunk_max (bytes: ${bytes}) must divide evenly into ${PAGE_SIZE} (slab_page_size)`
  }
  return null
}
