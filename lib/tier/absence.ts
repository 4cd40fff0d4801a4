/**
 * Outages in the document: a suspected node is announced, declared away, and comes back, each step a new document. Pure: the
 * document and what the controller has found out go in. Outages and returns do not queue behind changes of the ring, nor
 * behind each other: an absent node may be the very one that a migration waits for. So each makes its generation at once, on
 * top of whatever is unsettled; the generations below stay until everybody they need has taken everything (retirement.ts).
 *
 *   suspected --announce--> declaring --publish, one lease after the promises--> away --bring back--> returning --settled--> up
 *                               \--withdraw: heard again--> as before, with the next session
 *
 * A node that steps aside and keeps its memory (kept-memory.ts) is announced by wish. It is heard as long as it runs: it is not withdrawn for
 * that, and not brought back in that life.
 */
import { takersBetween } from './actors.js'
import { fencingOf, nextSerial, sessionOf } from './fencing.js'
import {
  type Change,
  currentGeneration,
  EPOCH_MAX,
  type Generation,
  inSomeRing,
  type TierNode,
  type Topology,
} from './topology.js'

/** What the controller knows beside the document, at the moment of a step. */
export interface Findings {
  /** Unix seconds, for people. */
  wallClock: number
  /** Nodes may be declared away: the controller was told --away-after. */
  isOn: boolean
  /** Why a node is suspected; null: it is not. */
  suspicion(node: number): string | null
  /** A majority has promised, and every lease of the node's session is over. */
  isOver(node: number, session: number): boolean
  /** A node that is away is heard again, and has been for long enough. */
  mayReturn(node: TierNode): boolean
}

/** Generations that outages and returns may stack on each other while nothing can be retired. */
export const GENERATIONS_MAX = 64

export function absenceStep(topology: Topology, findings: Findings): Topology | null {
  if (!fencingOf(topology) || !currentGeneration(topology)) return null
  return (
    withdraw(topology, findings) ??
    publish(topology, findings) ??
    announce(topology, findings) ??
    bringBack(topology, findings)
  )
}

/** Why a suspected node is not declared away, as half a sentence for people; null: nothing is in the way. */
export function whyNotDeclared(topology: Topology, node: TierNode): string | null {
  const fencing = fencingOf(topology)
  if (!fencing) return 'nothing is fenced in this tier'
  if (!inSomeRing(topology, node.number)) return 'it holds nothing'
  if (node.fenced !== fencing.since) return 'it has not said that it acts by a lease'
  if (currentGeneration(topology)?.lost?.includes(node.number)) return 'it is given up'
  if (remaining(topology, node.number).length === 0) return 'no other node could stand in for it'
  if (topology.epoch >= EPOCH_MAX) return 'the tier has no epoch left'
  if (topology.generations.length >= GENERATIONS_MAX) return `${GENERATIONS_MAX} generations are not retired`
  return null
}

/** Numbers of the nodes of the newest ring that act, and would go on when `without` and everybody announced are gone. */
function remaining(topology: Topology, without: number): number[] {
  const { servers, away } = currentGeneration(topology)!
  const announced = new Set(topology.nodes.filter(node => node.declaring).map(node => node.number))
  return servers
    .map(server => server.number)
    .filter(number => number !== without && !away.includes(number) && !announced.has(number))
}

/** The next session of a node: what was promised about the present one no longer matters. */
export function nextSession(node: TierNode): TierNode {
  const { declaring: _, away: __, kept: ___, ...rest } = node
  return { ...rest, session: sessionOf(node) + 1 }
}

function withdraw(topology: Topology, { suspicion, isOn }: Findings): Topology | null {
  const isOut = (node: TierNode) => {
    // What it would leave behind while others change could not be believed.
    if (node.kept) return !isOn || topology.generations.length > 1 || whyNotDeclared(topology, node) !== null
    return suspicion(node.number) === null || !inSomeRing(topology, node.number)
  }
  const refuted = topology.nodes.find(node => node.declaring && isOut(node))
  return refuted ? nextSerial(withNode(topology, nextSession(refuted))) : null
}

function announce(topology: Topology, { suspicion, wallClock }: Findings): Topology | null {
  for (const node of topology.nodes) {
    if (node.declaring || node.away) continue
    const reason = suspicion(node.number)
    if (reason === null || whyNotDeclared(topology, node) !== null) continue
    return nextSerial(withNode(topology, { ...node, declaring: { since: Math.floor(wallClock), reason } }))
  }
  return null
}

function publish(topology: Topology, { isOver, wallClock }: Findings): Topology | null {
  const node = topology.nodes.find(one => one.declaring && isOver(one.number, sessionOf(one)))
  const { away } = currentGeneration(topology)!
  if (!node?.declaring || topology.epoch >= EPOCH_MAX) return null
  // What stands of it may have changed since it was announced: it may have left the ring, or be the last one now.
  if (!inSomeRing(topology, node.number) || remaining(topology, node.number).length === 0) return null
  const { declaring, ...rest } = node
  const epoch = topology.epoch + 1
  const gone: TierNode = {
    ...rest,
    state: 'away',
    away: { epoch, since: Math.floor(wallClock), reason: declaring.reason },
  }
  return nextSerial(withGeneration(withNode(topology, gone), 'away', node, [...away, node.number]))
}

function bringBack(topology: Topology, { mayReturn }: Findings): Topology | null {
  const node = topology.nodes.find(one => one.away && one.kept?.incarnation !== one.incarnation && mayReturn(one))
  if (!node || topology.epoch >= EPOCH_MAX || topology.generations.length >= 2 * GENERATIONS_MAX) return null
  const { away: absent, servers } = currentGeneration(topology)!
  const away = absent.filter(number => number !== node.number)
  const isIn = servers.some(server => server.number === node.number)
  const back: TierNode = { ...nextSession(node), state: isIn ? 'returning' : 'draining' }
  return nextSerial(withGeneration(withNode(topology, back), 'back', node, away))
}

function withNode(topology: Topology, node: TierNode): Topology {
  return { ...topology, nodes: topology.nodes.map(one => (one.number === node.number ? node : one)) }
}

/** The newest ring with other nodes away. */
function withGeneration(topology: Topology, kind: 'away' | 'back', node: TierNode, away: number[]): Topology {
  const before = currentGeneration(topology)!
  const epoch = topology.epoch + 1
  const after: Generation = { ...before, epoch, away }
  const id = Math.max(0, ...topology.changes.map(change => change.id)) + 1
  const takers = takersBetween(topology, before, after)
  const change: Change = { id, kind, node: node.id, weight: node.weight, state: 'running', epoch, takers, settled: [] }
  return {
    ...topology,
    epoch,
    generations: [...topology.generations, after],
    changes: [...topology.changes, change],
  }
}
