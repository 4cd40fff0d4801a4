/** `continuum ring` as people run it: files and tiers in, tables, JSON and pictures out, one sentence when something is wrong. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { run, start } from './process.js'

const THREE = '10.0.0.1:11212,10.0.0.2:11212,10.0.0.3:11212'
const FOUR = `${THREE},10.0.0.4:11212`
const ring = (...args: string[]) => run('ring', ...args)

async function json<Shape>(t: Test, ...args: string[]): Promise<Shape> {
  const { code, stdout, stderr } = await ring(...args, '--json')
  t.same([code, stderr], [0, ''], args.join(' '))
  return JSON.parse(stdout) as Shape
}

t.test('lookup', async t => {
  const { stdout } = await ring('lookup', THREE, 'foo', 'bar', '--successors', '2')
  t.equal(
    stdout,
    [
      'key    position  server          successors',
      'foo  3675831724  10.0.0.1:11212  10.0.0.2:11212 10.0.0.3:11212',
      'bar   421377335  10.0.0.2:11212  10.0.0.1:11212 10.0.0.3:11212',
      '',
    ].join('\n'),
  )
  const tagged = await json<{ keys: { server: string; position: number }[] }>(
    t,
    ...['lookup', THREE, 'a:{7}', 'b:{7}', '--tag', '{}'],
  )
  t.equal(tagged.keys[0]!.position, tagged.keys[1]!.position)
})

t.test('spread, points and a picture', async t => {
  const dir = t.testdir()
  const list = join(dir, 'servers.txt')
  writeFileSync(list, '10.0.0.1:11211 1\n10.0.0.2:11211 3 big\n')
  const spread = await json<{ servers: { server: string; points: number; ideal: number }[] }>(
    t,
    ...['spread', list, '--dialect', 'continuum', '--svg', join(dir, 'ring.svg')],
  )
  t.match(spread.servers, [
    { server: '10.0.0.1:11211', points: 160, ideal: 0.25 },
    { server: 'big', points: 480, ideal: 0.75 },
  ])
  t.match(readFileSync(join(dir, 'ring.svg'), 'utf8'), /^<svg /)
  const points = await json<{ points: { point: number }[] }>(t, 'points', list, '--points', '100')
  t.ok(points.points.length >= 192 && points.points.length <= 200)
  t.same(
    points.points,
    points.points.toSorted((a, b) => a.point - b.point),
  )
})

t.test('points ascend in the numbers of each program', async t => {
  for (const dialect of ['dalli', 'npm-ketama', 'uhashring-ketama', 'continuum']) {
    const { points } = await json<{ points: { point: number; server: string }[] }>(
      t,
      'points',
      THREE,
      '--dialect',
      dialect,
    )
    t.ok(points.length > 100)
    t.same(
      points.map(({ point }) => point),
      points.map(({ point }) => point).toSorted((a, b) => a - b),
      dialect,
    )
  }
})

t.test('names of a twemproxy pool mean nothing to npm memcached', async t => {
  const file = join(t.testdir(), 'nutcracker.yml')
  const names = ['a', 'b', 'c'].map((name, i) => `"10.0.0.${i + 1}:11212:1 ${name}"`)
  writeFileSync(file, `main: {hash: md5, distribution: ketama, servers: [${names.join(', ')}]}\n`)
  const named = await json<{ moved: number }>(t, 'diff', file, '--to-dialect', 'node-memcached')
  t.ok(named.moved > 0.3, `${named.moved} of the keys`)
  t.match(await json(t, 'diff', THREE, THREE, '--dialect', 'twemproxy-md5', '--to-dialect', 'node-memcached'), {
    moved: 0,
  })
})

t.test('diff: a join, and a change of dialect', async t => {
  const join4 = await json<{ moved: number; ideal: number; needless: number }>(t, 'diff', THREE, FOUR)
  t.match(join4, { ideal: 0.25, needless: 0, method: 'arcs' })
  t.ok(join4.moved > 0.2 && join4.moved < 0.3)
  const { stdout } = await ring('diff', THREE, '--to-dialect', 'dalli', '--keys', '1000')
  t.match(stdout, /^libmemcached-weighted -> dalli: .*a sample of 1000 keys/)
})

t.test('a twemproxy pool brings its dialect', async t => {
  const file = join(t.testdir(), 'nutcracker.yml')
  writeFileSync(
    file,
    'main: {hash: md5, distribution: ketama, servers: ["10.0.0.1:11211:1 a", "10.0.0.2:11211:1 b"]}\n',
  )
  t.match(await json(t, 'spread', file), { dialect: 'twemproxy-md5', servers: [{ server: 'a' }, { server: 'b' }] })
})

t.test('a tier as the list', async t => {
  const { ready } = await start(t, 'coordinator', '--listen', '127.0.0.1:0', '--data-dir', t.testdir())
  const url = `embedded://127.0.0.1:${(ready as { port: number }).port}`
  const { code, stderr } = await ring('spread', '--tier', url)
  t.same([code, stderr], [1, `continuum: the tier at ${url} has no ring yet\n`])
  await start(t, 'server', '-p', '0', '-m', '16', '--join', url, '--node-id', 'a')
  let looked = await ring('lookup', '--tier', url, 'foo', '--json')
  while (looked.code !== 0) looked = await ring('lookup', '--tier', url, 'foo', '--json')
  t.match(JSON.parse(looked.stdout), { dialect: 'libmemcached-weighted', keys: [{ server: /^127\.0\.0\.1:\d+$/ }] })
})

t.test('bad input is told in one sentence', async t => {
  for (const [args, words] of [
    [['lookup', THREE], 'ring lookup: give a list and at least one key'],
    [['lookup', THREE, ''], 'the key "" is empty: a key has at least one byte'],
    [['spread'], 'ring spread: give one list'],
    [
      ['spread', 'nowhere.txt'],
      'the server list nowhere.txt cannot be read (there is no such file or directory); a list on the command line is host:port,host:port',
    ],
    [['spread', 'a:99999'], '"a:99999": "99999" is not a port'],
    [['spread', 'a:1,a:1'], 'server a:1 is listed twice'],
    [['spread', 'a:1=-1'], 'a:1=-1: weight "-1" is not a number above 0'],
    [['spread', 'a:1', '--points', '6'], '6 points per server: it must be a multiple of 4 from 4 to 65532'],
    [['spread', 'a:1', '--tag', '{'], 'relation tag "{": it must be two printable characters, like "{}"'],
    [['diff', THREE], 'ring diff: give two lists, or one list and --to-dialect'],
    [
      ['spread', THREE, '--svg', '/nowhere/x.svg'],
      '--svg /nowhere/x.svg cannot be written (there is no such file or directory)',
    ],
  ] as const) {
    const { code, stdout, stderr } = await ring(...args)
    t.same([code, stdout, stderr], [1, '', `continuum: ${words}\n`], args.join(' '))
  }
  t.match((await ring('spread', THREE, '--dialect', 'ketchup')).stderr, /^continuum: "ketchup" is not a ring dialect/)
  const { code, stderr } = await ring('spread', 'a:1=2,b:1', '--dialect', 'proxy-ketama')
  t.same([code, stderr], [0, 'continuum: proxy-ketama knows no weights: weight 2 of a:1 does not count\n'])
})
