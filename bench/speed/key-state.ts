/**
 * What is known of each key, so that a value read can be judged. A key has one writer: the process that its number names,
 * and there one write at a time. So a read must see at least what was acknowledged, or seen, before it left, and nothing that
 * was not yet written. Numbers in arrays: no object a key.
 */
export type Judgement = 'right' | 'stale' | 'wrong'

/** A key that has no write under way is looked for in this many places. */
const LOOK_MAX = 1000

export class KeyState {
  readonly keys: number
  readonly #seen: Uint32Array
  readonly #issued: Uint32Array
  readonly #process: number
  readonly #processes: number

  constructor(keys: number, process: number, processes: number) {
    this.keys = keys
    this.#process = process
    this.#processes = processes
    this.#seen = new Uint32Array(keys)
    this.#issued = new Uint32Array(keys)
  }

  /** What a read that leaves now must see at least: 0 means that a miss is all that can be expected. */
  floorOf(key: number): number {
    return this.#seen[key]!
  }

  /** The key itself or one near it that this process may write now; -1 when none was found. */
  writableNear(key: number): number {
    let own = key - (key % this.#processes) + this.#process
    for (let looks = 0; looks < LOOK_MAX; looks++) {
      if (own >= this.keys) own = this.#process
      if (this.#seen[own] === this.#issued[own]) return own
      own += this.#processes
    }
    return -1
  }

  /** The version of a write that leaves now. */
  issue(key: number): number {
    this.#issued[key]! += 1
    return this.#issued[key]!
  }

  acknowledge(key: number, version: number): void {
    if (version > this.#seen[key]!) this.#seen[key] = version
  }

  judge(key: number, version: number, floor: number): Judgement {
    // 0 was never written.
    if (version <= 0) return 'wrong'
    if (version < floor) return 'stale'
    if (key % this.#processes === this.#process && version > this.#issued[key]!) return 'wrong'
    if (version > this.#seen[key]!) this.#seen[key] = version
    return 'right'
  }
}
