/** Entry of a worker thread: its loop, its engine over the shared arena, its data plane; then it runs until told to stop. */
import { type MessagePort, workerData } from 'node:worker_threads'
import type { Arena } from '../engine/contract.js'
import { Engine } from '../engine/engine.js'
import { createEpollLoop } from '../transport/epoll.js'
import { createNetLoop } from '../transport/net.js'
import { eventPort, polledPort } from '../transport/plane-port.js'
import { DataPlane, type DataPlaneOptions } from './data-plane.js'
import type { DataPort, ToControl, ToData } from './plane.js'

export interface WorkerData {
  arena: Arena
  thread: number
  loop: 'net' | 'epoll'
  /** eventfd that wakes the epoll loop; -1 on net. */
  wakeFd: number
  port: MessagePort
  options: DataPlaneOptions
}

const { arena, thread, loop: kind, wakeFd, port, options } = workerData as WorkerData
const engine = new Engine(arena, thread)
const loop =
  kind === 'epoll' ? createEpollLoop({ memory: engine.bytes, wakeFd }) : createNetLoop({ memory: engine.bytes })
const planePort: DataPort =
  kind === 'epoll' ? polledPort<ToControl, ToData>(port, loop) : eventPort<ToControl, ToData>(port, () => {})
const plane = new DataPlane({ loop, engine, port: planePort, options })
plane.start()
loop.run()
