/** Keys in request lines. */
import { ClientError } from '../errors.js'
import type { WireKey } from '../key.js'

/** Behind the key of a meta command. */
export const base64Flag = (key: WireKey): string => (key.base64 ? ' b' : '')

/** Throws UNSUPPORTED for bytes that only meta commands can carry. */
export function classicWord(key: WireKey): string {
  if (!key.base64) return key.word
  throw new ClientError('UNSUPPORTED', 'the key has bytes that this server cannot be told: it knows no meta commands')
}
