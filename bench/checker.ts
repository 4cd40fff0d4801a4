/**
 * What must be true of every answer (DESIGN 11, rules 1, 2 and 4). Pure: knows no clients and no clock.
 *
 * Each key has one writer at a time, which numbers its writes: version n is a value, a deletion or a count. Per key:
 *
 *      acked          the last write that was acknowledged
 *      issued         the last write that was sent
 *      seen           the newest version that a reader has got
 *
 *      |---- older ----|== floor = max(acked, seen) when the read began ... issued when it ended ==|
 *           stale or                     every version in here is a right answer
 *          resurrected
 *
 * A write that failed may or may not have happened, until a later one of its key is acknowledged or seen: requests die with the
 * connection they came on, so what comes of it after that is `late`.
 *
 * While a node is away a key may be missing though its state is a value: if it lived at a node that is away and no
 * write of it that began since was acknowledged or seen. Such a miss is `missed`, and no state: the value may be back later.
 */
import type { Dataset } from './values.js'

export type Wrong = 'lost' | 'stale' | 'resurrected' | 'late' | 'wrong'
export type Verdict = 'right' | 'missed' | Wrong
export const WRONGS = ['lost', 'stale', 'resurrected', 'late', 'wrong'] as const

export interface Read {
  verdict: Verdict
  /** The key certainly had a value all the time, so that a miss would be a loss. */
  wasThere: boolean
}

/** What was known of a key when a request began. */
export interface Begun {
  floor: number
  /** It may be missing for the time being. */
  mayMiss: boolean
}

/** Sentences kept about wrong answers; the others are counted only. */
const EXAMPLES_MAX = 20

export function noneWrong(): Record<Wrong, number> {
  return { lost: 0, stale: 0, resurrected: 0, late: 0, wrong: 0 }
}

/** How many different keys had such an answer. */
export function wrongKeys({ keys }: Checker): Record<Wrong, number> {
  const counts = noneWrong()
  for (const kind of WRONGS) counts[kind] = keys[kind].size
  return counts
}

export class Checker {
  readonly answers = noneWrong()
  readonly keys: Record<Wrong, Set<number>> = {
    lost: new Set(),
    stale: new Set(),
    resurrected: new Set(),
    late: new Set(),
    wrong: new Set(),
  }
  readonly examples: string[] = []
  /** What else is known of a key, for the examples. */
  about: (index: number) => string = () => ''
  checked = 0
  /** Misses of keys that might be missing. */
  missed = 0
  readonly #data: Dataset
  readonly #acked: Int32Array
  readonly #issued: Int32Array
  readonly #seen: Int32Array
  readonly #deletions = new Map<number, Set<number>>()
  readonly #unknown = new Map<number, Set<number>>()
  /** Of the keys that lived at a node that is away, or whose memory is gone: the last write that had been sent when it went. */
  readonly #remembered = new Map<number, number>()
  readonly #gone = new Map<number, number>()

  constructor(data: Dataset) {
    this.#data = data
    this.#acked = new Int32Array(data.keys)
    this.#issued = new Int32Array(data.keys)
    this.#seen = new Int32Array(data.keys)
  }

  /** A write begins; the version it is to have. */
  issue(index: number, kind: 'value' | 'deletion'): number {
    const version = this.#issued[index]! + 1
    this.#issued[index] = version
    if (kind === 'deletion') {
      const deletions = this.#deletions.get(index)
      if (deletions) deletions.add(version)
      else this.#deletions.set(index, new Set([version]))
    }
    return version
  }

  acknowledge(index: number, version: number): void {
    this.#acked[index] = version
  }

  /** Its outcome is not known: the writer got an error. The state before it stays possible as well. */
  fail(index: number, version: number): void {
    const unknown = this.#unknown.get(index)
    if (unknown) unknown.add(version)
    else this.#unknown.set(index, new Set([version]))
  }

