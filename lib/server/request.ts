/**
 * A request that left the hot path: complete, on its own, waiting for another node, for its key or for the control plane.
 * Whoever asked gets exactly one answer, unless it went away first: then the request is dropped, never applied late
 * (DESIGN 8, "Requests die with the connection they came on").
 */
export interface Request {
  /** The whole request: line, and value if there is one. Empty where it went out as it came and is not needed again. */
  readonly bytes: Buffer
  /** Does it want no reply? Told where `bytes` cannot tell. */
  readonly noreply?: boolean
  /** How many nodes have passed it on. */
  readonly hops: number
  /** The asker is gone. */
  dropped: boolean
  /** When whoever it waits for must have answered at last (loop time, ms); set when it first has to wait. */
  until?: number
  /** Set while somebody else works on it: tells them to stop if they still can. */
  cancel: ((this: Request) => void) | null
  /** Of the frame in which it went to another node, while its answer is awaited from there. */
  sentId?: number
  /** Number of the client's connection that it came on, for watchers. */
  connection?: number
  /** Replies of the same connection were made by the same turn and go out before this one. */
  pipelined?: boolean
  /** Its connection becomes this watcher's once the answer is out; none where that cannot be. */
  becomeWatcher?: (watcher: number) => void
  /** Closes the connection that it came on, unanswered: whoever worked on it may not be the authority any more. */
  cut?(): void
  /** Called once; the bytes are the request's to keep. */
  answer(reply: Buffer): void
  /** As answer, where the asker makes a copy itself: the bytes are borrowed, valid during the call. */
  answerBorrowed?(reply: Uint8Array): void
  /** Instead of `answer`, where the asker can take a long answer bit by bit. */
  answerInParts?(stream: ReplyStream): void
}

/** An answer that is made as the asker takes it. */
export interface ReplyStream {
  /** The next part, which may be empty; null: that was all. */
  next(): Buffer | null
  /** Called once: that was all, or the asker is gone. */
  close(): void
}

const SPACE = 0x20
const LF = 0x0a
const CR = 0x0d
const LETTER_B = 0x62
const LETTER_N = 0x4e
const LETTER_T = 0x54
const NOREPLY = Buffer.from(' noreply')
const EMPTY = Buffer.alloc(0)
/** PROTOCOL D2: with its line end a value's length is an int32. */
const BYTES_MAX = 2_147_483_645

/** Position of the line's end, without terminator. */
export function lineEnd(bytes: Buffer, start = 0): number {
  const newline = bytes.indexOf(LF, start)
  if (newline < 0) return bytes.length
  return newline > start && bytes[newline - 1] === CR ? newline - 1 : newline
}

export function isNoreply(bytes: Buffer): boolean {
  let end = lineEnd(bytes)
  while (end > 0 && bytes[end - 1] === SPACE) end--
  return end > NOREPLY.length && bytes.compare(NOREPLY, 0, NOREPLY.length, end - NOREPLY.length, end) === 0
}

/** The tokens of the request's line, as byte ranges of it. */
export function tokensOf(bytes: Buffer, start = 0): Buffer[] {
  const end = lineEnd(bytes, start)
  const tokens: Buffer[] = []
  let at = start
  while (at < end) {
    while (at < end && bytes[at] === SPACE) at++
    const from = at
    while (at < end && bytes[at] !== SPACE) at++
    if (at > from) tokens.push(bytes.subarray(from, at))
  }
  return tokens
}

/** Commands whose key is not the second token. */
const KEY_THIRD = new Set(['gat', 'gats'])
const STORAGE = new Set(['set', 'add', 'replace', 'append', 'prepend', 'cas'])
const META = new Set(['mg', 'ms', 'md', 'ma', 'me'])
const KEYED = new Set([...STORAGE, ...META, 'get', 'gets', 'gat', 'gats', 'delete', 'incr', 'decr', 'touch'])

export interface Shape {
  command: string
  key: Buffer
  /** Line and value; may reach beyond what has come. */
  length: number
}

/**
 * Command, key and length of a request of one key; null for everything else, and while the line is incomplete. Where the engine
 * would not take the value behind a line for a part of it (a command behind spaces is none), the line has no shape either.
 */
export function shapeOf(bytes: Buffer, start = 0): Shape | null {
  const newline = bytes.indexOf(LF, start)
  if (newline < 0 || bytes[start] === SPACE) return null
  const tokens = tokensOf(bytes, start)
  const command = tokens[0]?.toString('latin1') ?? ''
  const key = tokens[KEY_THIRD.has(command) ? 2 : 1]
  if (!KEYED.has(command) || !key || key.length > 250) return null
  const line = newline + 1 - start
  if (META.has(command)) return metaShape(command, tokens, line)
  if (STORAGE.has(command)) {
    const bytes = bytesOf(tokens[4])
    return bytes === null ? null : { command, key, length: line + bytes + 2 }
  }
  const keys = tokens.length - (KEY_THIRD.has(command) ? 2 : 1)
  return command.startsWith('g') && keys > 1 ? null : { command, key, length: line }
}

/** The key is what `b` makes of it; a line that the engine would refuse has no shape. */
function metaShape(command: string, tokens: Buffer[], line: number): Shape | null {
  const flagsAt = command === 'ms' ? 3 : 2
  if (tokens.length < flagsAt) return null
  const isBinary = tokens.slice(flagsAt).some(flag => flag[0] === LETTER_B)
  const key = isBinary ? Buffer.from(tokens[1]!.toString('latin1'), 'base64') : tokens[1]!
  if (key.length === 0) return null
  if (command !== 'ms') return { command, key, length: line }
  const bytes = bytesOf(tokens[2])
  return bytes === null ? null : { command, key, length: line + bytes + 2 }
}

/** Length of the value behind a line; null where the engine would not take one either. */
function bytesOf(token: Buffer | undefined): number | null {
  const text = token?.toString('latin1') ?? ''
  return /^\d{1,10}$/.test(text) && Number(text) <= BYTES_MAX ? Number(text) : null
}

/** Does the request of one key change nothing that must be remembered? */
export function isRead(bytes: Buffer): boolean {
  const [command, ...rest] = tokensOf(bytes)
  const name = command?.toString('latin1') ?? ''
  if (name === 'mg') return !rest.slice(1).some(flag => flag[0] === LETTER_N || flag[0] === LETTER_T)
  return name === 'get' || name === 'gets' || name === 'me'
}

/** `SERVER_ERROR reason`, or nothing for a request that wants no reply. */
export function serverError(request: Request, reason: string): Buffer {
  return (request.noreply ?? isNoreply(request.bytes)) ? EMPTY : Buffer.from(`SERVER_ERROR ${reason}\r\n`)
}
