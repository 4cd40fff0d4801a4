/**
 * Server lists as people have them. Pure: a text in, servers out, and what the text says about the ring beside. Three forms:
 *
 *   10.0.0.1:11211 2 cache-a      one server a line: address, weight, name; the last two may be missing; # starts a comment
 *   10.0.0.1:11211=2,[::1]:11212  on one line: addresses with or without weights
 *   CONFIG cluster 0 ...          the reply of `config get cluster`: version, then host|ip|port ...
 *
 * twemproxy's configuration has its own file beside this one.
 */
import type { Dialect, RingServer } from '../ketama/index.js'

export interface ServerList {
  servers: RingServer[]
  /** What the source itself says; the caller's choice goes before. */
  dialect?: Dialect
  pointsPerServer?: number
  relationTag?: string
}

/** What is wrong with a list, in half a sentence that goes behind the name of its source: "line 3: ...". */
export class ListError extends Error {
  readonly code = 'BAD_SERVER_LIST'
}

/** A file of server lines or a reply of `config get cluster`, whichever it looks like. */
export function parseListFile(text: string): ServerList {
  return /^\s*(CONFIG cluster \d+ \d+|VALUE AmazonElastiCache:cluster)/.test(text) ? clusterConfig(text) : lines(text)
}

/** `host:port[=weight],...` */
export function parseInline(text: string): ServerList {
  const servers = text.split(',').map(part => {
    const [address = '', weight, ...more] = part.trim().split('=')
    if (more.length > 0) throw new ListError(`"${part}" is not host:port=weight`)
    return { ...addressOf(address), ...weightOf(weight) }
  })
  return { servers }
}

function lines(text: string): ServerList {
  const servers: RingServer[] = []
  text.split('\n').forEach((line, index) => {
    const [address, weight, name, ...more] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (!address) return
    try {
      if (more.length > 0) throw new ListError(`"${line.trim()}" is not host:port weight name`)
      servers.push({ ...addressOf(address), ...weightOf(weight), ...(name === undefined ? {} : { name }) })
    } catch (error) {
      throw error instanceof ListError ? new ListError(`line ${index + 1}: ${error.message}`) : error
    }
  })
  if (servers.length === 0) throw new ListError('it names no server')
  return { servers }
}

/** ElastiCache's auto discovery: a version line, then `host|ip|port` separated by spaces; the ip may be empty. */
function clusterConfig(text: string): ServerList {
  const [, version = '', nodes = ''] = text.trim().split(/\r?\n/)
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
  return { servers }
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
