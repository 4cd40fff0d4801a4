/**
 * What a source has handed to one taker, as a stream that arrives exactly once and in order, over links that may break.
 *
 *   source's memory:   seq 41  42  43 | 44 ...        41..43 sent, not confirmed; 44 is the next to hand out
 *   taker's memory:    received = 42                   everything up to 42 is installed
 *
 * On a new link the taker says 42; the source forgets 41 and 42 and sends 43 again before anything else.
 * A record handed over is kept for that one purpose (DESIGN 8, case 1): to be sent again to the same incarnation of the
 * same taker. To another incarnation it is never shown: the old one may have acknowledged newer writes. Because
 * confirmations come before any later take on the same link, a key that the taker asks for again cannot be answered
 * from an older copy here.
 *
 * A copy's time to live runs while it lies here: what is sent again has what is left of it, or is a tombstone.
 */
import { strict as assert } from 'node:assert'
import { agedRecord } from '../engine/record.js'

export interface Handed {
  seq: number
  generation: number
  records: Uint8Array[]
}

export class HandedStream {
  #incarnation: string
  readonly #nowSec: () => number
  #next = 1
  #unconfirmed: (Handed & { atSec: number })[] = []
  #bytes = 0

  /** `nowSec`: seconds of the clock by which items expire. */
  constructor(incarnation: string, nowSec: () => number) {
    this.#incarnation = incarnation
    this.#nowSec = nowSec
  }

  /** Bytes kept because the taker has not confirmed them yet. */
  get unconfirmedBytes(): number {
    return this.#bytes
  }

  push(generation: number, records: Uint8Array[]): number {
    assert(records.length > 0, 'only what was really handed over is numbered')
    const seq = this.#next++
    this.#unconfirmed.push({ seq, generation, records, atSec: this.#nowSec() })
    for (const record of records) this.#bytes += record.length
    return seq
  }

  confirm(seq: number): void {
    assert(seq < this.#next, 'nobody confirms what was never sent')
    let count = 0
    for (const handed of this.#unconfirmed) {
      if (handed.seq > seq) break
      for (const record of handed.records) this.#bytes -= record.length
      count++
    }
    this.#unconfirmed.splice(0, count)
  }

  /** A link (again): what must be sent again, in order. */
  resume(incarnation: string, received: number): readonly Handed[] {
    if (incarnation !== this.#incarnation) {
      this.#incarnation = incarnation
      this.#next = 1
      this.#unconfirmed = []
      this.#bytes = 0
      return []
    }
    this.confirm(received)
    const now = this.#nowSec()
    return this.#unconfirmed.map(({ seq, generation, records, atSec }) => {
      const lain = Math.max(0, Math.floor(now - atSec))
      return { seq, generation, records: lain === 0 ? records : records.map(record => agedRecord(record, lain)) }
    })
  }
}

/** The taker's side: which of a source's stream has been installed. */
export class ReceivedMark {
  #source = ''
  #seq = 0

  get source(): string {
    return this.#source
  }

  get seq(): number {
    return this.#seq
  }

  /** The source answers in this incarnation; a new one starts its stream anew. */
  of(incarnation: string): void {
    if (incarnation === this.#source) return
    this.#source = incarnation
    this.#seq = 0
  }

  /** False: seen before, to be ignored. */
  accept(seq: number): boolean {
    if (seq <= this.#seq) return false
    assert(seq === this.#seq + 1, `the stream is without gaps: ${seq} after ${this.#seq}`)
    this.#seq = seq
    return true
  }
}
