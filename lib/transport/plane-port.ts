/**
 * A pair of ordered message queues between two threads of one process, over a MessagePort. A thread whose loop is Node's
 * own hears messages as events; one that blocks in epoll_wait is woken by its eventfd and then reads them without Node's
 * event loop (`receiveMessageOnPort`). It may not know what the messages mean.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import type { Loop } from './loop.js'

export interface ThreadPort<Out, In> {
  post(message: Out): void
  onMessage: (message: In) => void
}

/** For a thread on Node's own loop. `wake` is called after each post: it gets the other thread out of its wait. */
export function eventPort<Out, In>(port: MessagePort, wake: () => void): ThreadPort<Out, In> {
  const own: ThreadPort<Out, In> = {
    post(message) {
      port.postMessage(message)
      wake()
    },
    onMessage() {},
  }
  port.on('message', (message: In) => own.onMessage(message))
  return own
}

/** For a thread whose loop blocks: messages are read whenever the loop is woken. Posting needs no waking, as the other side is Node's loop. */
export function polledPort<Out, In>(port: MessagePort, loop: Loop): ThreadPort<Out, In> {
  const own: ThreadPort<Out, In> = {
    post(message) {
      port.postMessage(message)
    },
    onMessage() {},
  }
  loop.onWake(() => {
    for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) own.onMessage(got.message as In)
  })
  return own
}
