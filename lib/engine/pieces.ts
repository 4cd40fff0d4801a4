/** Large values as their host sees them: copies of what lies in several chunks. For who cannot send it from where it lies. */
import type { EngineApi, Turn } from './contract.js'

type Reader = Pick<EngineApi, 'bytes' | 'nextPiece' | 'turn'>

/** The value's pieces and its \r\n. The handle is still the caller's to release, or to abandon. */
export function copyPieces(engine: Reader, handle: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let chunk = engine.nextPiece(handle, 0); chunk !== 0; chunk = engine.nextPiece(handle, chunk)) {
    const { fillOffset, fillLength } = engine.turn
    pieces.push(Buffer.from(engine.bytes.slice(fillOffset, fillOffset + fillLength).buffer))
  }
  return pieces
}

/** The request that a turn gave back; after `finish` its large value comes from the item, which is given up. */
export function requestOf(engine: Reader & Pick<EngineApi, 'abandon'>, turn: Turn): Buffer {
  const { requestOffset, requestLength, lineLength, handle } = turn
  const copy = (length: number) => Buffer.from(engine.bytes.slice(requestOffset, requestOffset + length).buffer)
  if (handle === 0) return copy(requestLength)
  const request = Buffer.concat([copy(lineLength), ...copyPieces(engine, handle)])
  engine.abandon(handle)
  return request
}
