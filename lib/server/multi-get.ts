/**
 * A get of many keys that do not all live here: split by where they live, asked for at once, merged in the order asked
 * (DESIGN 7). A key asked for twice is answered twice. If a part fails, the whole line is answered with that part's error:
 * a miss that nobody has seen must not be told.
 */
import { keyName, type Request, tokensOf } from './request.js'

export interface MultiGetParts {
  /** Node number of the key's owner, or null when the key is for this node to answer (perhaps after a take). */
  elsewhere(key: Buffer): number | null
  local(request: Request): void
  forward(owner: number, request: Request): void
}

/** Keys asked of one node in one line; longer lists are cut into several lines. */
const KEYS_PER_LINE = 100
const END = Buffer.from('END\r\n')

export function multiGet(whole: Request, parts: MultiGetParts): void {
  const tokens = tokensOf(whole.bytes)
  const command = tokens[0]!.toString('latin1')
  const head = command.startsWith('gat') ? [tokens[0]!, tokens[1]!] : [tokens[0]!]
  const keys = tokens.slice(head.length)
  const values = new Map<string, Buffer>()
  const byOwner = new Map<number, Buffer[]>()
  const lines: { owner: number | null; keys: Buffer[] }[] = []
  for (const key of new Map(keys.map(key => [keyName(key), key])).values()) {
    const owner = parts.elsewhere(key)
    if (owner === null) lines.push({ owner, keys: [key] })
    else byOwner.set(owner, [...(byOwner.get(owner) ?? []), key])
  }
  for (const [owner, list] of byOwner) {
    for (let i = 0; i < list.length; i += KEYS_PER_LINE) lines.push({ owner, keys: list.slice(i, i + KEYS_PER_LINE) })
  }

  let waiting = lines.length
  let failure: Buffer | null = null
  const running = new Set<Request>()
  whole.cancel = () => {
    for (const part of running) {
      part.dropped = true
      part.cancel?.()
    }
  }
  const finish = () => {
    whole.cancel = null
    whole.answer(failure ?? Buffer.concat([...keys.flatMap(key => values.get(keyName(key)) ?? []), END]))
  }
  for (const { owner, keys: asked } of lines) {
    const part: Request = {
      bytes: lineOf([...head, ...asked]),
      hops: whole.hops,
      dropped: false,
      cancel: null,
      answer: reply => {
        running.delete(part)
        failure = collectValues(reply, values) ?? failure
        if (--waiting === 0) finish()
      },
    }
    running.add(part)
    if (owner === null) parts.local(part)
    else parts.forward(owner, part)
  }
}

function lineOf(tokens: Buffer[]): Buffer {
  return Buffer.concat([
    ...tokens.flatMap((token, i) => (i === 0 ? [token] : [Buffer.from(' '), token])),
    Buffer.from('\r\n'),
  ])
}

/** Puts each VALUE block under its key. The reply itself when it is no such list. */
function collectValues(reply: Buffer, values: Map<string, Buffer>): Buffer | null {
  let at = 0
  for (;;) {
    const end = reply.indexOf('\r\n', at)
    if (end < 0) return Buffer.from('SERVER_ERROR a part of the answer was cut off\r\n')
    const line = reply.toString('latin1', at, end)
    if (line === 'END') return null
    const match = /^VALUE ([^ ]+) \d+ (\d+)/.exec(line)
    if (!match) return reply.subarray(at, end + 2)
    const next = end + 2 + Number(match[2]) + 2
    values.set(match[1]!, reply.subarray(at, next))
    at = next
  }
}
