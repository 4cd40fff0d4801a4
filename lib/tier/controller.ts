/**
 * The tier's brain as a pure function: the document and who is alive go in, the next document comes out, or null when
 * there is nothing to do. One step at a time; whoever runs it (coordinator.ts) writes the step by compare-and-set and
 * asks again. It may not know stores, links or clocks.
 *
 *   queued --start: generation E+1 appended, takers named--> running --every taker settled: older generations dropped--> done
 *
 * Invariants: at most one change runs; epochs ascend by one; a generation, once written, is never altered.
 */
import { strict as assert } from 'node:assert'
import { Ring } from '../ketama/index.js'
import { formatAddress, type NodeStatus } from './store.js'
import {
  boundedChanges,
  type Change,
  currentGeneration,
  EPOCH_MAX,
  type Generation,
  NODES_MAX,
  type NodeState,
  nodeOf,
  runningChange,
  type TierNode,
  type Topology,
} from './topology.js'

export type Live = ReadonlyMap<string, NodeStatus>
type Servers = Generation['servers']

export function nextTopology(topology: Topology, live: Live): Topology | null {
  return finishRunning(topology) ?? startNext(topology, live) ?? forgetGone(topology, live)
}

/** Why a queued change does not start, as half a sentence for people; null when nothing holds it. */
export function whyWaiting(topology: Topology, change: Change, live: Live): string | null {
  if (change.state !== 'queued') return null
  const running = runningChange(topology)
  if (running) return `waits for change ${running.id} (${running.kind} ${running.node})`
  const servers = serversAfter(topology, change)
  if (servers.length === 0) return 'waits for another node with weight'
  const missing = missingNode(topology, servers, live)
  return missing === null ? null : `waits for node ${missing}, which does not answer`
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

/** Numbers of the nodes that gain arcs from one ring to the next. */
export function takersOf(topology: Topology, before: Servers, after: Servers): number[] {
  if (before.length === 0) return []
  const rule = { dialect: topology.dialect, pointsPerServer: topology.pointsPerServer }
  const ringOf = (servers: Servers) =>
    new Ring(
      servers.map(({ host, port, weight }) => ({ host, port, weight })),
      rule,
    )
  const arcs = ringOf(before).diff(ringOf(after))
  const gaining = new Set(arcs.map(arc => formatAddress({ host: arc.after.host, port: arc.after.port })))
  return after.filter(server => gaining.has(formatAddress(server))).map(server => server.number)
}

function finishRunning(topology: Topology): Topology | null {
  const running = runningChange(topology)
  if (!running) return null
  assert(running.epoch === topology.epoch, 'the running change made the newest generation')
  const settled = new Set(running.settled ?? [])
  if (!(running.takers ?? []).every(taker => settled.has(taker))) return null
  return done(topology, [running], topology.generations.slice(-1))
}

/** The changes are done; nodes are what the newest ring says they are. */
function done(topology: Topology, finished: Change[], generations: Generation[]): Topology {
  const ids = new Set(finished.map(change => change.id))
  const inRing = new Map(generations.at(-1)?.servers.map(server => [server.number, server.weight]))
  const drained = new Set(finished.filter(change => change.kind === 'drain').map(change => change.node))
  const settle = (node: TierNode): TierNode => {
    const weight = inRing.get(node.number)
    if (weight !== undefined) return { ...node, weight, state: node.state === 'joining' ? 'up' : node.state }
    return drained.has(node.id) ? { ...node, weight: 0, state: 'gone' } : node
  }
  return {
    ...topology,
    generations,
    nodes: topology.nodes.map(settle),
    changes: boundedChanges(
      topology.changes.map(change => (ids.has(change.id) ? { ...change, state: 'done' as const } : change)),
    ),
  }
}

/** The first queued change that can run now. One that cannot (its node is not there) lets the others go first. */
function startNext(topology: Topology, live: Live): Topology | null {
  if (runningChange(topology)) return null
  const queued = topology.changes.filter(change => change.state === 'queued')
  if (topology.epoch === 0) return firstRing(topology, queued, live)
  for (const change of queued) {
    const before = currentGeneration(topology)?.servers ?? []
    const after = serversAfter(topology, change)
    if (sameServers(before, after)) return done(topology, [change], topology.generations)
    if (after.length === 0 || missingNode(topology, after, live) !== null || topology.epoch >= EPOCH_MAX) continue
    return started(topology, change, before, after)
  }
  return null
}

/** Before the first ring no node can hold anything, so all nodes that are there may enter it together. */
function firstRing(topology: Topology, queued: Change[], live: Live): Topology | null {
  const entering = queued.filter(change => change.kind !== 'drain' && live.has(change.node))
  const servers = entering.reduce<Servers>((all, change) => applied(all, topology, change), [])
  if (servers.length === 0) return null
  const ids = new Set(entering.map(change => change.id))
  const changes = topology.changes.map(change =>
    ids.has(change.id) ? { ...change, epoch: 1, takers: [], settled: [] } : change,
  )
  return done({ ...topology, epoch: 1, changes }, entering, [{ epoch: 1, servers, away: [] }])
}

function started(topology: Topology, change: Change, before: Servers, after: Servers): Topology {
  const epoch = topology.epoch + 1
  const running: Change = {
    ...change,
    state: 'running',
    epoch,
    takers: takersOf(topology, before, after),
    settled: [],
  }
  const number = nodeOf(topology, change.node)!.number
  const weight = after.find(server => server.number === number)?.weight ?? 0
  const wasIn = before.some(server => server.number === number)
  const state = (node: TierNode): NodeState => (weight === 0 ? 'draining' : wasIn ? node.state : 'joining')
  return {
    ...topology,
    epoch,
    generations: [...topology.generations, { epoch, servers: after, away: [] }],
    nodes: topology.nodes.map(node => (node.number === number ? { ...node, weight, state: state(node) } : node)),
    changes: topology.changes.map(one => (one.id === change.id ? running : one)),
  }
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

/** Id of a node of the old or the new ring that is not alive: its keys could neither be taken nor given. */
function missingNode(topology: Topology, after: Servers, live: Live): string | null {
  const numbers = new Set([...(currentGeneration(topology)?.servers ?? []), ...after].map(server => server.number))
  return topology.nodes.find(node => numbers.has(node.number) && !live.has(node.id))?.id ?? null
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
