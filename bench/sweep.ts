/** All keys of an experiment, one after the other: written before the load, read after it. */
import { type Checker, noneWrong, type Wrong } from './checker.js'
import type { Load, View } from './load.js'
import type { Dataset } from './values.js'

const FILL_IN_FLIGHT = 64
const KEYS_PER_CHECK = 50

/** Keys that were not right, and those that were missing as they may. */
export type AtTheEnd = Record<Wrong | 'missed', number>

/** Writes all keys; the bytes of their values. */
export async function fill<P extends string>(
  data: Dataset,
  checker: Checker,
  view: View,
  load: Load<P>,
): Promise<number> {
  let next = 0
  let bytes = 0
  const write = async () => {
    while (next < data.keys) {
      const index = next++
      const version = checker.issue(index, 'value')
      const value = data.valueOf(index, version)
      bytes += value.length
      try {
        await view.client.set(data.key(index), value)
        checker.acknowledge(index, version)
      } catch (error) {
        checker.fail(index, version)
        load.failed(error, `${view.name}, filling`)
      }
    }
  }
  await Promise.all(Array.from({ length: FILL_IN_FLIGHT }, write))
  return bytes
}

/** Reads all keys, a few together; how many were not right. */
export async function readAll<P extends string>(
  data: Dataset,
  checker: Checker,
  view: View,
  load: Load<P>,
): Promise<AtTheEnd> {
  const counts: AtTheEnd = { ...noneWrong(), missed: 0 }
  let next = 0
  const read = async () => {
    while (next < data.keys) {
      const indexes = Array.from({ length: Math.min(KEYS_PER_CHECK, data.keys - next) }, (_, i) => next + i)
      next += indexes.length
      try {
        const begun = indexes.map(index => checker.begins(index))
        const values = await view.client.getMany(indexes.map(index => data.key(index)))
        for (const [i, index] of indexes.entries()) {
          const text = values.get(data.key(index))
          const { verdict } = checker.readEnds(index, begun[i]!, text, `${view.name}, at the end`)
          if (verdict !== 'right') counts[verdict]++
        }
      } catch (error) {
        load.failed(error, `${view.name}, at the end`)
      }
    }
  }
  await Promise.all(Array.from({ length: 4 }, read))
  return counts
}
