/** What happens by itself: expired items go, the hash table grows, lists are crawled; little while there is nothing to do. */
import t, { type Test } from 'tap'
import { LogReader, STREAMS } from '../../lib/engine/log-reader.js'
import { Maintainer } from '../../lib/server/maintainer.js'
import { SimulatedWorld } from '../../lib/transport/simulated.js'
import { Driver } from '../engine/driver.js'
import { TestNode } from './harness.js'

/** A node with its maintainer in a world of virtual time; requests go to its engine straight. */
function begin(t: Test, hashExpands = true) {
  const world = new SimulatedWorld(1)
  const node = new TestNode(engine => world.loop('10.0.0.1', engine.bytes), 1, '10.0.0.1')
  const maintainer = new Maintainer({ loop: world.loop('10.0.0.2'), engine: node.control, hashExpands })
  node.onControl = message => {
    if (message.type === 'crawl') maintainer.crawl(message.classes)
  }
  maintainer.start()
  t.teardown(() => maintainer.stop())
  const driver = new Driver(node.engine)
  const send = (text: string) => {
    node.engine.setTime(world.wallClock())
    return driver.send(text)
  }
  const seconds = (count: number) => {
    const end = world.now + count * 1000
    world.runUntil(() => world.now >= end, count * 1000 + 5000)
  }
  const stat = (name: string) => node.stat(name)
  return { world, maintainer, node, send, seconds, stat }
}
const sets = (from: number, to: number, exptime = 0) =>
  Array.from({ length: to - from }, (_, i) => `set k${from + i} 0 ${exptime} 1 noreply\r\nx\r\n`).join('')

t.test('expired items go without being asked for', async t => {
  const { send, seconds, stat } = begin(t)
  send(sets(0, 200, 2))
  seconds(5)
  t.equal(stat('curr_items'), 0)
  t.equal(stat('reclaimed'), 200)
})

t.test('the hash table grows when it should, unless it may not', async t => {
  for (const hashExpands of [true, false]) {
    const { send, seconds, stat } = begin(t, hashExpands)
    for (let i = 0; i < 110_000; i += 1000) send(sets(i, i + 1000))
    seconds(2)
    t.equal(stat('hash_power_level'), hashExpands ? 17 : 16)
    t.equal(stat('hash_is_expanding'), 0)
    t.equal(send('get k7 k109999\r\n'), 'VALUE k7 0 1\r\nx\r\nVALUE k109999 0 1\r\nx\r\nEND\r\n')
  }
})

t.test('lists are crawled by themselves: what is dead behind living tails goes too', async t => {
  const { send, seconds, stat, node } = begin(t)
  send(sets(0, 100))
  send(sets(100, 300, 70))
  seconds(3)
  t.equal(stat('lru_crawler_starts'), 1)
  t.equal(stat('crawler_items_checked'), 300)
  seconds(200)
  t.equal(stat('curr_items'), 100)
  t.equal(stat('crawler_reclaimed') + stat('reclaimed'), 200)
  t.ok(stat('crawler_reclaimed') > 0, 'the tail is immortal')
  t.equal(stat('lru_crawler_running'), 0)
  const starts = stat('lru_crawler_starts')
  t.notOk(node.control.housekeeping.claimCrawler('crawl', 0) && node.control.housekeeping.claimCrawler('dump', 2e9))
  node.control.housekeeping.releaseCrawler()
  seconds(3600)
  t.equal(stat('lru_crawler_starts'), starts, 'none while somebody asks, long after')
})

t.test(
  "memcached's issue_163.t: what expires at a tail soon after the start is reclaimed there, not crawled away",
  async t => {
    for (let phase = 0; phase < 40; phase++) {
      const { send, seconds, stat } = begin(t)
      seconds(0.2 + phase / 40)
      send('set k 0 1 1 noreply\r\nx\r\n')
      seconds(3)
      t.same([stat('reclaimed'), stat('crawler_reclaimed')], [1, 0], `${phase}`)
    }
  },
)

t.test('watch sysevents: what the schedule had crawled, and nothing of what somebody asked for', async t => {
  const { send, seconds, node, maintainer } = begin(t)
  const reader = new LogReader(node.control.arena)
  const lines = () => {
    const texts: string[] = []
    reader.read(({ text }) => texts.push(text.toString()))
    return texts
  }
  node.control.wantStreams(STREAMS.sysevents)
  send(sets(0, 300, 70))
  seconds(3)
  // HOT kept its fifth. All expire in the second minute; a hundredth of them and one more is what a crawl must be worth.
  const told = (list: string, low: number, items: number) =>
    `type=lru_crawler crawler=1 lru=${list} low_mark=${low} next_reclaims=${items} since_run=0 next_run=65 elapsed=0 examined=${items} reclaimed=0`
  t.same(lines(), [told('hot', 1, 59), told('cold', 3, 241)])
  node.control.housekeeping.claimCrawler('crawl', 0)
  maintainer.crawl([0])
  seconds(3)
  t.same(lines(), [])
})

t.test('a crawl that was asked for, and one at a time', async t => {
  const { send, seconds, stat, node, maintainer } = begin(t)
  node.control.housekeeping.tune({ crawler: false })
  send(sets(0, 10) + sets(10, 5000, 1))
  seconds(1)
  t.ok(node.engine.housekeeping.claimCrawler('crawl', 0))
  maintainer.crawl([0, 5, 60])
  t.equal(stat('lru_crawler_running'), 1)
  seconds(5)
  t.equal(stat('lru_crawler_running'), 0)
  t.equal(stat('curr_items'), 10)
  t.equal(stat('lru_crawler_starts'), 0, 'none by itself')
})

t.test('tocrawl bounds what is looked at in a list', async t => {
  const { send, seconds, stat, node, maintainer } = begin(t)
  node.control.housekeeping.tune({ crawler: false, maintainer: false, crawlerTocrawl: 50 })
  send(sets(0, 200, 1))
  seconds(3)
  node.engine.housekeeping.claimCrawler('crawl', 0)
  maintainer.crawl([0])
  seconds(1)
  t.equal(stat('crawler_reclaimed'), 50)
  t.equal(stat('curr_items'), 150)
  t.equal(stat('lru_maintainer_juggles'), 0, 'no maintainer')
})

t.test('an idle node sleeps', async t => {
  const { send, seconds, stat } = begin(t)
  send(sets(0, 1000))
  seconds(60)
  const juggles = stat('lru_maintainer_juggles')
  seconds(60)
  const more = stat('lru_maintainer_juggles') - juggles
  t.ok(more >= 60 && more <= 240, `${more} visits in a minute`)
})
