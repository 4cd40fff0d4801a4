/**
 * A tier as people and machines see it: the JSON of `tier status` (DESIGN 12), tables, and the progress of a migration as
 * one line. Pure: documents and statuses in, text out.
 */
import { standIns } from '../tier/actors.js'
import { whyWaiting } from '../tier/controller.js'
import { fencingOf } from '../tier/fencing.js'
import type { HintsKept, MigrationProgress, NodeStatus, Versioned } from '../tier/store.js'
import {
  type Change,
  currentGeneration,
  isSettled,
  runningChange,
  type TierNode,
  type Topology,
} from '../tier/topology.js'
import { bytesText, table } from './output.js'

export interface TierView {
  tier: string
  epoch: number
  settled: boolean
  nodes: NodeView[]
  changes: ChangeView[]
}

export interface NodeView {
  id: string
  host: string
  port: number
  weight: number
  state: string
  alive: boolean
  /** It acts by a lease alone, so that it can be declared away. Only in tiers where nodes can be. */
  fenced?: boolean
  /** It stepped aside, and comes back with this weight when it is started again. */
  aside?: number
  /** It steps aside, or has, and leaves its memory in a file: it may be stopped once it is away. */
  quick?: boolean
  /** It will be declared away unless it is heard again; `since` in Unix seconds. */
  suspect?: { since: number; reason: string }
  away?: { epoch: number; since: number; reason: string; standIns: string[] }
  /** What others keep on their disks for it, while it is away and until it has everything back. */
  hints?: (Omit<HintsKept, 'home'> & { node: string })[]
}

export interface ChangeView {
  id: number
  kind: Change['kind']
  node: string
  weight: number
  state: Change['state']
  epoch?: number
  /** Why a queued change has not started. */
  waits?: string
  /** Of a running change: one a node that takes. */
  migrations?: Migration[]
}

/** Everything that one node takes because of one change, over all its sources. */
export interface Migration {
  node: string
  settled: boolean
  arcs: number
  arcsSettled: number
  keys: number
  bytes: number
  keysPerSec: number
  bytesPerSec: number
  fraction: number
  secondsLeft: number | null
}

export function tierView({ topology }: Versioned, live: Map<string, NodeStatus>): TierView {
  const nodes = topology.nodes.map(node => nodeView(topology, node, live))
  const changes = topology.changes.map(change => changeView(topology, change, live))
  return { tier: topology.tier, epoch: topology.epoch, settled: isSettled(topology), nodes, changes }
}

function nodeView(topology: Topology, node: TierNode, live: Map<string, NodeStatus>): NodeView {
  const { id, number, host, port, weight, state, declaring, away, aside, kept } = node
  const view: NodeView = { id, host, port, weight, state, alive: live.has(id) }
  const fencing = fencingOf(topology)
  const newest = currentGeneration(topology)
  if (fencing) view.fenced = node.fenced === fencing.since
  if (aside !== undefined) view.aside = aside
  if (kept) view.quick = true
  else if (declaring) view.suspect = declaring
  const hints = topology.nodes.flatMap(({ id: keeper }) =>
    (live.get(keeper)?.hints ?? [])
      .filter(({ home }) => home === id)
      .map(({ home: _, ...kept }) => ({ node: keeper, ...kept })),
  )
  if (hints.length > 0) view.hints = hints
  if (away && newest)
    view.away = { ...away, standIns: standIns(topology, newest, number).map(one => idOf(topology, one)) }
  return view
}

const idOf = (topology: Topology, number: number) =>
  topology.nodes.find(node => node.number === number)?.id ?? String(number)

function changeView(topology: Topology, change: Change, live: Map<string, NodeStatus>): ChangeView {
  const { id, kind, node, weight, state, epoch } = change
  const view: ChangeView = { id, kind, node, weight, state }
  if (epoch !== undefined) view.epoch = epoch
  const waits = whyWaiting(topology, change, live)
  if (waits !== null) view.waits = waits
  if (state === 'running') view.migrations = migrations(topology, live, change)
  return view
}

/** One a taker of the running change; a taker that has not reported yet has moved nothing. */
export function migrations(
  topology: Topology,
  live: Map<string, NodeStatus>,
  running = runningChange(topology),
): Migration[] {
  return (running?.takers ?? []).map(number => {
    const id = topology.nodes.find(node => node.number === number)?.id ?? String(number)
    const parts = (live.get(id)?.progress ?? []).filter(part => part.epoch === running?.epoch)
    return migration(id, running?.settled?.includes(number) ?? false, parts)
  })
}

function migration(node: string, settled: boolean, parts: MigrationProgress[]): Migration {
  const sum = (of: (part: MigrationProgress) => number) => parts.reduce((total, part) => total + of(part), 0)
  const arcs = sum(part => part.arcs)
  const known = parts.map(part => part.secondsLeft)
  return {
    node,
    settled,
    arcs,
    arcsSettled: settled ? arcs : sum(part => part.arcsSettled),
    keys: sum(part => part.keys),
    bytes: sum(part => part.bytes),
    keysPerSec: sum(part => part.keysPerSec),
    bytesPerSec: sum(part => part.bytesPerSec),
    fraction: settled ? 1 : arcs === 0 ? 0 : sum(part => part.fraction * part.arcs) / arcs,
    secondsLeft: settled ? 0 : known.includes(null) || known.length === 0 ? null : Math.max(...(known as number[])),
  }
}

