import { availableParallelism } from 'node:os'
import t from 'tap'
import { LRU_DEFAULTS } from '../../lib/engine/lru-words.js'
import { type FlagValues, MEMORY_LIMIT_MB_MAX, parseFlags } from '../../lib/server/flags.js'

const SSL = 'ssl_chain_cert=c,ssl_key=k'

t.test('defaults are memcached’s', async t => {
  t.same(parseFlags({}), {
    ok: true,
    options: {
      ...{
        listen: [{ host: '127.0.0.1', port: 11_211 }],
        udp: [],
        unix: null,
        memoryLimitMb: 64,
        threads: Math.min(4, availableParallelism()),
        itemSizeMax: 1 << 20,
      },
      ...{ maxConnections: 1024, factor: 1.25, chunkSizeMin: 48, evictions: true, cas: true, flush: true },
      ...{ shutdown: false, watch: true, prefixDelimiter: null, debugCommands: false },
      ...{ watcherLogBytes: 262_144, workerLogBytes: 65_536, protocol: 'auto-negotiate' },
      dumps: true,
      lru: { settings: LRU_DEFAULTS, hashPower: 16, hashExpands: true, tracksSizes: false },
      ...{ reqsPerEvent: 20, backlog: 1024, verbosity: 0, loop: 'auto', idleTimeoutSec: 0 },
      ...{ daemon: false, memoryFile: null, pidFile: null, user: null, authFile: null, tls: null, withoutEffect: [] },
      slabs: {
        chunkMax: null,
        automove: { reassign: true, mode: 1, window: 10, ratio: 0.8, freeRatio: 0.01 },
      },
    },
  })
})

t.test('what people write', async t => {
  const options = (values: FlagValues) => {
    const parsed = parseFlags(values)
    return parsed.ok ? parsed.options : parsed.sentence
  }
  t.match(options({ 'udp-port': '5' }), { listen: [{ port: 5 }], udp: [{ port: 5 }] }, 'UDP alone names both ports')
  t.match(options({ 'udp-port': '5', port: '6' }), { listen: [{ port: 6 }], udp: [{ port: 5 }] })
  const places = (values: FlagValues) => {
    const parsed = options(values)
    return typeof parsed === 'string'
      ? parsed
      : [...parsed.listen.map(({ host, port }) => `${host} ${port}`), parsed.unix]
  }
  t.same(places({ port: '-1' }), ['127.0.0.1 0', null])
  t.same(places({ port: '0' }), ['127.0.0.1 0', null], 'any port, as there is no other way in')
  t.same(places({ port: '0', 'unix-socket': 'a' }), [{ path: 'a', mode: 0o700 }], 'no TCP')
  t.match(options({ port: '0', 'udp-port': '5' }), { listen: [], udp: [{ port: 5 }] }, 'no TCP')
  t.match(options({ 'stat-prefix': '|x', 'disable-watch': true, 'disable-dumping': true, 'enable-shutdown': true }), {
    ...{ prefixDelimiter: '|', watch: false, dumps: false, shutdown: true },
  })
  t.match(options({ extended: 'watcher_logbuf_size=8' }), { watcherLogBytes: 8192 })
  t.same(places({ listen: '127.0.0.1:4000' }), ['127.0.0.1 4000', null])
  t.same(places({ listen: ['::1'], port: '5' }), ['::1 5', null])
  t.same(places({ listen: '[::1]:7' }), ['::1 7', null])
  const several = ['127.0.0.1,[::1]:7', 'cache.example:8']
  t.same(places({ listen: several }), ['127.0.0.1 11211', '::1 7', 'cache.example 8', null])
  t.same(places({ 'unix-socket': '/run/a' }), [{ path: '/run/a', mode: 0o700 }], 'instead of TCP')
  t.same(places({ 'unix-socket': 'a', 'unix-mask': '0766', port: '9' }), ['127.0.0.1 9', { path: 'a', mode: 0o766 }])
  const udp = {
    udp: [
      { host: '::1', port: 5 },
      { host: '127.0.0.1', port: 7 },
    ],
  }
  t.match(options({ listen: '::1,127.0.0.1:7', 'udp-port': '5' }), udp, 'a port of its own is that of both')
  t.match(options({ extended: ['idle_timeout=30,modern', 'hash_algorithm=xxh3'], 'udp-port': '0' }), {
    ...{ idleTimeoutSec: 30, withoutEffect: ['-o modern', '-o hash_algorithm'] },
  })
  t.match(options({ 'enable-ssl': true, extended: [SSL, 'ssl_min_version=TLSv1.3'], listen: 'notls:::1,a:5' }), {
    tls: { chainFile: 'c', keyFile: 'k', caFile: null, verify: 0, ciphers: null, minVersion: 'TLSv1.3' },
    listen: [
      { host: '::1', port: 11_211, isPlain: true },
      { host: 'a', port: 5 },
    ],
  })
  t.match(options({ daemon: true, pidfile: '/run/p', user: 'nobody', protocol: 'auto' }), {
    ...{ daemon: true, pidFile: '/run/p', user: 'nobody' },
  })
  t.match(options({ 'max-item-size': '2m' }), { itemSizeMax: 2 << 20 })
  t.match(options({ 'max-item-size': '512k', 'udp-port': '0', protocol: 'ascii' }), { itemSizeMax: 512 << 10 })
  t.match(options({ 'disable-evictions': true, 'disable-cas': true, 'disable-flush-all': true, verbose: 2 }), {
    ...{ evictions: false, cas: false, flush: false, verbosity: 2 },
  })
})

