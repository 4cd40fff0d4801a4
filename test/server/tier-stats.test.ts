/** The rule of each name, and what is said of nodes that did not answer. */
import t from 'tap'
import { mergedStats, type NodeFigures, resetReply, statsByNode } from '../../lib/server/tier-stats.js'

function node(id: string, text: string | null, weight = 1): NodeFigures {
  const full = text === null ? null : `${text.trim().replaceAll(/^ */gm, 'STAT ').replaceAll('\n', '\r\n')}\r\nEND\r\n`
  return { id, host: '10.0.0.1', port: 11211, weight, text: full }
}

const list = (...lines: string[]) => [...lines.map(line => `STAT ${line}\r\n`), 'END\r\n'].join('')

t.test('general figures', async t => {
  const nodes = [
    node('router', 'pid 7\nuptime 5\nrusage_user 0.250000\ncurr_items 0\nlimit_maxbytes 64\naccepting_conns 1', 0),
    node(
      'a',
      'pid 8\nuptime 9\nrusage_user 1.500001\ncurr_items 18446744073709551614\nlimit_maxbytes 10\naccepting_conns 0',
    ),
    node('b', 'pid 9\nuptime 2\nrusage_user 3.000000\ncurr_items 2\nlimit_maxbytes 5\naccepting_conns 1\nnewer 4'),
    node('c', null),
  ]
  t.equal(
    mergedStats(nodes, []).toString(),
    list(
      ...['pid 7', 'uptime 9', 'rusage_user 4.750001', 'curr_items 18446744073709551616', 'limit_maxbytes 15'],
      ...['accepting_conns 0', 'newer 4', 'nodes 4', 'nodes_missing 1'],
    ),
  )
})

t.test('classes come together in order, totals last', async t => {
  const slabs = [
    node('a', '2:chunk_size 120\n2:used_chunks 1\nactive_slabs 1\ntotal_malloced 100'),
    node(
      'b',
      '1:chunk_size 96\n1:used_chunks 5\n2:chunk_size 120\n2:used_chunks 3\nactive_slabs 2\ntotal_malloced 200',
    ),
  ]
  t.equal(
    mergedStats(slabs, ['slabs']).toString(),
    list(
      ...['1:chunk_size 96', '1:used_chunks 5', '2:chunk_size 120', '2:used_chunks 4'],
      ...['active_slabs 2', 'total_malloced 300'],
    ),
  )
  const items = [
    node('a', 'items:10:number 4\nitems:10:age 100\nitems:10:evicted_time 0'),
    node('b', 'items:9:number 1\nitems:10:number 5\nitems:10:age 90\nitems:10:evicted_time 30'),
    node('c', 'items:10:evicted_time 20'),
  ]
  t.equal(
    mergedStats(items, ['items']).toString(),
    list('items:9:number 1', 'items:10:number 9', 'items:10:age 100', 'items:10:evicted_time 20'),
  )
  t.equal(
    mergedStats([node('a', 'sizes_status disabled'), node('b', null)], ['sizes']).toString(),
    list('sizes_status disabled', 'nodes_missing 1'),
  )
})

t.test('an active class of one node alone counts', async t => {
  const nodes = [node('a', '1:chunk_size 96\nactive_slabs 1'), node('b', '2:chunk_size 120\nactive_slabs 1')]
  t.match(mergedStats(nodes, ['slabs']).toString(), /STAT active_slabs 2\r\n/)
})

t.test('stats nodes has the parts', async t => {
  t.equal(
    statsByNode([node('a', 'curr_items 1'), node('b-2.x', null, 0)]).toString(),
    list(
      ...['a:address 10.0.0.1:11211', 'a:weight 1', 'a:answered yes', 'a:curr_items 1'],
      ...['b-2.x:address 10.0.0.1:11211', 'b-2.x:weight 0', 'b-2.x:answered no'],
    ),
  )
})

t.test('stats reset', async t => {
  t.equal(resetReply([node('a', 'RESET')]).toString(), 'RESET\r\n')
  t.match(resetReply([node('a', 'RESET'), node('b', null), node('c', null)]).toString(), /^SERVER_ERROR .* b, c\r\n$/)
})
