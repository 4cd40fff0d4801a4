/** What a connection of the epoll loop has epoll watch, with a loop that only writes it down. */
import t from 'tap'
import type { EpollLoop } from '../../lib/transport/epoll.js'
import { EpollConnection } from '../../lib/transport/epoll-connection.js'
import { EPOLLIN } from '../../lib/transport/libc.js'

t.test('a pause costs no system call unless something comes, and then one', async t => {
  const calls: [string, number][] = []
  const loop = {
    setOption() {},
    watch: (_: EpollConnection, events: number) => calls.push(['watch', events]),
    rewatch: (_: number, events: number) => calls.push(['rewatch', events]),
  } as unknown as EpollLoop
  let heard = 0
  const handler = { onReadable: () => heard++, onWritable() {}, onClose() {} }
  const connection = new EpollConnection(loop, 9, { host: '127.0.0.1', port: 1 }, handler, false)
  t.same(calls.splice(0), [['watch', EPOLLIN]])

  connection.pauseReading()
  connection.resumeReading()
  connection.onEvents(EPOLLIN)
  t.equal(heard, 1)
  t.same(calls, [])

  connection.pauseReading()
  connection.onEvents(EPOLLIN)
  t.equal(heard, 1)
  t.same(calls.splice(0), [['rewatch', 0]], 'it would be told again and again')

  connection.resumeReading()
  t.same(calls.splice(0), [['rewatch', EPOLLIN]])
  connection.onEvents(EPOLLIN)
  t.equal(heard, 2)
  t.same(calls, [])
})
