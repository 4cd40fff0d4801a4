/** `slabs reassign`, `slabs automove` and `cache_memlimit` (PROTOCOL D3, D4, D10): memcached's words for what the page mover says. */
import type { PagesApi, Reassigned } from '../engine/contract.js'

const ANSWERS: Readonly<Record<Reassigned, string>> = {
  ok: 'OK',
  busy: 'BUSY currently processing reassign request',
  'bad class': 'BADCLASS invalid src or dst class id',
  'no spare': 'NOSPARE source class has no spare pages',
  same: 'SAME src and dst class are identical',
}
const BAD_LINE = 'CLIENT_ERROR bad command line format'
const INT32 = /^[-+]?\d{1,10}$/
const UINT32 = /^\d{1,10}$/
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?$/i
const UINT32_MAX = 0xffffffff
const MEMLIMIT_MIN_MB = 8
const MEMLIMIT_MAX_MB = 1_000_000_000
const WINDOW_MIN = 3
const WINDOW_MAX = 1800

/** The words behind `slabs`. */
export function slabsCommand(words: readonly string[], pages: PagesApi): string {
  if (words[0] === 'reassign' && words.length === 3) return reassign(words[1]!, words[2]!, pages)
  if (words[0] === 'automove' && words.length >= 2) return automove(words[1]!, words[2], pages)
  return 'ERROR'
}

function reassign(source: string, target: string, pages: PagesApi): string {
  if (!pages.automove.reassign) return 'CLIENT_ERROR slab reassignment disabled'
  if (!INT32.test(source) || !INT32.test(target)) return BAD_LINE
  return ANSWERS[pages.reassign(Number(source), Number(target))]
}

function automove(word: string, value: string | undefined, pages: PagesApi): string {
  if (word === 'ratio' || word === 'freeratio') {
    if (value === undefined || !NUMBER.test(value)) return 'ERROR'
    pages.setAutomove(word === 'ratio' ? { ratio: Number(value) } : { freeRatio: Number(value) })
    return 'OK'
  }
  if (word === 'window') {
    if (value === undefined || !UINT32.test(value)) return BAD_LINE
    const window = Number(value)
    if (window < WINDOW_MIN || window > WINDOW_MAX) return 'CLIENT_ERROR automove window too low or too high'
    pages.setAutomove({ window })
    return 'OK'
  }
  if (!UINT32.test(word)) return BAD_LINE
  if (Number(word) > 2) return 'ERROR'
  pages.setAutomove({ mode: Number(word) })
  return 'OK'
}

/** The words behind `cache_memlimit`. */
export function memlimitCommand(words: readonly string[], pages: PagesApi): string {
  const text = words[0]
  if (text === undefined) return BAD_LINE
  if (!UINT32.test(text) || Number(text) > UINT32_MAX) return 'ERROR'
  const megabytes = Number(text)
  if (megabytes < MEMLIMIT_MIN_MB) return 'MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m'
  if (megabytes > MEMLIMIT_MAX_MB) return 'MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes'
  return pages.setLimit(megabytes) ? 'OK' : 'MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust'
}
