/** One connection that fills a node with values as fast as they are taken, and says afterwards which of them are there. */
import { connect, type Socket } from 'node:net'
import { getLine, type Reply, ReplyParser } from '../lib/protocol/index.js'

const SETS_PER_BATCH = 500
const BATCHES_IN_FLIGHT = 4
const KEYS_PER_GET = 100

export interface HeldStats {
  items: number
  evictions: number
}

export class Filler {
  sets = 0
  readonly #socket: Socket
  readonly #valueBytes: number
  #onReply: ((reply: Reply) => void) | null = null

  constructor(port: number, valueBytes: number) {
    this.#valueBytes = valueBytes
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const parser = new ReplyParser(reply => this.#onReply?.(reply))
    this.#socket.on('data', bytes => parser.push(bytes))
  }

  /** Only the last set of a batch is answered: the others would be answers nobody looks at. */
  async batches(count: number): Promise<void> {
    for (let i = 0; i < count; i += BATCHES_IN_FLIGHT) {
      let text = ''
      for (let batch = 0; batch < BATCHES_IN_FLIGHT * SETS_PER_BATCH; batch++) {
        const noreply = batch === BATCHES_IN_FLIGHT * SETS_PER_BATCH - 1 ? '' : ' noreply'
        const number = this.sets++
        text += `set ${keyOf(number)} 0 0 ${this.#valueBytes}${noreply}\r\n${this.#value(number)}\r\n`
      }
      await this.#ask(text)
    }
  }

  /** For each key up to `sets`, 1: it is there with its value. `wrong`: there with another one. */
  async found(sets: number): Promise<{ there: Uint8Array; wrong: number }> {
    const there = new Uint8Array(sets)
    let wrong = 0
    for (let at = 0; at < sets; at += KEYS_PER_GET) {
      const numbers = Array.from({ length: Math.min(KEYS_PER_GET, sets - at) }, (_, i) => at + i)
      const reply = await this.#ask(getLine(numbers.map(keyOf)))
      if (reply.kind !== 'values') throw new Error(`a get was answered with ${reply.kind}`)
      for (const { key, value } of reply.values) {
        const number = Number(key.slice(key.indexOf(':') + 1))
        if (value.toString('latin1') === this.#value(number)) there[number] = 1
        else wrong++
      }
    }
    return { there, wrong }
  }

  async stats(): Promise<HeldStats> {
    const reply = await this.#ask('stats\r\n')
    const stats = new Map(reply.kind === 'stats' ? reply.stats : [])
    return { items: Number(stats.get('curr_items')), evictions: Number(stats.get('evictions')) }
  }

  close(): void {
    this.#socket.destroy()
  }

  #value(number: number): string {
    return `${number}.`.padEnd(this.#valueBytes, 'v').slice(0, this.#valueBytes)
  }

  #ask(text: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const fails = () => reject(new Error('the node closed the connection'))
      this.#socket.once('close', fails)
      this.#onReply = reply => {
        this.#onReply = null
        this.#socket.off('close', fails)
        resolve(reply)
      }
      this.#socket.write(text)
    })
  }
}

/** Until the node evicts, and a tenth more, so that all of its memory has been touched. */
export async function fillUp(filler: Filler): Promise<HeldStats> {
  let stats = await filler.stats()
  let enough = Number.POSITIVE_INFINITY
  while (filler.sets < enough) {
    await filler.batches(100)
    stats = await filler.stats()
    if (enough === Number.POSITIVE_INFINITY && stats.evictions > 0) enough = filler.sets * 1.1
  }
  return stats
}

const keyOf = (number: number): string => `fill:${number}`
