/**
 * The experiment: a full node is stopped with `-e` and started again. How long it takes until it answers with all its keys,
 * beside a node that starts cold and is filled again.
 *
 *   cold:   start --> ready, empty --> filled (as fast as one connection can) --> which keys are there?
 *   warm:   SIGUSR1 --> its memory is in the file, it has ended --> start --> ready --> are the same keys there?
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { bytesText } from '../lib/cli/output.js'
import { Filler, fillUp } from './filler.js'
import { temporaryFolder } from './leftovers.js'
import { type Machine, machine } from './machine.js'
import { Process } from './processes.js'

export interface WarmRestartOptions {
  memoryMb: number
  threads: number
  valueBytes: number
}

export interface WarmRestartReport {
  options: WarmRestartOptions
  machine: Machine
  items: number
  fileBytes: number
  /** From the start of the process until it is ready, empty. */
  coldMs: number
  fillMs: number
  /** From the signal until the process has ended. */
  stopMs: number
  /** From the start of the process until it is ready, with its memory. */
  warmMs: number
  /** Keys that were there before and are not now; keys that have another value. */
  missing: number
  wrong: number
  passed: boolean
}

/** Writing some GB to a slow disk. */
const STOP_MS_MAX = 300_000
const now = (): number => performance.now()

export async function runWarmRestart(options: WarmRestartOptions): Promise<WarmRestartReport> {
  const folder = temporaryFolder()
  const file = join(folder.path, 'memory')
  let node: Process | null = null
  const start = async (): Promise<{ filler: Filler; ms: number }> => {
    const { memoryMb, threads, valueBytes } = options
    const started = now()
    const args = ['server', '-p', '0', '-l', '127.0.0.1', '-m', String(memoryMb), '-t', String(threads), '-e', file]
    const [child, ready] = await Process.continuum('server', args)
    node = child
    const ms = now() - started
    return { filler: new Filler(Number(ready.clientPort), valueBytes), ms }
  }
  try {
    const cold = await start()
    const fillStarted = now()
    const { items } = await fillUp(cold.filler)
    const fillMs = now() - fillStarted
    const { sets } = cold.filler
    const before = await cold.filler.found(sets)
    cold.filler.close()

    const stopStarted = now()
    await (node as Process | null)?.stop('SIGUSR1', STOP_MS_MAX)
    const stopMs = now() - stopStarted
    const fileBytes = statSync(file).size

    const warm = await start()
    const after = await warm.filler.found(sets)
    warm.filler.close()
    let missing = 0
    for (const [number, there] of before.there.entries()) if (there === 1 && after.there[number] === 0) missing++
    const measured = { items, fileBytes, coldMs: cold.ms, fillMs, stopMs, warmMs: warm.ms, missing, wrong: after.wrong }
    return { options, machine: machine(), ...measured, passed: missing === 0 && after.wrong === 0 }
  } finally {
    await (node as Process | null)?.stop()
    folder.remove()
  }
}

export function warmRestartText(report: WarmRestartReport): string {
  const { options, machine, items, fileBytes, coldMs, fillMs, stopMs, warmMs, missing, wrong, passed } = report
  const { memoryMb, threads, valueBytes } = options
  return [
    `-m ${memoryMb}, ${threads} threads, values of ${valueBytes} bytes: ${items} items; ${machine.cpus} x ${machine.cpu}, Node ${machine.node}`,
    `cold: ready in ${seconds(coldMs)}, empty; filled again in ${seconds(fillMs)} by one connection`,
    `warm: written and ended in ${seconds(stopMs)} (${bytesText(fileBytes)}), ready in ${seconds(warmMs)} with its memory`,
    passed ? 'every key is back with its value' : `${missing} keys are MISSING, ${wrong} have another value`,
  ].join('\n')
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`
