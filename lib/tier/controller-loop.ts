/**
 * Keeps the pure controller (controller.ts) going over any TopologyStore: a step at every change of the document, and at
 * every poll while changes wait for somebody. Whoever else writes is met by compare-and-set. Knows no links and no disks.
 */
import type { Loop, Timer } from '../transport/loop.js'
import { nextTopology } from './controller.js'
import type { TopologyStore, Versioned } from './store.js'
import { currentGeneration, runningChange, type Topology } from './topology.js'

/** While something waits, leases are looked at this often: a node that came to life sets its join free. */
const POLL_MS = 200
/** The first ring waits until the document was quiet for this long, so that nodes that start together enter it together. */
const FIRST_RING_QUIET_MS = 300

export class ControllerLoop {
  readonly #store: TopologyStore
  readonly #loop: Loop
  readonly #onEvent: (sentence: string) => void
  #endWatch: (() => void) | null = null
  #timer: Timer | null = null
  #value: Versioned | null = null
  #changedAt = 0
  #busy = false
  #stopped = false

  constructor(store: TopologyStore, loop: Loop, onEvent: (sentence: string) => void) {
    this.#store = store
    this.#loop = loop
    this.#onEvent = onEvent
  }

  start(): void {
    this.#endWatch = this.#store.watch(value => {
      this.#value = value
      this.#changedAt = this.#loop.now()
      this.#step()
    })
  }

  stop(): void {
    this.#stopped = true
    this.#endWatch?.()
    if (this.#timer) this.#loop.clearTimer(this.#timer)
  }

  #step(): void {
    if (this.#busy || this.#stopped || !this.#value) return
    const { revision, topology } = this.#value
    if (topology.epoch === 0 && this.#loop.now() - this.#changedAt < FIRST_RING_QUIET_MS) {
      this.#pollLater()
      return
    }
    this.#busy = true
    this.#store.statuses((error, live) => {
      this.#busy = false
      if (this.#stopped) return
      const next = error === null ? nextTopology(topology, live) : null
      if (this.#value?.revision !== revision) this.#step()
      else if (next) this.#write(revision, topology, next)
      else if (error !== null || isWaiting(topology)) this.#pollLater()
    })
  }

  #write(revision: number, before: Topology, next: Topology): void {
    this.#busy = true
    this.#store.compareAndSet(revision, next, (error, done) => {
      this.#busy = false
      if (this.#stopped) return
      if (error !== null) this.#onEvent(error)
      if (done) for (const sentence of events(before, next)) this.#onEvent(sentence)
      // What somebody wrote meanwhile came while this was busy; what comes later is told by the watch.
      if (this.#value?.revision !== revision) this.#step()
      else if (!done) this.#pollLater()
    })
  }

  #pollLater(): void {
    if (this.#timer || this.#stopped) return
    this.#timer = this.#loop.setTimer(POLL_MS, () => {
      this.#timer = null
      this.#step()
    })
  }
}

function isWaiting(topology: Topology): boolean {
  return topology.changes.some(change => change.state === 'queued')
}

/** What a step did, for the log. */
function events(before: Topology, next: Topology): string[] {
  const sentences: string[] = []
  const was = runningChange(before)
  const now = runningChange(next)
  if (next.epoch > before.epoch) {
    const servers = currentGeneration(next)?.servers.length ?? 0
    const why = now ? `${now.kind} ${now.node}` : 'the first ring'
    sentences.push(`generation ${next.epoch} with ${servers} node${servers === 1 ? '' : 's'}: ${why}`)
  }
  if (was && was.id !== now?.id)
    sentences.push(`${was.kind} ${was.node} is settled: generation ${was.epoch} stands alone`)
  return sentences
}
