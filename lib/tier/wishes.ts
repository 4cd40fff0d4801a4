/**
 * What nodes and people write into the document: registrations, wishes (drain, reweight), reports of settled takers.
 * Pure: each gives the next document, nothing to do, or one sentence that says why not. The controller does the rest.
 */
import { serversInTheEnd } from './controller.js'
import { fencingOf } from './fencing.js'
import { formatAddress } from './store.js'
import {
  type Change,
  currentGeneration,
  inSomeRing,
  NODE_NUMBER_MAX,
  NODES_MAX,
  nodeOf,
  ringWeight,
  type TierNode,
  type Topology,
  unfinishedChanges,
  weightMax,
} from './topology.js'
import { NODE_ID_PATTERN } from './validate.js'

/** `topology` is null when the document says it already. */
export type Outcome<T = object> = ({ ok: true; topology: Topology | null } & T) | { ok: false; sentence: string }

/** A node as it introduces itself. */
export interface Registration {
  id: string
  host: string
  port: number
  peerHost: string
  peerPort: number
  dataPort: number
  weight: number
  incarnation: string
  standby?: boolean
  /** See TierNode. */
  keeps?: boolean
}

const UNFINISHED_MAX = 100

/**
 * A node is there: listed if it is new, its addresses and incarnation brought up to date if it is known; and if it has
 * weight and is not in the ring, a `join` is asked for. A node that is in the ring keeps the weight it has there: its
 * own start options must not undo a `tier reweight`.
 */
export function withNode(topology: Topology, self: Registration): Outcome<{ number: number }> {
  const refused = whyRefused(topology, self)
  if (refused !== null) return { ok: false, sentence: refused }
  const known = nodeOf(topology, self.id)
  const number = known?.number ?? Math.max(0, ...topology.nodes.map(node => node.number)) + 1
  // Started again after it stepped aside, it gets back what it had, whatever its own start options say.
  const returns = known?.aside !== undefined && known.incarnation !== self.incarnation
  const weight = returns ? known.aside! : self.weight
  // The same life introduces itself again when the store was away: a node that was drained meanwhile stays out.
  const isNews = known?.incarnation !== self.incarnation
  const entering = isNews && weight > 0 && (returns || !self.standby)
  const busy =
    known !== undefined && (ringWeight(topology, number) > 0 || unfinishedChanges(topology, self.id).length > 0)
  const { id, host, port, peerHost, peerPort, dataPort, incarnation } = self
  // Promises about a node's sessions outlive its stay in the ring.
  const session = known?.session === undefined ? {} : { session: known.session }
  const aside = known?.aside === undefined || returns ? {} : { aside: known.aside }
  const reached = { id, number, host, port, peerHost, peerPort, dataPort, incarnation, ...session, ...aside }
  const node: TierNode =
    known && (busy || !isNews)
      ? { ...known, ...reached }
      : { ...reached, weight: entering ? weight : 0, state: entering ? 'joining' : 'up' }
  if (self.keeps) node.keeps = true
  else delete node.keeps
  // Another life does not wait to be stopped.
  if (isNews) delete node.kept
  const nodes = known ? topology.nodes.map(one => (one === known ? node : one)) : [...topology.nodes, node]
  const next = { ...topology, nodes }
  // Started again before everything had moved: it comes back behind that.
  if (busy && returns) {
    const { aside: _, ...rest } = node
    const listed = { ...next, nodes: next.nodes.map(one => (one === node ? rest : one)) }
    return { ok: true, number, topology: withChange(listed, 'join', id, weight) }
  }
  if (known && (busy || !isNews))
    return { ok: true, number, topology: JSON.stringify(known) === JSON.stringify(node) ? null : next }
  return { ok: true, number, topology: entering ? withChange(next, 'join', id, weight) : next }
}

/**
 * A planned restart: everything moves to the others, and the node may be stopped when that is done. When it starts again it
 * joins by itself with the weight that it had.
 */
export function withStepAside(topology: Topology, id: string): Outcome<{ change: number }> {
  const node = nodeOf(topology, id)
  if (node?.away) return { ok: false, sentence: `node "${id}" is away: it cannot hand anything over` }
  if (node?.aside !== undefined) return { ok: false, sentence: `node "${id}" has stepped aside already` }
  if (node?.kept) return { ok: false, sentence: `node "${id}" steps aside already, and leaves its memory behind` }
  const coming = node && serversInTheEnd(topology).find(server => server.number === node.number)
  const outcome = withWish(topology, id, 0)
  if (!outcome.ok || !outcome.topology || !node || !coming) return outcome
  const nodes = outcome.topology.nodes.map(one => (one.id === id ? { ...one, aside: coming.weight } : one))
  return { ...outcome, topology: { ...outcome.topology, nodes } }
}

function whyRefused(topology: Topology, self: Registration): string | null {
  if (!NODE_ID_PATTERN.test(self.id)) return idSentence(self.id)
  const address = formatAddress(self)
  const known = nodeOf(topology, self.id)
  if (known && inSomeRing(topology, known.number) && address !== formatAddress(known)) {
    return `node "${self.id}" is in the ring at ${formatAddress(known)} and cannot come back at ${address}: start it there, or drain it first`
  }
  const twin = topology.nodes.find(node => node.id !== self.id && formatAddress(node) === address)
  if (twin && (inSomeRing(topology, twin.number) || unfinishedChanges(topology, twin.id).length > 0)) {
    return `${address} is already the address of node "${twin.id}"`
  }
  const heavy = weightRefused(topology, self.weight)
  if (heavy !== null || known) return heavy
  if (topology.nodes.length >= NODES_MAX)
    return `the tier has ${NODES_MAX} nodes already, which is as many as it can list`
  const full = topology.nodes.some(node => node.number >= NODE_NUMBER_MAX)
  return full ? `the tier has given out all ${NODE_NUMBER_MAX} node numbers` : null
}

