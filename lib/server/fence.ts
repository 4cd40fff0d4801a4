/**
 * Until when this process may act as authority, as one word of memory that all its threads share. The control plane's lease
 * keeper writes it, the data planes look at it right before a turn's replies are sent (DESIGN 8, case 13, "The long pause").
 *
 *   | until i32 | refused i32 | cut i32 | lapses i32 |        until: 0 = not fenced; else the end, in ticks of TICK_MS, wrapping
 *
 * A wrapped time is told from a coming one as long as they are less than 2^30 ticks apart, which is 99 days; the keeper writes
 * the end anew long before. What no look can close: a thread that is stopped between its look and the system call.
 */
const TICK_MS = 8
const UNTIL = 0
const REFUSED = 1
const CUT = 2
const LAPSES = 3
const WORDS = 4

export type FenceCounter = 'refused' | 'cut' | 'lapses'
const COUNTERS: Record<FenceCounter, number> = { refused: REFUSED, cut: CUT, lapses: LAPSES }

export class Fence {
  /** Structured-cloneable: another thread makes its own Fence of it. */
  readonly words: Int32Array

  constructor(words: Int32Array = new Int32Array(new SharedArrayBuffer(WORDS * 4))) {
    this.words = words
  }

  get isUp(): boolean {
    return Atomics.load(this.words, UNTIL) !== 0
  }

  /** `untilMs` by Loop.clock, rounded down; Infinity: not fenced. */
  set(untilMs: number): void {
    // 0 means something else: a tick less.
    const end = untilMs === Number.POSITIVE_INFINITY ? 0 : Math.floor(untilMs / TICK_MS) | 0 || -1
    Atomics.store(this.words, UNTIL, end)
  }

  /** The clock is read only where there is a fence. `aheadMs`: may it act then, if nothing changes? */
  mayAct(clock: { clock(): number }, aheadMs = 0): boolean {
    const until = Atomics.load(this.words, UNTIL)
    return until === 0 || ((until - (Math.ceil((clock.clock() + aheadMs) / TICK_MS) | 0)) | 0) >= 0
  }

  count(counter: FenceCounter): void {
    Atomics.add(this.words, COUNTERS[counter], 1)
  }

  counted(counter: FenceCounter): number {
    return Atomics.load(this.words, COUNTERS[counter])
  }
}