  /**
   * From now on keys that live at a node, by the ring, may be missing if only its memory has what was written last; `forGood`: its
   * memory is gone, so that its return changes nothing.
   */
  goesAway(livesThere: (index: number) => boolean, forGood = false): void {
    const marks = forGood ? this.#gone : this.#remembered
    for (let index = 0; index < this.#data.keys; index++) {
      if (livesThere(index)) marks.set(index, this.#issued[index]!)
    }
  }

  /** The nodes are back, with what they remember: nothing else may be missing. Requests that began before may still have missed. */
  isBack(): void {
    this.#remembered.clear()
  }

  /** May it be missing, as far as what was acknowledged and seen says? */
  mayMiss(index: number): boolean {
    const remembered = Math.max(this.#remembered.get(index) ?? -1, this.#gone.get(index) ?? -1)
    return Math.max(this.#acked[index]!, this.#seen[index]!) <= remembered
  }

  /** What the end of a request needs to know about the time when it began. */
  begins(index: number): Begun {
    return { floor: Math.max(this.#acked[index]!, this.#seen[index]!), mayMiss: this.mayMiss(index) }
  }

  readEnds(index: number, begun: Begun, text: string | undefined, where: string): Read {
    this.checked++
    const { floor } = begun
    const issued = this.#issued[index]!
    const wasThere = this.#isValue(index, floor) && !this.#mayBeDeleted(index, floor, issued)
    if (text === undefined) {
      if (!wasThere) return { verdict: 'right', wasThere }
      return { verdict: this.#miss(index, begun, `a miss, acknowledged is version ${floor}`, where), wasThere }
    }
    const version = this.#data.versionOf(index, text, Math.max(1, floor), issued)
    if (version === null) return { verdict: this.#judgeOld(index, floor, text, where), wasThere }
    this.#seen[index] = Math.max(this.#seen[index]!, version)
    this.#unknown.get(index)?.delete(version) // it has happened
    return { verdict: 'right', wasThere }
  }

  /** DELETED or NOT_FOUND for the deletion `version`, told to the only writer of the key. */
  deleteEnds(index: number, begun: Begun, version: number, found: boolean, where: string): Verdict {
    this.checked++
    const { floor } = begun
    // Any of the failed writes since may be what it met.
    for (let met = floor; met < version; met++) if (this.#isValue(index, met) === found) return 'right'
    if (found) return this.#wrong('resurrected', index, `DELETED, but version ${floor} was a deletion`, where)
    return this.#miss(index, begun, `NOT_FOUND for a deletion, but version ${floor} was a value`, where)
  }

  /** The number that the incr `version` gave, null for NOT_FOUND. */
  incrementEnds(index: number, begun: Begun, version: number, number: number | null, where: string): Verdict {
    this.checked++
    const { floor } = begun
    if (number === null && floor === 0) return 'right' // its first write failed
    if (number === null) return this.#miss(index, begun, `NOT_FOUND for incr, acknowledged is version ${floor}`, where)
    const counted = number - Number(this.#data.valueOf(index, 0))
    // Those before it that failed may have counted or not.
    if (counted > floor && counted <= version) return 'right'
    const verdict = counted >= 1 && counted <= floor ? 'stale' : 'wrong'
    return this.#wrong(verdict, index, `incr counted ${counted}, expected ${version}`, where)
  }

  #miss(index: number, begun: Begun, what: string, where: string): Verdict {
    if (!begun.mayMiss && !this.mayMiss(index)) return this.#wrong('lost', index, what, where)
    this.missed++
    return 'missed'
  }

  /** A value that is none of those allowed: an older one, or none that was ever written. */
  #judgeOld(index: number, floor: number, text: string, where: string): Verdict {
    for (const version of this.#unknown.get(index) ?? []) {
      if (version >= floor || this.#data.versionOf(index, text, version, version) === null) continue
      const what = `version ${version}, which failed; acknowledged since is version ${floor}`
      return this.#wrong('late', index, what, where)
    }
    const version = this.#data.versionOf(index, text, 1, Math.max(0, floor - 1))
    if (version === null) {
      const shown = `${text.slice(0, 24)}${text.length > 24 ? '...' : ''} (${text.length} bytes)`
      return this.#wrong('wrong', index, `"${shown}", acknowledged is version ${floor}`, where)
    }
    let deletedSince = false
    for (const deletion of this.#deletions.get(index) ?? []) {
      // One that failed need not have happened.
      if (deletion > version && deletion <= floor && !this.#unknown.get(index)?.has(deletion)) deletedSince = true
    }
    const what = `version ${version}, acknowledged is version ${floor}`
    return this.#wrong(deletedSince ? 'resurrected' : 'stale', index, what, where)
  }

  #isValue(index: number, version: number): boolean {
    return version > 0 && !this.#deletions.get(index)?.has(version)
  }

  #mayBeDeleted(index: number, floor: number, issued: number): boolean {
    const deletions = this.#deletions.get(index)
    if (!deletions) return false
    for (let version = floor + 1; version <= issued; version++) if (deletions.has(version)) return true
    return false
  }

  #wrong(kind: Wrong, index: number, what: string, where: string): Wrong {
    this.answers[kind]++
    this.keys[kind].add(index)
    if (this.examples.length < EXAMPLES_MAX) {
      this.examples.push(`${kind}: ${this.#data.key(index)} through ${where}: ${what}${this.about(index)}`)
    }
    return kind
  }
}
