/**
 * What memcached would say, for one key: the set of values that may be stored, given everything that was acknowledged
 * and everything whose outcome is unknown. The same bookkeeping as the executable model of DESIGN 8 (its `possible` and
 * `apply`), with versions of values in the text so that lost, stale, resurrected and wrong can be told apart.
 */
export type Verb = 'get' | 'set' | 'delete' | 'add' | 'replace' | 'append' | 'incr' | 'gets' | 'touch' | 'gat'

export interface Op {
  verb: Verb
  value: string
  /** Of set and add: the value goes after so many seconds. */
  toLiveSec?: number
}

/** undefined = absent. */
type Value = string | undefined

interface Outcome {
  reply: string
  value: Value
}

/** memcached's meaning of one command on one value. */
export function apply({ verb, value }: Op, now: Value): Outcome {
  switch (verb) {
    case 'get':
    case 'gets':
    case 'gat':
      return { reply: now === undefined ? 'miss' : `hit ${now}`, value: now }
    case 'set':
      return { reply: 'STORED', value }
    case 'delete':
      return { reply: now === undefined ? 'NOT_FOUND' : 'DELETED', value: undefined }
    case 'add':
      return now === undefined ? { reply: 'STORED', value } : { reply: 'NOT_STORED', value: now }
    case 'replace':
      return now === undefined ? { reply: 'NOT_STORED', value: now } : { reply: 'STORED', value }
    case 'append':
      return now === undefined ? { reply: 'NOT_STORED', value: now } : { reply: 'STORED', value: now + value }
    case 'touch':
      return { reply: now === undefined ? 'NOT_FOUND' : 'TOUCHED', value: now }
    case 'incr': {
      if (now === undefined) return { reply: 'NOT_FOUND', value: now }
      if (!/^\d+$/.test(now))
        return { reply: 'CLIENT_ERROR cannot increment or decrement non-numeric value', value: now }
      const sum = String(BigInt(now) + 1n)
      return { reply: sum, value: sum }
    }
  }
}

/** From `from` on a value may have expired, from `until` on it must have. */
interface Expiry {
  from: number
  until: number
}

export class KeyOracle {
  possible = new Set<Value>([undefined])
  /** Of values that expire; every value is another text. */
  readonly #expiry = new Map<string, Expiry>()
  /** Every value that was ever acknowledged or may have been, to name what went wrong. */
  readonly #seen = new Set<string>()

  /** What is about to be written may go from then on, and must have gone later. */
  expires(value: string, expiry: Expiry): void {
    this.#expiry.set(value, expiry)
  }

  /** What was asked then is answered now. */
  passed(askedAt: number, now: number): void {
    if (this.#expiry.size === 0) return
    for (const value of [...this.possible]) {
      const expiry = value === undefined ? undefined : this.#expiry.get(value)
      if (!expiry || now < expiry.from) continue
      this.possible.add(undefined)
      if (askedAt >= expiry.until) this.possible.delete(value)
    }
  }

  /** Checks a reply; null when it fits, else what is wrong with it. */
  answered(op: Op, reply: string): string | null {
    const fits = this.#outcomes(op).filter(outcome => outcome.reply === reply)
    if (fits.length === 0) return this.#verdict(op, reply)
    this.#settle(fits.map(outcome => outcome.value))
    return null
  }

  /** Only a node that is away knows the key: the answer is that of an absent key, and only a write says what is true. */
  answeredBlind(op: Op, reply: string): string | null {
    const absent = apply(op, undefined)
    if (reply !== absent.reply) return `wrong: blind, but ${op.verb} said ${reply}`
    if (absent.value !== undefined || op.verb === 'delete') this.#settle([absent.value])
    return null
  }

  /** As `unknown`, where the node that did it may have been blind. */
  unknownOrBlind(op: Op): void {
    const absent = apply(op, undefined)
    this.unknown(op)
    if (absent.value !== undefined || op.verb === 'delete') this.#settle([...this.possible, absent.value])
  }

  /** The connection failed or an error came back: it may have been applied or not. */
  unknown(op: Op): void {
    this.#settle([...this.possible, ...this.#outcomes(op).map(({ value }) => value)])
  }

  /** Memory that may have held the key is gone. */
  mayBeLost(): void {
    this.#settle([...this.possible, undefined])
  }

  /** flush_all: gone; or, while it runs, perhaps gone. */
  flushed(certainly: boolean): void {
    this.#settle(certainly ? [undefined] : [...this.possible, undefined])
  }

  #outcomes(op: Op): Outcome[] {
    return [...this.possible].map(before => {
      const outcome = apply(op, before)
      const expiry = before === undefined ? undefined : this.#expiry.get(before)
      // What is appended to expires with what it is appended to.
      if (expiry && op.verb === 'append' && outcome.value !== undefined) this.#expiry.set(outcome.value, expiry)
      return outcome
    })
  }

  #settle(values: Value[]): void {
    this.possible = new Set(values)
    for (const value of values) if (value !== undefined) this.#seen.add(value)
  }

  #verdict(op: Op, reply: string): string {
    const expected = [...this.possible].map(value => apply(op, value).reply).join(' | ')
    const got = reply.startsWith('hit ') ? reply.slice(4) : null
    let kind = 'wrong'
    if (got === null) kind = reply === 'miss' || reply === 'NOT_FOUND' || reply === 'NOT_STORED' ? 'lost' : 'wrong'
    else if (this.#seen.has(got))
      kind = this.possible.size === 1 && this.possible.has(undefined) ? 'resurrected' : 'stale'
    return `${kind}: ${op.verb} ${op.value} said ${reply}; expected ${expected}`
  }
}
