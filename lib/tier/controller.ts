/**
 * The tier's brain as a pure function: the document and who is alive go in, the next document comes out, or null when
 * there is nothing to do. One step at a time; whoever runs it (coordinator.ts) writes the step by compare-and-set and
 * asks again. It may not know stores, links or clocks.
 *
 *   queued --start: generation E+1 appended, takers named--> running --every taker settled: older generations dropped--> done
 *
 * Outages, returns and nodes that are given up make generations beside it, at once (absence.ts); changes of the ring may
 * overlap them.
 *
 * Invariants: at most one change of the ring runs, but for nodes given up; epochs ascend by one; a generation, once written,
 * is never altered.
 */
import { absenceStep, type Findings, nextSession } from './absence.js'
import { takersBetween } from './actors.js'
import { nextSerial } from './fencing.js'
import { finished, retire } from './retirement.js'
import type { NodeStatus } from './store.js'
import {
  type Change,
  currentGeneration,
  EPOCH_MAX,
  type Generation,
  inSomeRing,
  NODES_MAX,
  type NodeState,
  nodeOf,
  runningChange,
  runningChanges,
  type TierNode,
  type Topology,
} from './topology.js'
import { type VotersWanted, votersStep } from './voters.js'

export type Live = ReadonlyMap<string, NodeStatus>
type Servers = Generation['servers']

/** Generations that are not retired while a change of the ring may begin; every one costs all nodes room in their route tables. */
const UNRETIRED_MAX = 8

/** `fencing`: what the controller has found out about absent nodes; null: outages are not its business. */
export function nextTopology(
  topology: Topology,
  live: Live,
  fencing: { findings: Findings; voters: VotersWanted } | null = null,
): Topology | null {
  return (
    (fencing && absenceStep(topology, fencing.findings)) ??
    retire(topology) ??
    (fencing && votersStep(topology, fencing.voters)) ??
    startNext(topology, live) ??
    forgetGone(topology, live)
  )
}

/** Why a queued change does not start, as half a sentence for people; null when nothing holds it. */
export function whyWaiting(topology: Topology, change: Change, live: Live): string | null {
  if (change.state !== 'queued') return null
  const running = inTheWay(topology, change)
  if (running) return `waits for change ${running.id} (${running.kind} ${running.node})`
  const servers = serversAfter(topology, change)
  if (!hasActor(topology, servers)) return 'waits for another node with weight'
  if (topology.generations.length >= UNRETIRED_MAX && !change.givenUp)
    return `waits, as ${topology.generations.length} generations are not retired`
  const missing = missingNode(topology, servers, live)
  return missing === null ? null : `waits for node ${missing.id}, ${missing.why}`
}

/** The newest ring with one change applied. */
export function serversAfter(topology: Topology, change: Change): Servers {
  return applied(currentGeneration(topology)?.servers ?? [], topology, change)
}

/** The ring as it will be when everything that was asked for is done. */
export function serversInTheEnd(topology: Topology): Servers {
  const queued = topology.changes.filter(change => change.state === 'queued')
  return queued.reduce(
    (servers, change) => applied(servers, topology, change),
    currentGeneration(topology)?.servers ?? [],
  )
}

/** The change that must be over before this one may start. A node that is given up may be what the others wait for. */
function inTheWay(topology: Topology, change: Change): Change | undefined {
  if (change.givenUp) return undefined
  const isReturning = ({ kind, node }: Change) => kind === 'back' && !nodeOf(topology, node)?.away
  return runningChange(topology) ?? runningChanges(topology).find(isReturning)
}

/** What a node is asked last counts: what it was asked before, and has not begun, is done with that. */
function isOvertaken(topology: Topology, { id, node, givenUp }: Change): boolean {
  const last = topology.changes.findLast(change => change.state === 'queued' && change.node === node)
  return !givenUp && last?.id !== id
}

/** Somebody must be there to act. */
function hasActor(topology: Topology, servers: Servers): boolean {
  const away = currentGeneration(topology)?.away ?? []
  return servers.some(server => !away.includes(server.number))
}

/** The first queued change that can run now. One that cannot (its node is not there) lets the others go first. */
function startNext(topology: Topology, live: Live): Topology | null {
  const queued = topology.changes.filter(change => change.state === 'queued')
  if (topology.epoch === 0) return firstRing(topology, queued, live)
  for (const change of queued) {
    if (isOvertaken(topology, change)) return finished(topology, [change])
    if (inTheWay(topology, change)) continue
    const before = currentGeneration(topology)?.servers ?? []
    const after = serversAfter(topology, change)
    if (sameServers(before, after) && !change.givenUp) return finished(topology, [change])
    if (!hasActor(topology, after) || topology.epoch >= EPOCH_MAX) continue
    if (!change.givenUp && topology.generations.length >= UNRETIRED_MAX) continue
    if (!change.givenUp && missingNode(topology, after, live) !== null) continue
    return started(topology, change, after)
  }
  return null
}

