/** What can be wrong with a ring: a stable `code` and a sentence that names the offending value. */
export type RingErrorCode =
  | 'EMPTY_SERVERS'
  | 'UNKNOWN_DIALECT'
  | 'BAD_SERVER'
  | 'BAD_WEIGHT'
  | 'DUPLICATE_SERVER'
  | 'BAD_POINTS'
  | 'BAD_KEY'
  | 'BAD_TAG'
  | 'NOT_A_RING'
  | 'NOT_COMPARABLE'

export class RingError extends Error {
  readonly code: RingErrorCode

  constructor(code: RingErrorCode, sentence: string) {
    super(sentence)
    this.name = 'RingError'
    this.code = code
  }
}
