/** The bytes are no reply of memcached: the connection is of no more use. */
export class BadReply extends Error {
  readonly code = 'BAD_REPLY'
  override readonly name = 'BadReply'
}
