/** set, add, replace, append, prepend, cas: `ms` with a mode, or their classic commands. */
import { BadReply, Kind, type WireReply } from '../../protocol/index.js'
import type { WireKey } from '../key.js'
import type { Outbox } from '../outbox.js'
import { SimpleRequest } from '../request.js'
import type { Encoded } from '../serializer.js'
import { base64Flag, classicWord } from './words.js'

export type StoreCommand = 'set' | 'add' | 'replace' | 'append' | 'prepend' | 'cas'
export type Stored = 'STORED' | 'NOT_STORED' | 'EXISTS' | 'NOT_FOUND'

/** PROTOCOL D8; set is the default. */
const MODE: Record<StoreCommand, string> = {
  set: '',
  cas: '',
  add: ' ME',
  replace: ' MR',
  append: ' MA',
  prepend: ' MP',
}

export class StoreRequest extends SimpleRequest<Stored> {
  readonly #encoded: Encoded
  readonly #exptime: number
  readonly #casUnique: bigint

  constructor(command: StoreCommand, key: WireKey, encoded: Encoded, exptime = 0, casUnique = 0n) {
    super(command, key, false)
    this.#encoded = encoded
    this.#exptime = exptime
    this.#casUnique = casUnique
    this.bytes += encoded.bytes.length
  }

  write(out: Outbox, meta: boolean): void {
    const key = this.key!
    const command = this.command as StoreCommand
    const { bytes, flags } = this.#encoded
    const cas = command === 'cas'
    if (meta) {
      let line = `ms ${key.word} ${bytes.length}${base64Flag(key)}${MODE[command]}`
      if (flags !== 0) line += ` F${flags}`
      if (this.#exptime !== 0) line += ` T${this.#exptime}`
      if (cas) line += ` C${this.#casUnique}`
      out.text(`${line}\r\n`)
    } else {
      out.text(
        `${command} ${classicWord(key)} ${flags} ${this.#exptime} ${bytes.length}${cas ? ` ${this.#casUnique}` : ''}\r\n`,
      )
    }
    out.block(bytes)
  }

  answer(reply: WireReply): Stored {
    switch (reply.kind) {
      case Kind.HD:
      case Kind.STORED:
        return 'STORED'
      case Kind.NS:
      case Kind.NOT_STORED:
        return 'NOT_STORED'
      case Kind.EX:
      case Kind.EXISTS:
        return 'EXISTS'
      case Kind.NF:
      case Kind.NOT_FOUND:
        return 'NOT_FOUND'
    }
    throw new BadReply(`"${reply.line}" in answer to ${this.command}`)
  }
}
