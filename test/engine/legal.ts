/**
 * What a stream of bytes may be answered with: memcached's framing (PROTOCOL D1, D3, D8) read a second time, in TypeScript and
 * without a store. `framesOf` cuts a stream into requests; `judge` reads the replies against them: as many as there must be,
 * in order, each one that this command can give, values with as many bytes as they say.
 */
export interface Frame {
  verb: string
  tokens: string[]
  /** `must`: exactly one reply. `never`: noreply. `maybe`: quiet, or a value that is not whole yet. */
  says: 'must' | 'never' | 'maybe'
  /** Where the request ends in the stream. */
  end: number
}

export interface Framing {
  frames: Frame[]
  /** The connection is closed there, whatever comes behind. */
  closes: boolean
  /** Bytes that must come before the next request can: of a value; -1: the rest of a line. 0: nothing has begun. */
  missing: number
}

const LINE_MAX = 2048
const TOKENS_MAX = 24
const BYTES_MAX = 2_147_483_645
const STORAGE = new Set(['set', 'add', 'replace', 'append', 'prepend', 'cas'])
const KEYED = new Set(['delete', 'touch', 'incr', 'decr'])
const META = new Set(['mg', 'md', 'ma', 'me', 'mn', 'ms'])
const RETRIEVAL = new Set(['get', 'gets', 'gat', 'gats'])
const SLOW = new Set(['stats', 'watch', 'config'])
const SLOW_ANYWHERE = new Set(['shutdown', 'cache_memlimit', 'slabs', 'lru', 'lru_crawler'])

export function tokensOf(line: string): string[] {
  return line.split(' ', line.length).filter(token => token !== '')
}

/** `-?[0-9]*` in int32, a lone minus being 0; null: it is no number. */
function int32(token: string): number | null {
  if (!/^-?[0-9]{0,10}$/.test(token) && !/^[0-9]{11}$/.test(token)) return null
  const value = Number(token === '-' ? 0 : token)
  return value < -2_147_483_648 || value > 2_147_483_647 || token === '' ? null : value
}

export function framesOf(stream: string): Framing {
  const frames: Frame[] = []
  for (let at = 0; at < stream.length; ) {
    const newline = stream.indexOf('\n', at)
    if (newline < 0) return { frames, closes: isEndless(stream.slice(at)), missing: -1 }
    const next = newline + 1
    const line = stream.slice(at, stream[newline - 1] === '\r' && newline > at ? newline - 1 : newline)
    const { verb, tokens, says, bytes, closes } = read(line, next - at)
    const end = next + (bytes === null ? 0 : bytes + 2)
    const isWhole = end <= stream.length
    if (!closes) frames.push({ verb, tokens, says: says === 'must' && !isWhole ? 'maybe' : says, end })
    if (closes) return { frames, closes: true, missing: 0 }
    if (!isWhole) return { frames, closes: false, missing: end - stream.length }
    at = end
  }
  return { frames, closes: false, missing: 0 }
}

function isEndless(rest: string): boolean {
  return rest.length > LINE_MAX && !/^ {0,100}gets? /.test(rest)
}

interface Read {
  verb: string
  tokens: string[]
  says: Frame['says']
  /** Of a value that follows; null: none does. */
  bytes: number | null
  closes: boolean
}

function read(line: string, length: number): Read {
  const all = tokensOf(line)
  const tokens = all.slice(0, TOKENS_MAX)
  const plain: Read = { verb: 'unknown', tokens, says: 'must', bytes: null, closes: false }
  if (length < 4) return { ...plain, verb: 'short' }
  const verb = line[0] === ' ' ? '' : (tokens[0] ?? '')
  const silent: Frame['says'] = tokens.length > 1 && tokens.at(-1) === 'noreply' ? 'never' : 'must'
  if (verb === 'quit') return { ...plain, closes: true }
  if (RETRIEVAL.has(verb)) return { ...plain, verb, tokens: all }
  if (verb === 'version' || SLOW.has(verb)) return { ...plain, verb }
  if (KEYED.has(verb)) return { ...plain, verb, says: tokens.length < (verb === 'delete' ? 2 : 3) ? 'must' : silent }
  if (STORAGE.has(verb)) {
    const bytes = int32(tokens[4] ?? '')
    if (bytes === null || bytes < 0 || bytes > BYTES_MAX) return { ...plain, verb }
    return { ...plain, verb, bytes, says: silent }
  }
  if (META.has(verb)) return { ...plain, verb, ...meta(verb, tokens) }
  const first = tokens[0] ?? ''
  if (SLOW_ANYWHERE.has(first)) return { ...plain, verb: first }
  if (first === 'flush_all' || first === 'verbosity') return { ...plain, verb: first, says: silent }
  if (tokens.length > 1 && tokens.at(-1)!.startsWith('HTTP/')) {
    return { ...plain, closes: true }
  }
  return plain
}

