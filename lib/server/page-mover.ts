/**
 * Drives the engine's page mover from the control thread: what `slabs reassign` asked for, what automove decides once a
 * second, and what must leave when cache_memlimit went down. A slice takes well under a millisecond, so that a control
 * plane on the same loop goes on meanwhile.
 */
import type { EngineApi } from '../engine/contract.js'
import { STREAMS } from '../engine/log-reader.js'
import type { Loop, Timer } from '../transport/loop.js'
import { Automove, dispensable, samplesOf } from './automove.js'
import { movedLine } from './sys-events.js'

export interface PageMoverOptions {
  loop: Loop
  /** The control thread's own. */
  engine: Pick<EngineApi, 'pages' | 'classNeeds' | 'setTime' | 'arena' | 'noteText'>
  /** These bytes are nobody's while it runs: the system may have their memory back. */
  release: (offset: number, length: number) => void
}

/** Looks at a chunk, or kilobytes copied, in one slice. */
const SLICE = 2000
const TICK_MS = 1000
/** What is left of a page is held by somebody: it is looked at again after 1 ms, and later and later. */
const WAIT_MIN_MS = 1
const WAIT_MAX_MS = 20

export class PageMover {
  readonly #options: PageMoverOptions
  readonly #automove = new Automove()
  #timer: Timer | null = null
  #tickTimer: Timer | null = null
  #waitMs = WAIT_MIN_MS
  #stopped = false
  /** The class whose free pages go to the pool, one after the other. */
  #giving: number | null = null

  constructor(options: PageMoverOptions) {
    this.#options = options
  }

  start(): void {
    this.#tickTimer = this.#options.loop.setTimer(TICK_MS, () => {
      this.#tick()
      if (!this.#stopped) this.start()
    })
  }

  stop(): void {
    this.#stopped = true
    const { loop } = this.#options
    for (const timer of [this.#timer, this.#tickTimer]) if (timer) loop.clearTimer(timer)
  }

  /** Somebody asked for a move, or changed the limit. */
  wake(): void {
    if (this.#stopped || this.#timer) return
    this.#work()
  }

  #tick(): void {
    const { engine, loop } = this.#options
    const { automove } = engine.pages
    const samples = samplesOf(engine.classNeeds(), loop.wallClock())
    const move = this.#automove.step(samples, automove, engine.arena.options.evictions)
    if (move && automove.reassign && !engine.pages.isMoving) {
      engine.setTime(loop.wallClock())
      this.#reassign(move.source, move.target)
      this.#giving = move.target === 0 ? move.source : null
    }
    this.wake()
  }

  #work(): void {
    const { engine, loop } = this.#options
    engine.setTime(loop.wallClock())
    const outcome = engine.pages.moveSlice(SLICE)
    if (outcome === 'more') this.#again(0)
    else if (outcome === 'wait') {
      this.#again(this.#waitMs)
      this.#waitMs = Math.min(WAIT_MAX_MS, this.#waitMs * 2)
    } else {
      this.#waitMs = WAIT_MIN_MS
      if (this.#shrink() || this.#giveMore()) this.#again(0)
    }
  }

  #again(afterMs: number): void {
    if (this.#stopped) return
    this.#timer = this.#options.loop.setTimer(afterMs, () => {
      this.#timer = null
      this.#work()
    })
  }

  /** As automove decided. */
  #reassign(source: number, target: number): boolean {
    const { engine } = this.#options
    const ok = engine.pages.reassign(source, target) === 'ok'
    engine.noteText(STREAMS.sysevents, movedLine(source, target, ok))
    return ok
  }

  #giveMore(): boolean {
    const { engine, loop } = this.#options
    const { pages } = engine
    if (this.#giving === null) return false
    const sample = samplesOf(engine.classNeeds(), loop.wallClock()).find(({ id }) => id === this.#giving)
    const more = sample && pages.automove.mode !== 0 && this.#automove.mayGiveMore(sample, pages.automove)
    if (more) return this.#reassign(this.#giving, 0)
    this.#giving = null
    return false
  }

  /** Gives up what is above the limit. True: a page is on its way out for it. */
  #shrink(): boolean {
    const { engine, loop, release } = this.#options
    const { pages } = engine
    let released = true
    while (released) released = pages.release(release)
    if (!pages.mustShrink || !pages.automove.reassign) return false
    const source = dispensable(samplesOf(engine.classNeeds(), loop.wallClock()))
    return source !== null && pages.reassign(source, 0) === 'ok'
  }
}
