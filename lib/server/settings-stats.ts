/**
 * `stats settings`: memcached's names in memcached's order (PROTOCOL D9), each with what is true here. What tunes a
 * mechanism that is not here says what memcached says when that is off.
 */
import type { EngineApi } from '../engine/contract.js'
import { PREFIXES } from '../engine/log-reader.js'
import type { Facts, Line } from './stats-command.js'

/** What memcached tells while there is no TEMP list, seconds. */
const TEMPORARY_TTL = 61

export function settingsLines(engine: EngineApi, facts: Facts): Line[] {
  const { options } = engine.arena
  const { server } = facts
  const onOff = (is: boolean) => (is ? 'on' : 'off')
  const yesNo = (is: boolean) => (is ? 'yes' : 'no')
  const lru = engine.housekeeping.lru()
  const { automove } = engine.pages
  const tls = server?.tls ?? null
  return [
    ['maxbytes', engine.pages.limitMb * 1048576],
    ['maxconns', facts.maxConnections],
    ['tcpport', facts.port],
    ['udpport', facts.udpPort],
    ['inter', server && server.listen.length > 0 ? server.listen.map(({ host }) => host).join(',') : 'NULL'],
    ['verbosity', engine.verbosity()],
    ['oldest', 0],
    ['evictions', onOff(options.evictions)],
    ['domain_socket', server?.unix?.path ?? 'NULL'],
    ['umask', (server?.unix?.mode ?? 0o700).toString(8)],
    ['shutdown_command', yesNo(server?.shutdown ?? false)],
    ['growth_factor', options.growthFactor.toFixed(2)],
    ['chunk_size', options.chunkSizeMin],
    ['num_threads', facts.threads],
    ['num_threads_per_udp', facts.udpPort === 0 ? 0 : 1],
    ['stat_key_prefix', options.prefixDelimiter],
    ['detail_enabled', yesNo((engine.streams() & PREFIXES) !== 0)],
    ['reqs_per_event', server?.reqsPerEvent ?? 20],
    ['cas_enabled', yesNo(options.cas)],
    ['tcp_backlog', facts.backlog],
    ['binding_protocol', server?.protocol ?? 'ascii'],
    ['auth_enabled_sasl', 'no'],
    ['auth_enabled_ascii', server?.authFile ?? 'no'],
    ['item_size_max', options.itemSizeMax],
    ['maxconns_fast', 'yes'],
    ['hashpower_init', options.hashPower],
    ['slab_reassign', yesNo(automove.reassign)],
    ['slab_automove', automove.mode],
    ['slab_automove_ratio', automove.ratio.toFixed(2)],
    ['slab_automove_window', automove.window],
    ['slab_chunk_max', options.slabChunkMax],
    ['lru_crawler', yesNo(lru.crawler)],
    ['lru_crawler_sleep', lru.crawlerSleepUs],
    ['lru_crawler_tocrawl', lru.crawlerTocrawl],
    ['tail_repair_time', 0],
    ['flush_enabled', yesNo(options.flushEnabled)],
    ['dump_enabled', yesNo(facts.dumps)],
    ['hash_algorithm', 'wyhash'],
    ['lru_maintainer_thread', yesNo(lru.maintainer)],
    ['lru_segmented', yesNo(lru.segmented)],
    ['hot_lru_pct', lru.hotPercent],
    ['warm_lru_pct', lru.warmPercent],
    ['hot_max_factor', lru.hotFactor.toFixed(2)],
    ['warm_max_factor', lru.warmFactor.toFixed(2)],
    ['temp_lru', yesNo(lru.temporaryTtl !== null)],
    ['temporary_ttl', lru.temporaryTtl ?? TEMPORARY_TTL],
    ['idle_timeout', server?.idleTimeoutSec ?? 0],
    ['watcher_logbuf_size', server?.watcherLogBytes ?? 262_144],
    ['worker_logbuf_size', server?.workerLogBytes ?? options.logBytes],
    ['read_buf_mem_limit', 0],
    ['track_sizes', yesNo(facts.tracksSizes)],
    ['inline_ascii_response', 'no'],
    ['ssl_enabled', yesNo(tls !== null)],
    ...(tls
      ? ([
          ['ssl_chain_cert', tls.chainFile],
          ['ssl_key', tls.keyFile],
          ['ssl_verify_mode', tls.verify],
          ['ssl_keyformat', 1],
          ['ssl_ciphers', tls.ciphers ?? 'NULL'],
          ['ssl_ca_cert', tls.caFile ?? 'NULL'],
          ['ssl_wbuf_size', 16_384],
          ['ssl_session_cache', 'no'],
          ['ssl_kernel_tls', 'no'],
          ['ssl_min_version', tls.minVersion.toLowerCase()],
        ] as Line[])
      : []),
    ['num_napi_ids', '(null)'],
    ['memory_file', server?.memoryFile ?? '(null)'],
    ['client_flags_size', 4],
  ]
}
