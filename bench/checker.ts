/**
 * What must be true of every answer (DESIGN 11, rules 1 and 4). Pure: knows no clients and no clock.
 *
 * Each key has one writer at a time, which numbers its writes: version n is a value, a deletion or a count. Per key:
 *
 *      acked          the last write that was acknowledged
 *      issued         the last write that was sent; issued - acked is 0 or 1
 *      seen           the newest version that a reader has got
 *
 *      |---- older ----|== floor = max(acked, seen) when the read began ... issued when it ended ==|
 *           stale or                     every version in here is a right answer
 *          resurrected
 *
 * A write that failed may or may not have happened, then or later: its version stays a right answer for good.
 */
import type { Dataset } from './values.js'

export type Wrong = 'lost' | 'stale' | 'resurrected' | 'wrong'
export type Verdict = 'right' | Wrong
export const WRONGS = ['lost', 'stale', 'resurrected', 'wrong'] as const

export interface Read {
  verdict: Verdict
  /** The key certainly had a value all the time, so that a miss would be a loss. */
  wasThere: boolean
}

/** Sentences kept about wrong answers; the others are counted only. */
const EXAMPLES_MAX = 20

export class Checker {
  readonly answers: Record<Wrong, number> = { lost: 0, stale: 0, resurrected: 0, wrong: 0 }
  readonly keys: Record<Wrong, Set<number>> = {
    lost: new Set(),
    stale: new Set(),
    resurrected: new Set(),
    wrong: new Set(),
  }
  readonly examples: string[] = []
  checked = 0
  readonly #data: Dataset
  readonly #acked: Int32Array
  readonly #issued: Int32Array
  readonly #seen: Int32Array
  readonly #deletions = new Map<number, Set<number>>()
  readonly #unknown = new Map<number, number[]>()

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
    if (unknown) unknown.push(version)
    else this.#unknown.set(index, [version])
  }

  /** What `readEnds` needs to know about the time when a read began. */
  readBegins(index: number): number {
    return Math.max(this.#acked[index]!, this.#seen[index]!)
  }

  readEnds(index: number, floor: number, text: string | undefined, where: string): Read {
    this.checked++
    const issued = this.#issued[index]!
    const wasThere = this.#isValue(index, floor) && !this.#mayBeDeleted(index, floor, issued)
    if (text === undefined) {
      if (!wasThere) return { verdict: 'right', wasThere }
      return { verdict: this.#wrong('lost', index, `a miss, acknowledged is version ${floor}`, where), wasThere }
    }
    const version = this.#data.versionOf(index, text, Math.max(1, floor), issued)
    if (version !== null) {
      if (!this.#unknown.has(index)) this.#seen[index] = Math.max(this.#seen[index]!, version)
      return { verdict: 'right', wasThere }
    }
    return { verdict: this.#judgeOld(index, floor, text, where), wasThere }
  }

  /** DELETED or NOT_FOUND, told to the only writer of the key. */
  deleteEnds(index: number, floor: number, found: boolean, where: string): Verdict {
    this.checked++
    if (this.#unknown.has(index) || found === this.#isValue(index, floor)) return 'right'
    return found
      ? this.#wrong('resurrected', index, `DELETED, but version ${floor} was a deletion`, where)
      : this.#wrong('lost', index, `NOT_FOUND for a deletion, but version ${floor} was a value`, where)
  }

  /** The number that incr gave, null for NOT_FOUND. */
  incrementEnds(index: number, version: number, number: number | null, where: string): Verdict {
    this.checked++
    if (number === Number(this.#data.valueOf(index, version)) || this.#unknown.has(index)) return 'right'
    if (number === null) return this.#wrong('lost', index, 'NOT_FOUND for incr', where)
    const counted = number - Number(this.#data.valueOf(index, 0))
    const verdict = counted >= 1 && counted < version ? 'stale' : 'wrong'
    return this.#wrong(verdict, index, `incr counted ${counted}, expected ${version}`, where)
  }

  /** A value that is none of those allowed: an older one, or none that was ever written. */
  #judgeOld(index: number, floor: number, text: string, where: string): Verdict {
    for (const version of this.#unknown.get(index) ?? []) {
      if (this.#data.versionOf(index, text, version, version) !== null) return 'right'
    }
    const before = this.#unknown.get(index)?.[0]
    const version = this.#data.versionOf(index, text, 1, Math.max(0, floor - 1))
    if (version === null) {
      const shown = `${text.slice(0, 24)}${text.length > 24 ? '...' : ''} (${text.length} bytes)`
      return this.#wrong('wrong', index, `"${shown}", acknowledged is version ${floor}`, where)
    }
    if (before !== undefined && version === before - 1) return 'right'
    let deletedSince = false
    for (const deletion of this.#deletions.get(index) ?? []) {
      if (deletion > version && deletion <= floor) deletedSince = true
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
    return (this.#unknown.get(index) ?? []).some(version => deletions.has(version) || deletions.has(version - 1))
  }

  #wrong(kind: Wrong, index: number, what: string, where: string): Wrong {
    this.answers[kind]++
    this.keys[kind].add(index)
    if (this.examples.length < EXAMPLES_MAX) {
      this.examples.push(`${kind}: ${this.#data.key(index)} through ${where}: ${what}`)
    }
    return kind
  }
}
