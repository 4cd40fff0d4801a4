/**
 * What a node and a member that votes say to each other on a control link: JSON in frames of type `vote`; the frame's id is
 * the question's number. Pure.
 */
import { z } from 'zod'
import type { VouchRequest } from './voter.js'

const count = z.number().int().min(0)
export const vouchShape = z.object({ node: count, session: count, term: count })
export const promiseShape = z.discriminatedUnion('type', [
  z.object({ type: z.literal('promise'), node: count, session: count }),
  z.object({ type: z.literal('retire'), term: count }),
])
const voteShape = z.discriminatedUnion('type', [
  vouchShape.extend({ type: z.literal('vouch') }),
  z.object({ type: z.literal('vouched'), refusal: z.string().max(300).nullable(), topology: z.string().optional() }),
])

/** `topology`: the voter's document as text, when the asker seems to be behind. */
export type Vote = ({ type: 'vouch' } & VouchRequest) | { type: 'vouched'; refusal: string | null; topology?: string }

export function encodeVote(vote: Vote): Uint8Array {
  return Buffer.from(JSON.stringify(vote))
}

/** Null for bytes that no peer of this version sends. */
export function decodeVote(payload: Uint8Array): Vote | null {
  try {
    const { buffer, byteOffset, byteLength } = payload
    const parsed = voteShape.safeParse(JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString()))
    if (!parsed.success) return null
    const vote = parsed.data
    if (vote.type === 'vouch') return vote
    const { topology, ...rest } = vote
    return topology === undefined ? rest : { ...rest, topology }
  } catch {
    return null
  }
}
