/** A worker thread with an echo on its loop, for threads.test.ts: it says where it listens, answers pings, and stops when told. */
import { workerData } from 'node:worker_threads'
import { createEpollLoop } from '../../lib/transport/epoll.js'
import type { Connection, Listener } from '../../lib/transport/loop.js'
import { createNetLoop } from '../../lib/transport/net.js'
import { eventPort, SharedPort, type ThreadPort } from '../../lib/transport/plane-port.js'
import { bellRinger } from '../../lib/transport/waker.js'
import { type FromThread, fromThreadForm, type ThreadData, type ToThread, toThreadForm } from './thread-messages.js'

const { port, shared, batches, listen } = workerData as ThreadData
const memory = new Uint8Array(new SharedArrayBuffer(1 << 17))
const loop = shared ? createEpollLoop({ memory, wakeFd: shared.wakeFd, batches }) : createNetLoop({ memory })
const messages = openPort()

function openPort(): ThreadPort<FromThread, ToThread> {
  if (!shared) return eventPort(port)
  const ways = { out: shared.fromThread, in: shared.toThread, outForm: fromThreadForm, inForm: toThreadForm }
  const own = new SharedPort<FromThread, ToThread>({ port, ...ways, wake: bellRinger(shared.bellFd) })
  loop.onWake(() => own.take())
  return own
}

messages.onMessage = message => {
  if (message.type === 'ping') messages.post({ ...message, type: 'pong' })
  if (message.type === 'throw') throw new Error('thrown on purpose')
  if (message.type !== 'stop') return
  loop.stop()
  port.close()
}

const echo = {
  onReadable(connection: Connection) {
    const count = connection.recv(0, 65_536)
    if (count > 0) connection.send(0, count)
    else if (count < 0) connection.close()
  },
  onWritable() {},
  onClose() {},
}
loop.listen(
  { host: '127.0.0.1', ...listen },
  () => echo,
  (listener: Listener & { fd?: number | undefined }) =>
    messages.post({ type: 'listening', port: listener.port, fd: listener.fd }),
  sentence => messages.post({ type: 'failed', sentence }),
)
loop.run()
