/** Servers as people write them: `host:port`, `[v6]:port`, `host:port=weight,host:port`. Pure. */

export interface ListedServer {
  host: string
  port: number
  weight?: number
  /** The address that a name resolved to, where the list says it. */
  ip?: string
}

/** What is wrong with a list, in half a sentence that goes behind the name of its source: "line 3: ...". */
export class ListError extends Error {
  readonly code = 'BAD_SERVER_LIST'
}

/** `host:port[=weight],...` */
export function parseInline(text: string): ListedServer[] {
  return text.split(',').map(part => {
    const [address = '', weight, ...more] = part.trim().split('=')
    if (more.length > 0) throw new ListError(`"${part}" is not host:port=weight`)
    return { ...addressOf(address), ...weightOf(weight) }
  })
}

/** `host:port`; IPv6 with or without brackets. */
export function addressOf(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, Math.max(colon, 0)).replace(/^\[(.*)\]$/, '$1')
  if (host === '') throw new ListError(`"${text}" is not host:port`)
  return { host, port: portOf(text.slice(colon + 1), text) }
}

export function portOf(text: string, where: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65535) throw new ListError(`"${where}": "${text}" is not a port`)
  return port
}

export function weightOf(text: string | undefined): { weight?: number } {
  if (text === undefined) return {}
  const weight = text === '' ? Number.NaN : Number(text)
  if (!Number.isFinite(weight) || weight <= 0) throw new ListError(`weight "${text}" is not a number above 0`)
  return { weight }
}
