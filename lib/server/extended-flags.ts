/**
 * memcached's `-o` words (PROTOCOL D15) as one table: those that do something here, those that are taken and do nothing
 * because they tune machinery that this server does not have, and those that are refused, each with its reason. Pure.
 */
type Word =
  /** It does something here. */
  | { kind: 'works'; value: boolean | 'optional' }
  /** Taken, so that a memcached command line starts here too; what it tunes is not there. */
  | { kind: 'idle' }
  | { kind: 'refused'; reason: string }

const WORKS: Word = { kind: 'works', value: true }
const SWITCH: Word = { kind: 'works', value: false }
const OPTIONAL: Word = { kind: 'works', value: 'optional' }
const IDLE: Word = { kind: 'idle' }
const refused = (reason: string): Word => ({ kind: 'refused', reason })
const NO_PROXY = refused('there is no proxy: a node of weight 0 routes (see --weight)')

const WORDS: Readonly<Record<string, Word>> = {
  maxconns_fast: SWITCH,
  idle_timeout: WORKS,
  watcher_logbuf_size: WORKS,
  worker_logbuf_size: WORKS,
  ssl_chain_cert: WORKS,
  ssl_key: WORKS,
  ssl_verify_mode: WORKS,
  ssl_ca_cert: WORKS,
  ssl_ciphers: WORKS,
  ssl_min_version: WORKS,
  ssl_wbuf_size: IDLE,
  ssl_session_cache: IDLE,
  ssl_kernel_tls: IDLE,
  ssl_keyformat: refused('keys are PEM'),
  no_maxconns_fast: refused('a connection too many always gets an answer'),
  hashpower: WORKS,
  no_hashexpand: SWITCH,
  hash_algorithm: IDLE,
  tail_repair_time: IDLE,
  lru_crawler: SWITCH,
  no_lru_crawler: SWITCH,
  lru_crawler_sleep: WORKS,
  lru_crawler_tocrawl: WORKS,
  lru_maintainer: SWITCH,
  no_lru_maintainer: SWITCH,
  hot_lru_pct: WORKS,
  warm_lru_pct: WORKS,
  hot_max_factor: WORKS,
  warm_max_factor: WORKS,
  slab_reassign: SWITCH,
  no_slab_reassign: SWITCH,
  slab_automove: OPTIONAL,
  slab_automove_ratio: WORKS,
  slab_automove_window: WORKS,
  slab_automove_freeratio: WORKS,
  slab_chunk_max: WORKS,
  read_buf_mem_limit: IDLE,
  resp_obj_mem_limit: IDLE,
  inline_ascii_resp: IDLE,
  no_inline_ascii_resp: IDLE,
  modern: IDLE,
  no_modern: SWITCH,
  relaxed_privileges: IDLE,
  no_drop_privileges: IDLE,
  temporary_ttl: WORKS,
  slab_sizes: refused('chunk sizes follow -f and -n'),
  track_sizes: SWITCH,
  drop_privileges: refused('system calls are not filtered'),
  sock_cookie_id: refused('sockets are not marked'),
  proxy_config: NO_PROXY,
  proxy_arg: NO_PROXY,
  proxy_uring: NO_PROXY,
  proxy_memprofile: NO_PROXY,
}

export type ExtendedOptions =
  | { ok: true; values: Map<string, string>; idle: string[] }
  | { ok: false; sentence: string }

/** From the texts of all -o to the values of the words that work, and the names of those that do nothing. */
export function extendedOptions(lists: readonly string[]): ExtendedOptions {
  const values = new Map<string, string>()
  const idle: string[] = []
  for (const text of lists.flatMap(list => list.split(','))) {
    const at = text.indexOf('=')
    const name = at < 0 ? text : text.slice(0, at)
    const word = Object.hasOwn(WORDS, name) ? WORDS[name]! : null
    if (name.startsWith('ext_')) return { ok: false, sentence: `-o ${name}: there is no flash storage` }
    if (!word) return { ok: false, sentence: `-o ${text}: there is no such option` }
    if (word.kind === 'refused') return { ok: false, sentence: `-o ${name}: ${word.reason}` }
    if (word.kind === 'idle') {
      idle.push(name)
      continue
    }
    if ((word.value !== 'optional' && word.value !== at >= 0) || (at >= 0 && text.length === at + 1)) {
      return { ok: false, sentence: `-o ${text}: ${word.value ? `give ${name}=value` : 'takes no value'}` }
    }
    values.delete(name)
    values.set(name, at < 0 ? '' : text.slice(at + 1))
  }
  return { ok: true, values, idle }
}
