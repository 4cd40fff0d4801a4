/**
 * The coordinator: the embedded topology store, served, and the controller that turns wishes into generations. Killed and
 * started again it goes on from its document; nothing else of it is worth remembering.
 */
import type { LinkIdentity } from '../transport/link.js'
import type { Address, Loop, Timer } from '../transport/loop.js'
import { nextTopology } from './controller.js'
import { EmbeddedServer } from './embedded-server.js'
import { type DocumentFile, EmbeddedStore } from './embedded-store.js'
import type { TopologyStore, Versioned } from './store.js'
import { currentGeneration, runningChange, type Topology } from './topology.js'

export interface CoordinatorOptions {
  loop: Loop
  file: DocumentFile
  /** The document of a tier that starts for the first time. */
  first: Topology
  listen: Address
  secret: string | null
  self: LinkIdentity
  /** A sentence for the log. */
  onEvent(sentence: string): void
}

export class Coordinator {
  readonly store: EmbeddedStore
  readonly #server: EmbeddedServer
  readonly #controller: ControllerLoop

  /** Throws DamagedFile when the document cannot be used. */
  constructor({ loop, file, first, listen, secret, self, onEvent }: CoordinatorOptions) {
    this.store = new EmbeddedStore({ loop, file, first })
    this.#server = new EmbeddedServer({ loop, store: this.store, listen, secret, self, onEvent })
    this.#controller = new ControllerLoop(this.store, loop, onEvent)
  }

  start(onListening: (port: number) => void, onError: (sentence: string) => void): void {
    this.#server.start(port => {
      this.#controller.start()
      onListening(port)
    }, onError)
  }

  /** Links that were refused since the start. */
  get refused(): number {
    return this.#server.refused
  }

  stop(): void {
    this.#controller.stop()
    this.#server.stop()
    this.store.close()
  }
}

/** While something waits, leases are looked at this often: a node that came to life sets its join free. */
const POLL_MS = 200
/** The first ring waits until the document was quiet for this long, so that nodes that start together enter it together. */
const FIRST_RING_QUIET_MS = 300

/** Runs the pure controller over any TopologyStore: every change of the document, and every poll while changes wait. */
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
