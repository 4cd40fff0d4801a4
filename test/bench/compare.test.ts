/** `bench compare`: templates, ratios, the chart; and a tiny run of ours against memcached, for its counts only. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type CompareReport, type Measurement, ratioOf, type Series, spread } from '../../bench/speed/compare.js'
import { compareChart } from '../../bench/speed/compare-chart.js'
import { compareText } from '../../bench/speed/speed-report.js'
import { fillIn, parseTemplate } from '../../bench/speed/template.js'
import { run } from '../cli/process.js'

t.test('templates', async t => {
  const places = {
    port: 5,
    spare: 7,
    memory: 64,
    backends: [6, 8],
    directory: join(t.testdir({ 'r.yml': 'a: {port}\nb: {backend} {backend2}\n' }), 'out'),
  }
  t.same(fillIn(parseTemplate(`other -p {port} -s {spare} 'a b' -x={memory} "c"`), places), [
    'other',
    '-p',
    '5',
    '-s',
    '7',
    'a b',
    '-x=64',
    'c',
  ])
  const filled = fillIn(parseTemplate('memcached -p {port} -u someone'), places)
  t.same(filled, ['memcached', '-p', '5', '-u', 'someone', '-m', '64'], "memcached has the workload's memory")
  t.same(
    fillIn(parseTemplate('memcached -p {port} -m 10 -u someone'), places),
    'memcached -p 5 -m 10 -u someone'.split(' '),
  )
  const router = parseTemplate(`router -c {config:${join(places.directory, '../r.yml')}}`)
  t.equal(router.backends, 2)
  const [, , path = ''] = fillIn(router, places)
  t.equal(readFileSync(path, 'utf8'), 'a: 5\nb: 6 8\n')
  const refused = (text: string, message: string) => t.throws(() => parseTemplate(text), { message }, text)
  refused('', '--peer "": it must say where {port} goes, the server is told a free one')
  refused('memcached -p 1', '--peer "memcached -p 1": it must say where {port} goes, the server is told a free one')
  refused(
    'x {port} {host}',
    '--peer "x {port} {host}": {host} is none of {port}, {spare}, {memory}, {backend}, {config:<file>}',
  )
  refused('x -c {config:/nothing/x.yml}', '--peer "x -c {config:/nothing/x.yml}": there is no file /nothing/x.yml')
})

const measured = (requestsPerSec: number, serverCpuUsPerRequest: number | null) =>
  ({ requestsPerSec, serverCpuUsPerRequest }) as Measurement
const series = (name: string, ...rounds: Measurement[]): Series => ({ name, rounds, failed: null })

t.test('ratios are of one round, ours over theirs', async t => {
  t.same(spread([3, 1, 2]), { median: 2, min: 1, max: 3 })
  t.same(spread([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 })
  t.equal(spread([]), null)
  const ours = series('continuum', measured(200, 2), measured(400, 4), measured(300, 1))
  const peer = series('memcached', measured(100, 4), measured(100, 4))
  t.same(ratioOf(ours, peer), {
    peer: 'memcached',
    throughput: { median: 3, min: 2, max: 4 },
    cpu: { median: 0.75, min: 0.5, max: 1 },
  })
  t.same(ratioOf(ours, series('x', measured(0, null))), { peer: 'x', throughput: null, cpu: null })
})

const hasMemcached = existsSync('/usr/bin/memcached')
const hasTaskset = existsSync('/usr/bin/taskset')
const skip = hasMemcached && hasTaskset ? false : 'memcached or taskset is not installed'
const TINY = ['--keys', '400', '--fill', '400', '--connections', '4', '--requests', '300', '--rounds', '2']

t.test('a tiny run', { skip }, async t => {
  const out = t.testdir({})
  const words = [
    'bench',
    'compare',
    '--workload',
    'pipelined',
    '--workload',
    'multi-get',
    ...TINY,
    '--out',
    out,
    '--json',
  ]
  const { code, stdout, stderr } = await run(...words)
  t.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as CompareReport
  t.ok(report.isRight)
  t.same(
    report.comparisons.map(({ workload }) => workload.name),
    ['pipelined', 'multi-get'],
  )
  for (const { workload, series, ratios } of report.comparisons) {
    t.same(
      series.map(({ name, rounds, failed }) => [name, rounds.length, failed]),
      [
        ['continuum', 2, null],
        ['memcached', 2, null],
      ],
    )
    for (const { counts, ever } of series.flatMap(({ rounds }) => rounds)) {
      t.equal(counts.requests, 300)
      t.equal(counts.hits, counts.reads * workload.multiGet)
      t.match(ever, { wrong: 0, stale: 0, errors: 0, misses: 0 })
    }
    t.equal(ratios.length, 1)
    t.ok(ratios[0]!.throughput!.median > 0)
  }
  t.match(compareText(report), /pipelined +memcached/)
  const files = readdirSync(out).sort()
  t.equal(files.length, 2)
  t.same(JSON.parse(readFileSync(join(out, files[0]!), 'utf8')), report)
  const chart = readFileSync(join(out, files[1]!), 'utf8')
  t.match(chart, /^<svg [\s\S]*<\/svg>\s*$/)
  t.equal(chart, compareChart(report))
  t.notMatch(chart, /NaN|Infinity/)
})

t.test('bad input', { skip }, async t => {
  const refused = async (args: string[], sentence: string | RegExp) => {
    const { code, stdout, stderr } = await run('bench', 'compare', '--out', t.testdirName, ...args)
    t.equal(code, 1, args.join(' '))
    t.equal(stdout, '')
    if (typeof sentence === 'string') t.equal(stderr, `continuum: ${sentence}\n`)
    else t.match(stderr, sentence)
  }
  await refused(['--server-core', '1'], '--load-core 1: the servers run on that core')
  await refused(['--server-core', '999'], /^continuum: --server-core 999: this process may not use that core, /)
  await refused(
    ['--peer', 'memcached'],
    '--peer "memcached": it must say where {port} goes, the server is told a free one',
  )
  await refused(['--workload', 'nothing'], /^continuum: workload "nothing": there are /)
  const peer = 'no-such-program {port}'
  await refused(
    [...TINY, '--workload', 'pipelined', '--peer', peer],
    /^continuum: no-such-program ended before it listened: [^\n]*\n$/,
  )
  await refused(
    [...TINY, '--workload', 'pipelined', '--ours', '-Z'],
    /^continuum: continuum ended before it was ready: continuum: -Z [^\n]*\n$/,
  )
})
