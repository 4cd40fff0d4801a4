/**
 * Is this JSON a topology document? Used for everything that comes from a disk or from a peer: what passes may be trusted
 * by the rest of lib/tier without looking again. Pure; knows no files and no links.
 */
import { z } from 'zod'
import { type Dialect, MD5_DIALECTS } from '../ketama/index.js'
import { LEASE_MAX_MS, LEASE_MIN_MS, NAMED_MAX } from './fencing.js'
import { EPOCH_MAX, isRingChange, NODE_NUMBER_MAX, NODES_MAX, type Topology, WEIGHT_MAX } from './topology.js'

const port = z.number().int().min(0).max(65_535)
const number = z.number().int().min(0).max(NODE_NUMBER_MAX)
const epoch = z.number().int().min(0).max(EPOCH_MAX)
const weight = z.number().int().min(0).max(WEIGHT_MAX)
const host = z.string().min(1).max(255)

const session = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const since = z.number().min(0)
const reason = z.string().max(300)

/** Node ids appear in file names, replies and tables: no spaces, no surprises. */
export const NODE_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const nodeId = z.string().regex(NODE_ID_PATTERN)

const tierNode = z.object({
  id: nodeId,
  number,
  host,
  port,
  peerHost: host,
  peerPort: port,
  dataPort: port,
  weight,
  incarnation: z.string().regex(/^\d{1,20}$/),
  state: z.enum(['joining', 'up', 'away', 'returning', 'draining', 'gone']),
  session: session.optional(),
  fenced: session.optional(),
  aside: weight.min(1).optional(),
  keeps: z.boolean().optional(),
  kept: z.object({ incarnation: z.string().regex(/^\d{1,20}$/), isVoid: z.boolean().optional() }).optional(),
  declaring: z.object({ since, reason }).optional(),
  away: z.object({ epoch, since, reason }).optional(),
})

const generation = z.object({
  epoch,
  servers: z
    .array(z.object({ number, host, port, weight: weight.min(1) }))
    .min(1)
    .max(NODES_MAX),
  away: z.array(number).max(NODES_MAX),
  lost: z.array(number).max(NODES_MAX).optional(),
})

const change = z.object({
  id: z.number().int().min(1),
  kind: z.enum(['join', 'drain', 'reweight', 'away', 'back']),
  node: nodeId,
  weight,
  state: z.enum(['queued', 'running', 'done']),
  epoch: epoch.optional(),
  takers: z.array(number).max(NODES_MAX).optional(),
  settled: z.array(number).max(NODES_MAX).optional(),
  givenUp: z.boolean().optional(),
})

const votersShape = {
  term: session.min(1),
  named: z.array(number).max(NAMED_MAX),
  leaseMs: z.number().int().min(LEASE_MIN_MS).max(LEASE_MAX_MS),
}
const fencing = z.object({
  ...votersShape,
  active: z.boolean(),
  since: session,
  previous: z.object(votersShape).optional(),
  serial: session,
})

const topologyShape = z.object({
  format: z.literal(1),
  tier: z.string().min(1).max(100),
  dialect: z.enum(MD5_DIALECTS as unknown as [Dialect, ...Dialect[]]),
  pointsPerServer: z.number().int().min(4).max(10_000),
  epoch,
  nodes: z.array(tierNode).max(NODES_MAX),
  generations: z.array(generation).max(1000),
  changes: z.array(change).max(10_000),
  fencing: fencing.optional(),
})

export type Checked<T> = { ok: true; value: T } | { ok: false; problem: string }

/** Shape first, then what the parts say about each other. `problem` is half a sentence: "nodes[2].port is not ...". */
export function checkTopology(value: unknown): Checked<Topology> {
  const parsed = topologyShape.safeParse(value)
  if (!parsed.success) return { ok: false, problem: plainIssue(parsed.error) }
  const topology: Topology = parsed.data
  const problem = contradiction(topology)
  return problem === null ? { ok: true, value: topology } : { ok: false, problem }
}

/** A document as text, from a peer; null when it is none. */
export function parseTopology(text: string): Topology | null {
  try {
    const checked = checkTopology(JSON.parse(text))
    return checked.ok ? checked.value : null
  } catch {
    return null
  }
}

export function plainIssue(error: z.ZodError): string {
  const issue = error.issues[0]
  if (!issue) return 'it has an unknown problem'
  const where = issue.path.map(String).join('.')
  return `${where === '' ? 'the document' : where}: ${issue.message.toLowerCase()}`
}

function contradiction(topology: Topology): string | null {
  const { nodes, generations, changes, fencing } = topology
  const numbers = new Set(nodes.map(node => node.number))
  if (numbers.size !== nodes.length) return 'two nodes have the same number'
  if (new Set(nodes.map(node => node.id)).size !== nodes.length) return 'two nodes have the same id'
  let before = 0
  for (const { epoch, servers, away, lost = [] } of generations) {
    if (epoch <= before) return `generation ${epoch} does not come after generation ${before}`
    before = epoch
    const unknown = servers.find(server => !numbers.has(server.number))
    if (unknown) return `generation ${epoch} names node number ${unknown.number}, which is not listed`
    const missing = [...away, ...lost].find(one => !numbers.has(one))
    if (missing !== undefined) return `in generation ${epoch} node number ${missing} is away, but it is not listed`
    if (servers.every(server => away.includes(server.number))) return `in generation ${epoch} every node is away`
  }
  if (before !== topology.epoch) return `the epoch is ${topology.epoch}, but the newest generation is ${before}`
  if (changes.filter(one => one.state === 'running' && isRingChange(one) && !one.givenUp).length > 1) {
    return 'two changes are running at once'
  }
  if (fencing?.previous && fencing.previous.term >= fencing.term) return 'the voters before the present ones are newer'
  return null
}
