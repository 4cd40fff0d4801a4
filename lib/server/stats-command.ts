/** The replies of `stats` and `config get`. Figures come from the engine and the process; names and order from PROTOCOL D9 and D13. */
import type { ClassStats, EngineApi, LruSettings } from '../engine/contract.js'
import { configReply } from '../protocol/index.js'
import type { ServerOptions } from './flags.js'
import type { PeerNode } from './plane.js'
import { settingsLines } from './settings-stats.js'

export interface Facts {
  version: string
  /** What stands where memcached names its libevent. */
  loop: string
  /** What the process was started with; null in a plane on its own. */
  server: ServerOptions | null
  /** The real port of datagrams; 0: none. */
  udpPort: number
  threads: number
  maxConnections: number
  port: number
  backlog: number
  /** Unix seconds; when the certificates of TLS were read. */
  certificatesAt: number
  dumps: boolean
  tracksSizes: boolean
  /** In a tier: of the node's lease (silence.ts). */
  fence?: [string, number][]
  /** Unix seconds. */
  startedAt: number
  now: number
}

export type Line = [string, string | number | bigint]

/** In memcached's order. What is not counted anywhere because there is no such mechanism here says 0, which is true. */
const CONNECTIONS = ['curr_connections', 'total_connections', 'rejected_connections']
const COMMANDS = [
  ...['cmd_get', 'cmd_set', 'cmd_flush', 'cmd_touch', 'cmd_meta', 'get_hits', 'get_misses', 'get_expired'],
  ...['get_flushed', 'delete_misses', 'delete_hits', 'incr_misses', 'incr_hits', 'decr_misses', 'decr_hits'],
  ...['cas_misses', 'cas_hits', 'cas_badval', 'touch_hits', 'touch_misses', 'store_too_large', 'store_no_memory'],
  ...['auth_cmds', 'auth_errors'],
]
const AFTER_THREADS = [
  ...['conn_yields', 'hash_power_level', 'hash_bytes', 'hash_is_expanding'],
  ...['slab_reassign_rescues', 'slab_reassign_chunk_rescues', 'slab_reassign_inline_reclaim'],
  ...['slab_reassign_busy_items', 'slab_reassign_busy_deletes', 'slab_reassign_busy_nomem'],
  ...['slab_reassign_last_busy_status', 'slab_reassign_evictions_nomem', 'slab_reassign_running', 'slabs_moved'],
  ...['lru_crawler_running', 'lru_crawler_starts', 'lru_maintainer_juggles'],
  ...['malloc_fails', 'log_worker_dropped', 'log_worker_written'],
  ...['log_watcher_skipped', 'log_watcher_sent', 'log_watchers'],
]
const LAST = [
  ...['unexpected_napi_ids', 'round_robin_fallback', 'bytes', 'curr_items', 'total_items', 'slab_global_page_pool'],
  ...['expired_unfetched', 'evicted_unfetched', 'evicted_active', 'evictions', 'reclaimed', 'crawler_reclaimed'],
  ...['crawler_items_checked', 'lrutail_reflocked', 'moves_to_cold', 'moves_to_warm', 'moves_within_lru'],
  ...['direct_reclaims', 'lru_bumps_dropped'],
]
const OWN = [
  ...[
    'tombstones',
    'forwarded_requests',
    'forwarded_errors',
    'takes',
    'parked_requests',
    'parked_refused',
    'guarded_requests',
  ],
  ...['hops_refused', 'requests_dropped'],
]

/** The reply to `stats` with these words behind it; null: memcached's ERROR. */
export function statsReply(words: readonly string[], engine: EngineApi, facts: Facts): Buffer | null {
  switch (words[0]) {
    case undefined:
      return generalStats(engine, facts)
    case 'settings':
      return statLines(settingsLines(engine, facts))
    case 'items':
      return statLines(itemStats(engine.classes(), engine.housekeeping.lru(), facts.now))
    case 'slabs':
      return statLines(slabStats(engine))
    case 'reset':
      engine.resetStats()
      return Buffer.from('RESET\r\n')
  }
  return null
}

function generalStats(engine: EngineApi, facts: Facts): Buffer {
  const counted = engine.stats()
  const usage = process.resourceUsage()
  return statLines([
    ['pid', process.pid],
    ['uptime', Math.max(0, Math.floor(facts.now - facts.startedAt))],
    ['time', Math.floor(facts.now)],
    ['version', facts.version],
    ['libevent', facts.loop],
    ['pointer_size', 64],
    ['rusage_user', (usage.userCPUTime / 1e6).toFixed(6)],
    ['rusage_system', (usage.systemCPUTime / 1e6).toFixed(6)],
    ['max_connections', facts.maxConnections],
    ...named(counted, CONNECTIONS),
    ['connection_structures', counted.get('curr_connections') ?? 0],
    ...named(counted, ['response_obj_oom', 'response_obj_count', 'response_obj_bytes']),
    // Every thread has one buffer for what it receives, and never another.
    ['read_buf_count', facts.threads],
    ['read_buf_bytes', facts.threads * engine.rx.length],
    ['read_buf_bytes_free', facts.threads * engine.rx.length],
    ...named(counted, ['read_buf_oom', 'reserved_fds']),
    ...named(counted, COMMANDS),
    ...(facts.server?.idleTimeoutSec ? named(counted, ['idle_kicks']) : []),
    ...named(counted, ['bytes_read', 'bytes_written', 'limit_maxbytes']),
    ['accepting_conns', 1],
    ...named(counted, ['listen_disabled_num', 'time_in_listen_disabled_us']),
    ['threads', facts.threads],
    ...named(counted, AFTER_THREADS),
    ...(facts.server?.tls
      ? ([['time_since_server_cert_refresh', Math.max(0, Math.floor(facts.now - facts.certificatesAt))]] as Line[])
      : []),
    ...named(counted, LAST),
    ...named(counted, OWN),
    ...(facts.fence ?? []),
  ])
}

