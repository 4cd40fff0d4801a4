/** A lazy array is the array that it stands for: every function of arrays gives the same, before and after it is made whole. */
import { inspect, isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { lazyArray } from '../../lib/ketama/lazy-array.js'

interface Item {
  n: number
}

const make = (n: number): Item => ({ n: n * n })
const plain = (length: number): Item[] => Array.from({ length }, (_, n) => make(n))

/** Reads and changes of an array, as users write them; the answer is what they can see. */
const uses: Record<string, (array: Item[], n: number) => unknown> = {
  length: array => array.length,
  index: (array, n) => array[n],
  at: (array, n) => [array.at(n), array.at(-1 - n)],
  'not an index': (array, n) => {
    const odd = array as unknown as Record<string, unknown>
    return [`0${n}`, `${n}.0`, ` ${n}`, '', '-1', '1e0', 'x'].map(key => odd[key])
  },
  'for...of': array => {
    const seen: Item[] = []
    for (const item of array) seen.push(item)
    return seen
  },
  spread: array => [...array],
  destructuring: ([first, , ...rest]) => [first, rest],
  'Array.from': array => Array.from(array),
  entries: array => [...array.entries()],
  keys: array => [...array.keys()],
  values: array => [...array.values()],
  forEach: (array, n) => {
    const seen: unknown[] = []
    array.forEach(function (this: unknown, item, index, all) {
      seen.push(this, item, index, all === array)
    }, n)
    return seen
  },
  map: array => array.map(({ n }, index, all) => n * index + all.length),
  filter: (array, n) => array.filter(item => item.n % (n + 1) === 0),
  reduce: (array, n) => array.reduce((sum, item, index) => sum + item.n * index, n),
  'reduce without a start': array => array.reduce((sum, item, index) => ({ n: sum.n + item.n * index })),
  'reduce from undefined': array =>
    array.reduce<number | undefined>((sum, item) => (sum === undefined ? item.n : sum - item.n), undefined),
  reduceRight: array => array.reduceRight((sum, item) => item.n - sum, 0),
  some: (array, n) => array.some(item => item.n > n),
  every: (array, n) => array.every((item, index) => item.n >= index && index <= n),
  find: (array, n) => array.find(item => item.n > n),
  findIndex: (array, n) => array.findIndex(item => item.n > n),
  findLast: (array, n) => array.findLast(item => item.n > n),
  flatMap: array => array.flatMap(item => [item, item.n]),
  slice: (array, n) => array.slice(n, -1),
  concat: array => [array.concat(array), [{ n: -1 }].concat(array)],
  'the same object': (array, n) => [
    Object.is(array[n], array.at(n)),
    array.indexOf(array[n]!),
    array.includes(array[n]!),
  ],
  in: (array, n) => [n in array, array.length in array, 'map' in array],
  own: (array, n) => [Object.hasOwn(array, n), Object.keys(array), Object.entries(array)],
  kind: array => [
    Array.isArray(array),
    Object.getPrototypeOf(array) === Array.prototype,
    array.constructor === Array,
    String(array),
  ],
  JSON: array => JSON.stringify(array),
  inspect: array => inspect(array, { maxArrayLength: null }),
  'deep equality': array => [isDeepStrictEqual(array, plain(array.length)), isDeepStrictEqual(array, [{ n: -1 }])],
  clone: array => structuredClone([...array]),
  sort: array => [...array.sort((a, b) => b.n - a.n)],
  reverse: array => [...array.reverse()],
  push: array => [array.push({ n: -1 }), ...array],
  'pop and shift': array => [array.pop(), array.shift(), ...array],
  splice: (array, n) => [array.splice(n, 1), ...array],
  write: (array, n) => {
    array[n] = { n: -7 }
    return [...array]
  },
  'write into a kept item': (array, n) => {
    if (array[n]) array[n].n = -7
    return [array[n], ...array]
  },
  shorten: (array, n) => {
    array.length = Math.min(n, array.length)
    return [array.length, ...array]
  },
  delete: (array, n) => {
    delete array[n]
    return [...array, ...array.map(item => item)]
  },
  freeze: array => Object.isFrozen(Object.freeze(array)),
  'an iterator, again and past its end': array => {
    const iterator = array[Symbol.iterator]()
    return [iterator.next(), [...iterator], iterator.next(), iterator.next()]
  },
}

const answer = (use: () => unknown): unknown => {
  try {
    return use()
  } catch (error) {
    return (error as Error).name
  }
}

t.test('each use alone gives what the plain array gives', async t => {
  for (const [name, use] of Object.entries(uses)) {
    for (const length of [0, 1, 2, 12]) {
      for (const n of [0, 3]) {
        const found = answer(() => use(lazyArray(length, make), n))
        t.strictSame(
          found,
          answer(() => use(plain(length), n)),
          `${name}, ${length} items, ${n}`,
        )
      }
    }
  }
})

t.test('uses one after the other do, too', async t => {
  const one = fc.tuple(fc.constantFrom(...Object.keys(uses).filter(name => name !== 'deep equality')), fc.nat(12))
  fc.assert(
    fc.property(fc.nat(12), fc.array(one, { maxLength: 12 }), (length, steps) => {
      const [lazy, array] = [lazyArray(length, make), plain(length)]
      return steps.every(([name, n]) =>
        isDeepStrictEqual(
          answer(() => uses[name]!(lazy, n)),
          answer(() => uses[name]!(array, n)),
        ),
      )
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('a walk makes each item once and keeps none; an index keeps its own; all else makes the whole', async t => {
  const made: number[] = []
  const lazy = lazyArray(4, n => {
    made.push(n)
    return make(n)
  })
  t.equal(lazy.length, 4)
  t.same(made, [], 'none for the length')
  t.equal(lazy[2], lazy[2])
  t.same(made, [2])
  for (const item of lazy) if (item === lazy[2]) break
  t.same(made, [2, 0, 1], 'a loop makes what it passes, and takes what is kept')
  t.equal(lazy.indexOf(lazy[2]!), 2)
  made.length = 0
  lazy.sort()
  lazy.forEach(() => {})
  t.ok(made.length <= 4, 'the whole is made once')
  made.length = 0
  t.strictSame([...lazy], [...lazy])
  t.same(made, [], 'and from then on none')
})
