/**
 * What `config get` tells of a fleet. Pure: texts in, servers out, and the other way round for servers that answer it.
 *
 *   config get cluster    ElastiCache's auto discovery (PROTOCOL D13): version line, then host|ip|port ... on one line
 *   config get continuum  a Continuum tier: one JSON object with what a client's ring needs to agree with the tier's
 */
import { ListError, type ListedServer, portOf } from './address.js'

export interface ClusterConfig {
  /** Grows with every change. */
  version: number
  servers: ListedServer[]
}

/** The payload of `config get continuum`; `epoch` grows with every ring. */
export interface TierConfig {
  epoch: number
  dialect: string
  pointsPerServer: number
  /** In the order that decides ties. */
  servers: { host: string; port: number; weight: number }[]
}

/** The two lines of the payload. Throws ListError. */
export function parseClusterConfig(payload: string): ClusterConfig {
  const [version = '', nodes = ''] = payload.trim().split(/\r?\n/)
  if (!/^\d+$/.test(version.trim())) throw new ListError(`"${version}" is not the version of a cluster configuration`)
  const servers = nodes
    .trim()
    .split(/\s+/)
    .filter(node => node !== '')
    .map(node => {
      const [host, ip, port, ...more] = node.split('|')
      if (port === undefined || more.length > 0) throw new ListError(`"${node}" is not host|ip|port`)
      const address = { host: host || (ip ?? ''), port: portOf(port, node) }
      return ip ? { ...address, ip } : address
    })
  if (servers.length === 0) throw new ListError('it names no server')
  return { version: Number(version), servers }
}

export const tierConfigText = (config: TierConfig): string => `${JSON.stringify(config)}\n`

/** Throws ListError for what no tier says. */
export function parseTierConfig(payload: string): TierConfig {
  let read: unknown
  try {
    read = JSON.parse(payload)
  } catch {
    throw new ListError(`"${payload.slice(0, 80)}" is not the configuration of a tier`)
  }
  if (!isTierConfig(read)) throw new ListError('it lacks what a tier says: epoch, dialect, pointsPerServer, servers')
  return read
}

function isTierConfig(read: unknown): read is TierConfig {
  if (typeof read !== 'object' || read === null) return false
  const { epoch, dialect, pointsPerServer, servers } = read as Partial<Record<keyof TierConfig, unknown>>
  if (!Number.isInteger(epoch) || typeof dialect !== 'string' || !Number.isInteger(pointsPerServer)) return false
  return Array.isArray(servers) && servers.length > 0 && servers.every(isServer)
}

function isServer(read: unknown): boolean {
  if (typeof read !== 'object' || read === null) return false
  const { host, port, weight } = read as Record<string, unknown>
  return typeof host === 'string' && Number.isInteger(port) && typeof weight === 'number' && weight > 0
}

/** The whole reply of `config get <name>`. */
export function configReply(name: string, payload: string): Buffer {
  return Buffer.from(`CONFIG ${name} 0 ${Buffer.byteLength(payload)}\r\n${payload}\r\nEND\r\n`)
}
