/** A server of a ring, and the texts by which programs know one: each dialect hashes one of these labels. */
import { RingError } from './errors.js'

export interface RingServer {
  readonly host: string
  readonly port: number
  /** Share of the keys, a number above 0; 1 if missing. Dialects without weights ignore it. */
  readonly weight?: number
  /**
   * What the server is called, apart from where it is: dialects that hash names (`continuum`, `twemproxy-*`, `hashring` and
   * `hashring-*`, `uhashring-*`, `rj-libketama`, `npm-ketama`) move nothing when only the address changes. The others ignore it.
   */
  readonly name?: string
  /** The address that `host` resolved to; `spymemcached` hashes it when `host` is a name. */
  readonly ip?: string
}

export type Label = (server: RingServer) => string

/** `host:port`, always with the port; IPv6 goes in bare. */
export const fullLabel: Label = ({ host, port }) => `${host}:${port}`

/** `host` alone at memcached's own port, `host:port` otherwise. */
export const shortLabel: Label = ({ host, port }) => (port === 11211 ? host : `${host}:${port}`)

/** The name if there is one. */
export const namedFull: Label = server => server.name ?? fullLabel(server)
export const namedShort: Label = server => server.name ?? shortLabel(server)

/**
 * npm memcached's hashring takes the second field of the text split at colons for the port, so that an IPv6 server keeps its
 * own. Its servers are addresses: a name is none.
 */
export const hashringShort: Label = server => (server.host.includes(':') ? fullLabel(server) : shortLabel(server))

/** The leading slash of Java's socket addresses, which libmemcached keeps and spymemcached itself takes off. */
export const slashLabel: Label = server => `/${fullLabel(server)}`

/** memcached's proxy in its EVCache form. */
export const evcacheLabel: Label = ({ host, port }) => `${host}/${host}:${port}`

/**
 * Java's text of a socket address: `10.0.0.1:11211`, `[2001:db8:0:0:0:0:0:1]:11211` (Java 14 and later), and for a name the
 * address that it resolved to, `cache-a/10.8.0.1:11211`. Throws BAD_SERVER for a name without `ip`.
 */
export const javaLabel: Label = ({ host, port, ip }) => {
  if (isIpv4(host)) return `${host}:${port}`
  if (host.includes(':')) return `[${fullIpv6(host)}]:${port}`
  if (ip === undefined) {
    throw new RingError(
      'BAD_SERVER',
      `server ${host}:${port}: spymemcached hashes the address behind a name, so the server needs an "ip"`,
    )
  }
  return `${host}/${ip.includes(':') ? `[${fullIpv6(ip)}]` : ip}:${port}`
}

const isIpv4 = (host: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(host)

/** `2001:db8::1` as `2001:db8:0:0:0:0:0:1`. */
function fullIpv6(host: string): string {
  const [head = '', tail, ...more] = host.toLowerCase().split('::')
  const fields = (text: string) => (text === '' ? [] : text.split(':'))
  const [front, back] = [fields(head), fields(tail ?? '')]
  const gap = tail === undefined ? 0 : 8 - front.length - back.length
  const all = [...front, ...Array<string>(Math.max(gap, 0)).fill('0'), ...back]
  if (more.length > 0 || all.length !== 8 || !all.every(field => /^[0-9a-f]{1,4}$/.test(field))) {
    throw new RingError('BAD_SERVER', `"${host}" is not an IPv6 address that Java would print`)
  }
  return all.map(field => Number.parseInt(field, 16).toString(16)).join(':')
}

/** How people and messages call a server. */
export const serverText = (server: RingServer): string => server.name ?? fullLabel(server)

/** The same server in two lists: by name where both have one, by address otherwise. */
export function matchServers(before: readonly RingServer[], after: readonly RingServer[]): Int32Array {
  const byName = new Map<string, number>()
  const byAddress = new Map<string, number>()
  before.forEach((server, index) => {
    if (server.name !== undefined) byName.set(server.name, index)
    byAddress.set(fullLabel(server), index)
  })
  return Int32Array.from(after, server => {
    const named = server.name === undefined ? undefined : byName.get(server.name)
    if (named !== undefined) return named
    const same = byAddress.get(fullLabel(server))
    if (same === undefined) return -1
    return server.name !== undefined && before[same]!.name !== undefined ? -1 : same
  })
}
