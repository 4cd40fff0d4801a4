/**
 * An array of many items that are made when they are looked at. Hundreds of thousands of small objects that stay alive take ten
 * times as long as the numbers they are made of, because the collector copies each of them; objects that a loop drops again cost
 * next to nothing. To its user it is an array like any other:
 *
 *   at an index                                   made, and kept: the same object again
 *   for...of, [...], forEach, map, filter,        made on the way and not kept: a second walk sees equal objects, not the same
 *     reduce, some, every, find
 *   all else: sort, slice, includes, writing      every item is made, once; from then on it is a plain array
 *
 * `structuredClone` takes no proxies: give it `[...array]`.
 */

type Visit<Item, Result> = (item: Item, index: number, all: Item[]) => Result
type Fold<Item, Result> = (result: Result, item: Item, index: number, all: Item[]) => Result

/** Where the items are: each made or found by `item`, `all` for those who get the array itself. */
interface Source<Item> {
  readonly length: number
  item(index: number): Item
  all(): Item[]
}

/** `console.log` looks behind a proxy; this is Node's name for what it then asks, and means nothing elsewhere. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

const ZERO = '0'.charCodeAt(0)

/** `make(index)` gives equal items for equal indexes. */
export function lazyArray<Item extends object>(length: number, make: (index: number) => Item): Item[] {
  const items = new Array<Item>(length)
  let whole = length === 0
  const fill = (): Item[] => {
    for (let i = 0; i < length && !whole; i++) items[i] ??= make(i)
    whole = true
    return items
  }
  Object.defineProperty(items, INSPECT, { value: fill })
  const walks = walksOf<Item>({
    get length() {
      return items.length
    },
    item: index => (whole ? items[index]! : (items[index] ?? make(index))),
    all: () => array,
  })
  const array = new Proxy(items, {
    get(_, key, receiver) {
      if (whole) return Reflect.get(items, key, receiver)
      const index = typeof key === 'string' ? indexOf(key) : -1
      if (index >= 0 && index < length) {
        items[index] ??= make(index)
        return items[index]
      }
      return walks.get(key) ?? Reflect.get(items, key, receiver)
    },
    has: (_, key) => Reflect.has(fill(), key),
    ownKeys: () => Reflect.ownKeys(fill()),
    getOwnPropertyDescriptor: (_, key) => Reflect.getOwnPropertyDescriptor(fill(), key),
    set: (_, key, value) => Reflect.set(fill(), key, value),
    defineProperty: (_, key, descriptor) => Reflect.defineProperty(fill(), key, descriptor),
    deleteProperty: (_, key) => Reflect.deleteProperty(fill(), key),
    preventExtensions: () => Reflect.preventExtensions(fill()),
  })
  return array
}

/** The index that a property's name is, -1 if it is none: '7', but neither '07' nor '7.0' nor 'at'. */
function indexOf(key: string): number {
  if (key === '' || (key.length > 1 && key[0] === '0')) return -1
  let index = 0
  for (let i = 0; i < key.length; i++) {
    const digit = key.charCodeAt(i) - ZERO
    if (digit < 0 || digit > 9) return -1
    index = index * 10 + digit
  }
  return index
}

/** The methods that need the items one after the other only. `self` is their `thisArg`. */
function walksOf<Item>(source: Source<Item>): Map<PropertyKey, unknown> {
  const { item, all } = source
  /** The first index that `stop` accepts, -1 if none. */
  const walk = (stop: (item: Item, index: number) => unknown): number => {
    const end = source.length
    for (let i = 0; i < end; i++) if (stop(item(i), i)) return i
    return -1
  }
  const iterate = () => {
    let next = 0
    const iterator: IterableIterator<Item> = {
      next: () => (next < source.length ? { done: false, value: item(next++) } : { done: true, value: undefined }),
      [Symbol.iterator]: () => iterator,
    }
    return iterator
  }
  return new Map<PropertyKey, unknown>([
    [Symbol.iterator, iterate],
    ['values', iterate],
    ['forEach', (visit: Visit<Item, void>, self?: unknown) => void walk((x, i) => void visit.call(self, x, i, all()))],
    ['some', (test: Visit<Item, unknown>, self?: unknown) => walk((x, i) => test.call(self, x, i, all())) >= 0],
    ['every', (test: Visit<Item, unknown>, self?: unknown) => walk((x, i) => !test.call(self, x, i, all())) < 0],
    [
      'find',
      (test: Visit<Item, unknown>, self?: unknown) => {
        let found: Item | undefined
        walk((x, i) => {
          const hit = test.call(self, x, i, all())
          if (hit) found = x
          return hit
        })
        return found
      },
    ],
    [
      'filter',
      (test: Visit<Item, unknown>, self?: unknown) => {
        const kept: Item[] = []
        walk((x, i) => void (test.call(self, x, i, all()) && kept.push(x)))
        return kept
      },
    ],
    [
      'map',
      <Result>(of: Visit<Item, Result>, self?: unknown) => {
        const results = new Array<Result>(source.length)
        walk((x, i) => {
          results[i] = of.call(self, x, i, all())
        })
        return results
      },
    ],
    // The first item stands in for a missing start; a missing start is not one that is undefined.
    [
      'reduce',
      <Result>(fold: Fold<Item, Result | Item>, ...start: Result[]) => {
        let result: Result | Item = start.length > 0 ? (start[0] as Result) : item(0)
        walk((x, i) => {
          if (i > 0 || start.length > 0) result = fold(result, x, i, all())
        })
        return result
      },
    ],
  ])
}
