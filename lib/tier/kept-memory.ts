/**
 * `tier step-aside ID --quick`: a node gives up its authority alone, and leaves what it holds in its memory file. Here: what of it
 * stands in the document, and whether such a file may be believed. Pure. Believed wrongly, it would bring back what was overwritten;
 * refused wrongly, it costs misses: so whatever does not fit is refused.
 *
 *   asked for: declaring, kept {incarnation} --promises, one lease--> away --stops, file written--> started again, file believed --> back
 *
 * To handoff such a node is one that stood still: its next life holds what the last one held when it went away, and nobody else
 * acted by that. So both must be certain: that the file is of the life that the document says is away, and that nothing of the node
 * has been in the tier since.
 */
import { whyNotDeclared } from './absence.js'
import { fencingOf, nextSerial } from './fencing.js'
import type { NodeState } from './node-file.js'
import { currentGeneration, isSettled, nodeOf, type TierNode, type Topology } from './topology.js'
import type { Outcome } from './wishes.js'

/** Whose memory a file has, as its head says it. */
export interface MemoryOwner {
  tier: string
  node: string
  /** The life that wrote it; decimal. */
  incarnation: string
  /** The oldest generation that it knew: the last one in which it acted, when everything was settled. */
  base: number
  /** The newest one that it knew. */
  epoch: number
}

const QUICK_REASON = 'it steps aside and leaves its memory in a file'

/** A planned restart that moves nothing. `wallClock` in Unix seconds, for people. */
export function withQuickStepAside(topology: Topology, id: string, wallClock: number): Outcome {
  const node = nodeOf(topology, id)
  const why = node ? whyNotQuick(topology, node) : null
  if (!node) return { ok: false, sentence: `there is no node "${id}" in this tier` }
  if (why !== null) return { ok: false, sentence: `node "${id}" cannot leave its memory behind: ${why}` }
  const { incarnation } = node
  const leaving: TierNode = {
    ...node,
    kept: { incarnation },
    declaring: { since: Math.floor(wallClock), reason: QUICK_REASON },
  }
  const nodes = topology.nodes.map(one => (one === node ? leaving : one))
  return { ok: true, topology: nextSerial({ ...topology, nodes }) }
}

function whyNotQuick(topology: Topology, node: TierNode): string | null {
  if (!fencingOf(topology))
    return 'no node can stand in for another: the tier has one alone, or its coordinator was started with --away-after 0'
  if (node.away) return 'it is away'
  if (node.kept) return 'it steps aside already'
  if (node.aside !== undefined) return 'it steps aside already, and hands over everything'
  if (node.declaring) return 'it is being declared away'
  if (!node.keeps) return 'it was started without -e, or without --data-dir'
  const isBusy = topology.changes.some(({ state }) => state !== 'done')
  if (isBusy || !isSettled(topology)) return 'the tier has not settled: changes are under way'
  return whyNotDeclared(topology, node)
}

/** Does this life of the node wait to be stopped, or its memory for the next one? */
export function isKept(node: TierNode): boolean {
  return node.away !== undefined && node.kept !== undefined
}

/** Memories that may come back, and would not know of a flush_all now. */
export function hasKept(topology: Topology): boolean {
  return topology.nodes.some(node => isKept(node) && !node.kept!.isVoid)
}

/** No memory that is kept may come back. Null: there is none. */
export function withoutKept(topology: Topology): Topology | null {
  if (!hasKept(topology)) return null
  const nodes = topology.nodes.map(node => (isKept(node) ? { ...node, kept: { ...node.kept!, isVoid: true } } : node))
  return nextSerial({ ...topology, nodes })
}

/** What a life of a node leaves when it ends, or half a sentence why that would not be believed. */
export function ownerOf(topology: Topology | null, id: string, incarnation: string): MemoryOwner | string {
  const why = whyGone(topology, id, incarnation)
  if (why !== null) return why
  const { tier, generations, epoch } = topology!
  return { tier, node: id, incarnation, base: generations[0]!.epoch, epoch }
}

/**
 * Null: the memory of `owner` is what this node held when it went away, and nobody has acted by it since. Else half a sentence.
 * `state` is what this node's disk says of its last life, `topology` the document before this life stands in it.
 */
export function whyNotBelieved(
  owner: MemoryOwner | null,
  id: string,
  state: NodeState | null,
  topology: Topology | null,
): string | null {
  if (!owner) return 'it is of a node alone'
  if (owner.node !== id) return `it is the memory of node "${owner.node}"`
  if (!state?.topology) return 'nothing in --data-dir says what this node did since'
  if (owner.tier !== state.topology.tier) return `it is of tier "${owner.tier}", not of "${state.topology.tier}"`
  if (owner.incarnation !== state.incarnation) return 'this node has had another life since'
  if (owner.epoch !== state.topology.epoch) {
    return `it is as of generation ${owner.epoch}, and this node has heard of generation ${state.topology.epoch}`
  }
  if (!topology) return 'the topology store does not answer'
  if (owner.tier !== topology.tier) return `it is of tier "${owner.tier}", not of "${topology.tier}"`
  const why = whyGone(topology, id, owner.incarnation)
  if (why !== null) return why
  const base = topology.generations[0]!.epoch
  return base === owner.base ? null : `it is as of generation ${owner.base}, and the tier forgot all before ${base}`
}

/**
 * As the life `incarnation` enters the document: may it still believe what it has of the life `before`? Then that one must be the one
 * that stands there, as nobody may have come between. Null: it may.
 */
export function whyForgotten(topology: Topology, id: string, incarnation: string, before: string): string | null {
  return nodeOf(topology, id)?.incarnation === incarnation ? null : whyGone(topology, id, before)
}

/** Why the document does not wait for what this life of the node held; null: it does. */
function whyGone(topology: Topology | null, id: string, incarnation: string): string | null {
  const node = topology ? nodeOf(topology, id) : undefined
  if (!topology || !node) return 'the tier does not know this node'
  if (node.incarnation !== incarnation) return 'another life of this node has been in the tier since'
  if (!isKept(node) || node.kept!.incarnation !== incarnation) {
    return 'this node is not away because of tier step-aside --quick'
  }
  if (node.kept!.isVoid) return 'there was a flush_all since'
  // Where the node acted in a later generation, or is given up, what it held before says nothing.
  const [base, ...later] = topology.generations
  const isIn = base!.servers.some(({ number }) => number === node.number) && !base!.away.includes(node.number)
  const isOut = later.length > 0 && later.every(({ away }) => away.includes(node.number))
  const isLost = currentGeneration(topology)!.lost?.includes(node.number) === true
  return isIn && isOut && !isLost ? null : 'the generations since do not say that this node was away all the time'
}
