/** Server lists in every form that people have them, and what is wrong with bad ones. */
import t from 'tap'
import { ListError, parseInline, parseListFile } from '../../lib/ring-report/server-list.js'
import { parseTwemproxy } from '../../lib/ring-report/twemproxy.js'

const sentence = (parse: () => unknown): string => {
  try {
    parse()
    return 'no error'
  } catch (error) {
    return error instanceof ListError ? error.message : String(error)
  }
}

t.test('lines of address, weight and name', async t => {
  const text = '# a tier\n10.0.0.1:11211\n\n10.0.0.2:11212 2 cache-b # big\n[2001:db8::1]:11211 0.5\n::1:11300\r\n'
  t.same(parseListFile(text).servers, [
    { host: '10.0.0.1', port: 11211 },
    { host: '10.0.0.2', port: 11212, weight: 2, name: 'cache-b' },
    { host: '2001:db8::1', port: 11211, weight: 0.5 },
    { host: '::1', port: 11300 },
  ])
  for (const [bad, words] of [
    ['', 'it names no server'],
    ['# nothing\n', 'it names no server'],
    ['a:1\nb', 'line 2: "b" is not host:port'],
    ['a:70000', 'line 1: "a:70000": "70000" is not a port'],
    ['a:1 -2', 'line 1: weight "-2" is not a number above 0'],
    ['a:1 0', 'line 1: weight "0" is not a number above 0'],
    ['a:1 NaN', 'line 1: weight "NaN" is not a number above 0'],
    ['a:1 1 x y', 'line 1: "a:1 1 x y" is not host:port weight name'],
  ] as const) {
    t.equal(
      sentence(() => parseListFile(bad)),
      words,
    )
  }
})

t.test('addresses on one line', async t => {
  t.same(parseInline('a:1,[::1]:2=3').servers, [
    { host: 'a', port: 1 },
    { host: '::1', port: 2, weight: 3 },
  ])
  t.equal(
    sentence(() => parseInline('a:1,')),
    '"" is not host:port',
  )
  t.equal(
    sentence(() => parseInline('a:1=')),
    'weight "" is not a number above 0',
  )
  t.equal(
    sentence(() => parseInline('a:1=2=3')),
    '"a:1=2=3" is not host:port=weight',
  )
})

t.test('a reply of config get cluster, in both of its forms', async t => {
  const payload = '12\nmy.cache.1|10.82.235.120|11211 my.cache.2||11212\n\r\nEND\r\n'
  for (const head of ['CONFIG cluster 0 52', 'VALUE AmazonElastiCache:cluster 0 52']) {
    t.same(parseListFile(`${head}\r\n${payload}`).servers, [
      { host: 'my.cache.1', ip: '10.82.235.120', port: 11211 },
      { host: 'my.cache.2', port: 11212 },
    ])
  }
  t.equal(
    sentence(() => parseListFile('CONFIG cluster 0 9\r\nx\na|b|1\n')),
    '"x" is not the version of a cluster configuration',
  )
  t.equal(
    sentence(() => parseListFile('CONFIG cluster 0 9\r\n1\na|1\n')),
    '"a|1" is not host|ip|port',
  )
  t.equal(
    sentence(() => parseListFile('CONFIG cluster 0 9\r\n1\n\n')),
    'it names no server',
  )
})

const POOLS = `
alpha:
  listen: 127.0.0.1:22121
  hash: md5
  hash_tag: "{}"
  distribution: ketama
  servers:
    - 127.0.0.1:11211:2 cache-a
    - ::1:11212:1
beta:
  servers: ["10.0.0.1:11211:1"]
`

t.test('a pool of twemproxy', async t => {
  t.same(parseTwemproxy(POOLS, 'alpha'), {
    dialect: 'twemproxy-md5',
    relationTag: '{}',
    servers: [
      { host: '127.0.0.1', port: 11211, weight: 2, name: 'cache-a' },
      { host: '::1', port: 11212, weight: 1 },
    ],
  })
  t.equal(parseTwemproxy(POOLS, 'beta').dialect, 'twemproxy-fnv1a_64', "twemproxy's default hash")
  for (const [bad, words] of [
    [POOLS, 'it has the pools alpha, beta: choose one with --pool'],
    ['a: [', /^it is not YAML: /],
    ['- 1', 'it has no pools'],
    ['a: 1', 'it has no pool "a", only a'],
    ['a: {servers: []}', 'pool "a" has no servers'],
    ['a: {servers: ["x:1:1"], distribution: modula}', /distribution modula: only ketama/],
    ['a: {servers: ["x:1:1"], hash: hsieh}', /hash hsieh: known are md5/],
    ['a: {servers: ["/tmp/s:1"]}', /unix socket/],
    ['a: {servers: ["x:1"]}', 'server "x:1" is not host:port:weight name'],
    ['a: {servers: ["x:1:0"]}', 'weight "0" is not a number above 0'],
  ] as const) {
    const told = sentence(() => parseTwemproxy(bad))
    if (typeof words === 'string') t.equal(told, words)
    else t.match(told, words)
  }
  t.match(
    sentence(() => parseTwemproxy(POOLS, 'gamma')),
    'it has no pool "gamma", only alpha, beta',
  )
})
