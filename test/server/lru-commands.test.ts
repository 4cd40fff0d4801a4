/** `lru`, `lru_crawler`, `stats cachedump` and `sizes`, over the simulated and the net loop; dumps to clients that do not read. */
import t, { type Test } from 'tap'
import { netPlace, type Place, type RawClient, set, simulatedPlace, type TestNode, value } from './harness.js'

/** What test/transcripts/lru.txt does not ask: memcached stops its crawler a moment after it said so. */
const WORDS: readonly [string, string][] = [
  ['lru_crawler disable', 'OK'],
  ['lru_crawler disable', 'OK'],
  ['lru_crawler crawl all', 'CLIENT_ERROR lru crawler disabled'],
  ['lru_crawler metadump all', 'CLIENT_ERROR lru crawler disabled'],
  ['lru_crawler mgdump all', 'CLIENT_ERROR lru crawler disabled'],
  ['lru_crawler enable', 'OK'],
  ['lru_crawler sleep 1000000', 'OK'],
  ['lru_crawler tocrawl 4294967295', 'OK'],
  ['lru_crawler tocrawl 4294967296', 'CLIENT_ERROR bad command line format'],
  ['lru_crawler mgdump 0', 'BADCLASS invalid class id'],
  ['lru_crawler mgdump ,', 'NOTSTARTED no items to crawl'],
]

