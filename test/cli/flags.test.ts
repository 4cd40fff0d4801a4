import { availableParallelism } from 'node:os'
import t from 'tap'
import { type FlagValues, MEMORY_LIMIT_MB_MAX, parseFlags } from '../../lib/server/flags.js'

t.test('defaults are memcached’s', async t => {
  t.same(parseFlags({}), {
    ok: true,
    options: {
      ...{
        port: 11_211,
        listen: '127.0.0.1',
        memoryLimitMb: 64,
        threads: Math.min(4, availableParallelism()),
        itemSizeMax: 1 << 20,
      },
      ...{ maxConnections: 1024, factor: 1.25, chunkSizeMin: 48, evictions: true, cas: true, flush: true },
      ...{ reqsPerEvent: 20, backlog: 1024, verbosity: 0, loop: 'auto' },
    },
  })
})

t.test('what people write', async t => {
  const options = (values: FlagValues) => {
    const parsed = parseFlags(values)
    return parsed.ok ? parsed.options : parsed.sentence
  }
  t.match(options({ port: '-1' }), { port: 0 })
  t.match(options({ listen: '127.0.0.1:4000' }), { listen: '127.0.0.1', port: 4000 })
  t.match(options({ listen: '::1', port: '5' }), { listen: '::1', port: 5 })
  t.match(options({ listen: '[::1]:7' }), { listen: '::1', port: 7 })
  t.match(options({ 'max-item-size': '2m' }), { itemSizeMax: 2 << 20 })
  t.match(options({ 'max-item-size': '512k', 'udp-port': '0', protocol: 'ascii' }), { itemSizeMax: 512 << 10 })
  t.match(options({ 'disable-evictions': true, 'disable-cas': true, 'disable-flush-all': true, verbose: 2 }), {
    ...{ evictions: false, cas: false, flush: false, verbosity: 2 },
  })
})

t.test('one sentence with the value for everything that cannot be', async t => {
  const sentences: [FlagValues, string][] = [
    [{ 'memory-limit': '0' }, '-m 0: too small, give at least 8'],
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
    [{ listen: 'a b' }, '-l a b: must be one address, host or host:port'],
    [{ listen: '127.0.0.1,::1' }, '-l 127.0.0.1,::1: must be one address, host or host:port'],
    [{ 'udp-port': '11211' }, '-U 11211: UDP is not supported, only -U 0'],
    [{ protocol: 'binary' }, '-B binary: only the ascii protocol is spoken'],
    [{ extended: 'maxconns_fast,modern' }, '-o modern: this option is not supported'],
    [{ 'enable-ssl': true }, '-Z (--enable-ssl): TLS is not supported yet'],
    [{ loop: 'uring' }, '--loop uring: must be auto, net or epoll'],
  ]
  for (const [values, sentence] of sentences) t.same(parseFlags(values), { ok: false, sentence })
})
