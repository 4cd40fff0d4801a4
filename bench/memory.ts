/** Fills one node with small values until it evicts for a while, and looks at its resident memory: the promise of DESIGN 5. */
import { readFileSync } from 'node:fs'
import { bytesText } from '../lib/cli/output.js'
import { Filler, fillUp } from './filler.js'
import { Process } from './processes.js'

export interface MemoryOptions {
  memoryMb: number
  threads: number
  valueBytes: number
}

export interface MemoryReport extends MemoryOptions {
  sets: number
  items: number
  evictions: number
  /** Resident right after the start, and when full. */
  residentAtStart: number
  resident: number
  residentPeak: number
  /** Above -m. */
  over: number
  promised: number
  withinPromise: boolean
}

/** docs: resident memory stays under -m plus this. */
const PROMISED_OVER = 120 * 1_000_000

export async function runMemory(options: MemoryOptions): Promise<MemoryReport> {
  const { memoryMb, threads, valueBytes } = options
  const args = ['server', '-p', '0', '-l', '127.0.0.1', '-m', String(memoryMb), '-t', String(threads)]
  const [node, ready] = await Process.continuum('server', args)
  try {
    const residentAtStart = residentOf(node.pid, 'VmRSS')
    const filler = new Filler(Number(ready.clientPort), valueBytes)
    const stats = await fillUp(filler)
    const resident = residentOf(node.pid, 'VmRSS')
    const over = resident - memoryMb * 2 ** 20
    filler.close()
    return {
      ...options,
      sets: filler.sets,
      ...stats,
      residentAtStart,
      resident,
      residentPeak: residentOf(node.pid, 'VmHWM'),
      over,
      promised: PROMISED_OVER,
      withinPromise: over < PROMISED_OVER,
    }
  } finally {
    await node.stop()
  }
}

export function memoryText(report: MemoryReport): string {
  const { memoryMb, threads, sets, items, evictions, residentAtStart, resident, residentPeak, over, promised } = report
  return [
    `-m ${memoryMb} (${bytesText(memoryMb * 2 ** 20)}), ${threads} threads: ${sets} sets of ${report.valueBytes} bytes, ${items} items held, ${evictions} evicted`,
    `resident ${bytesText(residentAtStart)} at the start, ${bytesText(resident)} when full, ${bytesText(residentPeak)} at most`,
    `over -m: ${bytesText(Math.max(0, over))}, promised at most ${bytesText(promised)}: ${report.withinPromise ? 'kept' : 'NOT kept'}`,
  ].join('\n')
}

/** Linux: kilobytes in /proc. */
function residentOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1] ?? 0) * 1024
}
