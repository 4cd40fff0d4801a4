/** What threads.test.ts and its threads say to each other; pings and pongs without a text have a short form. */
import type { MessagePort } from 'node:worker_threads'
import type { ShortForm, WayMemory } from '../../lib/transport/plane-port.js'

export interface ThreadData {
  port: MessagePort
  /** Null: the loop is Node's own. */
  shared: { wakeFd: number; bellFd: number; toThread: WayMemory; fromThread: WayMemory } | null
  /** The loop makes its calls in batches. */
  batches: boolean
  listen: { port: number; shared?: boolean; joins?: boolean; fd?: number }
}

export type ToThread = { type: 'ping'; number: number; text?: string } | { type: 'stop' } | { type: 'throw' }
export type FromThread =
  | { type: 'listening'; port: number; fd: number | undefined }
  | { type: 'pong'; number: number; text?: string }
  | { type: 'failed'; sentence: string }

export const toThreadForm: ShortForm<ToThread> = {
  write: (message, target) => (message.type === 'ping' ? writeNumber(message, target) : 0),
  read: bytes => ({ type: 'ping', number: readNumber(bytes) }),
}

export const fromThreadForm: ShortForm<FromThread> = {
  write: (message, target) => (message.type === 'pong' ? writeNumber(message, target) : 0),
  read: bytes => ({ type: 'pong', number: readNumber(bytes) }),
}

function writeNumber({ number, text }: { number: number; text?: string }, target: Uint8Array): number {
  if (text !== undefined) return 0
  target.set(Buffer.from(String(number)))
  return String(number).length
}

const readNumber = (bytes: Uint8Array): number => Number(Buffer.from(bytes).toString())
