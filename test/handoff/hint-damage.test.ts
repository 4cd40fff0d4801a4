/** Every byte of a hint log's files changed, and the last segment cut at every byte: never a wrong value. */
import t from 'tap'
import { mulberry } from '../simulation/random.js'
import { Bench } from './hint-log.js'

const KEYS = ['a', 'b', 'c', 'd']

interface Written {
  files: Map<string, Uint8Array>
  /** What the log says after each append that is in the last segment; the first: before all of them. */
  states: Map<string, string>[]
}

/** A compacted segment, two plain ones, and three entries in the last. */
function writeLog(): Written {
  const b = new Bench(mulberry(1), { limits: { segmentBytesMax: 400 } })
  const states: Map<string, string>[] = []
  for (let n = 0; n < 18; n++) {
    const value = n % 5 === 3 ? null : `v${n}`
    b.put(3, { key: KEYS[n % 4]!, value, version: BigInt(n + 1) }, 5 + n)
    if (n === 12) {
      b.log.tick(1)
      b.disk.settle()
    }
    states.push(new Map(KEYS.map(key => [key, b.look(key)])))
  }
  const last = [...b.disk.files.keys()].filter(name => name.endsWith('.segment')).at(-1)!
  t.match([...b.disk.files.keys()].join(' '), /1-2\.1\.segment/, 'one is compacted')
  const inLast = [...b.disk.files].find(([name]) => name === last)![1]
  const records = Buffer.from(inLast).toString('latin1').split('ENDH').length - 1
  return { files: b.disk.files, states: states.slice(states.length - records - 1) }
}

function openWith(files: Map<string, Uint8Array>, name: string, bytes: Uint8Array): Bench {
  const b = new Bench(mulberry(1), { limits: { segmentBytesMax: 400 } })
  for (const [file, content] of files) b.disk.files.set(file, file === name ? bytes : content)
  b.open()
  return b
}

const lastOf = (files: Map<string, Uint8Array>) => [...files.keys()].filter(name => name.endsWith('.segment')).at(-1)!

t.test('a bit that changed anywhere', async t => {
  const { files, states } = writeLog()
  const truth = states.at(-1)!
  let flipped = 0
  for (const [name, content] of files) {
    for (let at = 0; at < content.length; at++) {
      const bytes = content.slice()
      bytes[at]! ^= 1 << ((at * 5 + 3) % 8)
      const b = openWith(files, name, bytes)
      const lost = KEYS.filter(key => b.look(key) === 'lost')
      const loss = b.log.losses()[0]
      const from = name.endsWith('.log') ? 0 : 5
      if (lost.length !== KEYS.length || loss?.fromGeneration !== from) {
        t.fail(`${name}, byte ${at}: ${KEYS.map(key => `${key}=${b.look(key)} (${truth.get(key)})`).join(' ')}`)
      }
      flipped++
    }
  }
  t.ok(flipped > 1500, `${flipped} bits`)
})

t.test('the last segment cut at every byte: what is whole is there, without a word', async t => {
  const { files, states } = writeLog()
  const name = lastOf(files)
  const content = files.get(name)!
  for (let length = 64; length < content.length; length++) {
    for (const zeros of [false, true]) {
      const bytes = zeros ? content.map((byte, at) => (at < length ? byte : 0)) : content.slice(0, length)
      const b = openWith(files, name, bytes)
      const whole = Buffer.from(content.subarray(0, length)).toString('latin1').split('ENDH').length - 1
      const state = new Map(KEYS.map(key => [key, b.look(key)]))
      if (b.events.length > 0 || JSON.stringify([...state]) !== JSON.stringify([...states[whole]!])) {
        t.fail(`cut at ${length}${zeros ? ', then zeros' : ''}: ${b.events} ${[...state]}, not ${[...states[whole]!]}`)
      }
      b.put(3, { key: 'a', value: 'later', version: 99n })
      b.open()
      if (b.events.length > 0 || b.look('a') !== 'later') t.fail(`cut at ${length}, appended: ${b.events}`)
    }
  }
  t.ok(states.length > 1)
})

t.test('any other segment cut at every byte is noticed', async t => {
  const { files } = writeLog()
  const others = [...files.keys()].filter(name => name.endsWith('.segment') && name !== lastOf(files))
  t.ok(others.length >= 2)
  for (const name of others) {
    for (let length = 0; length < files.get(name)!.length; length++) {
      const b = openWith(files, name, files.get(name)!.slice(0, length))
      if (!KEYS.every(key => b.look(key) === 'lost')) t.fail(`${name} cut at ${length}`)
    }
  }
})

t.test(
  'a log that a disk which takes nothing made void is not believed by the life after, once the disk takes something',
  async t => {
    const b = new Bench(mulberry(1))
    b.put(3, { key: 'a', value: 'old', version: 1n })
    b.disk.broken = operation => operation === 'write' || operation === 'sync' || operation === 'remove'
    b.open()
    t.equal(b.look('a'), 'lost')
    const refused = b.append(3, { key: 'a', value: 'new', version: 2n })
    b.disk.settle()
    t.match(refused.failure, /cannot be written/, 'a later life would believe what is older')
    t.match(b.log.refusal(3, Buffer.from('a')), /cannot be written/)

    b.disk.broken = null
    b.log.tick(1)
    b.disk.settle()
    t.equal(b.log.refusal(3, Buffer.from('a')), null)
    b.put(3, { key: 'a', value: 'newer', version: 3n })
    b.open()
    t.equal(b.look('a'), 'lost')
  },
)
