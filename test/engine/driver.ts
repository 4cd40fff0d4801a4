/**
 * One connection's worth of what a data plane does around the engine, without sockets: keeps leftovers, fills values,
 * resumes, sends tx. Whatever the host must decide (slow, forward, take, multi) is handed to `onStop`, or thrown.
 */
import { Worker } from 'node:worker_threads'
import { createArena } from '../../lib/engine/arena.js'
import type { Arena, Turn } from '../../lib/engine/contract.js'
import { Stop } from '../../lib/engine/contract.js'
import { Engine } from '../../lib/engine/engine.js'
import { copyPieces, requestOf } from '../../lib/engine/pieces.js'

const EMPTY: Buffer = Buffer.alloc(0)
export const START = 1_700_000_000

/** What the driver does with a request that the engine gave back; the answer replaces the reply. */
export type OnStop = (turn: Turn, request: string) => string

export class Driver {
  readonly engine: Engine
  closed = false
  #input = EMPTY
  #resume = 0
  #filling: { offset: number; length: number; handle: number; line: Uint8Array | null } | null = null
  readonly #memory: Buffer
  #out = ''
  readonly #onStop: OnStop

  constructor(engine: Engine, onStop: OnStop = turn => `STOP ${turn.stop}\r\n`) {
    this.engine = engine
    this.#memory = Buffer.from(engine.arena.memory.buffer)
    this.#onStop = onStop
  }

  /** Bytes arrive; the replies that come of them. */
  send(bytes: string | Uint8Array): string {
    const more = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes)
    this.#input = this.#input.length === 0 ? more : Buffer.concat([this.#input, more])
    let progress = true
    while (progress && !this.closed) progress = this.#filling ? this.#fill() : this.#run()
    const out = this.#out
    this.#out = ''
    return out
  }

  /** The connection breaks. */
  cut(): void {
    this.closed = true
    if (this.#filling) this.engine.abandon(this.#filling.handle)
    this.#filling = null
  }

  #fill(): boolean {
    const filling = this.#filling!
    const part = this.#input.subarray(0, filling.length)
    if (part.length === 0) return false
    this.engine.bytes.set(part, filling.offset)
    filling.offset += part.length
    filling.length -= part.length
    this.#input = this.#input.subarray(part.length)
    if (filling.length > 0) return false
    this.#filling = null
    const turn = this.engine.finish(filling.handle, filling.line)
    this.#resume = turn.resume
    this.#take(turn)
    if (turn.stop === Stop.value) this.#filling = { ...filling, offset: turn.fillOffset, length: turn.fillLength }
    else if (turn.stop !== Stop.done) this.#out += this.#onStop(turn, this.#request(turn))
    return this.#input.length > 0
  }

  #run(): boolean {
    if (this.#input.length === 0) return false
    const { engine } = this
    const area = this.#input.length <= engine.rx.length ? engine.rx : engine.scratch
    const part = this.#input.subarray(0, area.length)
    engine.bytes.set(part, area.offset)
    engine.lookAhead(area.offset, part.length)
    engine.lookAtAll()
    const turn = engine.run(area.offset, part.length, this.#resume)
    this.#resume = turn.resume
    this.#take(turn)
    let used = turn.consumed
    const { stop } = turn
    if (stop === Stop.value) {
      const { requestOffset, lineLength } = turn
      const line = lineLength > 0 ? engine.bytes.slice(requestOffset, requestOffset + lineLength) : null
      this.#filling = { offset: turn.fillOffset, length: turn.fillLength, handle: turn.handle, line }
    } else if (stop === Stop.close) {
      this.closed = true
    } else if (stop === Stop.pieces) {
      const { handle } = turn
      for (const piece of copyPieces(engine, handle)) this.#out += piece.toString('latin1')
      engine.release(handle)
    } else if (stop !== Stop.done && stop !== Stop.full) {
      if (used + turn.requestLength > this.#input.length) {
        this.#input = this.#input.subarray(used)
        return false // the rest of the value is still to come: ask again then
      }
      this.#out += this.#onStop(turn, this.#request(turn))
      used += turn.requestLength
    }
    const before = this.#input.length
    this.#input = this.#input.subarray(used)
    return this.#input.length < before || stop === Stop.full || stop === Stop.pieces
  }

  #request(turn: Turn): string {
    return requestOf(this.engine, turn).toString('latin1')
  }

  #take(turn: Turn): void {
    const { offset } = this.engine.tx
    if (turn.txLength > 0) this.#out += this.#memory.toString('latin1', offset, offset + turn.txLength)
  }
}

export function smallArena(more: Partial<Parameters<typeof createArena>[0]> = {}): Arena {
  return createArena({ memoryLimitMb: 8, threads: 2, versionText: '1.6.45', routePointsMax: 1 << 12, ...more })
}

export function alone(more: Partial<Parameters<typeof createArena>[0]> = {}): Driver {
  const engine = new Engine(smallArena(more), 0)
  engine.setTime(START)
  return new Driver(engine)
}

export const key = (name: string): Uint8Array => Buffer.from(name, 'latin1')

/** Reproducible randomness. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Two worker threads at a job of hammer.ts; what each of them posts at its end. */
export function hammers<Result>(job: string, arena: Arena, stop = new SharedArrayBuffer(12)): Promise<Result[]> {
  const one = (thread: number) =>
    new Promise<Result>((resolve, reject) => {
      const worker = new Worker(new URL('./hammer.js', import.meta.url), {
        workerData: { job, arena, thread, stop },
        execArgv: [],
      })
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  return Promise.all([one(0), one(1)])
}
