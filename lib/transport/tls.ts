/**
 * TLS as listeners of the net loop want it: certificates as texts (whoever reads the files is elsewhere), and
 * memcached's four ways to look at a client's certificate (PROTOCOL D12).
 */
import { createSecureContext, type TLSSocket, type TlsOptions } from 'node:tls'

export interface TlsSettings {
  /** PEM. */
  chain: string
  key: string
  /** Whose signatures on clients' certificates count; null: no client is asked for one. */
  ca: string | null
  /** 0: nobody is asked; 1: who shows one must show a good one; 2 and 3: everybody must. */
  verify: 0 | 1 | 2 | 3
  /** As OpenSSL writes them; null: Node's. */
  ciphers: string | null
  minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** 48 random bytes: what one thread's listener hands out as the ticket of a session, every other one takes. */
  ticketKeys: Uint8Array
}

/** Nobody may keep a socket for longer without having said hello, ms. */
const HANDSHAKE_LIMIT_MS = 10_000

export function tlsOptions(settings: TlsSettings): TlsOptions {
  const { chain, key, ca, verify, ciphers, minVersion, ticketKeys } = settings
  return {
    ...{ cert: chain, key, minVersion, handshakeTimeout: HANDSHAKE_LIMIT_MS, ticketKeys: Buffer.from(ticketKeys) },
    ...(ca === null ? {} : { ca }),
    ...(ciphers === null ? {} : { ciphers }),
    ...{ requestCert: verify > 0, rejectUnauthorized: verify > 1 },
  }
}

/** With verify 1 a client may show nothing, but nothing wrong. */
export function isAcceptable(socket: TLSSocket, { verify }: TlsSettings): boolean {
  return verify !== 1 || socket.authorized || Object.keys(socket.getPeerCertificate()).length === 0
}

/** Null, or why OpenSSL cannot use it, in its own words. */
export function tlsProblem(settings: TlsSettings): string | null {
  try {
    createSecureContext(tlsOptions(settings))
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
