/**
 * Random commands for memcached (Debian's 1.6.18) and for us, good and malformed. Inputs on which 1.6.18 differs from 1.6.40 and
 * later (PROTOCOL D14) are not made here, nor a key that is too long behind good ones, which memcached has read by then;
 * commands.test.ts has those. Times to live are so long that none ends, or falls below
 * what an `R` asks for, while a test runs: the two servers do not look at the same clock.
 */
export type Random = () => number
const pick = <T>(next: Random, from: readonly T[]): T => from[Math.floor(next() * from.length)]!

/** No value has a minus: behind a number of 64 bits 1.6.18 looks for one in what its chunk held before, and then calls it no number. */
function makeValue(next: Random): string {
  const kind = next()
  if (kind < 0.3) return String(Math.floor(10 ** (next() * 15)))
  if (kind < 0.4)
    return pick(next, ['', ' 12', '+7', '12 abc', '18446744073709551615', '18446744073709551616', '1\t2', '007'])
  return 'v'.repeat(Math.floor(10 ** (next() * 4)))
}

const FLAGS = {
  mg: [
    'v',
    'v',
    'f',
    's',
    'h',
    't',
    'k',
    'Oabc',
    'q',
    'u',
    'T0',
    'T100000',
    'N100000',
    'R30',
    'R200000',
    'E',
    'Tx',
    'N',
    'z',
    'P1',
    'L2',
  ],
  ms: [
    'k',
    'Oab',
    'q',
    'T0',
    'T100000',
    'F5',
    'I',
    'ME',
    'MA',
    'MP',
    'MR',
    'MS',
    'Ma',
    'Mz',
    'C1',
    'C0',
    'Fx',
    'Tx',
    'z',
  ],
  md: ['k', 'Oab', 'q', 'I', 'T30000', 'C1'],
  ma: [
    'k',
    'Oab',
    'q',
    'v',
    't',
    'N0',
    'N100000',
    'J7',
    'D3',
    'D18446744073709551615',
    'MI',
    'MD',
    'M+',
    'M-',
    'T50000',
    'C1',
  ],
} as const

/** Each flag once: what 1.6.18 says of a flag given twice to md and ma is not what newer ones say. */
function makeMeta(next: Random, plain: string, value: string, block: string): string {
  const verb = pick(next, ['mg', 'mg', 'mg', 'ms', 'ms', 'md', 'ma'] as const)
  const isBinary = next() < 0.2
  const key = isBinary ? Buffer.from(plain).toString('base64') : plain
  const flags = isBinary ? ['b'] : []
  for (let count = Math.floor(next() * 6); count > 0; count--) {
    const flag = pick<string>(next, FLAGS[verb])
    if ((verb === 'mg' && flag !== 'E') || !flags.some(one => one[0] === flag[0])) flags.push(flag)
  }
  // 1.6.18 knows neither E nor a value sent only for another cas; Z, X and W only mg says.
  const text = flags.filter(flag => flag !== 'E').map(flag => ` ${flag}`)
  if (verb === 'ms') return `ms ${key} ${value.length}${text.join('')}\r\n${block}`
  return `${verb} ${key}${text.join('')}\r\n`
}

/** One command; `cas` is what this side answered to the last gets. */
export function makeCommand(next: Random): (cas: string) => string {
  const key = `k${Math.floor(next() * 12)}`
  const noreply = next() < 0.15 ? ' noreply' : ''
  const exptime = pick(next, ['0', '0', '0', '-1', '100000', '2592000', '2000000000', '1000000'])
  const flags = pick(next, ['0', '0', '1', '4294967295', '77'])
  const verb = pick(next, [
    'set',
    'set',
    'add',
    'replace',
    'append',
    'prepend',
    'cas',
    'get',
    'gets',
    'get',
    'gat',
    'gats',
    'touch',
    'incr',
    'decr',
    'incr',
    'delete',
    'bad',
    'flush',
    'meta',
    'meta',
    'meta',
    'meta',
    'meta',
    'meta',
  ])
  const delta = pick(next, ['1', '0', '7', '18446744073709551615', '99999999999', 'x', '-1', '18446744073709551616'])
  const value = makeValue(next)
  const block = next() < 0.03 ? `${value}!!!!\r\n` : `${value}\r\n`
  const keys = Array.from({ length: 1 + Math.floor(next() * 4) }, () => `k${Math.floor(next() * 14)}`).join(' ')
  const bad = pick(next, [
    'foo bar',
    'gat x k1',
    'touch k1 x',
    'set k1 0 0 -1',
    'set k1 0 0 x',
    `get ${'k'.repeat(251)}`,
    `incr ${'k'.repeat(251)} 1`,
    `delete ${'k'.repeat(251)}`,
    'flush_all x',
    'verbosity x',
    'GET k1',
    'foo noreply',
    'verbosity x noreply',
    'flush_all x noreply',
    'incr k1 x noreply',
    'touch k1 x noreply',
    'mn',
    'get k1 k2\tk3',
    'me nothing',
    'me k1 k2',
  ])
  const meta = makeMeta(next, key, value, block)
  const flush = next() < 0.1 ? 'flush_all 0\r\n' : 'verbosity 1\r\n'
  switch (verb) {
    case 'get':
    case 'gets':
      return () => `${verb} ${keys}\r\n`
    case 'gat':
    case 'gats':
      return () => `${verb} ${exptime} ${keys}\r\n`
    case 'touch':
      return () => `touch ${key} ${exptime}${noreply}\r\n`
    case 'incr':
    case 'decr':
      return () => `${verb} ${key} ${delta}${noreply}\r\n`
    case 'delete':
      return () => `delete ${key}${noreply}\r\n`
    case 'meta':
      return () => meta
    case 'bad':
      return () => `${bad}\r\n`
    case 'flush':
      return () => flush
    case 'cas':
      return cas => `gets ${key}\r\ncas ${key} ${flags} ${exptime} ${value.length} ${cas}${noreply}\r\n${block}`
    default:
      return () => `${verb} ${key} ${flags} ${exptime} ${value.length}${noreply}\r\n${block}`
  }
}

/**
 * Cas uniques, and times to live: the two do not look at the same clock, and `me` of 1.6.18 tells the time left as a negative
 * number. The headers of items differ, so one that nearly fills its class may be in the next one there: `cls`.
 */
export const masked = (text: string) =>
  text
    .replace(/^(VALUE \S+ \d+ \d+) \d+\r$/gm, '$1 #\r')
    .replace(/^((?:HD|VA) .*)\bt\d+/gm, '$1t#')
    .replace(/^(ME \S+) exp=-?\d+ la=\d+ cas=\d+ fetch=(\w+) cls=\d+/gm, '$1 exp=# la=# cas=# fetch=$2 cls=#')
export const lastCas = (text: string, before: string) =>
  [...text.matchAll(/^VALUE \S+ \d+ \d+ (\d+)\r$/gm)].at(-1)?.[1] ?? before
