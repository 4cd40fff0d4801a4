/**
 * How one thread gets another out of its wait. An epoll loop waits for an eventfd; Node's own loop for one end of a pair of
 * sockets, as an eventfd is nothing that it can read. Linux with koffi only, as the epoll loop.
 */
import { Socket } from 'node:net'
import {
  AF_UNIX,
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  type Libc,
  loadLibc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from './libc.js'

/** Arrays up to 64 bytes may be moved by the garbage collector. */
const BYTES_FIXED = 128

/** Bytes that stay where they are as long as this object is held: whoever keeps `at` alone would write what is there later. */
class FixedBytes {
  readonly bytes = new Uint8Array(BYTES_FIXED)
  readonly at: number

  constructor(libc: Libc, first = 0) {
    this.bytes[0] = first
    this.at = libc.addressOf(this.bytes)
  }
}

function need(): Libc {
  const { libc } = loadLibc()
  if (!libc) throw new Error('no wake-up descriptor could be made')
  return libc
}

/** A wake-up descriptor for an epoll loop of another thread, and the function that wakes it. */
export function createWaker(): { fd: number; wake: () => void } {
  const libc = need()
  const fd = libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
  if (fd < 0) throw new Error('no wake-up descriptor could be made')
  const one = new FixedBytes(libc, 1)
  return { fd, wake: () => void libc.write(fd, one.at, 8) }
}

/** Wakes a thread on Node's own loop. */
export interface Bell {
  /** For `bellRinger` in another thread. */
  readonly fd: number
  /** Only when nobody can ring any more: the descriptor's number may then be another's. */
  close(): void
}

/** `onRing` is called in this thread, once for one ring or several. It does not keep the process alive. */
export function createBell(onRing: () => void): Bell {
  const libc = need()
  const both = new FixedBytes(libc)
  if (libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both.at) < 0) {
    throw new Error('no wake-up descriptor could be made')
  }
  const pair = new DataView(both.bytes.buffer)
  const [own, fd] = [pair.getInt32(0, true), pair.getInt32(4, true)]
  const onread = {
    buffer: Buffer.alloc(BYTES_FIXED),
    callback: () => {
      onRing()
      return true
    },
  }
  const socket = new Socket({ fd: own, readable: true, onread } as ConstructorParameters<typeof Socket>[0])
  socket.on('error', () => {})
  socket.resume()
  socket.unref()
  return {
    fd,
    close() {
      socket.destroy()
      libc.close(fd)
    },
  }
}

/** Rings the bell of another thread. */
export function bellRinger(fd: number): () => void {
  const libc = need()
  const one = new FixedBytes(libc, 1)
  return () => void libc.send(fd, one.at, 1, MSG_DONTWAIT | MSG_NOSIGNAL)
}
