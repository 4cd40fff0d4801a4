/** get, gets, gat: `mg` with the flags that are wanted, or their classic commands. */
import { BadReply, Kind, type WireReply } from '../../protocol/index.js'
import type { Codec } from '../codec.js'
import { ClientError } from '../errors.js'
import type { WireKey } from '../key.js'
import type { Outbox } from '../outbox.js'
import { Request } from '../request.js'
import { base64Flag, classicWord } from './words.js'

const F = 'f'.charCodeAt(0)
const C = 'c'.charCodeAt(0)
const T = 't'.charCodeAt(0)
const W = 'W'.charCodeAt(0)
const X = 'X'.charCodeAt(0)
const Z = 'Z'.charCodeAt(0)

/** A value with what belongs to it. */
export interface Entry<Value> {
  value: Value
  /** For `cas`; changes with every write. */
  casUnique: bigint
  /** Seconds left; null: never ends, or a server of the classic protocol, which does not say. */
  ttl: number | null
}

/** An item as it is stored. */
export interface RawItem {
  bytes: Buffer
  flags: number
  casUnique: bigint
  /** Null: never ends. Undefined: the server does not say. */
  ttl: number | null | undefined
  /** Meta: this client has won the right to fill it anew; somebody else has; the value is stale. */
  won: boolean
  taken: boolean
  stale: boolean
}

/** `value` or nothing. The hot path. */
export class GetRequest<Value> extends Request<Value | undefined> {
  readonly #codec: Codec<Value>
  /** gat; null: get. */
  readonly #exptime: number | null
  #found: Value | Promise<Value> | undefined = undefined
  #error: ClientError | null = null

  constructor(codec: Codec<Value>, key: WireKey, exptime: number | null = null) {
    super(exptime === null ? 'get' : 'gat', key, true)
    this.#codec = codec
    this.#exptime = exptime
  }

  write(out: Outbox, meta: boolean): void {
    const key = this.key!
    const exptime = this.#exptime
    if (!meta) out.text(`${exptime === null ? 'get' : `gat ${exptime}`} ${classicWord(key)}\r\n`)
    else if (exptime === null) out.text(key.base64 ? `mg ${key.word} b f v\r\n` : `mg ${key.word} f v\r\n`)
    else out.text(`mg ${key.word}${base64Flag(key)} f v T${exptime}\r\n`)
  }

  take(reply: WireReply, meta: boolean): boolean {
    switch (reply.kind) {
      case Kind.VA:
        if (!this.settled) this.#decode(reply, reply.flagNumber(F, 0))
        break
      case Kind.VALUE:
        if (!reply.keyIs(this.key!.word)) throw new BadReply(`"${reply.line}" for the key "${this.key!.word}"`)
        if (!this.settled) this.#decode(reply, reply.itemFlags)
        return false
      case Kind.EN:
      case Kind.END:
        break
      case Kind.ERROR:
        this.refuse(reply)
        return true
      default:
        throw new BadReply(`"${reply.line}" in answer to ${meta ? 'mg' : 'get'}`)
    }
    if (this.#error) this.reject(this.#error)
    else this.resolve(this.#found)
    return true
  }

  #decode(reply: WireReply, flags: number): void {
    try {
      this.#found = this.#codec.decode(reply, flags)
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
      this.#error = error
    }
  }
}

export interface ItemWish {
  /** gat. */
  exptime?: number
  /** Meta: create an empty item for so many seconds where there is none, and win it. */
  vivifySec?: number
  /** Meta: win an item with less than so many seconds left. */
  recacheSec?: number
}

/** The item whole: gets, and what leases and previous lists need. */
export class ItemRequest extends Request<RawItem | undefined> {
  readonly #wish: ItemWish
  #found: RawItem | undefined = undefined

  constructor(command: string, key: WireKey, wish: ItemWish = {}) {
    super(command, key, wish.vivifySec === undefined && wish.recacheSec === undefined)
    this.#wish = wish
  }

  write(out: Outbox, meta: boolean): void {
    const key = this.key!
    const { exptime, vivifySec, recacheSec } = this.#wish
    if (!meta) {
      out.text(`${exptime === undefined ? 'gets' : `gats ${exptime}`} ${classicWord(key)}\r\n`)
      return
    }
    let line = `mg ${key.word}${base64Flag(key)} c f t v`
    if (exptime !== undefined) line += ` T${exptime}`
    if (vivifySec !== undefined) line += ` N${vivifySec}`
    if (recacheSec !== undefined) line += ` R${recacheSec}`
    out.text(`${line}\r\n`)
  }

  take(reply: WireReply): boolean {
    switch (reply.kind) {
      case Kind.VA: {
        const ttl = reply.flagNumber(T, -1)
        this.#found = {
          ...{ bytes: reply.copyValue(), flags: reply.flagNumber(F, 0), casUnique: reply.flagBigInt(C) ?? 0n },
          ...{ ttl: ttl < 0 ? null : ttl, won: reply.hasFlag(W), taken: reply.hasFlag(Z), stale: reply.hasFlag(X) },
        }
        break
      }
      case Kind.VALUE:
        if (!reply.keyIs(this.key!.word)) throw new BadReply(`"${reply.line}" for the key "${this.key!.word}"`)
        this.#found = {
          ...{ bytes: reply.copyValue(), flags: reply.itemFlags, casUnique: reply.casUnique },
          ...{ ttl: undefined, won: false, taken: false, stale: false },
        }
        return false
      case Kind.EN:
      case Kind.END:
        break
      case Kind.ERROR:
        this.refuse(reply)
        return true
      default:
        throw new BadReply(`"${reply.line}" in answer to gets`)
    }
    this.resolve(this.#found)
    return true
  }
}