function battery(t: Test, place: Place): void {
  t.teardown(() => place.stop())
  const ask = async (client: RawClient, sent: string, last = '\r\n') => {
    client.send(sent)
    await place.until(() => client.size > 0 && client.text.endsWith(last), `an answer to ${sent}`)
    return client.take()
  }
  const fill = async (node: TestNode, client: RawClient, count: number) => {
    const name = (i: number) => `${i}.${'k'.repeat(200)}`
    for (let i = 0; i < count; i += 500) {
      client.send(Array.from({ length: 500 }, (_, j) => `set ${name(i + j)} 0 0 1 noreply\r\nx\r\n`).join(''))
    }
    await place.until(() => node.stat('curr_items') === count, 'all items')
  }

  t.test('words', async t => {
    const client = place.client(await place.node())
    for (const [sent, answer] of WORDS) t.equal(await ask(client, `${sent}\r\n`), `${answer}\r\n`, sent)
    t.equal(await ask(client, 'lru tune 10 25 0.1 2.0 noreply\r\nmn\r\n'), 'MN\r\n')
    const settings = await ask(client, 'stats settings\r\n', 'END\r\n')
    t.match(
      settings,
      /hot_lru_pct 10\r\nSTAT warm_lru_pct 25\r\nSTAT hot_max_factor 0.10\r\nSTAT warm_max_factor 2.00\r\n/,
    )
    t.match(settings, /lru_crawler yes\r\nSTAT lru_crawler_sleep 1000000\r\nSTAT lru_crawler_tocrawl 4294967295\r\n/)
  })

  t.test('a node without maintainer has one list', async t => {
    const node = await place.node()
    const client = place.client(node)
    node.engine.housekeeping.tune({ maintainer: false, segmented: false })
    t.equal(await ask(client, 'lru mode segmented\r\n'), 'ERROR\r\n')
    t.equal(await ask(client, 'lru temp_ttl 5\r\n'), 'ERROR\r\n')
    t.equal(await ask(client, 'lru tune 10 25 1 2\r\n'), 'OK\r\n')
    await ask(client, set('a', '1'))
    t.notMatch(await ask(client, 'stats items\r\n', 'END\r\n'), /number_hot|moves_to_cold/)
    t.equal(await ask(client, 'stats cachedump 1 0\r\n', 'END\r\n'), 'ITEM a [1 b; 0 s]\r\nEND\r\n')
  })

  t.test('a crawl is the control plane’s', async t => {
    const node = await place.node()
    const client = place.client(node)
    t.equal(await ask(client, 'lru_crawler crawl 1,3\r\n'), 'OK\r\n')
    await place.until(() => node.posted('crawl').length > 0, 'the message')
    t.same(node.posted('crawl')[0]!.classes, [0, 2])
    t.equal(await ask(client, 'lru_crawler crawl all\r\n'), 'BUSY currently processing crawler request\r\n')
    t.equal(await ask(client, 'lru_crawler metadump all\r\n'), 'BUSY currently processing crawler request\r\n')
    t.equal(node.stat('lru_crawler_starts'), 1)
  })

  t.test('dumps, as a client sees them', async t => {
    const client = place.client(await place.node({ tracksSizes: true }))
    await ask(client, 'set a 0 0 1 noreply\r\n1\r\nset b 5 0 200\r\n'.concat('x'.repeat(200), '\r\n'))
    t.match(
      await ask(client, 'lru_crawler metadump all\r\n', 'END\r\n'),
      /^OK\r\nkey=[ab] exp=-1 la=\d+ cas=\d fetch=no cls=\d+ size=\d+ flags=\d\nkey=[ab] [^\r]*\nEND\r\n$/,
    )
    t.match(await ask(client, 'lru_crawler metadump hash\r\nmn\r\n', 'MN\r\n'), /^OK\r\n(key=.*\n){2}END\r\nMN\r\n$/)
    t.equal(await ask(client, 'lru_crawler mgdump 1\r\n', 'EN\r\n'), 'OK\r\nmg a\r\nEN\r\n')
    t.equal(await ask(client, 'lru_crawler mgdump 40,41\r\n', 'EN\r\n'), 'OK\r\nEN\r\n')
    t.equal(await ask(client, 'stats sizes\r\n', 'END\r\n'), 'STAT 64 1\r\nSTAT 288 1\r\nEND\r\n')
    t.equal(
      await ask(client, 'mg nothing v\r\nlru_crawler metadump all\r\n', 'metadump\r\n'),
      'EN\r\nERROR cannot pipeline other commands before metadump\r\n',
    )
    t.equal(await ask(client, `get a\r\n`, 'END\r\n'), `${value('a', '1')}END\r\n`)
  })

  t.test('-X: keys are not shown', async t => {
    const client = place.client(await place.node({ dumps: false }))
    t.equal(await ask(client, 'lru_crawler metadump all\r\n'), 'ERROR metadump not allowed\r\n')
    t.equal(await ask(client, 'lru_crawler mgdump all\r\n'), 'ERROR key dump not allowed\r\n')
    t.equal(await ask(client, 'stats cachedump 1 1\r\n'), 'CLIENT_ERROR stats cachedump not allowed\r\n')
    t.match(await ask(client, 'stats settings\r\n', 'END\r\n'), /dump_enabled no/)
  })

  t.test('a client that does not read its dump costs little, holds nobody up, and gets all of it later', async t => {
    const node = await place.node()
    const [slow, other] = [place.client(node), place.client(node)]
    await fill(node, other, 20_000)
    slow.deaf = true
    slow.send('lru_crawler metadump all\r\nmn\r\n')
    await place.until(() => node.engine.housekeeping.crawlerUse() === 'dump', 'the dump')
    let written = -1
    await place.until(() => {
      const before = written
      written = node.stat('bytes_written')
      return written > 0 && written === before
    }, 'it stands still')
    for (let round = 0; round < 20; round++) {
      t.equal(await ask(other, set('fresh', String(round))), 'STORED\r\n')
      t.equal(await ask(other, 'lru_crawler mgdump all\r\n'), 'BUSY currently processing crawler request\r\n')
    }
    t.ok(node.stat('bytes_written') < 4_000_000, `${node.stat('bytes_written')} bytes of about 5 million`)
    slow.deaf = false
    slow.connection.resumeReading()
    await place.until(() => slow.size > 20_000 * 260 && slow.text.endsWith('MN\r\n'), 'the whole dump')
    const keys = slow.text.match(/^key=\d+\./gm)!
    t.equal(new Set(keys).size, 20_000)
    t.equal(keys.length, 20_000)
    t.match(slow.text, /\nEND\r\nMN\r\n$/)
    t.equal(node.engine.housekeeping.crawlerUse(), 'idle')
  })

  t.test('a client that goes away in the middle sets the crawler free', async t => {
    const node = await place.node()
    const [gone, other] = [place.client(node), place.client(node)]
    await fill(node, other, 20_000)
    gone.deaf = true
    gone.send('lru_crawler metadump all\r\n')
    await place.until(() => node.engine.housekeeping.crawlerUse() === 'dump', 'the dump')
    gone.connection.destroy()
    await place.until(() => node.engine.housekeeping.crawlerUse() === 'idle', 'free')
    t.equal(await ask(other, 'lru_crawler mgdump 50\r\n', 'EN\r\n'), 'OK\r\nEN\r\n')
  })
}

t.test('simulated', async t => battery(t, simulatedPlace()))
t.test('net', async t => battery(t, netPlace()))
