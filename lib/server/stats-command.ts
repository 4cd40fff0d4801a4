/** The replies of `stats` and `config get cluster`. Figures come from the engine and the process; names and order from PROTOCOL D9 and D13. */
import type { ClassStats, EngineApi } from '../engine/contract.js'
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

type Line = [string, string | number | bigint]

/** In memcached's order. What is not counted anywhere because there is no such mechanism here says 0, which is true. */
const BEFORE_THREADS = [
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
  ...['auth_cmds', 'auth_errors', 'idle_kicks', 'bytes_read', 'bytes_written', 'limit_maxbytes'],
]
const AFTER_THREADS = ['conn_yields', 'hash_power_level', 'hash_bytes', 'hash_is_expanding']
const PAGE_MOVER = [
  ...[
    'slab_reassign_rescues',
    'slab_reassign_chunk_rescues',
    'slab_reassign_inline_reclaim',
    'slab_reassign_busy_items',
  ],
  ...[
    'slab_reassign_busy_deletes',
    'slab_reassign_busy_nomem',
    'slab_reassign_last_busy_status',
    'slab_reassign_evictions_nomem',
    'slab_reassign_running',
    'slabs_moved',
    'lru_crawler_running',
    'lru_crawler_starts',
  ],
]
const LAST = [
  ...['bytes', 'curr_items', 'total_items', 'slab_global_page_pool', 'expired_unfetched', 'evicted_unfetched'],
  ...[
    'evicted_active',
    'evictions',
    'reclaimed',
    'moves_to_cold',
    'moves_to_warm',
    'moves_within_lru',
    'direct_reclaims',
  ],
]
const OWN = [
  ...['tombstones', 'forwarded_requests', 'forwarded_errors', 'takes', 'parked_requests', 'parked_refused'],
  ...['hops_refused', 'requests_dropped'],
]

/** The reply to `stats` with these words behind it; null: memcached's ERROR. */
export function statsReply(words: readonly string[], engine: EngineApi, facts: Facts): Buffer | null {
  switch (words[0]) {
    case undefined:
      return generalStats(engine, facts)
    case 'settings':
      return settings(engine, facts)
    case 'items':
      return statLines(itemStats(engine.classes(), facts.now))
    case 'slabs':
      return statLines(slabStats(engine))
    case 'sizes':
      return statLines([['sizes_status', 'disabled']])
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
    ['pointer_size', 64],
    ['rusage_user', (usage.userCPUTime / 1e6).toFixed(6)],
    ['rusage_system', (usage.systemCPUTime / 1e6).toFixed(6)],
    ['max_connections', facts.maxConnections],
    ...named(counted, ['curr_connections', 'total_connections', 'rejected_connections']),
    ...named(counted, BEFORE_THREADS),
    ['accepting_conns', 1],
    ['threads', facts.threads],
    ...named(counted, AFTER_THREADS),
    ...named(counted, PAGE_MOVER),
    ...named(counted, LAST),
    ...named(counted, OWN),
  ])
}

/** `stats settings`: those that this server has, in memcached's order. */
function settings({ arena: { options }, pages }: EngineApi, facts: Facts): Buffer {
  const { automove } = pages
  const onOff = (is: boolean) => (is ? 'on' : 'off')
  const yesNo = (is: boolean) => (is ? 'yes' : 'no')
  return statLines([
    ['maxbytes', pages.limitMb * 1048576],
    ['maxconns', facts.maxConnections],
    ['tcpport', facts.port],
    ['udpport', 0],
    ['oldest', 0],
    ['evictions', onOff(options.evictions)],
    ['growth_factor', options.growthFactor.toFixed(2)],
    ['chunk_size', options.chunkSizeMin],
    ['num_threads', facts.threads],
    ['cas_enabled', yesNo(options.cas)],
    ['tcp_backlog', facts.backlog],
    ['binding_protocol', 'ascii'],
    ['item_size_max', options.itemSizeMax],
    ['maxconns_fast', 'yes'],
    ['slab_reassign', yesNo(automove.reassign)],
    ['slab_automove', automove.mode],
    ['slab_automove_ratio', automove.ratio.toFixed(2)],
    ['slab_automove_window', automove.window],
    ['slab_chunk_max', options.slabChunkMax],
    ['lru_crawler', 'no'],
    ['flush_enabled', yesNo(options.flushEnabled)],
    ['lru_maintainer_thread', 'no'],
    ['lru_segmented', 'yes'],
    ['hot_lru_pct', 20],
    ['warm_lru_pct', 40],
    ['temp_lru', 'no'],
    ['track_sizes', 'no'],
    ['client_flags_size', 4],
  ])
}

/** Classes that hold something; ages in seconds since the list's oldest item was last accessed. */
function itemStats(classes: readonly ClassStats[], now: number): Line[] {
  return classes.flatMap(({ id, lists, figures, counters }) => {
    const number = lists.reduce((sum, list) => sum + list.count, 0)
    if (number === 0) return []
    const listOf = (name: string) => lists.find(list => list.name === name)!
    const age = (name: string) => {
      const { tailTime } = listOf(name)
      return tailTime === null ? 0 : Math.max(0, Math.floor(now) - tailTime)
    }
    const figure = (name: string): Line => [name, figures.get(name) ?? 0]
    const lines: Line[] = [
      ['number', number],
      ['number_hot', listOf('hot').count],
      ['number_warm', listOf('warm').count],
      ['number_cold', listOf('cold').count],
      ['age_hot', age('hot')],
      ['age_warm', age('warm')],
      ['age', age('cold')],
      ...['mem_requested', 'evicted', 'evicted_nonzero', 'evicted_time', 'outofmemory'].map(figure),
      ...['reclaimed', 'expired_unfetched', 'evicted_unfetched', 'evicted_active'].map(figure),
      ...['moves_to_cold', 'moves_to_warm', 'moves_within_lru', 'direct_reclaims'].map(figure),
      ...['hits_to_hot', 'hits_to_warm', 'hits_to_cold', 'hits_to_temp'].map(
        (name): Line => [name, counters.get(name) ?? 0],
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
  const members = nodes.filter(node => node.weight > 0)
  const text = `${epoch}\n${members.map(({ host, port }) => `${host}|${host}|${port}`).join(' ')}\n`
  return Buffer.from(`CONFIG cluster 0 ${Buffer.byteLength(text)}\r\n${text}\r\nEND\r\n`)
}
