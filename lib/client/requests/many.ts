/**
 * Many keys of one node in one request: one promise and one write. `get k1 k2 ...` in both protocols, for it is the cheapest
 * on both sides (docs/CLIENT.md has the figures); one `mg` a key only where a key needs base64.
 */
import { BadReply, Kind, type WireReply } from '../../protocol/index.js'
import type { Codec } from '../codec.js'
import { ClientError, errorOfLine } from '../errors.js'
import type { WireKey } from '../key.js'
import type { Outbox } from '../outbox.js'
import { Request } from '../request.js'
import { base64Flag, classicWord } from './words.js'

const F = 'f'.charCodeAt(0)

/** What was found, in the order of the keys; undefined: a miss. */
export class GetManyRequest<Value> extends Request<(Value | Promise<Value> | undefined)[]> {
  readonly #codec: Codec<Value>
  readonly #keys: readonly WireKey[]
  readonly #found: (Value | Promise<Value> | undefined)[]
  readonly #isList: boolean
  /** Keys that have had their reply. */
  #at = 0
  #error: unknown = null

  constructor(codec: Codec<Value>, keys: readonly WireKey[]) {
    super('get', null, true)
    this.#codec = codec
    this.#keys = keys
    this.#found = new Array<Value | undefined>(keys.length).fill(undefined)
    this.#isList = !keys.some(key => key.base64)
    this.bytes += keys.length * 64
  }

  write(out: Outbox, meta: boolean): void {
    if (this.#isList || !meta) {
      let line = 'get'
      for (const key of this.#keys) line += ` ${classicWord(key)}`
      out.text(`${line}\r\n`)
    } else {
      for (const key of this.#keys) out.text(`mg ${key.word}${base64Flag(key)} f v\r\n`)
    }
  }

  take(reply: WireReply, meta: boolean): boolean {
    return this.#isList || !meta ? this.#takeList(reply) : this.#takeEach(reply)
  }

  /** VALUE lines of those that are there, in the order asked; then END. */
  #takeList(reply: WireReply): boolean {
    if (reply.kind === Kind.VALUE) {
      while (this.#at < this.#keys.length && !reply.keyIs(this.#keys[this.#at]!.word)) this.#at++
      if (this.#at === this.#keys.length) throw new BadReply(`"${reply.line}" for a key that was not asked for`)
      this.#decode(reply, reply.itemFlags)
      this.#at++
      return false
    }
    if (reply.kind === Kind.ERROR) this.refuse(reply)
    else if (reply.kind !== Kind.END) throw new BadReply(`"${reply.line}" in answer to get`)
    else this.#end()
    return true
  }

  #takeEach(reply: WireReply): boolean {
    if (reply.kind === Kind.VA) this.#decode(reply, reply.flagNumber(F, 0))
    else if (reply.kind === Kind.ERROR) this.#error ??= errorOfLine(reply.line, this.node!)
    else if (reply.kind !== Kind.EN) throw new BadReply(`"${reply.line}" in answer to mg`)
    if (++this.#at < this.#keys.length) return false
    this.#end()
    return true
  }

  #decode(reply: WireReply, flags: number): void {
    if (this.settled) return
    try {
      this.#found[this.#at] = this.#codec.decode(reply, flags)
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
      this.#error ??= error
    }
  }

  #end(): void {
    if (this.#error === null) this.resolve(this.#found)
    else this.reject(this.#error)
  }
}
