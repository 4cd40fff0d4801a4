/** Calls with many keys: split by node, sent together, merged in the order of the keys; what one node cannot do is said once, with the rest. */
import type { CallOptions } from './calls.js'
import { ClientError } from './errors.js'
import type { WireKey } from './key.js'
import type { Node } from './node.js'
import { GetManyRequest } from './requests/many.js'
import type { Store } from './store.js'

/** Keys of one request: so many take a server a moment, and others are served in between. */
const KEYS_A_REQUEST = 500
/** Single requests under way at once in a call with many: keeps its queue, and its memory, small. */
const AT_ONCE = 1000
const ATTEMPTS = 3

export interface Found<Value> {
  /** In the order of the keys; undefined: a miss, or an error. */
  values: (Value | undefined)[]
  errors: unknown[]
}

export async function getMany<Value>(
  store: Store<Value>,
  keys: readonly WireKey[],
  options: CallOptions | undefined,
): Promise<Found<Value>> {
  const found: Found<Value> = { values: new Array<Value | undefined>(keys.length).fill(undefined), errors: [] }
  await readParts(store, keys, Array.from(keys.keys()), found, options, ATTEMPTS)
  return found
}

/** `wanted`: indexes of keys. */
async function readParts<Value>(
  store: Store<Value>,
  keys: readonly WireKey[],
  wanted: readonly number[],
  found: Found<Value>,
  options: CallOptions | undefined,
  attempts: number,
): Promise<void> {
  if (wanted.length === 0) return
  const parts = new Map<Node, readonly number[]>()
  const [only, ...others] = store.pool.nodes
  if (only && others.length === 0) parts.set(only, wanted)
  else {
    const split = parts as Map<Node, number[]>
    for (const index of wanted) {
      const node = store.pool.nodeOrOwner(keys[index]!.whole)
      const part = split.get(node)
      if (part) part.push(index)
      else split.set(node, [index])
    }
  }
  const read = async (node: Node, part: readonly number[]): Promise<void> => {
    const request = new GetManyRequest(
      store.codec,
      part.map(index => keys[index]!),
    )
    try {
      const values = await store.calls.toNode(node, request, options)
      for (let i = 0; i < part.length; i++) {
        const value = values[i]
        found.values[part[i]!] = value instanceof Promise ? await value : value
      }
    } catch (error) {
      if (attempts > 1 && mayTryAgain(error) && node.isUp !== (errorCode(error) === 'NODE_EJECTED')) {
        return readParts(store, keys, part, found, options, attempts - 1)
      }
      found.errors.push(error)
    }
  }
  const reads: Promise<void>[] = []
  for (const [node, part] of parts) {
    if (part.length <= KEYS_A_REQUEST) reads.push(read(node, part))
    else
      for (let at = 0; at < part.length; at += KEYS_A_REQUEST)
        reads.push(read(node, part.slice(at, at + KEYS_A_REQUEST)))
  }
  await Promise.all(reads)
}

const errorCode = (error: unknown): string | null => (error instanceof ClientError ? error.code : null)

/** Another attempt may find the connection made anew, or another node. */
const mayTryAgain = (error: unknown): boolean =>
  ['CONNECTION_LOST', 'CONNECT_FAILED', 'NODE_EJECTED', 'CLIENT_CLOSED'].includes(errorCode(error) ?? '')

/** One call for each item; how many said yes, and what went wrong. */
export async function forEachOf<Item>(
  items: Iterable<Item>,
  call: (item: Item) => Promise<boolean>,
): Promise<{ count: number; errors: unknown[] }> {
  const outcome = { count: 0, errors: [] as unknown[] }
  let round: Promise<void>[] = []
  const one = async (item: Item) => {
    try {
      if (await call(item)) outcome.count++
    } catch (error) {
      outcome.errors.push(error)
    }
  }
  for (const item of items) {
    if (round.push(one(item)) < AT_ONCE) continue
    await Promise.all(round)
    round = []
  }
  await Promise.all(round)
  return outcome
}
