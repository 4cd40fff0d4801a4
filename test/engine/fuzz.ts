/**
 * Bytes that nobody would send, to the engine: commands that were mutated, spliced and cut anywhere. What must hold for each
 * input: it ends, it is answered with what memcached could say (legal.ts), and in the end the memory is sound (audit.ts).
 * Inputs that led to replies not seen before are mutated further. A round is one arena's life, and depends on its seed alone.
 */
import { resetArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { audit } from './audit.js'
import { COMMANDS } from './corpus.js'
import { Driver, random, START, smallArena } from './driver.js'
import { framesOf, judge } from './legal.js'

type Random = () => number

export interface Round {
  seed: number
  inputs: number
  /** Where each input can be seen; for replay. */
  trace?: (input: number, text: string, replies: string) => void
}

export interface RoundResult {
  inputs: number
  requests: number
  /** Kinds of requests and replies that were met. */
  shapes: Set<string>
  /** One line; null: nothing was wrong. */
  failure: string | null
}

const HOST = 'GIVEN BACK'
const LINE_MAX = 2048
const LEARNED_MAX = 2000
/** Longer inputs teach little and cost much. */
const LEARNED_BYTES_MAX = 300
const SELF = 1
const pick = <T>(next: Random, from: readonly T[]): T => from[Math.floor(next() * from.length)]!
const below = (next: Random, limit: number): number => Math.floor(next() * limit)

/** What an arena may be started with, and whether its keys may live elsewhere. */
const SETTINGS = [
  {},
  { evictions: false },
  { cas: false, chunkSizeMin: 1 },
  { flushEnabled: false, growthFactor: 2 },
  { itemSizeMax: 1024, memoryLimitMb: 2 },
  { itemSizeMax: 4 << 20 },
  { slabChunkMax: 512 },
] as const
const arenas = SETTINGS.map(() => null as ReturnType<typeof smallArena> | null)

export function runRound({ seed, inputs, trace }: Round): RoundResult {
  const next = random(seed)
  const kind = seed % SETTINGS.length
  const arena = arenas[kind] ?? smallArena(SETTINGS[kind])
  arenas[kind] = arena
  resetArena(arena)
  const engine = new Engine(arena, 0)
  engine.setTime(START)
  const inTier = Math.floor(seed / SETTINGS.length) % 2 === 1
  if (inTier) publish(new Engine(arena, 2))
  const learned: string[] = []
  const shapes = new Set<string>()
  let requests = 0
  let time = START
  const failed = (input: number, what: string, text: string): RoundResult => ({
    ...{ inputs: input, requests, shapes },
    failure: `--seed ${seed} --inputs ${inputs}, input ${input}: ${what}, sent ${JSON.stringify(text).slice(0, 600)}`,
  })
  for (let input = 0; input < inputs; input++) {
    const text = makeInput(next, learned)
    if (next() < 0.01) {
      time += below(next, 40)
      engine.setTime(time)
    }
    const driver = new Driver(engine, () => `${HOST}\r\n`)
    let replies: string
    try {
      replies = feed(next, driver, text)
    } catch (error) {
      return failed(input, String(error), text)
    }
    trace?.(input, text, replies)
    const framing = framesOf(text)
    requests += framing.frames.length
    const isLong = text.length > LINE_MAX && text.split('\n').some(line => line.length > LINE_MAX)
    // A line that is too long may have been seen too late: then it was whole.
    const problem = isLong && driver.closed ? null : judge(framing, replies, { host: HOST })
    if (problem) return failed(input, problem, text)
    if (driver.closed !== framing.closes && !isLong) {
      return failed(input, driver.closed ? 'it was closed' : 'it was not closed', text)
    }
    driver.cut()
    const shape = shapeOf(
      framing.frames.map(frame => frame.verb),
      replies,
    )
    if (text.length <= LEARNED_BYTES_MAX && !shapes.has(shape)) {
      shapes.add(shape)
      if (learned.length < LEARNED_MAX) learned.push(text)
      else learned[below(next, LEARNED_MAX)] = text
    }
  }
  const findings = audit(engine)
  const failure = findings.length === 0 ? null : failed(inputs, findings.join('; '), '').failure
  return { inputs, requests, shapes, failure }
}

/** Eighths of the circle: ours, another's, ours but not taken yet. */
function publish(engine: Engine): void {
  const share = 2 ** 29
  const points = Uint32Array.from({ length: 8 }, (_, i) => share * (i + 1) - 1)
  const owners = Uint16Array.from({ length: 8 }, (_, i) => (i % 4 === 3 ? SELF + 1 : SELF))
  const settled = Uint8Array.from({ length: 8 }, (_, i) => (i % 4 === 2 ? 0 : 1))
  engine.publish({ epoch: 3, self: SELF, points, owners, tenures: new Uint32Array(8).fill(2), settled })
}

/** Whole, or cut into pieces. */
function feed(next: Random, driver: Driver, text: string): string {
  if (next() < 0.4) return driver.send(text)
  let replies = ''
  const largest = pick(next, [1, 3, 20, 200])
  for (let at = 0; at < text.length && !driver.closed; ) {
    const size = text.length > 5000 ? 2000 + below(next, 9000) : 1 + below(next, largest)
    replies += driver.send(text.slice(at, at + size))
    at += size
  }
  return replies
}

/** Requests and first words of replies, numbers left out. */
function shapeOf(verbs: string[], replies: string): string {
  const words = replies.replace(/\d+/g, '#').split('\r\n', 8)
  return `${verbs.slice(0, 4).join(',')}>${words.map(line => line.slice(0, 24)).join('|')}`
}

// --- inputs

const NUMBERS = [
  ...['0', '1', '-1', '-', '+1', '01', '250', '251', '1024', '2048', '2147483645', '2147483646', '2147483647'],
  ...['2147483648', '-2147483648', '4294967295', '4294967296', '2592000', '2592001', '1700000100', '99999999999'],
  ...['18446744073709551615', '18446744073709551616', '9223372036854775807', '9223372036854775808', ' 5', '5\t', '\t5'],
]
const BYTES = ['\0', '\t', '\n', '\r', ' ', '-', '0', '9', 'k', 'q', '\x7f', '\x80', '\xff', '\r\n']
const WORDS = [
  ' noreply',
  ' q',
  ' b',
  ' k',
  ' v',
  ' O123',
  ' c',
  ' t',
  ' s',
  ' T9',
  ' N0',
  ' I',
  ' x',
  ' E7',
  ' C1',
  ' MS',
  ' R30',
]

function makeInput(next: Random, learned: readonly string[]): string {
  let text = ''
  for (let count = 1 + below(next, 3); count > 0; count--) {
    text += learned.length > 0 && next() < 0.3 ? pick(next, learned) : pick(next, COMMANDS)
    if (text.length > 4000) break
  }
  for (let count = pick(next, [0, 0, 1, 1, 2, 3, 6]); count > 0; count--) text = mutate(next, text)
  return text.length > 300_000 ? text.slice(0, 300_000) : text
}

/** One change of the kinds that parsers stumble over. */
export function mutate(next: Random, text: string): string {
  const at = below(next, text.length + 1)
  const kind = next()
  if (kind < 0.2) return text.slice(0, at) + pick(next, BYTES) + text.slice(at)
  if (kind < 0.3) return text.slice(0, at) + String.fromCharCode(below(next, 256)) + text.slice(at + 1)
  if (kind < 0.4) return text.slice(0, at) + text.slice(at + 1 + below(next, 8))
  if (kind < 0.6) return replaceOne(next, text, /-?\d+/g, pick(next, NUMBERS))
  if (kind < 0.75) return replaceOne(next, text, /(?=\r\n)/g, pick(next, WORDS))
  if (kind < 0.85) return text.slice(0, at) + pick(next, COMMANDS) + text.slice(at)
  if (kind < 0.9) return text.slice(0, at) + text.slice(Math.max(0, at - 1 - below(next, 30)))
  if (kind < 0.96) return text.slice(0, at)
  if (kind < 0.9998) return text.slice(0, at) + 'k'.repeat(below(next, 300)) + text.slice(at)
  return (
    text.slice(0, at) +
    pick(next, ['x', ' a', '\r\n', 'get a\r\n']).repeat(below(next, next() < 0.1 ? 30_000 : 1000)) +
    text.slice(at)
  )
}

/** Another text in the place of one of the matches. */
function replaceOne(next: Random, text: string, pattern: RegExp, by: string): string {
  const matches = [...text.slice(0, 2000).matchAll(pattern)]
  if (matches.length === 0) return text + by
  const { index, 0: found } = pick(next, matches)
  return text.slice(0, index) + by + text.slice(index + found.length)
}
