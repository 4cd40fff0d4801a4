/** memcached's words for slabs and cache_memlimit, by a data plane; and the mover on the control thread's loop. */
import t from 'tap'
import type { Engine } from '../../lib/engine/engine.js'
import { LogReader, STREAMS } from '../../lib/engine/log-reader.js'
import { PageMover } from '../../lib/server/page-mover.js'
import { set, simulatedPlace, value } from './harness.js'

const place = simulatedPlace()
const stat = (engine: Engine, name: string) => Number(engine.stats().get(name))

t.test('words', async t => {
  const node = await place.node()
  const client = place.client(node)
  const ask = async (line: string) => {
    client.take()
    client.send(`${line}\r\n`)
    await place.until(() => client.text.endsWith('\r\n'), line)
    return client.take()
  }
  const bad = 'CLIENT_ERROR bad command line format\r\n'
  const cases: [string, string][] = [
    ['slabs', 'ERROR\r\n'],
    ['slabs reassign', 'ERROR\r\n'],
    ['slabs reassign 1 2 3', 'ERROR\r\n'],
    ['slabs reassign a b', bad],
    ['slabs reassign 1 1', 'SAME src and dst class are identical\r\n'],
    ['slabs reassign 1 99', 'BADCLASS invalid src or dst class id\r\n'],
    ['slabs reassign -1 1', 'BADCLASS invalid src or dst class id\r\n'],
    ['slabs reassign 1 2', 'NOSPARE source class has no spare pages\r\n'],
    ['slabs automove', 'ERROR\r\n'],
    ['slabs automove x', bad],
    ['slabs automove 3', 'ERROR\r\n'],
    ['slabs automove 2', 'OK\r\n'],
    ['slabs automove ratio', 'ERROR\r\n'],
    ['slabs automove ratio 0.5', 'OK\r\n'],
    ['slabs automove freeratio 0.02', 'OK\r\n'],
    ['slabs automove window', bad],
    ['slabs automove window x', bad],
    ['slabs automove window 2', 'CLIENT_ERROR automove window too low or too high\r\n'],
    ['slabs automove window 30', 'OK\r\n'],
    ['cache_memlimit', bad],
    ['cache_memlimit x', 'ERROR\r\n'],
    ['cache_memlimit 7', 'MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n'],
    ['cache_memlimit 67108864', 'MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n'],
    ['cache_memlimit 1073741824', 'MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n'],
    ['cache_memlimit 32', 'OK\r\n'],
    ['cache_memlimit 16 noreply\r\nmn', 'MN\r\n'],
  ]
  for (const [line, answer] of cases) t.equal(await ask(line), answer, line)
  client.send('stats settings\r\n')
  await place.until(() => client.text.endsWith('END\r\n'), 'settings')
  const settings = client.take()
  for (const line of ['maxbytes 16777216', 'slab_automove 2', 'slab_automove_ratio 0.50', 'slab_automove_window 30']) {
    t.match(settings, `STAT ${line}\r\n`)
  }
  t.equal(node.posted('pages').length, 6)
})

t.test('pages move and leave while clients go on', async t => {
  const node = await place.node()
  const { engine, control } = node
  const released: number[] = []
  const mover = new PageMover({
    ...{ loop: node.plane.loop, engine: control },
    release: (offset, length) => {
      engine.bytes.fill(0xff, offset, offset + length)
      released.push(offset)
    },
  })
  node.onControl = message => {
    if (message.type === 'pages') mover.wake()
  }
  mover.start()
  const client = place.client(node)
  const text = (i: number) => `<${i}>`.repeat(250)
  const all = Array.from({ length: 30_000 }, (_, i) => i)
  client.send(all.map(i => set(`k${i}`, text(i))).join(''))
  await place.until(() => client.size === 30_000 * 'STORED\r\n'.length, 'stored')
  client.take()
  const { id } = engine.classes().reduce((a, b) => (b.pages > a.pages ? b : a))
  client.send(`slabs reassign ${id} 1\r\nslabs reassign ${id} 2\r\n`)
  await place.until(() => client.text === 'OK\r\nBUSY currently processing reassign request\r\n', 'the first answers')
  await place.until(() => engine.classes()[0]!.pages === 1, 'a page for class 1')
  client.take()
  t.ok(engine.pages.used > 30)
  client.send('cache_memlimit 20\r\n')
  await place.until(() => engine.pages.used === 20 && client.text === 'OK\r\n', 'twenty pages')
  t.ok(released.length > 10, 'their memory is given back')
  client.take()
  client.send(`${all.map(i => `get k${i}\r\n`).join('')}mn\r\n`)
  // The text is put together anew each time it is looked at: not before all of it may be there.
  await place.until(() => node.stat('cmd_get') === all.length, 'all gets')
  await place.until(() => client.text.endsWith('MN\r\n'), 'all answers')
  const answers = client.take().slice(0, -'MN\r\n'.length).split('END\r\n').slice(0, -1)
  t.equal(answers.length, all.length)
  t.equal(answers.filter((answer, i) => answer !== '' && answer !== value(`k${i}`, text(i))).length, 0)
  t.equal(answers.filter(answer => answer !== '').length, stat(engine, 'curr_items'))
  t.ok(stat(engine, 'curr_items') > 5000)
  t.equal(stat(engine, 'slab_reassign_running'), 0)
  t.equal(stat(engine, 'limit_maxbytes'), 20 << 20)
  // Automove finds the free chunks of what is deleted.
  const reader = new LogReader(control.arena)
  control.wantStreams(STREAMS.sysevents)
  client.send(all.map(i => `delete k${i} noreply\r\n`).join(''))
  await place.until(() => stat(engine, 'slab_global_page_pool') > 10, 'pages for everybody')
  const lines: string[] = []
  reader.read(({ text }) => lines.push(text.toString()))
  t.ok(lines.length > 10)
  t.same(new Set(lines), new Set([`type=slab_move src=${id} dst=0 state=ok`]), 'watch sysevents')
  mover.stop()
})
