/** Which world carries the traffic: what was asked for, and one sentence that says why (DESIGN 4: said once). */
import { CALLS_LEAST } from './batch.js'
import { CallRing } from './call-ring.js'
import {
  AF_UNIX,
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLLIN,
  EVENT_DATA_AT,
  isForNow,
  type Libc,
  loadLibc,
  SOCK_CLOEXEC,
  SOCK_STREAM,
} from './libc.js'

/** `epoll` is `uring` where every socket call is made by itself. */
export type LoopWish = 'auto' | 'net' | 'epoll' | 'uring'
export type LoopPick = 'net' | 'epoll' | 'uring'

export type LoopChoice = { ok: true; kind: LoopPick; why: string } | { ok: false; sentence: string }

export const LOOP_WISHES: readonly LoopWish[] = ['auto', 'net', 'epoll', 'uring']

export function chooseLoop(wish: LoopWish): LoopChoice {
  if (wish === 'net') return { ok: true, kind: 'net', why: 'asked for' }
  const { libc, why } = loadLibc()
  const problem = libc ? epollProblem(libc) : why
  const batchProblem = problem ?? (libc && wish !== 'epoll' ? uringProblem(libc) : null)
  const refused = wish === 'uring' ? batchProblem : problem
  if (wish !== 'auto') {
    return refused === null
      ? { ok: true, kind: wish, why: 'asked for' }
      : { ok: false, sentence: `--loop ${wish}: ${refused}` }
  }
  if (problem !== null) return { ok: true, kind: 'net', why: problem }
  if (batchProblem !== null) return { ok: true, kind: 'epoll', why: batchProblem }
  return { ok: true, kind: 'uring', why: 'Linux, koffi works, and io_uring may be used' }
}

/** Does an event really arrive? A sandbox may forbid what the library offers. */
function epollProblem(libc: Libc): string | null {
  const epoll = libc.epollCreate(EPOLL_CLOEXEC)
  const fd = libc.eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)
  const event = new DataView(new ArrayBuffer(128))
  const at = libc.addressOf(new Uint8Array(event.buffer))
  event.setUint32(0, EPOLLIN, true)
  event.setInt32(EVENT_DATA_AT, fd, true)
  const works =
    epoll >= 0 &&
    fd >= 0 &&
    libc.epollControl(epoll, EPOLL_CTL_ADD, fd, at) === 0 &&
    libc.epollWait(epoll, at + 64, 1, 0) === 1 &&
    event.getInt32(64 + EVENT_DATA_AT, true) === fd
  for (const open of [epoll, fd]) if (open >= 0) libc.close(open)
  return works ? null : 'epoll does not work here'
}

/** Do bytes that one call of a batch sends come with another, and is nothing left under way? */
function uringProblem(libc: Libc): string | null {
  const ring = CallRing.open(libc, CALLS_LEAST)
  if (typeof ring === 'string') return ring
  const bytes = new Uint8Array(128)
  const at = libc.addressOf(bytes)
  const made = libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, at + 64) === 0
  const [one, other] = new Int32Array(bytes.buffer, 64, 2) as unknown as [number, number]
  bytes.set([1, 2, 3])
  if (made) {
    ring.send(one, at, 3)
    ring.recv(other, at + 8, 8)
    ring.recv(one, at + 16, 8)
    ring.submit()
  }
  const works = made && ring.result(0) === 3 && ring.result(1) === 3 && bytes[10] === 3 && isForNow(-ring.result(2))
  if (made) for (const fd of [one, other]) libc.close(fd)
  ring.close()
  return works ? null : 'io_uring does not work here'
}
