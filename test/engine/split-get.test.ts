/** Gets of many keys, split and merged by the engine, beside a plain one: whatever the keys, the route and the answers are. */
import t from 'tap'
import { randomFrom } from '../../bench/random.js'
import type { SplitList } from '../../lib/engine/contract.js'
import { Engine } from '../../lib/engine/engine.js'
import { mergeLists } from '../../lib/server/multi-get.js'
import { ReplyArena } from '../../lib/server/reply-arena.js'
import { smallArena } from './driver.js'

const SEED = Number(process.env.SEED ?? 1)
const ROUNDS = 400
const SELF = 3
const random = randomFrom(SEED)
const draw = (below: number) => Math.floor(random() * below)
const CUT_OFF = 'SERVER_ERROR a part of the answer was cut off\r\n'
const engine = new Engine(smallArena(), 0)

/** Arcs of any size for so many owners, numbered from 1. */
function route(arcs: number, owners: number): void {
  const points = Uint32Array.from(new Set(Array.from({ length: arcs }, () => draw(2 ** 32)))).sort()
  engine.publish({
    ...{ epoch: 7, self: SELF, points, owners: Uint16Array.from(points, () => 1 + draw(owners)) },
    ...{ tenures: new Uint32Array(points.length).fill(1), settled: new Uint8Array(points.length).fill(1) },
  })
}

function drawKey(): string {
  const length = 1 + draw([8, 20, 60, 250][draw(4)]!)
  return Array.from({ length }, () => String.fromCharCode(33 + draw(94))).join('')
}

const VALUES = ['', 'END\r\n', 'VALUE k 0 5\r\nabcde\r\n', '\r\n', 'x'.repeat(300), 'y'.repeat(2000)]
const block = (key: string, i: number) => {
  const value = VALUES[i % VALUES.length]!
  return `VALUE ${key} ${i} ${value.length}${i % 3 === 0 ? '' : ` ${i}`}\r\n${value}\r\n`
}

interface Split {
  lines: { owner: number; text: string }[]
  kept: ReturnType<Engine['splitGet']['keep']>
}

function split(request: Buffer): Split | null {
  const { rx, splitGet } = engine
  engine.bytes.set(request, rx.offset)
  const count = splitGet.split(rx.offset, request.length, SELF)
  if (count === 0) return null
  const lines = Array.from({ length: count }, (_, line) => {
    const from = splitGet.textOffset(line)
    const text = Buffer.from(engine.bytes.slice(from, from + splitGet.textLength(line))).toString('latin1')
    return { owner: splitGet.owner(line), text }
  })
  const kept = splitGet.keep(Buffer.alloc(splitGet.keepBytes))
  engine.bytes.fill(0xee, engine.scratch.offset, engine.scratch.offset + engine.scratch.length)
  return { lines, kept }
}

/** The lines that a plain look at each key gives. */
function plainLines(head: string, keys: string[]) {
  const lines: { owner: number; keys: string[] }[] = []
  for (const key of keys) {
    const { owner } = engine.route(Buffer.from(key, 'latin1'))
    const open = lines.find(line => line.owner === owner && (owner === SELF || line.keys.length < 100))
    if (open) open.keys.push(key)
    else lines.push({ owner, keys: [key] })
  }
  return lines.map(({ owner, keys }) => ({ owner, text: `${head} ${keys.join(' ')}\r\n` }))
}

/** At some place in a buffer, with other bytes around it. */
function listOf(text: string): SplitList & { reply: Buffer } {
  const from = draw(50)
  const reply = Buffer.concat([Buffer.alloc(from, 'V'), Buffer.from(text, 'latin1'), Buffer.alloc(draw(20), 'E')])
  return { reply, from, length: text.length }
}

function merged(kept: Split['kept'], lists: SplitList[]): string {
  const { splitGet, tx } = engine
  const at = tx.offset + draw(100)
  const before = engine.bytes[at - 1]
  const size = splitGet.merge(kept, lists, at)
  t.ok(size <= splitGet.mergedMax(lists))
  t.equal(engine.bytes[at - 1], before)
  return size < 0 ? CUT_OFF : Buffer.from(engine.bytes.slice(at, at + size)).toString('latin1')
}

