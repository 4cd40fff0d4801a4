/**
 * Which generations have settled, and go. Generations are retired from the oldest on: one goes when everybody who takes
 * because of the next one has taken everything. Pure.
 *
 *   [7] --takers of 8 settled?--> [8] --takers of 9 settled?--> [9]        the first that are not stay, with all after them
 *
 * Nobody is away in the oldest that stays: what its actors hold is true, and everybody knows by it whose memory is missing
 * later. So an outage goes as a whole, when the node is back and has everything, and everybody else has what it acted for. A node that stood in until the home acted
 * again never takes from it, and is not waited for.
 */
import { pictureOf } from './actors.js'
import { boundedChanges, type Change, currentGeneration, type TierNode, type Topology } from './topology.js'

export function retire(topology: Topology): Topology | null {
  const { generations } = topology
  const candidates: number[] = []
  for (let next = 1; next < generations.length && isSettledAt(topology, generations[next]!.epoch); next++) {
    if (generations[next]!.away.length === 0) candidates.push(next)
  }
  const base = candidates.findLast(next => mayForgetBefore(topology, generations[next]!.epoch))
  if (base === undefined) return null
  const { epoch } = generations[base]!
  const over = topology.changes.filter(change => change.state === 'running' && change.epoch! <= epoch)
  return finished({ ...topology, generations: generations.slice(base) }, over)
}

function isSettledAt(topology: Topology, epoch: number): boolean {
  const open = openTakers(topology, epoch)
  if (open.length === 0) return true
  if (topology.generations.every(({ away }) => away.length === 0)) return false
  const takers = pictureOf(topology, topology.generations).takers(epoch)
  return !open.some(taker => takers.has(taker))
}

function mayForgetBefore(topology: Topology, epoch: number): boolean {
  if (topology.generations.every(({ away }) => away.length === 0)) return true
  const open = new Map(topology.generations.map(one => [one.epoch, new Set(openTakers(topology, one.epoch))]))
  const isOpen = (taker: number, of: number) => open.get(of)!.has(taker)
  return pictureOf(topology, topology.generations).mayForgetBefore(epoch, isOpen)
}

/** Who has not said yet that it has taken everything that it takes because of this generation. */
function openTakers(topology: Topology, epoch: number): number[] {
  const change = topology.changes.find(one => one.state === 'running' && one.epoch === epoch)
  return change?.takers?.filter(taker => !change.settled?.includes(taker)) ?? []
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
