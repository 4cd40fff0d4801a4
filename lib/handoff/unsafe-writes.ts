/**
 * Writes that memory has and the hint log not yet. If the log takes one of them not at all, memory goes back to what the log
 * knows: whoever reads what was refused, and reads again after a restart of this node, would see time run backwards. Until the disk
 * knows that something is missing, a later life may find either: a file can have a record whose sync failed. So until then memory has neither.
 *
 *   executed --begin--> noting ... --noted--> forgotten, or, when the last one of the key failed, aside --losses safe--> undone
 *
 * Bounds: one entry a key, for as long as the log's queue is, or until the disk takes the news.
 */
import type { EngineApi } from '../engine/contract.js'
import { nameOfKey } from '../engine/key-name.js'
import type { Hints } from './hints.js'

interface Unsafe {
  /** What memory held before the oldest of them, and since when; null: nothing that counts. */
  record: Uint8Array | null
  mark: number
  open: number
}

type Store = Pick<EngineApi, 'held' | 'peek' | 'handOver' | 'install' | 'installAbsent'>

export class UnsafeWrites {
  readonly #store: Store
  readonly #hints: Pick<Hints, 'find' | 'setAside'>
  readonly #unsafe = new Map<string, Unsafe>()

  constructor(store: Store, hints: Pick<Hints, 'find' | 'setAside'>) {
    this.#store = store
    this.#hints = hints
  }

  /**
   * Before a write of `key` is executed, by a node whose tenure began with `start`. What is returned is to be called once: with
   * the record that was written and what the log says, or with two nulls if nothing had to be logged.
   */
  begin(key: Uint8Array, start: number): (written: Uint8Array | null, failure: string | null) => void {
    const name = nameOfKey(key)
    const own = Uint8Array.from(key)
    let unsafe = this.#unsafe.get(name)
    if (!unsafe) {
      const mark = this.#store.held(own)
      unsafe = { record: mark >= start ? this.#store.peek(own) : null, mark, open: 0 }
      this.#unsafe.set(name, unsafe)
    }
    const { open } = unsafe
    unsafe.open = open + 1
    return (written, failure) => {
      unsafe.open--
      if (failure === null && written) Object.assign(unsafe, { record: written, mark: Math.max(unsafe.mark, start) })
      if (unsafe.open > 0) return
      this.#unsafe.delete(name)
      if (failure !== null) this.#undo(own, unsafe, start)
    }
  }

  #undo(key: Uint8Array, { record, mark }: Unsafe, start: number): void {
    const now = this.#store.held(key)
    if (now < start) return // it has been given away, or evicted
    this.#store.handOver(key, now + 1)
    this.#hints.setAside(key, mark >= start ? mark : -1, () => {
      // It is known again: from another log that took the write, or from one that is asked now.
      if (this.#store.held(key) >= start || this.#hints.find(key) >= start) return
      if (record && mark >= start) this.#store.install(record, mark)
      else if (mark >= start) this.#store.installAbsent(key, mark)
    })
  }
}
