/** A worker thread with an echo on its loop, for threads.test.ts: it says where it listens, answers pings, and stops when told. */
import { type MessagePort, workerData } from 'node:worker_threads'
import { createEpollLoop } from '../../lib/transport/epoll.js'
import type { Connection, Listener } from '../../lib/transport/loop.js'
import { createNetLoop } from '../../lib/transport/net.js'
import { eventPort, polledPort } from '../../lib/transport/plane-port.js'

export interface ThreadData {
  kind: 'net' | 'epoll'
  port: MessagePort
  wakeFd: number
  listen: { port: number; shared?: boolean; joins?: boolean; fd?: number }
}

export type ToThread = { type: 'ping'; number: number } | { type: 'stop' } | { type: 'throw' }
export type FromThread =
  | { type: 'listening'; port: number; fd: number | undefined }
  | { type: 'pong'; number: number }
  | { type: 'failed'; sentence: string }

const { kind, port, wakeFd, listen } = workerData as ThreadData
const memory = new Uint8Array(new SharedArrayBuffer(1 << 17))
const loop = kind === 'epoll' ? createEpollLoop({ memory, wakeFd }) : createNetLoop({ memory })
const messages =
  kind === 'epoll' ? polledPort<FromThread, ToThread>(port, loop) : eventPort<FromThread, ToThread>(port, () => {})

messages.onMessage = message => {
  if (message.type === 'ping') messages.post({ type: 'pong', number: message.number })
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
