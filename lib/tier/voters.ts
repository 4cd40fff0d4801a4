/**
 * Who votes: the controller's upkeep of the fencing in the document. Pure. Named voters are the members of the ring that have
 * lived longest, as those are the least likely to be gone tomorrow; a set is changed only when one of it has left or is away
 * and another can take its place, or when the tier has grown.
 *
 *   members of the ring   1            2, 3          4 and more
 *   voters                not fenced   store + 2     store + 4
 *   of them may be lost                1             2
 */
import { type Fencing, fencingOf, NAMED_MAX, type Voters } from './fencing.js'
import { currentGeneration, type TierNode, type Topology } from './topology.js'

export interface VotersWanted {
  /** 0: nothing is to be fenced. */
  leaseMs: number
  isAlive(node: TierNode): boolean
  /** Nobody can act any more by the set of voters of this term. */
  isRetired(term: number): boolean
}

export function votersStep(topology: Topology, wanted: VotersWanted): Topology | null {
  const fencing = fencingOf(topology)
  const isWanted = wanted.leaseMs > 0 && membersOf(topology).length >= 2
  if (!fencing) return isWanted ? begun(topology, wanted) : null
  if (!isWanted) return isQuiet(topology) ? withFencing(topology, { ...fencing, active: false }) : null
  if (fencing.previous) return wanted.isRetired(fencing.previous.term) ? withoutPrevious(topology, fencing) : null
  const named = namedNext(topology, fencing.named, wanted)
  if (wanted.leaseMs === fencing.leaseMs && sameNumbers(named, fencing.named)) return null
  // Promises under way are counted by the sets they were asked of.
  if (topology.nodes.some(node => node.declaring)) return null
  const previous: Voters = { term: fencing.term, named: fencing.named, leaseMs: fencing.leaseMs }
  return withFencing(topology, { ...fencing, term: fencing.term + 1, named, leaseMs: wanted.leaseMs, previous })
}

function begun(topology: Topology, wanted: VotersWanted): Topology {
  const term = (topology.fencing?.term ?? 0) + 1
  const named = namedNext(topology, [], wanted)
  const { serial = 0 } = topology.fencing ?? {}
  return withFencing(topology, { term, named, leaseMs: wanted.leaseMs, active: true, since: term, serial })
}

function withoutPrevious(topology: Topology, { previous: _, ...fencing }: Fencing): Topology {
  return withFencing(topology, fencing)
}

function withFencing(topology: Topology, fencing: Fencing): Topology {
  return { ...topology, fencing: { ...fencing, serial: fencing.serial + 1 } }
}

/** Nobody is away and nothing is under way: nobody could act beside a node that takes the end of fencing for its own. */
function isQuiet({ nodes, generations }: Topology): boolean {
  return generations.length <= 1 && nodes.every(node => !node.away && !node.declaring)
}

/** Nodes of the newest ring and of those that are not retired. */
function membersOf({ generations }: Topology): number[] {
  return [...new Set(generations.flatMap(generation => generation.servers.map(server => server.number)))]
}

/** Those that are good stay; others take the places of those that are not, as far as there are others. */
function namedNext(topology: Topology, before: readonly number[], wanted: VotersWanted): number[] {
  const ring = currentGeneration(topology)
  const members = new Set(ring?.servers.map(server => server.number))
  const good = topology.nodes.filter(node => members.has(node.number) && !node.away).sort(byAge)
  // Never three: with the store they would be four, of which no more may be lost than of three.
  const size = Math.min(members.size, Math.max(good.length, before.length)) >= NAMED_MAX ? NAMED_MAX : 2
  const stay = good.filter(node => before.includes(node.number)).slice(0, size)
  const isNew = (node: TierNode) => !before.includes(node.number) && !node.declaring && wanted.isAlive(node)
  const fresh = good.filter(isNew).slice(0, size - stay.length)
  const chosen = [...stay, ...fresh].map(node => node.number)
  // Nobody to put in its place: one that is away may come back, and one less makes no majority easier.
  const rest = before.filter(number => !chosen.includes(number) && members.has(number)).slice(0, size - chosen.length)
  return [...chosen, ...rest].sort((a, b) => a - b)
}

/** Incarnations are times of start. */
function byAge(one: TierNode, other: TierNode): number {
  const [a, b] = [BigInt(one.incarnation), BigInt(other.incarnation)]
  return a < b ? -1 : a > b ? 1 : one.number - other.number
}

function sameNumbers(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every(number => other.includes(number))
}
