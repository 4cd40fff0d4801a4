/** incr, decr: `ma`, or their classic commands. Numbers are of 64 bits, unsigned. */
import { BadReply, Kind, type WireReply } from '../../protocol/index.js'
import type { WireKey } from '../key.js'
import type { Outbox } from '../outbox.js'
import { SimpleRequest } from '../request.js'
import { base64Flag, classicWord } from './words.js'

/** The new number; null if there is no such item. */
export class CountRequest extends SimpleRequest<bigint | null> {
  readonly #delta: bigint

  constructor(command: 'incr' | 'decr', key: WireKey, delta: bigint) {
    super(command, key, false)
    this.#delta = delta
  }

  write(out: Outbox, meta: boolean): void {
    const key = this.key!
    if (!meta) {
      out.text(`${this.command} ${classicWord(key)} ${this.#delta}\r\n`)
      return
    }
    let line = `ma ${key.word}${base64Flag(key)} v D${this.#delta}`
    if (this.command === 'decr') line += ' MD'
    out.text(`${line}\r\n`)
  }

  answer(reply: WireReply): bigint | null {
    switch (reply.kind) {
      case Kind.VA:
        return whole(reply.valueBytes.toString('latin1', reply.valueStart, reply.valueEnd), reply)
      case Kind.NUMBER:
        return whole(reply.word(0), reply)
      case Kind.NF:
      case Kind.NOT_FOUND:
      case Kind.NS:
        return null
    }
    throw new BadReply(`"${reply.line}" in answer to ${this.command}`)
  }
}

/** A decr in place may come with spaces behind it (PROTOCOL D6). */
function whole(text: string, reply: WireReply): bigint {
  if (!/^\d{1,20} *$/.test(text)) throw new BadReply(`"${reply.line}" has no number`)
  return BigInt(text.trim())
}
