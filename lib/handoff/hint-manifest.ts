/**
 * The small file beside the segments of one home's log (`home-3.log`): which segments there must be, and whether the log may
 * be believed. Pure text in, value out.
 *
 *   {"format":1,"tier":"shop","home":3, ...}      spaces\ncrc 1a2b3c4d\n      512 bytes in all: one sector
 *
 * It is always of one size and written over in place: that needs no room, so that a log can be declared overflowed when the
 * disk is full. A manifest that cannot be read makes the log damaged; nothing is guessed from it.
 */
import { strict as assert } from 'node:assert'
import { z } from 'zod'
import { checksumOf } from './hint-format.js'

export const MANIFEST_BYTES = 512
const TEXT_BYTES = MANIFEST_BYTES - 14
const TIER_MAX = 100
const WHY_MAX = 140

/** What a log does not know any more: writes of these generations may be missing from it. */
export interface HintLoss {
  fromGeneration: number
  sinceMs: number
  why: string
}

export interface HintManifest {
  tier: string
  home: number
  /** Numbers of the first and last segment. Files below the first are left over; first - 1 = last: there is none yet. */
  first: number
  last: number
  /** Sequence of the first record of the first segment. */
  base: number
  /** Of the oldest record that the log ever had; null: none yet. */
  fromGeneration: number | null
  /** The outage is over; what is left of the files is to be removed. */
  forgotten: boolean
  /** False: writes were left out after the last record. A later life must not believe any of it. */
  logging: boolean
  loss: HintLoss | null
}

const count = z.number().int().nonnegative()
const shape = z.object({
  ...{ tier: z.string().max(TIER_MAX), home: z.number().int().min(0).max(65_535), first: count, last: count },
  ...{ base: count, fromGeneration: count.nullable(), forgotten: z.boolean(), logging: z.boolean() },
  loss: z.object({ fromGeneration: count, sinceMs: z.number(), why: z.string() }).nullable(),
})

export function encodeManifest(manifest: HintManifest): Uint8Array {
  const loss = manifest.loss && { ...manifest.loss, why: plain(manifest.loss.why) }
  const text = JSON.stringify({ format: 1, ...manifest, tier: plain(manifest.tier), loss }).padEnd(TEXT_BYTES)
  assert(text.length === TEXT_BYTES, 'every field is bounded')
  return Buffer.from(`${text}\ncrc ${checksumOf(text).toString(16).padStart(8, '0')}\n`)
}

/** A sentence's end when it cannot be believed. */
export function decodeManifest(bytes: Uint8Array, tier: string, home: number): HintManifest | string {
  if (bytes.length !== MANIFEST_BYTES) return `it has ${bytes.length} bytes instead of ${MANIFEST_BYTES}`
  const text = Buffer.from(bytes).toString('latin1')
  const body = text.slice(0, TEXT_BYTES)
  if (text.slice(TEXT_BYTES) !== `\ncrc ${checksumOf(body).toString(16).padStart(8, '0')}\n`)
    return 'its checksum is wrong'
  const value = shape.safeParse(JSON.parse(body))
  if (!value.success) return 'it has another format'
  const manifest = value.data
  if (manifest.tier !== plain(tier)) return `it is of the tier ${manifest.tier}`
  if (manifest.home !== home) return `it is of node ${manifest.home}`
  return { ...manifest, tier }
}

/** ASCII alone, so that a character is a byte. */
function plain(text: string): string {
  return text.replace(/[^ -~]|["\\]/g, "'").slice(0, WHY_MAX)
}
