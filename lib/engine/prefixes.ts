/**
 * What was counted by prefix of keys (`stats detail`), read from where lib/engine/assembly/prefixes.ts keeps it: a table of
 * buckets, behind it entries of 40 bytes and the prefix itself, in steps of 8.
 */
import type { PrefixFigures } from './contract.js'

const BUCKETS = 1024
const ENTRY = 40

/** The wasm's exports that are asked for it (lib/engine/assembly/index.ts). */
export interface PrefixesWasm {
  /** Where the entries end. */
  lockPrefixes(): number
  unlockPrefixes(): void
}

export function readPrefixes(memory: WebAssembly.Memory, table: number, wasm: PrefixesWasm): PrefixFigures[] {
  const bytes = new Uint8Array(memory.buffer)
  const view = new DataView(memory.buffer)
  const found: PrefixFigures[] = []
  const end = wasm.lockPrefixes() >>> 0
  for (let at = table + BUCKETS * 4; at < end; ) {
    const length = view.getUint32(at + 4, true)
    const prefix = Buffer.from(bytes.slice(at + ENTRY, at + ENTRY + length)).toString('latin1')
    const [get, hit, set, del] = [8, 16, 24, 32].map(figure => view.getBigUint64(at + figure, true))
    found.push({ prefix, get: get!, hit: hit!, set: set!, del: del! })
    at += (ENTRY + length + 15) & ~7
  }
  wasm.unlockPrefixes()
  return found
}