function weightRefused(topology: Topology, weight: number): string | null {
  const most = weightMax(topology)
  if (Number.isInteger(weight) && weight >= 0 && weight <= most) return null
  return `weight ${weight} must be a whole number from 0 to ${most}`
}

export function idSentence(id: string): string {
  return `node id "${id}" must be 1 to 64 letters, digits, dots, dashes or underscores`
}

/** Of a node that is away: it is given up, and whatever only its memory knows is lost. */
export function withDrain(topology: Topology, id: string): Outcome<{ change: number; givesUp?: boolean }> {
  const node = nodeOf(topology, id)
  return node?.away ? withoutAbsent(topology, node) : withWish(topology, id, 0)
}

/** Also when it was being drained already: as long as it is away that can not end. */
function withoutAbsent(topology: Topology, node: TierNode): Outcome<{ change: number; givesUp: boolean }> {
  const { servers, away } = currentGeneration(topology)!
  const asked = unfinishedChanges(topology, node.id).find(change => change.givenUp)
  if (asked)
    return { ok: false, sentence: `node "${node.id}" is given up already (change ${asked.id} is ${asked.state})` }
  if (servers.every(server => server.number === node.number || away.includes(server.number))) {
    return { ok: false, sentence: `node "${node.id}" cannot be given up: no other node is there` }
  }
  // What else was asked of it has become pointless.
  const changes = topology.changes.filter(change => change.node !== node.id || change.state !== 'queued')
  const next = withChange({ ...topology, changes }, 'drain', node.id, 0, topology.changes)
  const id = next.changes.at(-1)!.id
  const given = next.changes.map(change => (change.id === id ? { ...change, givenUp: true } : change))
  return { ok: true, topology: { ...next, changes: given }, change: id, givesUp: true }
}

/** Weight 0 is a drain. */
export function withReweight(topology: Topology, id: string, weight: number): Outcome<{ change: number }> {
  const refused = weightRefused(topology, weight)
  if (refused !== null) return { ok: false, sentence: refused }
  return withWish(topology, id, weight)
}

function withWish(topology: Topology, id: string, weight: number): Outcome<{ change: number }> {
  const node = nodeOf(topology, id)
  if (!node) {
    const ids = topology.nodes.map(one => one.id).join(', ')
    return { ok: false, sentence: `there is no node "${id}" in this tier (nodes: ${ids || 'none'})` }
  }
  const unfinished = unfinishedChanges(topology, id)
  const same = unfinished.at(-1)
  if (same && sameWish(same, weight)) {
    const what = weight === 0 ? 'being drained' : `getting weight ${weight}`
    return { ok: false, sentence: `node "${id}" is already ${what} (change ${same.id} is ${same.state})` }
  }
  const inTheEnd = serversInTheEnd(topology)
  const coming = inTheEnd.find(server => server.number === node.number)?.weight ?? 0
  if (coming === weight) {
    const sentence =
      weight === 0
        ? `node "${id}" is not in the ring, so there is nothing to drain`
        : `node "${id}" has weight ${weight} already`
    return { ok: false, sentence }
  }
  if (weight === 0 && inTheEnd.length === 1) {
    return {
      ok: false,
      sentence: `node "${id}" is the last one with weight: it cannot be drained before another joins`,
    }
  }
  if (weight > 0 && coming === 0) {
    const twin = inTheEnd.find(server => server.host === node.host && server.port === node.port)
    if (twin) return { ok: false, sentence: `${formatAddress(node)} is the address of another node in the ring` }
  }
  if (topology.changes.filter(change => change.state !== 'done').length >= UNFINISHED_MAX) {
    return { ok: false, sentence: `${UNFINISHED_MAX} changes are waiting already` }
  }
  const next = withChange(topology, weight === 0 ? 'drain' : 'reweight', id, weight)
  return { ok: true, topology: next, change: next.changes.at(-1)!.id }
}

function sameWish(change: Change, weight: number): boolean {
  return weight === 0 ? change.kind === 'drain' : change.kind !== 'drain' && change.weight === weight
}

/** The node acts by a lease alone, in the period of fencing that began with this term. Nothing to write when it is known. */
export function withFenced(topology: Topology, id: string, since: number): Topology | null {
  const node = nodeOf(topology, id)
  if (!node || fencingOf(topology)?.since !== since || node.fenced === since) return null
  return { ...topology, nodes: topology.nodes.map(one => (one === node ? { ...node, fenced: since } : one)) }
}

/** A taker has everything of a generation. Nothing to write when it is known, or when the generation is history. */
export function withSettled(topology: Topology, number: number, epoch: number): Topology | null {
  const running = topology.changes.find(change => change.state === 'running' && change.epoch === epoch)
  if (!running?.takers?.includes(number) || running.settled?.includes(number)) return null
  const changed: Change = { ...running, settled: [...(running.settled ?? []), number] }
  return { ...topology, changes: topology.changes.map(change => (change === running ? changed : change)) }
}

function withChange(
  topology: Topology,
  kind: Change['kind'],
  node: string,
  weight: number,
  all = topology.changes,
): Topology {
  // Ids of forgotten changes are below those of the kept ones, as the newest are kept.
  const id = Math.max(0, ...all.map(change => change.id)) + 1
  return { ...topology, changes: [...topology.changes, { id, kind, node, weight, state: 'queued' }] }
}
