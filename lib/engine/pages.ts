/**
 * The host's side of pages: the page mover's state and figures, the limit that cache_memlimit changes, and the settings of
 * automove. All of it lies in the control block (lib/engine/assembly/layout.ts and page-mover.ts), so that every thread sees
 * and changes the same.
 */
import type { AutomoveSettings, PagesApi, Reassigned } from './contract.js'
import { CONTROL, PAGE_SIZE } from './layout.js'

/** The wasm's exports that are called here. */
export interface PagesWasm {
  reassign(source: number, target: number): number
  moveSlice(budget: number): number
  isMoverBusy(): number
  takeSurplus(): number
  mustShrink(): number
  putReleased(address: number): void
  setPageLimit(limit: number): number
}

// Words of the control block.
const PAGES_USED = 130
const PAGE_LIMIT = 131
const POOL_COUNT = 133
/** In the order of lib/engine/assembly/page-mover.ts. */
const MOVER_FIGURES = [
  ...['slabs_moved', 'slab_reassign_rescues', 'slab_reassign_chunk_rescues', 'slab_reassign_inline_reclaim'],
  ...['slab_reassign_busy_items', 'slab_reassign_busy_deletes', 'slab_reassign_busy_nomem'],
  ...['slab_reassign_evictions_nomem', 'slab_reassign_last_busy_status'],
]
const MOVER_FIGURES_AT = CONTROL + 1088
/** The host's own: whether pages may be moved, automove's mode and window; its two ratios as doubles. */
const SETTINGS_AT = CONTROL + 1216
const RATIOS_AT = CONTROL + 1232

const REASSIGNED: readonly Reassigned[] = ['ok', 'busy', 'bad class', 'no spare', 'same']
const SLICES = ['rest', 'more', 'wait'] as const

/** Before any thread runs: memcached's defaults. */
export function initialiseAutomove(memory: WebAssembly.Memory): void {
  new Uint32Array(memory.buffer, SETTINGS_AT, 3).set([1, 1, 10])
  new Float64Array(memory.buffer, RATIOS_AT, 2).set([0.8, 0.01])
}

export class Pages implements PagesApi {
  readonly #wasm: PagesWasm
  readonly #words: Uint32Array
  readonly #figures: BigInt64Array
  readonly #settings: Uint32Array
  readonly #ratios: Float64Array

  constructor(memory: WebAssembly.Memory, wasm: PagesWasm) {
    this.#wasm = wasm
    this.#words = new Uint32Array(memory.buffer, CONTROL, 256)
    this.#figures = new BigInt64Array(memory.buffer, MOVER_FIGURES_AT, MOVER_FIGURES.length)
    this.#settings = new Uint32Array(memory.buffer, SETTINGS_AT, 3)
    this.#ratios = new Float64Array(memory.buffer, RATIOS_AT, 2)
  }

  reassign(source: number, target: number): Reassigned {
    return REASSIGNED[this.#wasm.reassign(source, target)]!
  }

  moveSlice(budget: number): 'rest' | 'more' | 'wait' {
    return SLICES[this.#wasm.moveSlice(budget)]!
  }

  get isMoving(): boolean {
    return this.#wasm.isMoverBusy() !== 0
  }

  release(giveBack: (offset: number, length: number) => void): boolean {
    const offset = this.#wasm.takeSurplus() >>> 0
    if (offset === 0) return false
    giveBack(offset, PAGE_SIZE)
    this.#wasm.putReleased(offset)
    return true
  }

  get limitMb(): number {
    return (this.#words[PAGE_LIMIT]! * PAGE_SIZE) / 2 ** 20
  }

  setLimit(megabytes: number): boolean {
    return megabytes < 2 ** 31 && this.#wasm.setPageLimit((megabytes * 2 ** 20) / PAGE_SIZE) !== 0
  }

  get used(): number {
    return this.#words[PAGES_USED]!
  }

  get inPool(): number {
    return this.#words[POOL_COUNT]!
  }

  get mustShrink(): boolean {
    return this.#wasm.mustShrink() !== 0
  }

  get automove(): AutomoveSettings {
    const [enabled, mode, window] = this.#settings
    const [ratio, freeRatio] = this.#ratios
    return { reassign: enabled !== 0, mode: mode!, window: window!, ratio: ratio!, freeRatio: freeRatio! }
  }

  setAutomove(settings: Partial<AutomoveSettings>): void {
    const { reassign, mode, window, ratio, freeRatio } = { ...this.automove, ...settings }
    this.#settings.set([reassign ? 1 : 0, mode, window])
    this.#ratios.set([ratio, freeRatio])
  }

  figures(): [string, bigint][] {
    return [
      ...MOVER_FIGURES.map((name, i): [string, bigint] => [name, this.#figures[i]!]),
      ['slab_reassign_running', this.isMoving ? 1n : 0n],
      ['slab_global_page_pool', BigInt(this.inPool)],
      ['limit_maxbytes', BigInt(this.limitMb) * 1_048_576n],
    ]
  }

  resetFigures(): void {
    this.#figures.fill(0n)
  }
}
