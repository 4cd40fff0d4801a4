/** delete, touch, and the meta protocol's invalidation: requests that change an item and carry no value. */
import { BadReply, Kind, type WireReply } from '../../protocol/index.js'
import { ClientError } from '../errors.js'
import type { WireKey } from '../key.js'
import type { Outbox } from '../outbox.js'
import { SimpleRequest } from '../request.js'
import { base64Flag, classicWord } from './words.js'

/** Was there an item? */
abstract class MarkRequest extends SimpleRequest<boolean> {
  constructor(command: string, key: WireKey) {
    super(command, key, false)
  }

  answer(reply: WireReply): boolean {
    switch (reply.kind) {
      case Kind.HD:
      case Kind.DELETED:
      case Kind.TOUCHED:
        return true
      case Kind.NF:
      case Kind.EN:
      case Kind.NOT_FOUND:
      case Kind.EX:
        return false
    }
    throw new BadReply(`"${reply.line}" in answer to ${this.command}`)
  }
}

/** `casUnique`: only the item of that cas (meta only). */
export class DeleteRequest extends MarkRequest {
  readonly #casUnique: bigint | null

  constructor(key: WireKey, casUnique: bigint | null = null) {
    super('delete', key)
    this.#casUnique = casUnique
  }

  write(out: Outbox, meta: boolean): void {
    const key = this.key!
    if (meta) out.text(`md ${key.word}${base64Flag(key)}${this.#casUnique === null ? '' : ` C${this.#casUnique}`}\r\n`)
    else out.text(`delete ${classicWord(key)}\r\n`)
  }
}

export class TouchRequest extends MarkRequest {
  readonly #exptime: number

  constructor(key: WireKey, exptime: number) {
    super('touch', key)
    this.#exptime = exptime
  }

  write(out: Outbox, meta: boolean): void {
    const key = this.key!
    if (meta) out.text(`mg ${key.word}${base64Flag(key)} T${this.#exptime}\r\n`)
    else out.text(`touch ${classicWord(key)} ${this.#exptime}\r\n`)
  }
}

/** The item is stale from now on: one reader wins the right to fill it, others are told that it is stale. */
export class InvalidateRequest extends MarkRequest {
  readonly #exptime: number | null
  readonly #casUnique: bigint | null

  constructor(key: WireKey, exptime: number | null, casUnique: bigint | null = null) {
    super('invalidate', key)
    this.#exptime = exptime
    this.#casUnique = casUnique
  }

  write(out: Outbox, meta: boolean): void {
    if (!meta) throw new ClientError('UNSUPPORTED', 'this server knows no meta commands: delete the key instead')
    const key = this.key!
    let line = `md ${key.word}${base64Flag(key)} I`
    if (this.#exptime !== null) line += ` T${this.#exptime}`
    if (this.#casUnique !== null) line += ` C${this.#casUnique}`
    out.text(`${line}\r\n`)
  }
}
