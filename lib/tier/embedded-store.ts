/**
 * The embedded topology store itself: one document with its revision, its watchers, and the leases of living nodes. The
 * coordinator uses it directly, everybody else through embedded-server.ts. It may not know links or disks: the document
 * goes through the tiny interface DocumentFile.
 *
 * Invariant: what a watcher or reader sees has been saved before.
 */
import type { Loop } from '../transport/loop.js'
import { DamagedFile, reasonOf } from './atomic-file.js'
import { LEASE_MS, type NodeStatus, type TopologyStore, type Versioned } from './store.js'
import { NODES_MAX, type Topology } from './topology.js'
import { checkTopology } from './validate.js'
import { Voter, type VouchAnswer, type VouchRequest } from './voter.js'

export interface DocumentFile {
  load(): string | null
  /** Throws when it could not be saved; what was there before is then still there. */
  save(text: string, revision: number): void
  /** A sentence about a document that cannot be used. */
  damaged?(problem: string): string
}

/** For the simulated world and for tests: survives the store, not the process. */
export class MemoryFile implements DocumentFile {
  text: string | null = null

  load(): string | null {
    return this.text
  }

  save(text: string): void {
    this.text = text
  }
}

interface Lease {
  status: NodeStatus
  /** Whoever renews it: a connection. The lease ends with it. */
  holder: object
  endsAt: number
}

export interface EmbeddedStoreOptions {
  loop: Loop
  file: DocumentFile
  /** The document of a tier that starts for the first time. */
  first: Topology
}

export class EmbeddedStore implements TopologyStore {
  readonly #loop: Loop
  readonly #file: DocumentFile
  readonly #watchers = new Set<(value: Versioned) => void>()
  readonly #leases = new Map<string, Lease>()
  #value: Versioned
  #closed = false
  #voter: { revision: number; voter: Voter } | null = null

  /** Throws DamagedFile when the document that is there cannot be used. */
  constructor({ loop, file, first }: EmbeddedStoreOptions) {
    this.#loop = loop
    this.#file = file
    const text = file.load()
    this.#value = text === null ? { revision: 0, topology: first } : decode(text, file)
  }

  get value(): Versioned {
    return this.#value
  }

  read(callback: (error: string | null, value: Versioned | null) => void): void {
    this.#later(() => callback(null, this.#value))
  }

  compareAndSet(
    expectedRevision: number,
    topology: Topology,
    callback: (error: string | null, done: boolean) => void,
  ): void {
    if (expectedRevision !== this.#value.revision) {
      this.#later(() => callback(null, false))
      return
    }
    const error = this.#save(topology)
    this.#later(() => callback(error, error === null))
    if (error !== null) return
    const value = this.#value
    this.#later(() => {
      for (const watcher of [...this.#watchers]) if (this.#watchers.has(watcher)) watcher(value)
    })
  }

  watch(onChange: (value: Versioned) => void): () => void {
    let ended = false
    const watcher = (value: Versioned) => onChange(value)
    this.#later(() => {
      if (ended) return
      this.#watchers.add(watcher)
      watcher(this.#value)
    })
    return () => {
      ended = true
      this.#watchers.delete(watcher)
    }
  }

  keepAlive(nodeId: string, status: NodeStatus): void {
    this.renew(nodeId, status, this)
  }

  statuses(callback: (error: string | null, live: Map<string, NodeStatus>) => void): void {
    this.#later(() => callback(null, this.live()))
  }

  /** The store's own vote: what the document says, which is on disk before anybody hears it. */
  vouch(request: VouchRequest): VouchAnswer {
    if (this.#voter?.revision !== this.#value.revision) {
      const voter = new Voter()
      voter.learn(this.#value.topology, true)
      this.#voter = { revision: this.#value.revision, voter }
    }
    return this.#voter.voter.vouch(request)
  }

  close(): void {
    this.#closed = true
    this.#watchers.clear()
  }

  /** First come, first served: a lease that another incarnation holds is left alone until it ends. */
  renew(nodeId: string, status: NodeStatus, holder: object): void {
    const now = this.#loop.now()
    const lease = this.#leases.get(nodeId)
    if (lease && lease.endsAt > now && lease.status.incarnation !== status.incarnation) return
    if (!lease && this.#leases.size >= NODES_MAX) return
    this.#leases.set(nodeId, { status, holder, endsAt: now + LEASE_MS })
  }

  /** The connection is gone, and with it what it kept alive. */
  drop(holder: object): void {
    for (const [nodeId, lease] of this.#leases) if (lease.holder === holder) this.#leases.delete(nodeId)
  }

  live(): Map<string, NodeStatus> {
    const now = this.#loop.now()
    for (const [nodeId, lease] of this.#leases) if (lease.endsAt <= now) this.#leases.delete(nodeId)
    return new Map([...this.#leases].map(([nodeId, lease]) => [nodeId, lease.status]))
  }

  #save(topology: Topology): string | null {
    const next = { revision: this.#value.revision + 1, topology }
    try {
      this.#file.save(`${JSON.stringify(next, null, 1)}\n`, next.revision)
    } catch (error) {
      return `the topology could not be saved (${reasonOf(error)})`
    }
    this.#value = next
    return null
  }

  #later(task: () => void): void {
    this.#loop.soon(() => {
      if (!this.#closed) task()
    })
  }
}

function decode(text: string, file: DocumentFile): Versioned {
  const damaged = (problem: string) =>
    new DamagedFile(file.damaged?.(problem) ?? `the topology document is damaged (${problem})`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw damaged(text.trim() === '' ? 'it is empty' : 'it ends too early or is no JSON')
  }
  if (typeof value !== 'object' || value === null || !('revision' in value) || !('topology' in value)) {
    throw damaged('it has no revision and topology')
  }
  const { revision } = value
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision < 0) {
    throw damaged(`its revision is ${JSON.stringify(revision)}`)
  }
  const checked = checkTopology(value.topology)
  if (!checked.ok) throw damaged(checked.problem)
  return { revision, topology: checked.value }
}
