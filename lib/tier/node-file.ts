/**
 * What a node keeps on disk between its lives: who it is, the incarnation it had, how far its versions may have come, and
 * the last topology it acted by, so that it can start while the store is away. Knows no store and no link.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { DamagedFile, makeDirectory, readIfThere, reasonOf, writeAtomicallySoon } from './atomic-file.js'
import { inSomeRing, type Topology } from './topology.js'
import { checkTopology, NODE_ID_PATTERN, plainIssue } from './validate.js'
import type { Votes } from './voter.js'

export interface NodeState {
  id: string
  /** Decimal. */
  incarnation: string
  /** Decimal: no version above this was ever given out by this node. */
  versionReserved: string
  topology: Topology | null
  /** What it promised as a voter; null: a file from before there were voters. */
  votes?: Votes | null
}

const decimal = z.string().regex(/^\d{1,20}$/)
const stateShape = z.object({
  id: z.string().regex(NODE_ID_PATTERN),
  incarnation: decimal,
  versionReserved: decimal,
  topology: z.unknown(),
  votes: z
    .object({ termMin: z.number().int().min(0), promises: z.array(z.tuple([z.number().int(), z.number().int()])) })
    .nullish(),
})

/**
 * What a later life must know of a document before this one acts by it, as text: not what is only asked for, nor nodes that no ring has.
 * Equal texts: the later one need not be on the disk first.
 */
export function actedBy(topology: Topology, id: string): string {
  const nodes = topology.nodes.filter(node => node.id === id || inSomeRing(topology, node.number))
  const changes = topology.changes.filter(change => change.state !== 'queued')
  return JSON.stringify({ ...topology, nodes, changes })
}

export class NodeFile {
  readonly path: string
  #next: NodeState | null = null
  #waiting: ((problem: string | null) => void)[] = []
  #writing = false

  constructor(directory: string) {
    makeDirectory(directory)
    this.path = join(directory, 'node.json')
  }

  /** Null for a node's first life. Throws DamagedFile. */
  load(): NodeState | null {
    const text = readIfThere(this.path)
    if (text === null) return null
    const damaged = (problem: string) => new DamagedFile(`the node file ${this.path} is damaged (${problem})`)
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      throw damaged(text.trim() === '' ? 'it is empty' : 'it ends too early or is no JSON')
    }
    const state = stateShape.safeParse(value)
    if (!state.success) throw damaged(plainIssue(state.error))
    const { topology, votes, ...rest } = state.data
    const known = votes ? { ...rest, votes } : rest
    if (topology === null) return { ...known, topology: null }
    const checked = checkTopology(topology)
    if (!checked.ok) throw damaged(checked.problem)
    return { ...known, topology: checked.value }
  }

  /**
   * Writes one state after the other, and leaves out those that a newer one has overtaken. `done` is called once what was
   * given, or something newer, is on the disk; with a sentence when it could not be written.
   */
  save(state: NodeState, done: (problem: string | null) => void): void {
    this.#next = state
    this.#waiting.push(done)
    if (!this.#writing) void this.#write()
  }

  async #write(): Promise<void> {
    this.#writing = true
    while (this.#next) {
      const waiting = this.#waiting.splice(0)
      const text = `${JSON.stringify(this.#next)}\n`
      this.#next = null
      const problem = await writeAtomicallySoon(this.path, text).then(
        () => null,
        (error: unknown) => `the node file ${this.path} cannot be written (${reasonOf(error)})`,
      )
      for (const done of waiting) done(problem)
    }
    this.#writing = false
  }
}
