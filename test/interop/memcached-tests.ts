/**
 * What memcached's own test files (Debian's 1.6.18) give against `continuum server`. The names are files of its t/; one
 * line a file, one reason for whatever does not simply pass.
 */
export type Expected =
  | 'pass'
  /** Not run: what it is about is not there, on purpose. */
  | { left: string }
  | Known

export interface Known {
  /** Fails in just these assertions, by number. */
  differs?: Readonly<Record<number, string>>
  /** The text of the file is changed so: what memcached 1.6.40 and later answer (PROTOCOL D14), or what has a reason beside it. */
  edited?: readonly (readonly [RegExp, string])[]
}

/** So many of them start so many servers, or wait so long, that they take more than 20 s on two processors: MEMCACHED_TESTS=all runs them. */
export const SLOW: ReadonlySet<string> = new Set([
  '00-startup.t',
  'chunked-items.t',
  'flush-all.t',
  'idle-timeout.t',
  'item_size_max.t',
  'lru-crawler.t',
  'lru-maintainer.t',
  'restart.t',
  'shutdown.t',
])

const pass = 'pass' as const
const BINARY = { left: 'binary protocol' }
const FLASH = { left: 'extstore' }

export const FILES: Readonly<Record<string, Expected>> = {
  '00-startup.t': { differs: { 13: 'binary protocol', 16: 'binary protocol' } },
  '64bit.t': { left: 'its server gets a faked amount of memory by an environment variable of the debug build' },
  'ascii-auth.t': pass,
  'binary-extstore.t': BINARY,
  'binary-get.t': BINARY,
  'binary-sasl.t': BINARY,
  'binary.t': BINARY,
  'bogus-commands.t': pass,
  'cas.t': {
    edited: [
      [/ERROR(?=.{4}", "cas empty)/, 'CLIENT_ERROR bad command line format'],
      // The data of a line with an error is swallowed, not taken for commands.
      [/^.*error out on barval2.*$/m, 'pass();'],
    ],
  },
  'chunked-extstore.t': FLASH,
  'chunked-items.t': pass,
  'conn-limits.t': { left: 'read_buf_mem_limit: the buffers of a thread are its own and of a fixed size' },
  'daemonize.t': {
    // The port is open a little before the pid file is there: with Node on a busy machine more than half a second.
    edited: [[/sleep 0\.5;/, 'sleep 0.1 until -s $tmpfn;']],
  },
  'dash-M.t': pass,
  'dyn-maxbytes.t': pass,
  'error-extstore.t': FLASH,
  'evictions.t': pass,
  'expirations.t': pass,
  'extstore-buckets.t': FLASH,
  'extstore-jbod.t': FLASH,
  'extstore.t': FLASH,
  'flags.t': pass,
  'flush-all.t': { differs: { 27: 'without cas a set in the second of a flush is not lost here' } },
  'getandtouch.t': pass,
  'getset.t': pass,
  'idle-timeout.t': pass,
  'incrdecr.t': pass,
  'issue_104.t': pass,
  'issue_108.t': pass,
  'issue_14.t': pass,
  'issue_140.t': pass,
  'issue_152.t': pass,
  'issue_163.t': pass,
  'issue_183.t': pass,
  'issue_192.t': pass,
  'issue_22.t': pass,
  'issue_260.t': pass,
  'issue_29.t': pass,
  'issue_3.t': {
    differs: { 2: 'delete ignores further words since 1.6.40', 4: 'so the key of that delete is gone' },
  },
  'issue_41.t': pass,
  'issue_42.t': pass,
  'issue_50.t': BINARY,
  'issue_61.t': { differs: { 7: '-R is a share here: six small commands are no reason to yield' } },
  'issue_67.t': {
    differs: { 11: '-p 0 alone is any free port here, as there would be no way in otherwise' },
    edited: [
      // Two seconds for a start are too few for Node on a busy machine.
      [/1\.\.20\b/, '1..200'],
      // 11212 to 11214 may be those of a tier that `npm start` began.
      [/\b11(212|222|232|233|242|252|262|272)\b/g, '21$1'],
    ],
  },
  'issue_68.t': pass,
  'issue_70.t': pass,
  'item_size_max.t': pass,
  'line-lengths.t': pass,
  'lru-crawler.t': {
    differs: { 100: 'metadump begins with OK since 1.6.43', 70222: 'the same' },
  },
  'lru-maintainer.t': pass,
  'lru.t': {
    edited: [
      // The page of the chains' heads counts within -m here: one eviction more, and one key more that is looked for.
      [/tests => 149/, 'tests => 150'],
      [/evictions == 37/, 'evictions == 38'],
    ],
  },
  'malicious-commands.t': pass,
  'maxconns.t': pass,
  'metaget.t': { edited: [[/"ERROR(?=.{4}", "error from blank)/, '"CLIENT_ERROR bad command line format']] },
  'misbehave.t': pass,
  'multiversioning.t': pass,
  'noreply.t': pass,
  'proxy.t': { left: 'Lua proxy' },
  'quit.t': pass,
  'refhang.t': pass,
  'restart.t': { differs: { 1: 'the memory file is one file: an empty .meta beside it means nothing' } },
  'shutdown.t': { edited: [[/"ERROR(?=: shutdown)/, '"SERVER_ERROR']] },
  'slabhang.t': pass,
  'slabs-reassign-chunked.t': pass,
  'slabs-reassign2.t': pass,
  'slabs_reassign.t': pass,
  'ssl_cert_refresh.t': pass,
  'ssl_ports.t': pass,
  'ssl_proto_version.t': pass,
  'ssl_session_resumption.t': pass,
  'ssl_settings.t': { differs: { 12: 'ssl_wbuf_size tunes nothing here' } },
  'ssl_verify_modes.t': pass,
  'stats-conns.t': pass,
  'stats-detail.t': pass,
  'stats.t': { differs: { 1: 'counts the figures, of which 1.6.45 has more; and some are our own' } },
  'strtol-testing.t': pass,
  'touch.t': pass,
  'udp.t': {
    edited: [
      // Without the part about the binary protocol: such a datagram gets no answer.
      [/tests => 67/, 'tests => 50'],
      [/\(::IS_ASCII,::IS_BINARY\)/, '(::IS_ASCII)'],
    ],
  },
  'unixsocket.t': pass,
  'watcher.t': pass,
  'watcher_connid.t': pass,
  'whitespace.t': pass,
}
