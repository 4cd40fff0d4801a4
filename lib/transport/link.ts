/**
 * A peer link: frames over a Connection after a mutual handshake. Contract (this file holds the implementation too):
 *
 *   dialer:  hello {protocol, purpose, id, incarnation, nonce}       acceptor: challenge {nonce, proof of the secret}
 *   dialer:  proof {HMAC}                                            acceptor: welcome {id, incarnation} | refuse {sentence}
 *
 * Without a secret the HMAC key is empty and the acceptor only takes connections from loopback addresses.
 */
export type LinkPurpose = 'control' | 'data' | 'store'

export interface LinkIdentity {
  /** Node id, or 'cli' / 'coordinator'. */
  id: string
  /** Decimal string. */
  incarnation: string
}
