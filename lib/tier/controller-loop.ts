/**
 * Keeps the pure controller (controller.ts) going over any TopologyStore: a step at every change of the document, and at
 * every poll while changes wait for somebody. Whoever else writes is met by compare-and-set. Knows no links and no disks.
 */
import type { Loop, Timer } from '../transport/loop.js'
import { nextTopology } from './controller.js'
import { fencingOf } from './fencing.js'
import { Outages } from './outages.js'
import type { NodeStatus, TopologyStore, Versioned, VoterLinks } from './store.js'
import { currentGeneration, runningChange, type Topology } from './topology.js'

/** While something waits, leases are looked at this often: a node that came to life sets its join free. */
const POLL_MS = 200
/** The first ring waits until the document was quiet for this long, so that nodes that start together enter it together. */
const FIRST_RING_QUIET_MS = 300
/** Heartbeats are looked at this often; so late a silence may be noticed. */
const LOOK_MS = 50

export interface OutageOptions {
  /** See outages.ts; 0: nobody is ever declared away. */
  awayAfterMs: number
  voters: VoterLinks
}

export class ControllerLoop {
  readonly #store: TopologyStore
  readonly #loop: Loop
  readonly #onEvent: (sentence: string) => void
  readonly #outages: Outages | null
  readonly #voters: VoterLinks | null
  #endWatch: (() => void) | null = null
  #timer: Timer | null = null
  #value: Versioned | null = null
  #changedAt = 0
  #busy = false
  #stopped = false

  constructor(
    store: TopologyStore,
    loop: Loop,
    onEvent: (sentence: string) => void,
    outages: OutageOptions | null = null,
  ) {
    this.#store = store
    this.#loop = loop
    this.#onEvent = onEvent
    this.#outages = outages && new Outages(outages.awayAfterMs)
    this.#voters = outages?.voters ?? null
    this.#voters?.onPromised((nodeId, request) => {
      const topology = this.#value?.topology
      const voter = topology?.nodes.find(node => node.id === nodeId)
      if (topology && voter) this.#outages?.promised(topology, voter.number, request, this.#loop.clock())
    })
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
      const next = error === null ? this.#next(topology, live) : null
      if (this.#value?.revision !== revision) this.#step()
      else if (next) this.#write(revision, topology, next)
      else if (error !== null || isWaiting(topology) || this.#isWatching(topology)) this.#pollLater()
    })
  }

  #next(topology: Topology, live: Map<string, NodeStatus>): Topology | null {
    const outages = this.#outages
    if (!outages || !this.#isWatching(topology)) return nextTopology(topology, live)
    const now = this.#loop.clock()
    const { sentences, questions } = outages.look(topology, live, now)
    for (const sentence of sentences) this.#onEvent(sentence)
    for (const { voter, request } of questions) {
      const node = topology.nodes.find(one => one.number === voter)
      if (node) this.#voters?.ask(node.id, request)
    }
    return nextTopology(topology, live, outages.inputs(topology, live, now, this.#loop.wallClock()))
  }

  #isWatching(topology: Topology): boolean {
    return this.#outages?.concerns(topology) === true
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
    const watching = this.#value !== null && this.#isWatching(this.#value.topology)
    this.#timer = this.#loop.setTimer(watching ? LOOK_MS : POLL_MS, () => {
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
    const made = next.changes.find(change => change.state === 'running' && change.epoch === next.epoch)
    const why = made ? `${made.givenUp ? 'given up' : made.kind} ${made.node}` : 'the first ring'
    sentences.push(`generation ${next.epoch} with ${servers} node${servers === 1 ? '' : 's'}: ${why}`)
  }
  if (was && was.id !== now?.id)
    sentences.push(`${was.kind} ${was.node} is settled: generation ${was.epoch} stands alone`)
  return [...sentences, ...outageEvents(before, next)]
}

function outageEvents(before: Topology, next: Topology): string[] {
  const sentences: string[] = []
  for (const node of next.nodes) {
    const was = before.nodes.find(one => one.number === node.number)
    if (!was) continue
    if (node.declaring && !was.declaring)
      sentences.push(`node ${node.id}: the voters are asked not to vouch for it any more (${node.declaring.reason})`)
    if (was.declaring && !node.declaring && !node.away) sentences.push(`node ${node.id} is not declared away`)
    if (node.away && !was.away)
      sentences.push(`node ${node.id} is away since generation ${node.away.epoch} (${node.away.reason})`)
    if (was.away && !node.away)
      sentences.push(`node ${node.id} ${node.state === 'draining' ? 'is not waited for any more' : 'is back'}`)
    if (was.state === 'returning' && node.state === 'up') sentences.push(`node ${node.id} has everything back`)
  }
  const [old, now] = [fencingOf(before), fencingOf(next)]
  const idOf = (number: number) => next.nodes.find(node => node.number === number)?.id ?? String(number)
  if (now && now.term !== old?.term) {
    sentences.push(
      `voters ${now.term}: the store, ${now.named.map(idOf).join(', ')}; a vouch is good for ${now.leaseMs} ms`,
    )
  }
  if (old && !now) sentences.push('nothing is fenced any more')
  return sentences
}
