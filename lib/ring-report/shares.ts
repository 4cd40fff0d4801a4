/** What each server of a ring gets, beside its ideal: of the circle, exactly; of sample keys, where there is no circle. */
import { type Ring, rulesOf, serverText } from '../ketama/index.js'

export interface ServerShare {
  server: string
  weight: number
  /** Null: the dialect has no points. */
  points: number | null
  /** Parts of all keys, 0..1. */
  share: number
  ideal: number
}

/** How the numbers were found: 'arcs' are exact for evenly hashed keys, 'keys' are a sample. */
export type Method = 'arcs' | 'keys'

export interface Spread {
  dialect: string
  method: Method
  /** Largest and smallest share over the ideal one. */
  maxOverIdeal: number
  minOverIdeal: number
  servers: ServerShare[]
}

export function spreadReport(ring: Ring, keys: number): Spread {
  const scored = rulesOf(ring.dialect).kind === 'scores'
  const servers = scored ? sampled(ring, keys) : exact(ring)
  const ratios = servers.map(({ share, ideal }) => share / ideal)
  return {
    dialect: ring.dialect,
    method: scored ? 'keys' : 'arcs',
    maxOverIdeal: Math.max(...ratios),
    minOverIdeal: Math.min(...ratios),
    servers,
  }
}

function exact(ring: Ring): ServerShare[] {
  return ring.spread().map(({ server, points, share, ideal }) => {
    return { server: serverText(server), weight: server.weight ?? 1, points, share, ideal }
  })
}

function sampled(ring: Ring, keys: number): ServerShare[] {
  const counts = new Uint32Array(ring.servers.length)
  for (let i = 0; i < keys; i++) counts[ring.indexOf(sampleKey(i))]!++
  const ideals = idealShares(ring)
  return ring.servers.map((server, index) => ({
    ...{ server: serverText(server), weight: server.weight ?? 1, points: null },
    ...{ share: counts[index]! / keys, ideal: ideals[index]! },
  }))
}

/** What the weights ask for; equal parts in a dialect without weights. */
export function idealShares(ring: Ring): number[] {
  const weights = ring.servers.map(({ weight = 1 }) => (ring.weighted ? weight : 1))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map(weight => weight / total)
}

/** The i-th key of every sample. */
export const sampleKey = (i: number): string => `sample:${i}`
