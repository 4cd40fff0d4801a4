/**
 * pymemcache's HashClient: no ring. Every server scores every key and the highest score owns it; of equal scores, the
 * greater label. Only here to compare: a look-up costs a hash a server.
 */
import { murmur3Text } from './hash/murmur3.js'

/** Indexes of the `n` best servers for the key, best first. */
export function rendezvous(labels: readonly string[], key: string | Uint8Array, n: number): number[] {
  const text = typeof key === 'string' ? key : decoder.decode(key)
  const scores = labels.map(label => murmur3Text(`${label}-${text}`))
  return [...labels.keys()].sort((a, b) => scores[b]! - scores[a]! || (labels[a]! < labels[b]! ? 1 : -1)).slice(0, n)
}
const decoder = new TextDecoder()
