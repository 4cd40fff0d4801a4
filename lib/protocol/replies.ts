/**
 * memcached's replies as TypeScript code uses them: fixed words, and the error strings of PROTOCOL D4. The engine has its
 * own bytes for those that it writes itself; this table knows no socket and no store.
 */
export const CRLF = '\r\n'

/** Whole replies without their \r\n. */
export const WORDS = {
  stored: 'STORED',
  notStored: 'NOT_STORED',
  exists: 'EXISTS',
  notFound: 'NOT_FOUND',
  deleted: 'DELETED',
  touched: 'TOUCHED',
  ok: 'OK',
  end: 'END',
  reset: 'RESET',
  noop: 'MN',
} as const

export type Word = (typeof WORDS)[keyof typeof WORDS]

/** PROTOCOL D4: each error of the classic commands, complete. */
export const ERRORS = {
  error: 'ERROR',
  tooManyConnections: 'ERROR Too many open connections',
  badLineFormat: 'CLIENT_ERROR bad command line format',
  badDataChunk: 'CLIENT_ERROR bad data chunk',
  badToken: 'CLIENT_ERROR bad token in command line format',
  badExptime: 'CLIENT_ERROR invalid exptime argument',
  badDelta: 'CLIENT_ERROR invalid numeric delta argument',
  notANumber: 'CLIENT_ERROR cannot increment or decrement non-numeric value',
  flushNotAllowed: 'CLIENT_ERROR flush_all not allowed',
  tooLarge: 'SERVER_ERROR object too large for cache',
  outOfMemoryStoring: 'SERVER_ERROR out of memory storing object',
  outOfMemory: 'SERVER_ERROR out of memory',
  outOfMemoryReading: 'SERVER_ERROR out of memory reading request',
  lineTooLong: 'SERVER_ERROR output line too long',
} as const

export type ErrorText = (typeof ERRORS)[keyof typeof ERRORS]

const ERROR_LINE = /^(ERROR|CLIENT_ERROR|SERVER_ERROR)(?=[ :]|$)/

/** Who is to blame, by the line's first word; null when the line is no error. `SERVER_ERROR: ...` counts too (PROTOCOL D3, shutdown). */
export function errorKind(line: string): 'ERROR' | 'CLIENT_ERROR' | 'SERVER_ERROR' | null {
  const word = ERROR_LINE.exec(line)?.[1]
  return word === 'ERROR' || word === 'CLIENT_ERROR' || word === 'SERVER_ERROR' ? word : null
}
