/** A pool of twemproxy's configuration (nutcracker.yml) as a server list: servers, hash, hash_tag. Pure. */
import { parse } from 'yaml'
import type { Dialect } from '../ketama/index.js'
import { ListError, portOf, weightOf } from '../protocol/index.js'
import type { ServerList } from './server-list.js'

const DIALECT_OF = new Map<string, Dialect>([
  ['md5', 'twemproxy-md5'],
  ['fnv1a_64', 'twemproxy-fnv1a_64'],
  ['one_at_a_time', 'twemproxy-one_at_a_time'],
])

type Fields = Record<string, unknown>
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** `pool`: its name; may be missing if there is only one. */
export function parseTwemproxy(text: string, pool?: string): ServerList {
  const pools = readYaml(text)
  const names = Object.keys(pools)
  if (pool === undefined && names.length > 1) {
    throw new ListError(`it has the pools ${names.join(', ')}: choose one with --pool`)
  }
  const name = pool ?? names[0] ?? ''
  const fields = pools[name]
  if (!isFields(fields)) throw new ListError(`it has no pool "${name}", only ${names.join(', ') || 'none'}`)
  return poolOf(name, fields)
}

function readYaml(text: string): Fields {
  let document: unknown
  try {
    document = parse(text)
  } catch (error) {
    const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n')
    throw new ListError(`it is not YAML: ${reason}`)
  }
  if (!isFields(document)) throw new ListError('it has no pools')
  return document
}

function poolOf(
  name: string,
  { servers, hash = 'fnv1a_64', distribution = 'ketama', hash_tag: tag }: Fields,
): ServerList {
  if (distribution !== 'ketama') {
    throw new ListError(`pool "${name}" has the distribution ${String(distribution)}: only ketama makes a ring`)
  }
  const dialect = DIALECT_OF.get(String(hash))
  if (!dialect) {
    throw new ListError(`pool "${name}" has the hash ${String(hash)}: known are ${[...DIALECT_OF.keys()].join(', ')}`)
  }
  if (!Array.isArray(servers) || servers.length === 0) throw new ListError(`pool "${name}" has no servers`)
  const list: ServerList = { servers: servers.map(serverOf), dialect }
  return tag === undefined ? list : { ...list, relationTag: String(tag) }
}

/** `host:port:weight` and, after a space, a name. */
function serverOf(value: unknown): ServerList['servers'][number] {
  const text = String(value)
  const [address = '', name, ...more] = text.trim().split(/\s+/)
  const fields = address.split(':')
  if (address.startsWith('/')) throw new ListError(`server "${text}" is a unix socket, which has no place in a ring`)
  if (fields.length < 3 || more.length > 0) throw new ListError(`server "${text}" is not host:port:weight name`)
  const weight = weightOf(fields.pop())
  const port = portOf(fields.pop() ?? '', text)
  return { host: fields.join(':'), port, ...weight, ...(name === undefined ? {} : { name }) }
}
