/** The answers of the real programs, as files beside this one. They stay in the source tree, three rooms above dist/test/ketama. */
import { readFileSync } from 'node:fs'
import type { RingServer } from '../../lib/ketama/index.js'

export interface Case {
  set: string
  owners: number[]
  pointsPerServer?: number[]
  continuum?: { points: number[]; owners: number[] }
}

export function vectors<Shape>(name: string): Shape {
  return JSON.parse(readFileSync(new URL(`../../../test/ketama/vectors/${name}`, import.meta.url), 'utf8')) as Shape
}

export const { keys } = vectors<{ keys: string[] }>('keys.json')
export const sets = vectors<Record<string, { servers: RingServer[]; extraKeys?: string[] }>>('sets.json')