/** Classes that hold something; ages in seconds since the list's oldest item was last accessed. */
function itemStats(classes: readonly ClassStats[], lru: LruSettings, now: number): Line[] {
  return classes.flatMap(({ id, lists, figures, counters }) => {
    const number = lists.reduce((sum, list) => sum + list.count, 0)
    if (number === 0) return []
    const listOf = (name: string) => lists.find(list => list.name === name)!
    const age = (name: string) => {
      const { tailTime } = listOf(name)
      return tailTime === null ? 0 : Math.max(0, Math.floor(now) - tailTime)
    }
    const figure = (name: string): Line => [name, figures.get(name) ?? 0]
    const ofMaintainer = (...lines: Line[]) => (lru.maintainer ? lines : [])
    const lines: Line[] = [
      ['number', number],
      ...ofMaintainer(
        ['number_hot', listOf('hot').count],
        ['number_warm', listOf('warm').count],
        ['number_cold', listOf('cold').count],
        ...(lru.temporaryTtl === null ? [] : [['number_temp', listOf('temp').count] satisfies Line]),
        ['age_hot', age('hot')],
        ['age_warm', age('warm')],
      ),
      ['age', age('cold')],
      ...['mem_requested', 'evicted', 'evicted_nonzero', 'evicted_time', 'outofmemory', 'tailrepairs'].map(figure),
      ...['reclaimed', 'expired_unfetched', 'evicted_unfetched'].map(figure),
      ...ofMaintainer(figure('evicted_active')),
      ...['crawler_reclaimed', 'crawler_items_checked', 'lrutail_reflocked'].map(figure),
      ...ofMaintainer(
        ...['moves_to_cold', 'moves_to_warm', 'moves_within_lru', 'direct_reclaims'].map(figure),
        ...['hits_to_hot', 'hits_to_warm', 'hits_to_cold', 'hits_to_temp'].map(
          (name): Line => [name, counters.get(name) ?? 0],
        ),
      ),
    ]
    return lines.map(([name, value]): Line => [`items:${id}:${name}`, value])
  })
}

const SLAB_COUNTERS = ['cmd_set', 'delete_hits', 'incr_hits', 'decr_hits', 'cas_hits', 'cas_badval', 'touch_hits']

/** Classes that have a page. */
function slabStats(engine: EngineApi): Line[] {
  const active = engine.classes().filter(({ pages }) => pages > 0)
  const lines = active.flatMap(({ id, chunkSize, chunksPerPage, pages, freeChunks, counters }) => {
    const total = pages * chunksPerPage
    const hits = ['hits_to_hot', 'hits_to_warm', 'hits_to_cold', 'hits_to_temp']
    const own: Line[] = [
      ['chunk_size', chunkSize],
      ['chunks_per_page', chunksPerPage],
      ['total_pages', pages],
      ['total_chunks', total],
      ['used_chunks', total - freeChunks],
      ['free_chunks', freeChunks],
      ['free_chunks_end', 0],
      ['get_hits', hits.reduce((sum, name) => sum + (counters.get(name) ?? 0n), 0n)],
      ...SLAB_COUNTERS.map((name): Line => [name, counters.get(name) ?? 0]),
    ]
    return own.map(([name, value]): Line => [`${id}:${name}`, value])
  })
  return [...lines, ['active_slabs', active.length], ['total_malloced', engine.pages.used * 1048576]]
}

function statLines(lines: readonly Line[]): Buffer {
  return Buffer.from(`${lines.map(([name, value]) => `STAT ${name} ${value}\r\n`).join('')}END\r\n`)
}

/** Those that are counted; a name that nobody counts yet is 0 only where memcached has it without condition. */
function named(counted: Map<string, bigint>, names: readonly string[]): Line[] {
  return names.map((name): Line => [name, counted.get(name) ?? 0])
}

/** ElastiCache's auto-discovery: two lines, version and nodes, whose length is told first. */
export function clusterConfig(nodes: readonly PeerNode[], epoch: number): Buffer {
  return configReply('cluster', clusterText(nodes, epoch))
}

/** The same as the value of a key, for clients older than the command. */
export function clusterConfigValue(key: string, nodes: readonly PeerNode[], epoch: number): Buffer {
  const text = clusterText(nodes, epoch)
  return Buffer.from(`VALUE ${key} 0 ${Buffer.byteLength(text)}\r\n${text}\r\nEND\r\n`)
}

function clusterText(nodes: readonly PeerNode[], epoch: number): string {
  const members = nodes.filter(node => node.weight > 0)
  return `${epoch}\n${members.map(({ host, port }) => `${host}|${host}|${port}`).join(' ')}\n`
}
