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

/** `console.log` looks behind a proxy; this is Node's name for what it then asks, and means nothing elsewhere. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

const ZERO = '0'.charCodeAt(0)

/** `make(index)` gives equal items for equal indexes. */
export function lazyArray<Item extends object>(length: number, make: (index: number) => Item): Item[] {
  const source = new Source(length, make)
  const { items } = source
  const array = new Proxy(items, {
    get(_, key, receiver) {
      if (source.whole) return Reflect.get(items, key, receiver)
      const index = typeof key === 'string' ? indexOf(key) : -1
      if (index >= 0 && index < length) return source.keep(index)
      return walks.get(key) ?? Reflect.get(items, key, receiver)
    },
    has: (_, key) => Reflect.has(source.fill(), key),
    ownKeys: () => Reflect.ownKeys(source.fill()),
    getOwnPropertyDescriptor: (_, key) => Reflect.getOwnPropertyDescriptor(source.fill(), key),
    set: (_, key, value) => Reflect.set(source.fill(), key, value),
    defineProperty: (_, key, descriptor) => Reflect.defineProperty(source.fill(), key, descriptor),
    deleteProperty: (_, key) => Reflect.deleteProperty(source.fill(), key),
    preventExtensions: () => Reflect.preventExtensions(source.fill()),
  })
  const walks = walksOf(source, array)
  Object.defineProperty(items, INSPECT, { value: () => source.fill() })
  return array
}

/** The items that were kept, the maker of the others. Classes, as here and below, are what the compiler sees through best. */
class Source<Item> {
  readonly items: Item[]
  /** Every item is made; `items` may have been changed since, as its users like. */
  whole: boolean
  readonly #make: (index: number) => Item

  constructor(length: number, make: (index: number) => Item) {
    this.items = new Array<Item>(length)
    this.whole = length === 0
    this.#make = make
  }

  item(index: number): Item {
    return this.whole ? this.items[index]! : (this.items[index] ?? this.#make(index))
  }

  keep(index: number): Item {
    this.items[index] ??= this.#make(index)
    return this.items[index]
  }

  fill(): Item[] {
    const { length } = this.items
    for (let i = 0; i < length && !this.whole; i++) this.keep(i)
    this.whole = true
    return this.items
  }
}

class Walk<Item> implements IterableIterator<Item> {
  #next = 0
  readonly #source: Source<Item>

  constructor(source: Source<Item>) {
    this.#source = source
  }

  next(): IteratorResult<Item, undefined> {
    if (this.#next >= this.#source.items.length) return { done: true, value: undefined }
    return { done: false, value: this.#source.item(this.#next++) }
  }

  [Symbol.iterator](): this {
    return this
  }
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
function walksOf<Item>(source: Source<Item>, all: Item[]): Map<PropertyKey, unknown> {
  /** The first index that `stop` accepts, -1 if none. */
  const walk = (stop: (item: Item, index: number) => unknown): number => {
    const end = source.items.length
    for (let i = 0; i < end; i++) if (stop(source.item(i), i)) return i
    return -1
  }
  const iterate = () => new Walk(source)
  return new Map<PropertyKey, unknown>([
    [Symbol.iterator, iterate],
    ['values', iterate],
    ['forEach', (visit: Visit<Item, void>, self?: unknown) => void walk((x, i) => void visit.call(self, x, i, all))],
    ['some', (test: Visit<Item, unknown>, self?: unknown) => walk((x, i) => test.call(self, x, i, all)) >= 0],
    ['every', (test: Visit<Item, unknown>, self?: unknown) => walk((x, i) => !test.call(self, x, i, all)) < 0],
    [
      'find',
      (test: Visit<Item, unknown>, self?: unknown) => {
        let found: Item | undefined
        walk((x, i) => {
          const hit = test.call(self, x, i, all)
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
        walk((x, i) => void (test.call(self, x, i, all) && kept.push(x)))
        return kept
      },
    ],
    [
      'map',
      <Result>(of: Visit<Item, Result>, self?: unknown) => {
        const results = new Array<Result>(source.items.length)
        walk((x, i) => {
          results[i] = of.call(self, x, i, all)
        })
        return results
      },
    ],
    // The first item stands in for a missing start; a missing start is not one that is undefined.
    [
      'reduce',
      <Result>(fold: Fold<Item, Result | Item>, ...start: Result[]) => {
        let result: Result | Item = start.length > 0 ? (start[0] as Result) : source.item(0)
        walk((x, i) => {
          if (i > 0 || start.length > 0) result = fold(result, x, i, all)
        })
        return result
      },
    ],
  ])
}