export function statusText(view: TierView): string {
  const word = view.settled ? 'settled' : 'moving keys'
  const lines = [`tier ${view.tier}, generation ${view.epoch}, ${word}`, '']
  if (view.nodes.length === 0) lines.push('no nodes yet')
  else {
    const rows = view.nodes.map(node => [
      ...[node.id, `${node.host}:${node.port}`, node.weight],
      node.weight === 0 && node.state === 'up' ? 'up (router)' : node.state,
      node.alive ? 'yes' : 'no',
    ])
    lines.push(table(['node', 'address', 'weight', 'state', 'alive'], rows))
  }
  for (const node of view.nodes) {
    const when = (since: number) => new Date(since * 1000).toISOString()
    const { suspect, away, aside, quick } = node
    if (aside !== undefined) {
      const what = node.weight > 0 ? 'is stepping aside' : 'has stepped aside, and may be stopped'
      lines.push('', `node ${node.id} ${what}; started again it comes back with weight ${aside}`)
    }
    if (quick) {
      const what = away ? 'has stepped aside, and may be stopped' : 'is stepping aside'
      lines.push('', `node ${node.id} ${what}; started again it takes back the memory that it leaves in its file`)
    }
    if (suspect) lines.push('', `node ${node.id} is suspected since ${when(suspect.since)}: ${suspect.reason}`)
    if (away) {
      const others = away.standIns.length > 0 ? `; ${away.standIns.join(', ')} stand in` : ''
      lines.push(
        '',
        `node ${node.id} is away since ${when(away.since)}, generation ${away.epoch}: ${away.reason}${others}`,
      )
    }
  }
  for (const { id, hints = [] } of view.nodes) {
    for (const one of hints) lines.push('', `node ${one.node} keeps for ${id}: ${hintsText(one)}`)
  }
  for (const change of view.changes.filter(one => one.state !== 'done')) {
    lines.push('', `change ${change.id}: ${changeText(change)}, ${change.waits ?? change.state}`)
    for (const one of change.migrations ?? []) lines.push(`  ${migrationText(one)}`)
  }
  return lines.join('\n')
}

function hintsText({ keys, bytes, oldestAgeMs, state, leftOut, lost }: NonNullable<NodeView['hints']>[number]): string {
  const age = keys > 0 ? `, the oldest ${Math.round(oldestAgeMs / 1000)} s old` : ''
  const parts = [`${keys} keys, ${bytesText(bytes)}${age}`]
  if (state !== 'logging') parts.push(`${state}, ${leftOut} writes left out`)
  if (lost) parts.push(`not to be believed since generation ${lost.fromGeneration} (${lost.why})`)
  return parts.join('; ')
}

export function changeText({ kind, node, weight }: { kind: string; node: string; weight: number }): string {
  if (kind === 'away') return `${node} is away`
  if (kind === 'back') return `${node} is back`
  return kind === 'drain' ? `drain ${node}` : `${kind} ${node} with weight ${weight}`
}

export function migrationText(one: Migration): string {
  const percent = `${Math.floor(one.fraction * 100)}%`
  return `${one.node}: ${percent}, ${migrationDetail(one)}`
}

export function migrationDetail(one: Migration): string {
  const moved = `arcs ${one.arcsSettled}/${one.arcs}, ${one.keys} keys, ${bytesText(one.bytes)}`
  if (one.settled) return `${moved}, settled`
  const rate = `${Math.round(one.keysPerSec)} keys/s, ${bytesText(Math.round(one.bytesPerSec))}/s`
  return `${moved}, ${rate}, ${one.secondsLeft === null ? 'time left unknown' : `${Math.ceil(one.secondsLeft)} s left`}`
}

export function generationsView(topology: Topology) {
  const running = runningChange(topology)
  const idOf = (number: number) => topology.nodes.find(node => node.number === number)?.id ?? String(number)
  return topology.generations.map(({ epoch, servers }) => ({
    epoch,
    state: epoch !== topology.epoch ? 'not retired yet' : running ? 'running' : 'settled',
    servers: servers.map(({ number, host, port, weight }) => ({ id: idOf(number), host, port, weight })),
  }))
}

export function generationsText(topology: Topology): string {
  const rows = generationsView(topology).flatMap(({ epoch, state, servers }) =>
    servers.map((server, index) => [
      ...[index === 0 ? String(epoch) : '', index === 0 ? state : ''],
      ...[server.id, `${server.host}:${server.port}`, server.weight],
    ]),
  )
  if (rows.length === 0) return `tier ${topology.tier} has no ring yet`
  return table(['generation', 'state', 'node', 'address', 'weight'], rows)
}