function meta(verb: string, tokens: string[]): Pick<Read, 'says' | 'bytes'> {
  if (verb === 'mn' || verb === 'me') return { says: 'must', bytes: null }
  const isQuiet = tokens.slice(2).some(token => token[0] === 'q')
  const says = isQuiet ? 'maybe' : 'must'
  if (verb !== 'ms') return { says, bytes: null }
  const bytes = int32(tokens[2] ?? '')
  if (bytes === null || bytes < 0 || bytes > BYTES_MAX) return { says: 'must', bytes: null }
  return { says, bytes }
}

// --- replies

const FORMAT = 'CLIENT_ERROR bad command line format'
const TOO_LARGE = ['SERVER_ERROR object too large for cache', 'SERVER_ERROR out of memory storing object']
const STORED = ['STORED', 'NOT_STORED', 'CLIENT_ERROR bad data chunk', FORMAT, ...TOO_LARGE]
const NOT_A_NUMBER = 'CLIENT_ERROR cannot increment or decrement non-numeric value'
const ARITHMETIC = [
  'NOT_FOUND',
  FORMAT,
  'CLIENT_ERROR invalid numeric delta argument',
  NOT_A_NUMBER,
  'SERVER_ERROR out of memory',
]
const META_ERRORS = [
  ...[FORMAT, 'CLIENT_ERROR options flags are too long', 'CLIENT_ERROR duplicate flag', 'CLIENT_ERROR invalid flag'],
  ...['CLIENT_ERROR bad token in command line format', 'CLIENT_ERROR error decoding key'],
  ...['CLIENT_ERROR opaque token too long', 'CLIENT_ERROR invalid numeric initial value'],
  ...['CLIENT_ERROR invalid numeric delta value'],
]
const BAD_EXPTIME = 'CLIENT_ERROR invalid exptime argument'

/** The lines that a verb may be answered with, but for those whose text varies. */
const LINES: Record<string, ReadonlySet<string>> = Object.fromEntries(
  Object.entries({
    unknown: ['ERROR'],
    short: [FORMAT],
    ...{ set: STORED, add: STORED, replace: STORED, append: STORED, prepend: STORED },
    cas: [...STORED, 'EXISTS', 'NOT_FOUND'],
    ...{ get: [FORMAT], gets: [FORMAT], gat: [FORMAT, BAD_EXPTIME], gats: [FORMAT, BAD_EXPTIME] },
    delete: ['DELETED', 'NOT_FOUND', FORMAT],
    touch: ['TOUCHED', 'NOT_FOUND', FORMAT, BAD_EXPTIME],
    ...{ incr: ARITHMETIC, decr: ARITHMETIC },
    mg: META_ERRORS,
    ms: [...META_ERRORS, ...TOO_LARGE, 'CLIENT_ERROR bad data chunk', 'CLIENT_ERROR invalid mode for ms M token'],
    md: META_ERRORS,
    ma: [
      ...[FORMAT, 'CLIENT_ERROR options flags are too long', 'CLIENT_ERROR invalid mode for ma M token'],
      ...['CLIENT_ERROR invalid or duplicate flag', 'CLIENT_ERROR error decoding key', NOT_A_NUMBER],
      ...['SERVER_ERROR out of memory', 'SERVER_ERROR Out of memory allocating new item'],
    ],
    me: [...META_ERRORS, 'EN'],
    mn: ['MN'],
    flush_all: ['OK', BAD_EXPTIME, 'CLIENT_ERROR flush_all not allowed'],
    verbosity: ['OK', FORMAT],
  }).map(([verb, lines]) => [verb, new Set(lines)]),
)

