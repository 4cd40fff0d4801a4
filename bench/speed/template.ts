/**
 * How a peer is started, as one line of text with places to fill in: {port}, {spare} (another free port), {memory} (-m of the
 * workload), {backend}, {backend2} ... {backend9} (ports of memcacheds that a router stands in front of) and {config:<file>}, a file in
 * which the same places are filled in. Pure but for reading and writing that file. No shell: words are split at spaces, quotes
 * hold them together.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Sentence } from '../../lib/cli/output.js'

export interface Template {
  text: string
  words: string[]
  name: string
  /** How many memcacheds it is a router in front of; 0: it is none. */
  backends: number
}

export interface Places {
  port: number
  spare: number
  memory: number
  backends: readonly number[]
  /** Where filled-in files go. */
  directory: string
}

const BACKEND = /\{backend([2-9]?)\}/g
const CONFIG = /^\{config:(.+)\}$/

export function parseTemplate(text: string): Template {
  const words = [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, one, two, three]) => one ?? two ?? three ?? '')
  const configs = words.flatMap(word => CONFIG.exec(word)?.[1] ?? [])
  for (const file of configs) if (!existsSync(file)) throw new Sentence(`--peer "${text}": there is no file ${file}`)
  const all = [...words, ...configs.map(file => readFileSync(file, 'utf8'))].join(' ')
  if (words.length === 0 || !all.includes('{port}')) {
    throw new Sentence(`--peer "${text}": it must say where {port} goes, the server is told a free one`)
  }
  const [unknown] =
    words
      .filter(word => !CONFIG.test(word))
      .join(' ')
      .match(/\{(?!port\}|memory\}|backend[2-9]?\}|spare\})[^}]*\}/) ?? []
  if (unknown)
    throw new Sentence(`--peer "${text}": ${unknown} is none of {port}, {spare}, {memory}, {backend}, {config:<file>}`)
  const backends = Math.max(0, ...[...all.matchAll(BACKEND)].map(([, number]) => Number(number || 1)))
  return { text, words, name: basename(words[0]!), backends }
}

/** The command. memcached gets what it needs here if the template does not say it: the workload's memory, a user. */
export function fillIn({ words, name }: Template, places: Places): string[] {
  const filled = words.map(word => {
    const file = CONFIG.exec(word)?.[1]
    if (file === undefined) return replaced(word, places)
    mkdirSync(places.directory, { recursive: true })
    const path = join(places.directory, basename(file))
    writeFileSync(path, replaced(readFileSync(file, 'utf8'), places))
    return path
  })
  if (name !== 'memcached') return filled
  const has = (flag: string) => filled.some(word => word.startsWith(flag))
  if (!has('-m')) filled.push('-m', String(places.memory))
  if (!has('-u') && process.getuid?.() === 0) filled.push('-u', 'nobody')
  return filled
}

function replaced(text: string, { port, spare, memory, backends }: Places): string {
  return text
    .replaceAll('{port}', String(port))
    .replaceAll('{spare}', String(spare))
    .replaceAll('{memory}', String(memory))
    .replaceAll(BACKEND, (_, number) => String(backends[Number(number || 1) - 1]))
}
