/**
 * The part of the audit that looks at pages: each belongs to one class or to one of the two lists, every chunk lies where
 * its class has cut one, and none is lost. The addresses are those of lib/engine/layout.ts, and of pages.ts, slab.ts and
 * page-mover.ts of lib/engine/assembly.
 */
import type { EngineApi } from '../../lib/engine/contract.js'
import { CLASS_STRIDE, CONTROL, computeLayout, PAGE_SIZE } from '../../lib/engine/layout.js'

/** Words of the control block. */
const PAGES_CUT = CONTROL + 516
const PAGES_USED = CONTROL + 520
const POOL_HEAD = CONTROL + 528
const POOL_COUNT = CONTROL + 532
const RELEASED_HEAD = CONTROL + 536
/** Where the part of the page that is being moved ends that was ever cut. */
const MOVE_END = CONTROL + 1048
/** Where in the engine's words the pages begin, and in those behind them the page table. */
const PAGES_WORD = 17
const LISTED = 0x80000000
/** Words of a slab class. */
const CLASS = { chunksPerPage: 8, carve: 20, carveEnd: 24, pages: 28, moving: 252 }
const BITS = 42
const MOVED = 8192

/** `chunks`: of what class each chunk is that is an item's or free; `filling`: how many more there are. */
export function auditPages(
  engine: EngineApi,
  chunks: ReadonlyMap<number, number>,
  filling: number,
  say: (finding: string) => void,
): void {
  const { words, moreWords, classes, chunkSizes } = computeLayout(engine.arena.options)
  const view = new DataView(engine.arena.memory.buffer)
  const word = (address: number) => view.getUint32(address, true)
  const first = words[PAGES_WORD]!
  const table = moreWords[0]!
  const cut = word(PAGES_CUT)

  const listed = (head: number) => {
    const pages = new Set<number>()
    for (let page = word(head); page !== 0 && !pages.has(page); ) {
      pages.add(page)
      const entry = word(table + (page - 1) * 4)
      if (entry < LISTED) say(`page ${page - 1} is in a list, and belongs to class ${entry - 1}`)
      page = entry % LISTED
    }
    return pages.size
  }
  const pooled = listed(POOL_HEAD)
  if (pooled !== word(POOL_COUNT)) say(`${pooled} pages are in the pool, which says ${word(POOL_COUNT)}`)
  if (cut - listed(RELEASED_HEAD) !== word(PAGES_USED))
    say(`${word(PAGES_USED)} pages are said to be in use, of ${cut}`)

  const owned = new Array<number>(chunkSizes.length).fill(0)
  let moved = 0
  for (let page = 0; page < cut; page++) {
    const entry = word(table + page * 4)
    if (entry >= LISTED) continue
    const size = chunkSizes[entry - 1]
    if (size === undefined) {
      say(`page ${page} belongs to class ${entry - 1}`)
      continue
    }
    owned[entry - 1]!++
    const start = first + page * PAGE_SIZE
    if (word(classes + (entry - 1) * CLASS_STRIDE + CLASS.moving) !== start) continue
    for (let at = start; at + size <= start + PAGE_SIZE; at += size) {
      if (at >= word(MOVE_END)) moved++
      else if (!chunks.has(at) && view.getUint16(at + BITS, true) & MOVED) moved++
    }
  }
  if (owned.reduce((sum, count) => sum + count, pooled) !== word(PAGES_USED)) say("a page in use is nobody's")

  for (const [at, index] of chunks) {
    const page = Math.floor((at - first) / PAGE_SIZE)
    const offset = (at - first) % PAGE_SIZE
    if (page >= cut || word(table + page * 4) !== index + 1)
      say(`chunk ${at} of class ${index} is in a page of another`)
    else if (offset % chunkSizes[index]! !== 0) say(`chunk ${at} is not where class ${index} cuts`)
  }
  let given = 0
  for (const [index, size] of chunkSizes.entries()) {
    const base = classes + index * CLASS_STRIDE
    const pages = word(base + CLASS.pages)
    if (pages !== owned[index]) say(`class ${index} has ${owned[index]} pages, and says ${pages}`)
    given +=
      pages * word(base + CLASS.chunksPerPage) -
      Math.floor((word(base + CLASS.carveEnd) - word(base + CLASS.carve)) / size)
  }
  if (given !== chunks.size + moved + filling) {
    say(`${given} chunks were given out, ${chunks.size} are in the table or free, and ${filling} are being filled`)
  }
}
