/**
 * Which class should give a page, and to whom: memcached's automove. Pure: one sample of all classes a second in, at most
 * one move out. Somebody else asks the page mover for it (page-mover.ts).
 *
 * - A class whose free chunks would fill more than two and a half pages, and that had no need of them for a window, gives one
 *   to the global pool, from where any class takes it.
 * - A class that evicts most of the time, and whose oldest item is young beside that of another class, gets one of that other.
 * - A class that had to refuse although evictions are on has nothing to evict: it gets a page of the oldest class at once.
 */
import type { AutomoveSettings, ClassNeed } from '../engine/contract.js'

export interface ClassSample extends Omit<ClassNeed, 'coldTailTime'> {
  /** Seconds since the oldest item of its COLD list was accessed. */
  age: number
}

export interface Move {
  source: number
  /** 0: the global pool. */
  target: number
}

interface Second {
  age: number
  evicted: boolean
  /** Share of all evictions of this second. */
  share: number
  /** Evicted, refused or got a page. */
  dirty: boolean
  refused: boolean
}

const FREE_PAGES_MIN = 2.5
/** A class keeps so many pages, whoever wants them. */
const SOURCE_PAGES_MIN = 3
const SHARE_MIN = 0.25
const ANY = -1

export class Automove {
  /** Seconds so far. */
  #seconds = 0
  /** Of the classes there is something to say of; seconds that are missing were clean, and nothing was there. */
  readonly #windows = new Map<number, Second[]>()
  readonly #before = new Map<number, ClassSample>()

  /** A second has passed. A class without pages that never refused anything may be left out. */
  step(samples: readonly ClassSample[], { mode, window, ratio }: AutomoveSettings, evictions: boolean): Move | null {
    this.#seconds++
    for (const id of this.#windows.keys()) if (!samples.some(sample => sample.id === id)) this.#windows.delete(id)
    const evicted = samples.reduce((sum, sample) => sum + this.#evictedSince(sample), 0)
    for (const sample of samples) this.#note(sample, evicted, window)
    if (mode === 0) return null
    const idle = samples.find(sample => this.#isIdle(sample, window))
    if (idle) return { source: idle.id, target: 0 }
    const oldest = oldestOf(samples.filter(({ pages }) => pages >= SOURCE_PAGES_MIN))
    const refused = evictions ? samples.find(({ id }) => this.#last(id).refused && id !== oldest?.id) : undefined
    if (refused && oldest) return { source: oldest.id, target: refused.id }
    if (mode === 2) {
      const evicting = samples.find(({ id }) => this.#last(id).evicted)
      return evicting ? { source: ANY, target: evicting.id } : null
    }
    return this.#fromOldest(samples, window, ratio)
  }

  /** A page of this class went to the pool: may the next one go at once? */
  mayGiveMore(sample: ClassSample, { window }: AutomoveSettings): boolean {
    return this.#windows.has(sample.id) && this.#isIdle(sample, window)
  }

  #evictedSince({ id, evicted }: ClassSample): number {
    return evicted - (this.#before.get(id)?.evicted ?? 0)
  }

  #note(sample: ClassSample, evictedByAll: number, window: number): void {
    const { id, age, pages } = sample
    const before = this.#before.get(id)
    const evicted = this.#evictedSince(sample)
    const refused = sample.refused > (before?.refused ?? 0)
    const share = evicted > 0 ? evicted / evictedByAll : 0
    const dirty = evicted > 0 || refused || pages > (before?.pages ?? 0)
    const seconds = this.#windows.get(id) ?? []
    seconds.push({ age, evicted: evicted > 0, share, dirty, refused })
    seconds.splice(0, Math.max(0, seconds.length - window))
    this.#windows.set(id, seconds)
    this.#before.set(id, sample)
  }

  #last(id: number): Second {
    return this.#windows.get(id)!.at(-1)!
  }

  #isIdle({ id, pages, freeChunks, chunksPerPage }: ClassSample, window: number): boolean {
    const seconds = this.#windows.get(id)!
    const isQuiet = this.#seconds >= window && seconds.every(({ dirty }) => !dirty)
    return pages > 1 && isQuiet && freeChunks > chunksPerPage * FREE_PAGES_MIN
  }

  /** From the class with the oldest items to the one with the youngest that evicts. */
  #fromOldest(samples: readonly ClassSample[], window: number, ratio: number): Move | null {
    const aged = samples.map(sample => ({ ...sample, age: this.#meanAge(sample.id, window) }))
    const oldest = oldestOf(aged.filter(({ pages }) => pages >= SOURCE_PAGES_MIN))
    let youngest: ClassSample | null = null
    for (const sample of this.#seconds < window ? [] : aged) {
      const seconds = this.#windows.get(sample.id)!
      const often = seconds.filter(({ evicted }) => evicted).length > window / 2
      const share = seconds.reduce((sum, second) => sum + second.share, 0) / window
      if ((often || share > SHARE_MIN) && (!youngest || sample.age < youngest.age)) youngest = sample
    }
    if (!oldest || !youngest || oldest.id === youngest.id || !this.#last(youngest.id).evicted) return null
    return youngest.age < oldest.age * ratio ? { source: oldest.id, target: youngest.id } : null
  }

  #meanAge(id: number, window: number): number {
    const seconds = this.#windows.get(id)!
    return seconds.reduce((sum, { age }) => sum + age, 0) / Math.max(seconds.length, Math.min(this.#seconds, window))
  }
}

/** Who can best do without a page when there are too many: who has free chunks for it, else the oldest. Null: nobody. */
export function dispensable(samples: readonly ClassSample[]): number | null {
  const spare = samples.filter(({ pages }) => pages > 1)
  const free = spare.find(({ freeChunks, chunksPerPage }) => freeChunks >= chunksPerPage)
  return (free ?? oldestOf(spare))?.id ?? null
}

function oldestOf(samples: readonly ClassSample[]): ClassSample | null {
  return samples.reduce<ClassSample | null>((oldest, one) => (!oldest || one.age > oldest.age ? one : oldest), null)
}

export function samplesOf(needs: readonly ClassNeed[], now: number): ClassSample[] {
  return needs.map(({ coldTailTime, ...need }) => ({
    ...need,
    age: coldTailTime === null ? 0 : Math.max(0, Math.floor(now) - coldTailTime),
  }))
}
