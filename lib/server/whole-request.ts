/**
 * One whole request, run in an engine to its end, or to where the engine gives it back. Its bytes are copied to scratch; of a
 * request that is larger, which only a value can make it, the rest goes straight into its item.
 */
import { type EngineApi, Stop, type Turn } from '../engine/contract.js'
import { copyPieces } from '../engine/pieces.js'

/** Not answered here, or not to the end. */
export interface GivenBack {
  /** The engine's, until its next turn. */
  turn: Turn
  /** What was answered before, of a get of many keys whose route changed meanwhile. */
  parts: Buffer[]
  /** The answer has no room in memory. */
  isTooLong: boolean
}

const REPLY_BYTES_MAX = 256 << 20
const EMPTY = Buffer.alloc(0)

/** The reply, which is the caller's to keep; or why there is none. */
export function runWhole(engine: EngineApi, bytes: Buffer): Buffer | GivenBack {
  const here = Math.min(bytes.length, engine.scratch.length)
  engine.bytes.set(here === bytes.length ? bytes : bytes.subarray(0, here), engine.scratch.offset)
  let turn = engine.run(engine.scratch.offset, here, 0, 0, true)
  if (turn.stop === Stop.value) turn = fill(engine, turn, bytes, here)
  if (turn.stop === Stop.done || turn.stop === Stop.close) return takeTx(engine, turn)
  const parts: Buffer[] = []
  let size = 0
  for (let at = 0; (turn.stop === Stop.full || turn.stop === Stop.pieces) && size < REPLY_BYTES_MAX; ) {
    const { stop, consumed, resume, handle } = turn
    const more = [takeTx(engine, turn)]
    if (stop === Stop.pieces) {
      more.push(...copyPieces(engine, handle))
      engine.release(handle)
    }
    for (const part of more) size += part.length
    parts.push(...more)
    at += consumed
    turn = engine.run(engine.scratch.offset + at, here - at, resume, 0, true)
  }
  if (parts.length > 0) parts.push(takeTx(engine, turn))
  if (turn.stop === Stop.done) return Buffer.concat(parts)
  const isTooLong = turn.stop === Stop.full || turn.stop === Stop.pieces
  if (turn.stop === Stop.pieces) engine.release(turn.handle)
  return { turn, parts, isTooLong }
}

/** A copy of the replies that a turn has left. */
export function takeTx(engine: EngineApi, turn: Turn): Buffer {
  if (turn.txLength === 0) return EMPTY
  const { bytes, tx } = engine
  return Buffer.from(bytes.slice(tx.offset, tx.offset + turn.txLength).buffer)
}

/** The rest of a request's value, which begins at `from`, into its item. */
function fill(engine: EngineApi, first: Turn, bytes: Buffer, from: number): Turn {
  let turn = first
  const { handle, lineLength } = turn
  const line = lineLength > 0 ? bytes.subarray(0, lineLength) : null
  for (let at = from; turn.stop === Stop.value; ) {
    const { fillOffset, fillLength } = turn
    if (bytes.length - at < fillLength) {
      engine.abandon(handle) // a request that says more than it has
      return turn
    }
    engine.bytes.set(bytes.subarray(at, at + fillLength), fillOffset)
    at += fillLength
    turn = engine.finish(handle, line)
  }
  if (turn.handle !== 0) engine.abandon(turn.handle) // it must go elsewhere: the request as it came does
  return turn
}
