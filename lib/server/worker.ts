/** Entry of a worker thread: its loop, its engine over the shared arena, its data plane; then it runs until told to stop. */
import { type MessagePort, workerData } from 'node:worker_threads'
import type { Arena } from '../engine/contract.js'
import { Engine } from '../engine/engine.js'
import type { LoopPick } from '../transport/choose.js'
import { createEpollLoop } from '../transport/epoll.js'
import { createNetLoop } from '../transport/net.js'
import { eventPort, SharedPort, type WayMemory } from '../transport/plane-port.js'
import { bellRinger } from '../transport/waker.js'
import { DataPlane, type DataPlaneOptions } from './data-plane.js'
import type { DataPort, ToControl, ToData } from './plane.js'
import { toControlForm, toDataForm } from './plane-forms.js'

export interface WorkerData {
  arena: Arena
  thread: number
  loop: LoopPick
  /** How the two threads wake each other, and what they share, where this one's loop blocks; null: all goes by the port. */
  shared: { wakeFd: number; bellFd: number; toControl: WayMemory; toData: WayMemory } | null
  port: MessagePort
  options: DataPlaneOptions
}

const { arena, thread, loop: kind, shared, port, options } = workerData as WorkerData
const engine = new Engine(arena, thread)
const loop = shared
  ? createEpollLoop({
      memory: engine.bytes,
      wakeFd: shared.wakeFd,
      ahead: engine.ahead,
      batches: kind === 'uring',
    })
  : createNetLoop({ memory: engine.bytes })
const plane = new DataPlane({ loop, engine, port: portToControl(), options })
plane.start()
loop.run()

function portToControl(): DataPort {
  if (!shared) return eventPort<ToControl, ToData>(port)
  const { bellFd, toControl, toData } = shared
  const ways = { out: toControl, in: toData, outForm: toControlForm, inForm: toDataForm }
  const own = new SharedPort<ToControl, ToData>({ port, ...ways, wake: bellRinger(bellFd) })
  loop.onWake(() => own.take())
  return own
}
