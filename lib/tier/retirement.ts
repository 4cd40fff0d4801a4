/**
 * Which generations have settled, and go. Generations are retired from the oldest on: one goes when everybody who takes
 * because of the next one has taken everything. Pure.
 *
 *   [7] --takers of 8 settled?--> [8] --takers of 9 settled?--> [9]        the first that are not stay, with all after them
 *
 * While a node is away, the generation in which it was there last stays, whatever was reported: who stands in knows by it
 * whose memory is missing.
 */
import { boundedChanges, type Change, currentGeneration, type TierNode, type Topology } from './topology.js'

export function retire(topology: Topology): Topology | null {
  const { generations } = topology
  const limit = lastNeeded(topology)
  let base = 0
  while (base < limit && isSettledAt(topology, generations[base + 1]!.epoch)) base++
  if (base === 0) return null
  const { epoch } = generations[base]!
  const over = topology.changes.filter(change => change.state === 'running' && change.epoch! <= epoch)
  return finished({ ...topology, generations: generations.slice(base) }, over)
}

function isSettledAt(topology: Topology, epoch: number): boolean {
  const change = topology.changes.find(one => one.state === 'running' && one.epoch === epoch)
  return change?.takers?.every(taker => change.settled?.includes(taker)) ?? true
}

/** Index of the newest generation that everything before may be dropped for, as far as absence is concerned. */
function lastNeeded({ generations }: Topology): number {
  const newest = generations.length - 1
  const away = generations[newest]?.away ?? []
  let first = newest
  for (const number of away) {
    let at = newest
    while (at > 0 && generations[at - 1]!.away.includes(number)) at--
    // It was there in the generation before; that one stays.
    first = Math.min(first, Math.max(0, at - 1))
  }
  return first
}

/** The changes are done; nodes are what the newest ring says they are. */
export function finished(topology: Topology, changes: Change[]): Topology {
  const ids = new Set(changes.map(change => change.id))
  const newest = currentGeneration(topology)
  const inRing = new Map(newest?.servers.map(server => [server.number, server.weight]))
  const drained = new Set(changes.filter(change => change.kind === 'drain').map(change => change.node))
  const returned = new Set(changes.filter(change => change.kind === 'back').map(change => change.node))
  const settle = (node: TierNode): TierNode => {
    const weight = inRing.get(node.number)
    if (weight === undefined) return drained.has(node.id) ? { ...node, weight: 0, state: 'gone' } : node
    const isUp = node.state === 'joining' || (node.state === 'returning' && returned.has(node.id))
    return { ...node, weight, state: isUp ? 'up' : node.state }
  }
  return {
    ...topology,
    nodes: topology.nodes.map(settle),
    changes: boundedChanges(
      topology.changes.map(change => (ids.has(change.id) ? { ...change, state: 'done' as const } : change)),
    ),
  }
}
