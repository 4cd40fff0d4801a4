/** What fuzzing starts from: one of everything that the text protocol has, good and not so good. */
const block = (line: string, value: string): string => `${line.replace('#', String(value.length))}\r\n${value}\r\n`

const KEYS = ['a', 'b', 'key', 'k2']
const VALUES = ['', '7', '12 ', 'hello', '18446744073709551615', 'x'.repeat(300)]

const storage = ['set', 'add', 'replace', 'append', 'prepend'].flatMap(verb =>
  KEYS.flatMap((key, i) => [
    block(`${verb} ${key} ${i} 0 #`, VALUES[i]!),
    block(`${verb} ${key} 0 ${i * 10} # noreply`, VALUES[i + 2]!),
  ]),
)
const retrieval = ['get a', 'get b key', 'gets a b k2', 'get nothing', 'gat 100 a', 'gats 0 a key b', 'gat -1 k2']
const keyed = [
  'delete a',
  'delete key noreply',
  'touch b 100',
  'touch a -1 noreply',
  'incr b 1',
  'decr b 100',
  'incr a 5 noreply',
]
const metaLines = [
  ...[
    'mg a',
    'mg a v',
    'mg b s v f c k t h l Oabc',
    'mg none q',
    'mg none k O1',
    'mg key v N30',
    'mg key R30 v t',
    'mg YQ== b k v',
  ],
  ...[
    'mg a v T30 u',
    'mg a C1 v',
    'mg new v N0 E77 k',
    'md a',
    'md b q',
    'md key I T30',
    'md key x',
    'md k2 C1 k O9',
    'md YQ== b q',
  ],
  ...[
    'ma b',
    'ma b v D5 MD',
    'ma num N0 J13 v',
    'ma b q',
    'ma YQ== b N9 k',
    'ma b M- T5 t c',
    'me a',
    'me YQ== b x',
    'mn',
  ],
]
const metaSets = [
  'ms a #',
  'ms b # k O5 c',
  'ms key # T30 F7 q',
  'ms YQ== # b k',
  'ms a # MA',
  'ms new # MP N30',
  'ms a # C1 I',
  'ms a # E9 c s',
  'ms b # ME q',
]
const rare = [
  'flush_all',
  'flush_all 1',
  'flush_all noreply',
  'flush_all 100',
  'verbosity 1',
  'verbosity 1 noreply',
  'version',
  'quit',
]
const slow = [
  'stats',
  'stats items',
  'config get cluster',
  'watch mutations',
  'lru_crawler metadump all',
  'slabs automove 1',
  'shutdown',
  'get AmazonElastiCache:cluster',
]
const bad = [
  'foo',
  ' get a',
  ' set a 0 0 1',
  'GET / HTTP/',
  'GET / HTTP/1.1',
  'get',
  'set',
  'set a 0 0',
  'incr a',
  'gat 5',
  'mg',
  'ms a',
  '',
  'a',
  ' ',
  'ms a S1',
  'mz a',
]

export const COMMANDS: readonly string[] = [
  ...storage,
  ...KEYS.map(key => block(`cas ${key} 0 0 # 3`, 'cas')),
  ...metaSets.flatMap((line, i) => [block(line, VALUES[i % VALUES.length]!), block(line, '1')]),
  ...[...retrieval, ...keyed, ...metaLines, ...rare, ...slow, ...bad].map(line => `${line}\r\n`),
  ...retrieval.map(line => `${line}\n`),
  `get ${'k'.repeat(250)}\r\n`,
  `get ${'k'.repeat(251)} a\r\n`,
  block(`set ${'k'.repeat(251)} 0 0 #`, 'value'),
  block('set big 0 0 #', 'z'.repeat(1500)),
  'set a 0 0 5\r\nhelloo\r\n',
  'set a 0 0 -1\r\nhello\r\n',
  'set huge 0 0 2000000\r\n',
  'get a b c d e f g h i j k l m n o p q r s t u v w x y z\r\n',
  `mg a ${'v '.repeat(30)}\r\n`,
]