/**
 * Before the first ring no node can hold anything, so all nodes that are there may enter it together, and what was asked of them
 * meanwhile is done with that, in the order in which it was asked.
 */
function firstRing(topology: Topology, queued: Change[], live: Live): Topology | null {
  const entering = queued.filter(change => live.has(change.node))
  const servers = entering.reduce<Servers>((all, change) => applied(all, topology, change), [])
  if (servers.length === 0) return null
  const ids = new Set(entering.map(change => change.id))
  const changes = topology.changes.map(change =>
    ids.has(change.id) ? { ...change, epoch: 1, takers: [], settled: [] } : change,
  )
  return finished({ ...topology, epoch: 1, changes, generations: [{ epoch: 1, servers, away: [] }] }, entering)
}

function started(topology: Topology, change: Change, servers: Servers): Topology {
  const epoch = topology.epoch + 1
  const { number } = nodeOf(topology, change.node)!
  const before = currentGeneration(topology) ?? { epoch: 0, servers: [], away: [] }
  const after = nextGeneration(topology, epoch, servers, change.givenUp ? number : null)
  const running: Change = {
    ...change,
    state: 'running',
    epoch,
    takers: takersBetween(topology, before, after),
    settled: [],
  }
  const weight = servers.find(server => server.number === number)?.weight ?? 0
  const wasIn = before.servers.some(server => server.number === number)
  const state = ({ state: was }: TierNode): NodeState => {
    if (was === 'away' && !change.givenUp) return was
    return weight === 0 ? 'draining' : wasIn ? was : 'joining'
  }
  const changed = (node: TierNode): TierNode => {
    const next = { ...node, weight, state: state(node) }
    return change.givenUp ? nextSession(next) : next
  }
  const next: Topology = {
    ...topology,
    epoch,
    generations: [...topology.generations, after],
    nodes: topology.nodes.map(node => (node.number === number ? changed(node) : node)),
    changes: topology.changes.map(one => (one.id === change.id ? running : one)),
  }
  return change.givenUp ? nextSerial(next) : next
}

/** Who is away stays away as long as an older ring needs it; `givenUp` is not waited for any more. */
function nextGeneration(topology: Topology, epoch: number, servers: Servers, givenUp: number | null): Generation {
  const { away, lost = [] } = currentGeneration(topology) ?? { away: [] }
  const gone = [...lost, ...(givenUp === null ? [] : [givenUp])].filter(number => inSomeRing(topology, number))
  const after: Generation = { epoch, servers, away: away.filter(number => number !== givenUp) }
  return gone.length === 0 ? after : { ...after, lost: gone }
}

function applied(servers: Servers, topology: Topology, change: Change): Servers {
  const node = nodeOf(topology, change.node)
  if (!node) return servers
  const { number, host, port } = node
  if (change.kind === 'drain' || change.weight === 0) return servers.filter(server => server.number !== number)
  const entry = { number, host, port, weight: change.weight }
  const index = servers.findIndex(server => server.number === number)
  // A node keeps its place, and the address that its points are made of, as long as it is in the ring.
  if (index >= 0) return servers.map((server, at) => (at === index ? { ...server, weight: change.weight } : server))
  return [...servers, entry]
}

function sameServers(one: Servers, other: Servers): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/**
 * A node of the old or the new ring that is neither alive nor declared away: its keys could neither be taken nor given. Or one that
 * enters, and does not act by the newest generation yet: the others would ask it for its keys while it still looks for them.
 */
function missingNode(topology: Topology, after: Servers, live: Live): { id: string; why: string } | null {
  const before = new Set(currentGeneration(topology)?.servers.map(server => server.number))
  const wanted = new Set([...before, ...after.map(server => server.number)])
  for (const { id, number, away } of topology.nodes) {
    if (away || !wanted.has(number)) continue
    const status = live.get(id)
    if (!status) return { id, why: 'which does not answer' }
    if (!before.has(number) && status.epoch < topology.epoch)
      return { id, why: `which is not at generation ${topology.epoch} yet` }
  }
  return null
}

/** Nodes that left and stopped are remembered only as long as there is room; the newest number stays, as numbers are never reused. */
function forgetGone(topology: Topology, live: Live): Topology | null {
  if (topology.nodes.length <= NODES_MAX / 2) return null
  const newest = Math.max(...topology.nodes.map(node => node.number))
  const oldest = topology.nodes.find(
    node => node.state === 'gone' && !live.has(node.id) && node.number !== newest && !hasChange(topology, node.id),
  )
  return oldest ? { ...topology, nodes: topology.nodes.filter(node => node !== oldest) } : null
}

function hasChange(topology: Topology, id: string): boolean {
  return topology.changes.some(change => change.node === id && change.state !== 'done')
}
