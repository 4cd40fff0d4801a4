/**
 * A binary heap of timers, ordered by (time, order of setting): the timers of the epoll loop and the event queue of the
 * simulated world. Knows no clock; its owner says what time it is.
 */
import type { Timer } from './loop.js'

export interface HeapTimer extends Timer {
  readonly at: number
  readonly order: number
  /** Null: cleared, or run. It stays in the heap until its time comes or the heap is mostly such. */
  task: (() => void) | null
}

export class TimerHeap {
  #heap: HeapTimer[] = []
  #order = 0
  #cleared = 0

  get size(): number {
    return this.#heap.length - this.#cleared
  }

  add(at: number, task: () => void): HeapTimer {
    const timer = { at, order: this.#order++, task }
    this.#heap.push(timer)
    this.#rise(this.#heap.length - 1)
    return timer
  }

  clear(timer: HeapTimer): void {
    if (timer.task === null) return
    timer.task = null
    this.#cleared++
    // Time limits are nearly always cleared long before they run out: they must not pile up until then.
    if (this.#cleared > 64 && this.#cleared > this.#heap.length / 2) this.#sweep()
  }

  /** The earliest timer that was not cleared. */
  first(): HeapTimer | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.task === null) {
      this.#removeFirst()
      this.#cleared--
    }
    return this.#heap[0]
  }

  /** Takes out the earliest timer if it is due and returns its task. */
  takeDue(now: number): (() => void) | null {
    const timer = this.first()
    if (!timer || timer.at > now) return null
    this.#removeFirst()
    const { task } = timer
    timer.task = null
    return task
  }

  clearAll(): void {
    for (const timer of this.#heap) timer.task = null
    this.#heap = []
    this.#cleared = 0
  }

  #sweep(): void {
    this.#heap = this.#heap.filter(timer => timer.task !== null).sort((a, b) => (before(a, b) ? -1 : 1))
    this.#cleared = 0
  }

  #removeFirst(): void {
    const last = this.#heap.pop()!
    if (this.#heap.length === 0) return
    this.#heap[0] = last
    this.#sink(0)
  }

  #rise(from: number): void {
    const heap = this.#heap
    const timer = heap[from]!
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(timer, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = timer
  }

  #sink(from: number): void {
    const heap = this.#heap
    const timer = heap[from]!
    let index = from
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, timer)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = timer
  }
}

function before(a: HeapTimer, b: HeapTimer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
