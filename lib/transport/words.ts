/**
 * Plain words for what the operating system says about sockets, the same in every world, so that what a user reads does
 * not depend on the loop that was taken. Knows no socket and no clock.
 */
import { isIPv4, isIPv6 } from 'node:net'
import type { Address } from './loop.js'

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EADDRINUSE: 'address in use',
  EADDRNOTAVAIL: 'no such address on this machine',
  ECONNABORTED: 'connection aborted',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by the peer',
  EHOSTUNREACH: 'host cannot be reached',
  EMFILE: 'too many open files',
  ENETUNREACH: 'network cannot be reached',
  ENOENT: 'no such file or directory',
  ENOTDIR: 'no such file or directory',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
  ENFILE: 'too many open files on this machine',
  ENOBUFS: 'no buffer space left',
  ENOTFOUND: 'host name is not known',
  EAI_AGAIN: 'host name cannot be looked up now',
  EPIPE: 'connection reset by the peer',
  ETIMEDOUT: 'connection timed out',
}

export const CLOSED_HERE = 'closed'
export const RESET_BY_PEER = 'connection reset by the peer'

export function wordsOf(code: string | undefined): string {
  return (code && WORDS[code]) || (code ? `failed with ${code}` : 'failed')
}

export function listenSentence({ host, port, path }: Address & { path?: string }, code: string | undefined): string {
  if (path !== undefined) return `cannot listen on ${path}: ${wordsOf(code)}`
  if (code === 'EADDRINUSE') return `port ${port} on ${host} is taken`
  return `cannot listen on port ${port} of ${host}: ${wordsOf(code)}`
}

/** Every world takes `localhost` for IPv4's, so that listener and dialer always mean the same. */
export function literalOf(host: string): string {
  return host === 'localhost' ? '127.0.0.1' : host
}

export function isLiteral(host: string): boolean {
  return isIPv4(host) || isIPv6(host)
}

/** What a peer on a unix socket is called: it has no address. */
export const UNIX_HOST = 'unix'

/** A dual stack socket names IPv4 peers ::ffff:a.b.c.d; nobody else should have to know. */
export function plainAddress(host: string): string {
  return host.startsWith('::ffff:') && isIPv4(host.slice(7)) ? host.slice(7) : host
}

export function isLoopbackAddress(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(plainAddress(host)) && plainAddress(host).startsWith('127.'))
}
