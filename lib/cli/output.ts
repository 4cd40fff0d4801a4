/**
 * How the commands speak to people: one sentence when something is wrong, the log on stderr, tables. No logic of its own.
 */
import { createRequire } from 'node:module'
import type { Logger } from 'pino'

/** What went wrong, in one plain sentence; ends the command with exit code 1. */
export class Sentence extends Error {}

const LEVELS = ['warn', 'info', 'debug', 'trace'] as const

export type Log = Record<(typeof LEVELS)[number], (sentence: string) => void>

/**
 * -v shows what happens, -vv every step. Without it only what needs somebody's attention. pino, a tenth of the processor time of a start,
 * is loaded when there is something to say.
 */
export function createLog(verbosity: number, name: string): Log {
  const least = Math.min(verbosity, LEVELS.length - 1)
  let logger: Logger | null = null
  const at = (level: (typeof LEVELS)[number], i: number) => (sentence: string) => {
    if (i > least) return
    logger ??= openLog(LEVELS[least]!, name)
    if (logger) logger[level](sentence)
    else complain(sentence)
  }
  return { warn: at('warn', 0), info: at('info', 1), debug: at('debug', 2), trace: at('trace', 3) }
}

/** Null while it cannot be loaded: no descriptor is left, or -u made the process a user who may not read it. */
function openLog(level: string, name: string): Logger | null {
  try {
    const { pino } = createRequire(import.meta.url)('pino') as typeof import('pino')
    return pino({ level, base: { name } }, pino.destination({ dest: 2, sync: true }))
  } catch {
    return null
  }
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

let divert: ((text: string) => void) | null = null

/** Somebody else says them from now on, until null: a daemon has no stderr that anybody reads. */
export function divertComplaints(to: ((text: string) => void) | null): void {
  divert = to
}

export function complain(text: string): void {
  if (divert) divert(text)
  else process.stderr.write(`continuum: ${text}\n`)
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: string[], rows: (string | number)[][]): string {
  const cells = [head, ...rows.map(row => row.map(String))]
  const widths = head.map((_, column) => Math.max(...cells.map(row => row[column]?.length ?? 0)))
  const isNumber = head.map((_, column) => rows.length > 0 && rows.every(row => typeof row[column] === 'number'))
  const line = (row: string[]) =>
    row
      .map((cell, column) => (isNumber[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd()
  return cells.map(line).join('\n')
}

export function bytesText(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/**
 * Signals that come while a process still starts, as its first port is open before all of it is there. Left to themselves SIGUSR1 would
 * open a debugger and SIGHUP end the process: both are kept until `ready`, which hands them on. SIGINT and SIGTERM end it at once.
 */
export function keepSignals(): { ready(): void } {
  const kept = new Set<NodeJS.Signals>()
  const keep = (signal: NodeJS.Signals) => void kept.add(signal)
  const end = () => process.exit(0)
  const handlers = [
    ['SIGUSR1', keep] as const,
    ['SIGHUP', keep] as const,
    ['SIGINT', end] as const,
    ['SIGTERM', end] as const,
  ]
  for (const [signal, handler] of handlers) process.on(signal, handler)
  return {
    ready: () => {
      for (const [signal, handler] of handlers) process.off(signal, handler)
      for (const signal of kept) process.kill(process.pid, signal)
    },
  }
}

/**
 * Ends the process when it is asked to, cleanly and once; also when the pipe to a parent that wanted that closes. `graceful`:
 * by memcached's word for a stop after which it goes on where it was.
 */
export function onEnd(end: (graceful: boolean) => void, withParent: boolean): void {
  let ended = false
  const stop = (graceful: boolean) => {
    if (ended) return
    ended = true
    end(graceful)
  }
  const once = () => stop(false)
  process.on('SIGINT', once)
  process.on('SIGTERM', once)
  process.on('SIGUSR1', () => stop(true))
  if (!withParent) return
  process.stdin.on('end', once)
  process.stdin.on('error', once)
  process.stdin.resume()
}
