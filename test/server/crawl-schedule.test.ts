/** When a list is crawled next without being asked. */
import t from 'tap'
import type { Crawled } from '../../lib/engine/contract.js'
import { CrawlSchedule } from '../../lib/server/crawl-schedule.js'

const found = (more: Partial<Crawled> = {}): Crawled => ({
  ...{ seen: 1000, withoutExptime: 0, reclaimed: 0, minutes: Array<number>(60).fill(0) },
  ...more,
})
const inMinute = (minute: number, count: number) => Array.from({ length: 60 }, (_, i) => (i === minute ? count : 0))
/** Seconds until it is due. */
const wait = (schedule: CrawlSchedule, now: number) => {
  let at = now
  while (!schedule.isDue(1, at)) at++
  return at - now
}

t.test('at once at first, then rarer while nothing expires, once an hour at least', async t => {
  const schedule = new CrawlSchedule()
  t.equal(wait(schedule, 1000), 0)
  schedule.begun(1, 1000)
  t.equal(wait(schedule, 1000), 6, 'a crawl that told nothing is tried again')
  const waits = Array.from({ length: 70 }, () => {
    schedule.done(1, found(), 1000)
    return wait(schedule, 1000)
  })
  t.same(waits.slice(0, 3), [66, 126, 186])
  t.equal(waits.at(-1), 3606)
  t.ok(schedule.isDue(2, 1000), 'each list by itself')
})

t.test('more often while more than one in a hundred will have expired', async t => {
  const schedule = new CrawlSchedule()
  for (let i = 0; i < 5; i++) schedule.done(1, found(), 0)
  t.equal(wait(schedule, 0), 306)
  schedule.done(1, found({ minutes: inMinute(1, 50) }), 0)
  t.equal(wait(schedule, 0), 246)
  schedule.done(1, found({ minutes: inMinute(30, 50) }), 0)
  t.equal(wait(schedule, 0), 306, 'not before they have')
  schedule.done(1, found({ minutes: inMinute(1, 11) }), 0)
  t.equal(wait(schedule, 0), 306, 'eleven of a thousand are not worth it')
})