/** As the host merges what is too large for the engine. */
function plainMerged(kept: Split['kept'], lists: SplitList[]): string {
  let answer = ''
  mergeLists(kept, lists, new ReplyArena(), reply => {
    answer = reply.toString('latin1')
  })
  return answer
}

t.test(`split and merged as a plain look has it, seed ${SEED}`, t => {
  for (let round = 0; round < ROUNDS; round++) {
    route(1 + draw([4, 40, 400][draw(3)]!), 1 + draw(6))
    const pool = Array.from({ length: 1 + draw(80) }, drawKey)
    const keys = Array.from({ length: 2 + draw(300) }, () => pool[draw(pool.length)]!)
    const head = ['get', 'gets', 'gat 0', 'gats -100'][draw(4)]!
    const spaces = () => ' '.repeat(1 + (draw(20) === 0 ? draw(5) : 0))
    const line = `${head}${keys.map(key => spaces() + key).join('')}${draw(4) === 0 ? ' ' : ''}`
    const request = Buffer.from(`${line}${draw(2) === 0 ? '\r' : ''}\n`, 'latin1')
    const found = split(request)
    const lines = plainLines(head, keys)
    if (!found) {
      if (lines.length <= 32 && request.length <= 65_536) t.fail(`${lines.length} lines are for the engine to split`)
      continue
    }
    if (JSON.stringify(found.lines) !== JSON.stringify(lines)) t.same(found.lines, lines)
    const has = new Map(pool.map((key, i) => [key, draw(3) === 0 ? '' : block(key, i)]))
    const answerOf = (key: string) => has.get(key)!
    const lists = lines.map(({ text }) => {
      const asked = text.trim().split(' ').slice(head.split(' ').length)
      return listOf(`${asked.map(answerOf).join('')}END\r\n`)
    })
    const whole = `${keys.map(answerOf).join('')}END\r\n`
    if (engine.splitGet.fits(found.kept, lists)) {
      const got = merged(found.kept, lists)
      if (got !== whole) t.equal(got, whole)
    }
    if (plainMerged(found.kept, lists) !== whole) t.fail('the host merges otherwise')
  }
  t.end()
})

t.test('a list that is cut, damaged, another order or another key: what the host says of it', t => {
  route(50, 3)
  const keys = ['a', 'bb', 'ccc', 'dddddddd', 'a', 'eeeeeeeeeeeeeeee', 'f1', 'f2', 'f3', 'f4']
  const { lines, kept } = split(Buffer.from(`get ${keys.join(' ')}\r\n`))!
  const texts = lines.map(({ text }) => {
    const asked = text.trim().split(' ').slice(1)
    return asked.map(key => block(key, keys.indexOf(key) % 4)).join('')
  })
  const same = (damaged: string, of: number, what: string) => {
    const lists = texts.map((text, i) => listOf(`${i === of ? damaged : text}END\r\n`))
    t.equal(merged(kept, lists), plainMerged(kept, lists), what)
  }
  texts.forEach((text, of) => {
    same(text, of, 'as it came')
    for (let length = 0; length < text.length; length++) same(text.slice(0, length), of, `cut at ${length}`)
    for (let i = 0; i < 300; i++) {
      const at = draw(text.length)
      const other = ['0', '9', ' ', '\n', 'V', '\0', '\xff', '999999999999'][draw(8)]!
      same(text.slice(0, at) + other + text.slice(at + 1), of, `${JSON.stringify(other)} at ${at}`)
    }
    same(`${text}${text}`, of, 'twice')
    same(block('other', 1) + text, of, 'another key')
  })
  t.end()
})

t.test('what is not for the engine to split', t => {
  const look = (text: string) => split(Buffer.from(text, 'latin1'))?.lines.length ?? 0
  route(100, 5)
  const many = Array.from({ length: 4000 }, (_, i) => `key${i}`)
  t.equal(look(`get ${many.join(' ')}\r\n`), 0, 'more than 32 lines')
  t.equal(look(`gat ${'0'.padStart(80, ' ')} a b\r\n`), 0, 'many spaces before the keys')
  t.equal(look(`get${' '.repeat(65_000)}${many.slice(0, 200).join(' ')}\r\n`), 0, 'a very long line')
  t.ok(look(`get${' '.repeat(60_000)}${many.slice(0, 200).join(' ')}\r\n`) > 0)
  engine.publishAlone()
  t.equal(look('get a b\r\n'), 0, 'no route')
  t.end()
})