t.test('one sentence with the value for everything that cannot be', async t => {
  const sentences: [FlagValues, string][] = [
    [{ 'memory-limit': '0' }, '-m 0: too small, give at least 1'],
    [
      { 'memory-limit': '4096' },
      `-m 4096: too large, a node holds at most ${MEMORY_LIMIT_MB_MAX}: run more nodes on this machine`,
    ],
    [{ 'memory-limit': '1g' }, '-m 1g: must be a number of megabytes'],
    [{ port: '65536' }, '-p 65536: must be a whole number from 0 to 65535'],
    [{ port: 'x' }, '-p x: must be a whole number from 0 to 65535'],
    [{ threads: '0' }, '-t 0: must be a whole number from 1 to 64'],
    [{ 'conn-limit': '-5' }, '-c -5: must be a whole number from 1 to 1000000'],
    [{ 'max-item-size': '1' }, '-I 1: must be from 1k to 1024m'],
    [{ 'max-item-size': '40m' }, '-I 40m: must be at most half of -m 64'],
    [{ 'slab-growth-factor': '1' }, '-f 1: must be greater than 1 and at most 10'],
    [{ listen: 'a b' }, '-l a b: must be an address, host or host:port'],
    [{ listen: ['127.0.0.1', '::1,1.2.3.4:65536'] }, '-l 1.2.3.4:65536: must be an address, host or host:port'],
    [{ listen: '127.0.0.1,' }, '-l : must be an address, host or host:port'],
    [{ 'unix-socket': '' }, '-s: give the path of a socket'],
    [{ 'unix-socket': `/${'x'.repeat(107)}` }, `-s /${'x'.repeat(107)}: a path of 108 bytes is too long, 107 fit`],
    [{ 'unix-socket': 'a', 'unix-mask': '888' }, '-a 888: must be octal permissions such as 0700'],
    [{ 'udp-port': 'x' }, '-U x: must be a whole number from 0 to 65535'],
    [{ 'udp-port': '5', 'auth-file': 'f' }, '-U 5: a datagram cannot authenticate, as -Y wants'],
    [{ protocol: 'binary' }, '-B binary: only the ascii protocol is spoken'],
    [{ extended: 'maxconns_fast,mordern' }, '-o mordern: there is no such option'],
    [{ extended: ['ext_path=/x:1g'] }, '-o ext_path: there is no flash storage'],
    [{ extended: 'no_maxconns_fast' }, '-o no_maxconns_fast: a connection too many always gets an answer'],
    [{ 'stat-prefix': '' }, '-D : give one visible character'],
    [{ extended: 'worker_logbuf_size=0' }, '-o worker_logbuf_size=0: must be a number of kilobytes from 1 to 16384'],
    [{ extended: 'idle_timeout' }, '-o idle_timeout: give idle_timeout=value'],
    [{ extended: 'maxconns_fast=1' }, '-o maxconns_fast=1: takes no value'],
    [{ extended: 'idle_timeout=soon' }, '-o idle_timeout=soon: must be a whole number of seconds'],
    [{ 'enable-ssl': true }, '-Z needs -o ssl_chain_cert=file and -o ssl_key=file'],
    [{ extended: 'ssl_key=k' }, '-o ssl_key needs -Z'],
    [{ 'enable-ssl': true, extended: `${SSL},ssl_verify_mode=4` }, '-o ssl_verify_mode=4: must be 0, 1, 2 or 3'],
    [{ 'enable-ssl': true, extended: `${SSL},ssl_verify_mode=2` }, '-o ssl_verify_mode=2 needs -o ssl_ca_cert=file'],
    [
      { 'enable-ssl': true, extended: [SSL, 'ssl_min_version=tlsv1.1'] },
      '-o ssl_min_version=tlsv1.1: must be 2 (tlsv1.2) or 3 (tlsv1.3)',
    ],
    [
      { 'enable-ssl': true, extended: SSL, loop: 'epoll' },
      '--loop epoll: TLS needs the net loop, which -Z takes by itself',
    ],
    [
      { 'enable-ssl': true, extended: SSL, loop: 'uring' },
      '--loop uring: TLS needs the net loop, which -Z takes by itself',
    ],
    [{ loop: 'libuv' }, '--loop libuv: must be auto, net, epoll or uring'],
  ]
  for (const [values, sentence] of sentences) t.same(parseFlags(values), { ok: false, sentence })
})

