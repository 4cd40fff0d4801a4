/**
 * What a client and the embedded topology store say to each other: JSON in frames of type `store`. A reply carries the id
 * of its request; a change of the document comes unasked with id 0. Pure.
 */
import { z } from 'zod'
import type { Topology } from './topology.js'
import { checkTopology, NODE_ID_PATTERN, plainIssue } from './validate.js'
import { promiseShape, vouchShape } from './vote-wire.js'
import type { PromiseRequest } from './voter.js'

const count = z.number().min(0)
const progress = z.object({
  epoch: count,
  source: z.string().max(100),
  arcs: count,
  arcsSettled: count,
  keys: count,
  bytes: count,
  keysPerSec: count,
  bytesPerSec: count,
  fraction: count,
  secondsLeft: count.nullable(),
})
const hintsKept = z.object({
  ...{ home: z.string().max(100), keys: count, bytes: count, oldestAgeMs: count, state: z.string().max(20) },
  leftOut: count,
  lost: z.object({ fromGeneration: count, why: z.string().max(200) }).optional(),
})
const nodeStatus = z.object({
  incarnation: z.string().regex(/^\d{1,20}$/),
  epoch: count,
  beat: count.optional(),
  progress: z.array(progress).max(10_000).optional(),
  hints: z.array(hintsKept).max(1000).optional(),
})
const versioned = z.object({ revision: z.number().int().min(0), topology: z.unknown() })

const requestShape = z.discriminatedUnion('op', [
  z.object({ op: z.literal('read') }),
  z.object({ op: z.literal('watch') }),
  z.object({ op: z.literal('statuses') }),
  z.object({ op: z.literal('keepAlive'), node: z.string().regex(NODE_ID_PATTERN), status: nodeStatus }),
  z.object({ op: z.literal('vouch'), request: vouchShape }),
  z.object({ op: z.literal('promised'), request: promiseShape }),
  z.object({ op: z.literal('compareAndSet'), expected: z.number().int().min(0), topology: z.unknown() }),
])

const replyShape = z.object({
  error: z.string().nullable(),
  value: versioned.optional(),
  done: z.boolean().optional(),
  live: z.array(z.tuple([z.string(), nodeStatus])).optional(),
  refusal: z.string().max(300).nullable().optional(),
  ask: promiseShape.optional(),
})

export type StoreRequest =
  | Exclude<z.infer<typeof requestShape>, { op: 'compareAndSet' }>
  | { op: 'compareAndSet'; expected: number; topology: Topology }

export interface StoreReply {
  error: string | null
  value?: { revision: number; topology: Topology }
  done?: boolean
  live?: [string, z.infer<typeof nodeStatus>][]
  /** Of a vouch. */
  refusal?: string | null
  /** Unasked, with id 0: the controller wants a promise of this node. */
  ask?: PromiseRequest
}

export function encodeStore(message: StoreRequest | StoreReply): Uint8Array {
  return Buffer.from(JSON.stringify(message))
}

/** Throws with half a sentence; the message is a stranger's until it is checked. */
export function decodeRequest(payload: Uint8Array): StoreRequest {
  const parsed = requestShape.safeParse(parsedJson(payload))
  if (!parsed.success) throw new Error(plainIssue(parsed.error))
  const request = parsed.data
  if (request.op !== 'compareAndSet') return request
  return { op: request.op, expected: request.expected, topology: checkedTopology(request.topology) }
}

export function decodeReply(payload: Uint8Array): StoreReply {
  const parsed = replyShape.safeParse(parsedJson(payload))
  if (!parsed.success) throw new Error(plainIssue(parsed.error))
  const { value, ...rest } = parsed.data
  if (!value) return rest
  return { ...rest, value: { revision: value.revision, topology: checkedTopology(value.topology) } }
}

function parsedJson(payload: Uint8Array): unknown {
  return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString())
}

function checkedTopology(value: unknown): Topology {
  const checked = checkTopology(value)
  if (!checked.ok) throw new Error(checked.problem)
  return checked.value
}
