/** The replies of `stats` and `config get cluster`. Figures come from the engine and the process; names and order from PROTOCOL D9 and D13. */
import type { EngineApi } from '../engine/contract.js'
import type { PeerNode } from './plane.js'

export interface Facts {
  version: string
  threads: number
  maxConnections: number
  port: number
  backlog: number
  /** Unix seconds. */
  startedAt: number
  now: number
}

/** In memcached's order; those that the engine or this server counts under the same name. */
const COUNTED = [
  ...[
    'cmd_get',
    'cmd_set',
    'cmd_flush',
    'cmd_touch',
    'cmd_meta',
    'get_hits',
    'get_misses',
    'get_expired',
    'get_flushed',
  ],
  ...['delete_misses', 'delete_hits', 'incr_misses', 'incr_hits', 'decr_misses', 'decr_hits'],
  ...['cas_misses', 'cas_hits', 'cas_badval', 'touch_hits', 'touch_misses', 'store_too_large', 'store_no_memory'],
  ...['bytes_read', 'bytes_written', 'limit_maxbytes'],
]
const AFTER_THREADS = [
  ...['conn_yields', 'hash_power_level', 'hash_bytes', 'bytes', 'curr_items', 'total_items'],
  ...['expired_unfetched', 'evicted_unfetched', 'evicted_active', 'evictions', 'reclaimed'],
]
const OWN = [
  ...['tombstones', 'forwarded_requests', 'forwarded_errors', 'takes', 'parked_requests', 'parked_refused'],
  ...['hops_refused', 'requests_dropped'],
]

export function generalStats(engine: EngineApi, facts: Facts): Buffer {
  const counted = engine.stats()
  const usage = process.resourceUsage()
  const lines: [string, string | number | bigint][] = [
    ['pid', process.pid],
    ['uptime', Math.max(0, Math.floor(facts.now - facts.startedAt))],
    ['time', Math.floor(facts.now)],
    ['version', facts.version],
    ['pointer_size', 32],
    ['rusage_user', (usage.userCPUTime / 1e6).toFixed(6)],
    ['rusage_system', (usage.systemCPUTime / 1e6).toFixed(6)],
    ['max_connections', facts.maxConnections],
    ...named(counted, ['curr_connections', 'total_connections', 'rejected_connections']),
    ...named(counted, COUNTED),
    ['accepting_conns', 1],
    ['threads', facts.threads],
    ...named(counted, AFTER_THREADS),
    ...named(counted, OWN),
  ]
  return statLines(lines)
}

/** `stats settings`: those that this server has, in memcached's order. */
export function settings({ arena: { options } }: EngineApi, facts: Facts): Buffer {
  const onOff = (is: boolean) => (is ? 'on' : 'off')
  const yesNo = (is: boolean) => (is ? 'yes' : 'no')
  const lines: [string, string | number][] = [
    ['maxbytes', options.memoryLimitMb * 1048576],
    ['maxconns', facts.maxConnections],
    ['tcpport', facts.port],
    ['udpport', 0],
    ['evictions', onOff(options.evictions)],
    ['growth_factor', options.growthFactor.toFixed(2)],
    ['chunk_size', options.chunkSizeMin],
    ['num_threads', facts.threads],
    ['cas_enabled', yesNo(options.cas)],
    ['tcp_backlog', facts.backlog],
    ['binding_protocol', 'ascii'],
    ['item_size_max', options.itemSizeMax],
    ['maxconns_fast', 'yes'],
    ['flush_enabled', yesNo(options.flushEnabled)],
  ]
  return statLines(lines)
}

function statLines(lines: [string, string | number | bigint][]): Buffer {
  return Buffer.from(`${lines.map(([name, value]) => `STAT ${name} ${value}\r\n`).join('')}END\r\n`)
}

function named(counted: Map<string, bigint>, names: string[]): [string, bigint][] {
  return names.flatMap(name => {
    const value = counted.get(name)
    return value === undefined ? [] : [[name, value] as [string, bigint]]
  })
}

/** ElastiCache's auto-discovery: two lines, version and nodes, whose length is told first. */
export function clusterConfig(nodes: readonly PeerNode[], epoch: number): Buffer {
  const members = nodes.filter(node => node.weight > 0)
  const text = `${epoch}\n${members.map(({ host, port }) => `${host}|${host}|${port}`).join(' ')}\n`
  return Buffer.from(`CONFIG cluster 0 ${Buffer.byteLength(text)}\r\n${text}\r\nEND\r\n`)
}