const RETURN_CODES: Record<string, RegExp> = {
  mg: /^(?:HD|EN)(?: |$)/,
  ms: /^(?:HD|NS|EX|NF)(?: |$)/,
  md: /^(?:HD|NF|EX|NS)(?: |$)/,
  ma: /^(?:HD|NF|NS|EX)(?: |$)/,
}
const REPLY_LINE_MAX = 1024

/** What a host that the engine gave a request back to has answered here. */
export interface Judged {
  /** A line that stands for a request given back; null: there are none. */
  host: string | null
}

/**
 * The first thing that is wrong with the replies, or null. Where a request may have stayed silent both are tried: its reply may be
 * that of the next one.
 */
export function judge({ frames, closes }: Framing, replies: string, { host }: Judged): string | null {
  let places = new Set([0])
  for (const { verb, tokens, says } of frames) {
    const after = new Set<number>()
    let problem = ''
    for (const at of places) {
      if (says !== 'must') after.add(at)
      const unit = unitAt(replies, at, verb, tokens, host)
      if (unit.problem !== null) problem = `${unit.problem}, at ${brief(replies.slice(at))}`
      else if (says !== 'never' || unit.isHost) after.add(unit.end)
    }
    if (after.size === 0) return `to ${brief(verb, tokens)}: ${problem}`
    places = after
  }
  if (places.has(replies.length)) return null
  const told = Math.max(...places)
  return `${closes ? 'before it closes ' : ''}more is said than was asked for: ${brief(replies.slice(told))}`
}

const brief = (...parts: (string | string[])[]): string =>
  JSON.stringify(parts.length > 1 ? parts : parts[0]).slice(0, 200)

interface Unit {
  /** Where it ends; where it began when it is not one that this verb may give. */
  end: number
  isHost: boolean
  problem: string | null
}

/** One reply at `at`, if it is legal for this verb. */
function unitAt(replies: string, at: number, verb: string, tokens: string[], host: string | null): Unit {
  const no = (problem: string): Unit => ({ end: at, isHost: false, problem })
  const yes = (end: number, isHost = false): Unit => ({ end, isHost, problem: null })
  const lineEnd = replies.indexOf('\r\n', at)
  if (lineEnd < 0) return no('a line without an end')
  const line = replies.slice(at, lineEnd)
  const next = lineEnd + 2
  if (host !== null && line === host) return yes(next, true)
  if (RETRIEVAL.has(verb) && (line === 'END' || line.startsWith('VALUE '))) {
    const end = listEnd(replies, at, verb.endsWith('s'), tokens, host)
    return end < 0 ? no('a broken list of values') : yes(end)
  }
  if (LINES[verb]?.has(line)) return yes(next)
  if (verb === 'version' && line.startsWith('VERSION ')) return yes(next)
  if ((verb === 'incr' || verb === 'decr') && /^\d{1,20}$/.test(line)) return yes(next)
  if (verb === 'me' && /^ME .+ exp=-?\d+ la=\d+ cas=\d+ fetch=(yes|no) cls=\d+ size=\d+$/s.test(line)) return yes(next)
  if (line.length <= REPLY_LINE_MAX && RETURN_CODES[verb]?.test(line)) return yes(next)
  if (verb === 'mg' || verb === 'ma') {
    const match = /^VA (\d+)(?: |$)/.exec(line)
    const end = match ? next + Number(match[1]) : -1
    if (match && replies.slice(end, end + 2) === '\r\n') return yes(end + 2)
  }
  return no('no reply that it may get')
}

/** Of VALUE ... END, or of what came before the rest of the keys was given back; -1: it is not well formed. */
function listEnd(replies: string, from: number, withCas: boolean, tokens: string[], host: string | null): number {
  const pattern = withCas ? /^VALUE (\S+|.+) (\d+) (\d+) \d+$/s : /^VALUE (\S+|.+) (\d+) (\d+)$/s
  let key = 1
  for (let at = from; ; ) {
    const lineEnd = replies.indexOf('\r\n', at)
    if (lineEnd < 0) return -1
    const line = replies.slice(at, lineEnd)
    if (line === 'END' || line === host) return lineEnd + 2
    const match = pattern.exec(line)
    if (!match) return -1
    while (key < tokens.length && tokens[key] !== match[1]) key++
    if (key++ >= tokens.length) return -1
    at = lineEnd + 2 + Number(match[3])
    if (replies.slice(at, at + 2) !== '\r\n') return -1
    at += 2
  }
}