t.test('-o: LRU lists, crawler, hash table', async t => {
  const lru = (...extended: string[]) => {
    const parsed = parseFlags({ extended })
    return parsed.ok ? parsed.options.lru : parsed.sentence
  }
  t.match(lru('hot_lru_pct=10,warm_lru_pct=70', 'hot_max_factor=0.5,warm_max_factor=3,temporary_ttl=61'), {
    settings: { hotPercent: 10, warmPercent: 70, hotFactor: 0.5, warmFactor: 3, temporaryTtl: 61, segmented: true },
  })
  t.match(lru('no_lru_maintainer'), { settings: { maintainer: false, segmented: false, crawler: true } })
  t.match(lru('no_modern,lru_crawler'), { settings: { maintainer: false, segmented: false, crawler: true } })
  t.match(lru('lru_crawler,no_modern'), { settings: { maintainer: false, crawler: false } })
  t.match(lru('no_lru_maintainer,no_lru_crawler', 'lru_maintainer'), { settings: { maintainer: true, crawler: false } })
  t.match(lru('hashpower=20,no_hashexpand,track_sizes,lru_crawler_sleep=0,lru_crawler_tocrawl=5'), {
    ...{ hashPower: 20, hashExpands: false, tracksSizes: true },
    settings: { crawlerSleepUs: 0, crawlerTocrawl: 5 },
  })
  t.equal(lru('hot_lru_pct=80'), '-o hot_lru_pct=80: must be a whole number from 1 to 79')
  t.equal(lru('hot_lru_pct=50'), '-o hot_lru_pct=50,warm_lru_pct=40: must not be more than 80 together')
  t.equal(lru('warm_max_factor=0'), '-o warm_max_factor=0: must be a number greater than 0')
  t.equal(lru('hashpower=11'), '-o hashpower=11: must be a whole number from 12 to 28')
  t.equal(lru('lru_crawler_sleep=1000001'), '-o lru_crawler_sleep=1000001: must be a whole number from 0 to 1000000')
  t.equal(lru('temporary_ttl=5,no_lru_maintainer'), '-o temporary_ttl: needs the LRU maintainer, which -o turned off')
  t.equal(lru('track_sizes=1'), '-o track_sizes=1: takes no value')
})
