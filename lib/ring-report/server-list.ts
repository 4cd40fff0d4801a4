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
import { addressOf, parseInline as inlineServers, ListError, parseClusterConfig, weightOf } from '../protocol/index.js'

export interface ServerList {
  servers: RingServer[]
  /** What the source itself says; the caller's choice goes before. */
  dialect?: Dialect
  pointsPerServer?: number
  relationTag?: string
}

export { ListError }

/** A file of server lines or a reply of `config get cluster`, whichever it looks like. */
export function parseListFile(text: string): ServerList {
  return /^\s*(CONFIG cluster \d+ \d+|VALUE AmazonElastiCache:cluster)/.test(text) ? clusterConfig(text) : lines(text)
}

/** `host:port[=weight],...` */
export const parseInline = (text: string): ServerList => ({ servers: inlineServers(text) })

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

/** The reply is the line that says its length, then the payload. */
function clusterConfig(text: string): ServerList {
  const reply = text.trim()
  return { servers: parseClusterConfig(reply.slice(reply.indexOf('\n') + 1)).servers }
}
