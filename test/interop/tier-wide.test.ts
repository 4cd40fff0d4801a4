/** A tier of real processes as one memcached: what its router says and does for all of them. */
import { connect } from 'node:net'
import t from 'tap'
import { TextClient, TierProcesses } from './tier-processes.js'

const KEYS = 200
const keys = Array.from({ length: KEYS }, (_, i) => `key-${i}`)

const figures = (text: string) =>
  new Map([...text.matchAll(/^STAT (\S+) (.*)\r$/gm)].map(match => [match[1]!, match[2]!]))

/** Sends bytes cut into pieces of these sizes, in turn; resolves with everything up to `end`. */
function sendCut(port: number, text: string, cuts: number[], end: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let got = ''
    socket.setNoDelay(true)
    socket.on('error', reject)
    socket.on('data', bytes => {
      got += bytes.toString('latin1')
      if (!got.endsWith(end)) return
      socket.destroy()
      resolve(got)
    })
    const rest = (at: number, turn: number) => {
      if (at >= text.length) return
      const next = at + cuts[turn % cuts.length]!
      socket.write(text.slice(at, next), 'latin1', () => setImmediate(rest, next, turn + 1))
    }
    rest(0, 0)
  })
}

t.test('a router and two nodes', async t => {
  const tier = new TierProcesses()
  t.teardown(() => tier.stop())
  await tier.coordinator()
  await Promise.all([tier.node('a'), tier.node('b'), tier.node('router', '--weight', '0')])
  await tier.until(view => view.settled && view.nodes.length === 3 && view.nodes.every(node => node.state === 'up'))
  const router = new TextClient(tier.ports.get('router')!)
  const a = new TextClient(tier.ports.get('a')!)
  const b = new TextClient(tier.ports.get('b')!)
  t.teardown(() => {
    for (const client of [router, a, b]) client.close()
  })
  const each = (line: (key: string, i: number) => string) => keys.map(line).join('')
  const fill = () => router.all(each((key, i) => `set ${key} 0 0 ${String(i).length}\r\n${i}\r\n`))
  const found = async () => [...(await router.all(`get ${keys.join(' ')}\r\n`)).matchAll(/^VALUE/gm)].length

  await t.test('stats adds up what the nodes say', async t => {
    t.equal(await router.all('stats reset\r\n'), 'RESET\r\n')
    t.equal(await fill(), 'STORED\r\n'.repeat(KEYS))
    await router.all(`get ${keys.join(' ')} nothing\r\nincr key-5 1\r\ndelete none\r\n`)
    const all = figures(await router.all('stats\r\n'))
    const [ofA, ofB] = [figures(await a.all('stats\r\n')), figures(await b.all('stats\r\n'))]
    for (const [name, expected] of Object.entries({
      ...{ cmd_set: KEYS, get_hits: KEYS, incr_hits: 1, delete_misses: 1, curr_items: KEYS, total_items: KEYS },
      ...{ nodes: 3, nodes_missing: 0, limit_maxbytes: 2 * 128 * 1048576, accepting_conns: 1 },
    })) {
      t.equal(all.get(name), String(expected), name)
    }
    t.equal(
      all.get('cmd_get'),
      String(KEYS + 4),
      'each key counts once, where it lives; three times the end was asked for',
    )
    t.equal(Number(ofA.get('curr_items')) + Number(ofB.get('curr_items')), KEYS, 'a node tells its own')
    t.ok(Number(ofA.get('curr_items')) > 0 && Number(ofB.get('curr_items')) > 0)
    t.notOk(ofA.has('nodes'))
    const items = figures(await router.all('stats items\r\n'))
    t.equal(items.get('items:1:number'), String(KEYS))
    t.notOk(items.has('nodes_missing'))
    t.equal(figures(await router.all('stats slabs\r\n')).get('1:used_chunks'), String(KEYS))
    t.equal(figures(await router.all('stats settings\r\n')).get('maxbytes'), String(128 * 1048576), 'of who is asked')
    t.equal(await router.all('stats nonsense\r\n'), 'ERROR\r\n')
    t.equal(await router.all('stats nodes reset\r\n'), 'ERROR\r\n')
  })

  await t.test('stats nodes, through anybody', async t => {
    for (const client of [router, a]) {
      const parts = figures(await client.all('stats nodes\r\n'))
      t.equal(Number(parts.get('a:curr_items')) + Number(parts.get('b:curr_items')), KEYS)
      t.equal(parts.get('router:weight'), '0')
      t.equal(parts.get('b:answered'), 'yes')
      t.equal(parts.get('a:address'), `127.0.0.1:${tier.ports.get('a')}`)
    }
    t.equal(figures(await b.all('stats nodes settings\r\n')).get('a:num_threads'), '2')
  })

  await t.test('mn is a fence for requests that went to several nodes, whatever they were cut into', async t => {
    await fill()
    const quiet = each((key, i) => {
      const kind = i % 5
      if (kind === 0) return `ms ${key} 2 q\r\nq${i % 10}\r\n`
      if (kind === 1) return `mg ${key} v q k\r\nmg no-${key} v q\r\n`
      if (kind === 2) return `md no-${key} q O${i}\r\n`
      if (kind === 3) return `set ${key} 0 0 1 noreply\r\nn\r\n`
      return `ma ${key} q\r\nincr ${key} 0 noreply\r\nincr no-${key} 1\r\n`
    })
    const expected = keys.map((key, i) => {
      const kind = i % 5
      if (kind === 1) return `VA ${String(i).length} k${key}\r\n${i}\r\n`
      if (kind === 2) return `NF O${i}\r\n`
      return kind === 4 ? 'NOT_FOUND\r\n' : ''
    })
    const port = tier.ports.get('router')!
    for (const cuts of [[1e9], [1400], [7, 1, 2, 31, 5]]) {
      const text = await sendCut(port, `${quiet}mn\r\nget key-0\r\nmn\r\n`, cuts, 'END\r\nMN\r\n')
      t.equal(text, `${expected.join('')}MN\r\nVALUE key-0 0 2\r\nq0\r\nEND\r\nMN\r\n`, `cut into ${cuts.join(', ')}`)
    }
  })

  await t.test('flush_all and its delays', async t => {
    await fill()
    t.equal(await router.all('flush_all 1\r\n'), 'OK\r\n')
    t.equal(await found(), 0, 'a delay of one second acts at once, as in memcached')
    await fill()
    t.equal(await a.all('flush_all 100 noreply\r\nflush_all\r\n'), 'OK\r\n')
    t.equal(await found(), 0)
    await fill()
    t.equal(await b.all('flush_all 2\r\n'), 'OK\r\n')
    await fill()
    let left = await found()
    while (left > 0) left = await found()
    t.equal(left, 0, 'also what was written in between')
    t.equal(await router.all('flush_all soon\r\n'), 'CLIENT_ERROR invalid exptime argument\r\n')
    t.equal(figures(await router.all('stats\r\n')).get('cmd_flush'), '5', 'each counts once')
  })

  await t.test('auto-discovery, by the command and by the key that was before it', async t => {
    const text = await router.all('config get cluster\r\n')
    const body = text.replace(/^CONFIG cluster /, '')
    t.match(text, new RegExp(`127.0.0.1\\|127.0.0.1\\|${tier.ports.get('a')}`))
    t.equal(await b.all('get AmazonElastiCache:cluster\r\n'), `VALUE AmazonElastiCache:cluster ${body}`)
    const behind = await router.all(`get key-1\r\nget key-2\r\nget AmazonElastiCache:cluster\r\nget key-3\r\n`)
    t.equal(behind, `END\r\nEND\r\nVALUE AmazonElastiCache:cluster ${body}END\r\n`)
  })

  await t.test('a node that is gone: the others are told of, and that it is missing', async t => {
    await fill()
    const own = Number(figures(await a.all('stats\r\n')).get('curr_items'))
    await tier.kill('b')
    // The end of an answer cannot be asked for by a key now: it may live at the node that is gone.
    const port = tier.ports.get('router')!
    const ask = async (line: string) => figures(await sendCut(port, line, [1e9], 'END\r\n'))
    const all = await ask('stats\r\n')
    t.equal(all.get('nodes_missing'), '1')
    t.equal(all.get('curr_items'), String(own))
    t.equal((await ask('stats items\r\n')).get('nodes_missing'), '1')
    t.equal((await ask('stats nodes\r\n')).get('b:answered'), 'no')
    const refused = 'SERVER_ERROR stats reset was not confirmed by node b\r\n'
    t.equal(await sendCut(port, 'stats reset\r\n', [1e9], refused), refused)
  })
})
