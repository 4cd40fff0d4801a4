/**
 * The arena and its instances: one shared memory, made ready for a life, and for each thread one instance of the wasm over it.
 * contract.ts says what an arena is.
 */
import { readFileSync } from 'node:fs'
import type { Arena, EngineOptions } from './contract.js'
import type { HousekeepingWasm } from './housekeeping.js'
import { computeLayout, fullOptions, initialise } from './layout.js'
import { initialiseAutomove, type PagesWasm } from './pages.js'
import type { PrefixesWasm } from './prefixes.js'
import type { SplitGetWasm } from './split-get.js'

/** The wasm's exports (lib/engine/assembly/index.ts). Results are i32: addresses are made unsigned by `>>> 0`. */
export interface Wasm extends HousekeepingWasm, PagesWasm, PrefixesWasm, SplitGetWasm {
  attach(thread: number): void
  time(): number
  run(offset: number, length: number, kind: number, value: number, txStart: number, single: number): number
  finish(handle: number, txStart: number, lineLength: number): number
  setExecutesGuarded(now: number): void
  abandon(handle: number): void
  nextPiece(handle: number, chunk: number): number
  release(handle: number): void
  setNow(seconds: number): void
  addAhead(from: number, to: number): void
  lookAtAll(): void
  noteText(stream: number, text: number, length: number): void
  clearPrefixes(): void
  findFreeSlot(): number
  switchTo(slot: number): void
  currentEpoch(): number
  pointOf(keyLength: number): number
  routeOf(keyLength: number): void
  ownerOfRequest(from: number, to: number): number
  ownersOfKeys(from: number, to: number, table: number, entries: number): number
  heldMark(keyLength: number): bigint
  handOver(keyLength: number, before: number): number
  peek(keyLength: number): number
  renew(keyLength: number, oldest: number, mark: number): number
  prepare(): number
  pieceAt(handle: number, offset: number): number
  install(mark: number, isPrepared: number, prepared: number): number
  installAbsent(keyLength: number, mark: number): number
  collect(owner: number, before: number, hot: number, cursor: number, buckets: number, bytesMax: number): number
  listKeys(before: number, cursor: number, buckets: number): number
  sweepTombstones(cursor: number, buckets: number, foreign: boolean): number
  flushed(): bigint
  version(): bigint
  observe(version: bigint): void
  flush(version: bigint): void
  flushAt(seconds: number): void
  flushPendingAt(): number
}

let compiled: WebAssembly.Module | null = null

function compile(): WebAssembly.Module {
  try {
    compiled ??= new WebAssembly.Module(readFileSync(new URL('./engine.wasm', import.meta.url)))
    return compiled
  } catch (error) {
    if (!(error instanceof WebAssembly.CompileError)) throw error
    throw new Error(
      `this processor cannot run the engine, which needs vectors in WebAssembly (on x64: SSE4.1): ${error.message}`,
    )
  }
}

/** Throws an Error with one plain sentence when the options do not fit. */
export function createArena(options: EngineOptions): Arena {
  const full = fullOptions(options)
  let memory: WebAssembly.Memory
  try {
    memory = memoryFor(full)
  } catch (error) {
    // The system does not promise so much more than -m: then there is no room to grow.
    if (!(error instanceof RangeError) || full.memoryReserveMb <= full.memoryLimitMb) throw error
    full.memoryReserveMb = full.memoryLimitMb
    memory = memoryFor(full)
  }
  initialise(memory, full, false)
  initialiseAutomove(memory)
  return { memory, module: compile(), options: full }
}

function memoryFor(options: Required<EngineOptions>): WebAssembly.Memory {
  const { wasmPages } = computeLayout(options)
  return new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages, shared: true })
}

/** The same memory for a new life: everything stored and counted is gone. Nobody may be using the arena. */
export function resetArena(arena: Arena): void {
  initialise(arena.memory, arena.options, true)
  initialiseAutomove(arena.memory)
}

/** A lock that is taken and somebody sleeps (lib/engine/assembly/locks.ts): a sleeper looks again after this long, whatever happened to its wake-up. */
const LOCK_AWAITED = 2
const LOCK_SLEEP_MS = 1

/** Instances hold nothing but addresses and the time, so lives of one arena may share them. */
const instances = new WeakMap<WebAssembly.Memory, Wasm[]>()

export function instanceOf(arena: Arena, thread: number): Wasm {
  const known = instances.get(arena.memory) ?? []
  instances.set(arena.memory, known)
  known[thread] ??= instantiate(arena)
  return known[thread]
}

function instantiate({ module, memory }: Arena): Wasm {
  const words = new Int32Array(memory.buffer)
  const abort = () => {
    throw new Error('the engine met a state that cannot be')
  }
  const sleep = (address: number) => Atomics.wait(words, address >>> 2, LOCK_AWAITED, LOCK_SLEEP_MS)
  return new WebAssembly.Instance(module, { env: { memory, abort }, host: { sleep } }).exports as unknown as Wasm
}
