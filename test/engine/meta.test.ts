/** Meta commands where the engine stops in the middle: values in pieces, keys that move, replies that do not fit. */
import t from 'tap'
import { Engine } from '../../lib/engine/engine.js'
import { decodeRecord } from '../../lib/engine/record.js'
import { alone, Driver, START, smallArena } from './driver.js'

t.test('an ms cut at every byte answers the same', async t => {
  const sent =
    'ms a2V5 5 b k Oab c E9 T100 F3\r\nhello\r\nmg key v f k c\r\nms x 1 MZ\r\n1\r\nms key 2 MA s q\r\n!!\r\nmg key s\r\n'
  const whole = alone({ memoryLimitMb: 8 }).send(sent)
  t.equal(
    whole,
    'HD ka2V5 b Oab c9\r\nVA 5 f3 ka2V5 b c9\r\nhello\r\nCLIENT_ERROR invalid mode for ms M token\r\nHD s7\r\n',
  )
  for (let cut = 1; cut < sent.length; cut++) {
    const driver = alone({ memoryLimitMb: 8 })
    const answer = driver.send(sent.slice(0, cut)) + driver.send(sent.slice(cut))
    if (answer !== whole) t.equal(answer, whole, `cut at ${cut}`)
  }
  const slowly = alone({ memoryLimitMb: 8 })
  t.equal([...sent].map(byte => slowly.send(byte)).join(''), whole, 'byte by byte')
})

t.test('values that do not fit behind each other in one reply', async t => {
  const driver = alone({ memoryLimitMb: 32 })
  const large = 'v'.repeat(900_000)
  driver.send(`ms a ${large.length}\r\n${large}\r\n`)
  const answer = driver.send('mg a v t\r\n'.repeat(5))
  t.ok(answer === `VA 900000 t-1\r\n${large}\r\n`.repeat(5))
})

t.test('what an item is travels with it: stale, won, its own cas, a binary key', async t => {
  const [from, to] = [1, 2].map(() => {
    const engine = new Engine(smallArena({ memoryLimitMb: 8 }), 0)
    engine.setTime(START)
    return { engine, driver: new Driver(engine) }
  }) as [{ engine: Engine; driver: Driver }, { engine: Engine; driver: Driver }]
  const key = Buffer.from([0xff, 0x20, 0x0a])
  const text = key.toString('base64')
  from.driver.send(`ms ${text} 2 b E77 F5 T1000\r\nhi\r\nmd ${text} b I E78\r\nmg ${text} b\r\n`)
  const record = from.engine.handOver(key, 1)!
  t.match(decodeRecord(record), { flags: 5, toLiveSec: 1000, fetched: true })
  t.equal(Buffer.from(decodeRecord(record).value!).toString(), 'hi')
  t.equal(to.engine.install(record, 1), 'installed')
  t.equal(to.driver.send(`mg ${text} b v k c f\r\n`), `VA 2 k${text} b c78 f5 Z X\r\nhi\r\n`)
  t.equal(from.driver.send(`mg ${text} b v\r\n`), 'EN\r\n')
  t.equal(
    to.driver.send(`ms ${text} 1 b I C1\r\nx\r\nmg ${text} b c v\r\n`).replace(/ c\d+/, ' c#'),
    'HD\r\nVA 1 c# Z X\r\nx\r\n',
  )
})
