/**
 * What can go wrong in the client: one class with a stable `code` and a sentence. Rings that cannot be made throw their own
 * RingError; an aborted call is rejected with its signal's reason.
 */
import type { RingServer } from '../ketama/index.js'

export type ClientErrorCode =
  /** An option of the client or of a call makes no sense. */
  | 'BAD_OPTIONS'
  /** A key is empty, longer than 250 bytes with its namespace, or has a space or control character. */
  | 'BAD_KEY'
  | 'BAD_TTL'
  /** The serializer cannot write the value, or what was read is not what its flags say. */
  | 'BAD_VALUE'
  /** incr or decr by something that is not a whole number from 0 to 2^64 - 1. */
  | 'BAD_DELTA'
  /** Larger than the server's -I, or than `valueBytesMax`. A set that the server refuses has deleted the old value. */
  | 'VALUE_TOO_LARGE'
  /** incr or decr of a value that is no number. */
  | 'NOT_A_NUMBER'
  /** The number does not fit a JavaScript number: give the delta as a bigint. */
  | 'UNSAFE_NUMBER'
  /** No reply in time. A write may or may not have happened. */
  | 'TIMEOUT'
  /** `queueMax` or `queueBytesMax` is reached: nothing was sent. */
  | 'QUEUE_FULL'
  /** The connection ended before the reply came. A write may or may not have happened. */
  | 'CONNECTION_LOST'
  /** No connection could be made; nothing was sent. */
  | 'CONNECT_FAILED'
  /** The node failed several times and is left alone until a probe succeeds; nothing was sent. */
  | 'NODE_EJECTED'
  | 'AUTH_FAILED'
  | 'CLIENT_CLOSED'
  /** What came is no reply of memcached, or not to what was asked. */
  | 'BAD_REPLY'
  /** The server has no memory for the item (-M, or everything is in use). */
  | 'OUT_OF_MEMORY'
  /** Any other SERVER_ERROR; the message is the server's. */
  | 'SERVER_ERROR'
  /** Any other CLIENT_ERROR or ERROR; the message is the server's. */
  | 'REFUSED'
  /** This server cannot do it: it is too old, or it is no tier. */
  | 'UNSUPPORTED'
  /** Part of a many-key call failed: `errors` has the reasons, `results` what was found. */
  | 'PARTIAL'

/** Who the error is about. */
export type ErrorNode = Pick<RingServer, 'host' | 'port'>

/** Those that speak of a node and not of a request: another attempt, or another node, may do better. */
const NODE_FAILURES: ReadonlySet<ClientErrorCode> = new Set([
  ...(['TIMEOUT', 'QUEUE_FULL', 'CONNECTION_LOST', 'CONNECT_FAILED', 'NODE_EJECTED'] as const),
  ...(['AUTH_FAILED', 'BAD_REPLY', 'PARTIAL'] as const),
])

export class ClientError extends Error {
  readonly code: ClientErrorCode
  /** `host:port` of the node, if there was one. */
  readonly node: string | null

  constructor(code: ClientErrorCode, sentence: string, node: ErrorNode | null = null, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause })
    this.name = 'ClientError'
    this.code = code
    this.node = node ? `${node.host}:${node.port}` : null
  }

  /** The node failed, not the request. */
  get isNodeFailure(): boolean {
    return NODE_FAILURES.has(this.code)
  }
}

/** Some of the keys of a call with many could not be served. */
export class PartialError<Results = unknown> extends ClientError {
  readonly results: Results
  readonly errors: readonly unknown[]

  constructor(sentence: string, results: Results, errors: readonly unknown[]) {
    super('PARTIAL', sentence, null, errors[0])
    this.name = 'PartialError'
    this.results = results
    this.errors = errors
  }
}

/** An error line of the server. */
export function errorOfLine(line: string, node: ErrorNode): ClientError {
  return new ClientError(codeOfLine(line), line, node)
}

function codeOfLine(line: string): ClientErrorCode {
  if (line.includes('object too large')) return 'VALUE_TOO_LARGE'
  if (line.includes('non-numeric value')) return 'NOT_A_NUMBER'
  if (line.includes('unauthenticated') || line.includes('authentication failure')) return 'AUTH_FAILED'
  if (/^SERVER_ERROR out of memory/i.test(line)) return 'OUT_OF_MEMORY'
  return line.startsWith('SERVER_ERROR') ? 'SERVER_ERROR' : 'REFUSED'
}

export const isNodeFailure = (error: unknown): boolean => error instanceof ClientError && error.isNodeFailure
