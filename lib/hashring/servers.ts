/**
 * Server lists as npm's hashring takes them: a text, a list of texts or objects, or an object from text to weight. Its
 * reading of a text is kept: host and port are the first two fields between colons, so IPv6 is not understood, only hashed.
 */
export interface HashRingServer {
  host: string
  port: number
  /** The text that stands for the server in everything that is hashed and answered. */
  string: string
  weight: number
  /** Digests of this server, instead of its share; 0: none of its own. */
  vnodes?: number
}

export type ServerValue = number | string | { weight?: number | string; vnodes?: number | string }
export type ServerList =
  | string
  | readonly (string | { host: string; port: number; weight?: number })[]
  | Readonly<Record<string, ServerValue>>
  | undefined
  | null

export function parseServers(list: ServerList): HashRingServer[] {
  if (list === undefined || list === null || list === '') return []
  if (typeof list === 'string') return [fromText(list)]
  if (Array.isArray(list)) return list.map(one => (typeof one === 'string' ? fromText(one) : fromObject(one)))
  return Object.entries(list as Record<string, ServerValue>).map(([text, value]) => fromText(text, value))
}

function fromText(text: string, value?: ServerValue): HashRingServer {
  const [host = '', port] = text.split(':')
  const parts = typeof value === 'object' && value !== null ? value : { weight: value }
  return {
    host,
    port: Number(port),
    string: text,
    weight: Number(parts.weight) || 1,
    vnodes: 'vnodes' in parts ? Number(parts.vnodes) || 0 : 0,
  }
}

function fromObject({ host, port, weight }: { host: string; port: number; weight?: number }): HashRingServer {
  return { host, port, string: `${host}:${port}`, weight: Number(weight) || 1 }
}

/** Server text to its own number of digests. */
export const vnodesOf = (servers: readonly HashRingServer[]): Record<string, number | undefined> =>
  Object.fromEntries(servers.map(({ string, vnodes }) => [string, vnodes]))
