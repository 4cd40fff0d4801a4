/** Fills one node with small values until it evicts for a while, and looks at its resident memory: the promise of DESIGN 5. */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { bytesText } from '../lib/cli/output.js'
import { ReplyParser } from '../lib/protocol/index.js'
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
const SETS_PER_BATCH = 500
const BATCHES_IN_FLIGHT = 4

export async function runMemory(options: MemoryOptions): Promise<MemoryReport> {
  const { memoryMb, threads, valueBytes } = options
  const args = ['server', '-p', '0', '-l', '127.0.0.1', '-m', String(memoryMb), '-t', String(threads)]
  const [node, ready] = await Process.continuum('server', args)
  try {
    const residentAtStart = residentOf(node.pid, 'VmRSS')
    const filler = new Filler(Number(ready.clientPort), valueBytes)
    // A tenth more than fits, so that everything has been touched.
    let stats = await filler.stats()
    let enough = Number.POSITIVE_INFINITY
    while (filler.sets < enough) {
      await filler.batches(100)
      stats = await filler.stats()
      if (enough === Number.POSITIVE_INFINITY && stats.evictions > 0) enough = filler.sets * 1.1
    }
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

/** Writes values one after the other, as fast as they are taken. */
class Filler {
  sets = 0
  readonly #socket
  readonly #value: string
  #onReply: (() => void) | null = null
  #stats = new Map<string, string>()

  constructor(port: number, valueBytes: number) {
    this.#value = 'v'.repeat(valueBytes)
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const parser = new ReplyParser(reply => {
      if (reply.kind === 'stats') this.#stats = new Map(reply.stats)
      this.#onReply?.()
    })
    this.#socket.on('data', bytes => parser.push(bytes))
  }

  /** Only the last set of a batch is answered: the others would be answers nobody looks at. */
  async batches(count: number): Promise<void> {
    for (let i = 0; i < count; i += BATCHES_IN_FLIGHT) {
      let text = ''
      for (let batch = 0; batch < BATCHES_IN_FLIGHT * SETS_PER_BATCH; batch++) {
        const noreply = batch === BATCHES_IN_FLIGHT * SETS_PER_BATCH - 1 ? '' : ' noreply'
        text += `set fill:${this.sets++} 0 0 ${this.#value.length}${noreply}\r\n${this.#value}\r\n`
      }
      await this.#ask(text)
    }
  }

  async stats(): Promise<{ items: number; evictions: number }> {
    await this.#ask('stats\r\n')
    return { items: Number(this.#stats.get('curr_items')), evictions: Number(this.#stats.get('evictions')) }
  }

  close(): void {
    this.#socket.destroy()
  }

  #ask(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once('close', () => reject(new Error('the node closed the connection')))
      this.#onReply = () => {
        this.#onReply = null
        this.#socket.removeAllListeners('close')
        resolve()
      }
      this.#socket.write(text)
    })
  }
}

/** Linux: kilobytes in /proc. */
function residentOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1] ?? 0) * 1024
}
