/**
 * A get of many keys that do not all live here: split by where they live, asked for, merged in the order asked (DESIGN 7).
 * A key asked for twice is answered twice. If a part fails, the whole line is answered with that part's error: a miss that
 * nobody has seen must not be told.
 *
 *   get a b c d e --> "get a" (here), "get b d" (node 2), "get c e" (node 3) --> VALUE blocks by key --> a b c d e END
 */
import { keyName, type Request, tokensOf } from './request.js'

export interface MultiGetParts {
  /** Node number of the key's owner, or null when the key is for this node to answer (perhaps after a take). */
  elsewhere(key: Buffer): number | null
  local(request: Request): void
  forward(owner: number, request: Request): void
}

interface Line {
  owner: number | null
  keys: Buffer[]
}

/** Keys asked of one node in one line; longer lists are cut into several lines. */
const KEYS_PER_LINE = 100
/** Lines under way at once: together they bound what comes back before it is looked at. */
const LINES_AT_ONCE = 32
/** Longest answer that is put together here, in bytes. */
const ANSWER_BYTES_MAX = 256 << 20
const END = Buffer.from('END\r\n')
const SPACE = Buffer.from(' ')
const LINE_END = Buffer.from('\r\n')
const TOO_LONG = Buffer.from('SERVER_ERROR out of memory writing get response\r\n')
const CUT_OFF = Buffer.from('SERVER_ERROR a part of the answer was cut off\r\n')
const VALUE_HEAD = /^VALUE ([^ ]+) \d+ (\d+)/

export function multiGet(whole: Request, parts: MultiGetParts): void {
  const tokens = tokensOf(whole.bytes)
  const words = tokens[0]!.toString('latin1').startsWith('gat') ? 2 : 1
  new MultiGet(whole, parts, tokens.slice(0, words), tokens.slice(words)).start()
}

class MultiGet {
  readonly #whole: Request
  readonly #parts: MultiGetParts
  /** The words before the keys. */
  readonly #head: Buffer[]
  readonly #keys: Buffer[]
  readonly #lines: Line[] = []
  readonly #running = new Set<Request>()
  /** VALUE blocks by key. */
  readonly #values = new Map<string, Buffer>()
  #bytes = 0
  #next = 0
  #failure: Buffer | null = null
  #starting = false

  constructor(whole: Request, parts: MultiGetParts, head: Buffer[], keys: Buffer[]) {
    this.#whole = whole
    this.#parts = parts
    this.#head = head
    this.#keys = keys
  }

  start(): void {
    this.#split()
    this.#whole.cancel = () => {
      for (const part of this.#running) {
        part.dropped = true
        part.cancel?.()
      }
      this.#running.clear()
    }
    this.#goOn()
  }

  #split(): void {
    const open = new Map<number, Line>()
    for (const key of new Map(this.#keys.map(key => [keyName(key), key])).values()) {
      const owner = this.#parts.elsewhere(key)
      const line = owner === null ? undefined : open.get(owner)
      if (line && line.keys.length < KEYS_PER_LINE) {
        line.keys.push(key)
        continue
      }
      const fresh = { owner, keys: [key] }
      this.#lines.push(fresh)
      if (owner !== null) open.set(owner, fresh)
    }
  }

  /** Starts lines until enough are under way. An answer may come from within. */
  #goOn(): void {
    if (this.#starting) return
    this.#starting = true
    while (this.#running.size < LINES_AT_ONCE && this.#next < this.#lines.length && !this.#failure) {
      this.#ask(this.#lines[this.#next++]!)
    }
    this.#starting = false
    const started = this.#failure !== null || this.#next === this.#lines.length
    if (started && this.#running.size === 0) this.#finish()
  }

  #ask({ owner, keys }: Line): void {
    const part: Request = {
      bytes: lineOf([...this.#head, ...keys]),
      hops: this.#whole.hops,
      dropped: false,
      cancel: null,
      answer: reply => {
        if (part.dropped) return
        this.#running.delete(part)
        this.#failure = this.#collect(reply) ?? this.#failure
        this.#goOn()
      },
    }
    this.#running.add(part)
    if (owner === null) this.#parts.local(part)
    else this.#parts.forward(owner, part)
  }

  /** Puts each VALUE block under its key. What to answer instead, when the reply is no such list. */
  #collect(reply: Buffer): Buffer | null {
    this.#bytes += reply.length
    if (this.#bytes > ANSWER_BYTES_MAX) return TOO_LONG
    for (let at = 0; ; ) {
      const end = reply.indexOf(LINE_END, at)
      if (end < 0) return CUT_OFF
      const line = reply.toString('latin1', at, end)
      if (line === 'END') return null
      const match = VALUE_HEAD.exec(line)
      if (!match) return reply.subarray(at, end + 2)
      const next = end + 2 + Number(match[2]) + 2
      this.#values.set(match[1]!, reply.subarray(at, next))
      at = next
    }
  }

  #finish(): void {
    this.#whole.cancel = null
    if (this.#failure) {
      this.#whole.answer(this.#failure)
      return
    }
    const blocks = this.#keys.flatMap(key => this.#values.get(keyName(key)) ?? [])
    this.#whole.answer(Buffer.concat([...blocks, END]))
  }
}

function lineOf(tokens: Buffer[]): Buffer {
  return Buffer.concat([...tokens.flatMap((token, i) => (i === 0 ? [token] : [SPACE, token])), LINE_END])
}
