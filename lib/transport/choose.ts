/** Which world carries the traffic: what was asked for, and one sentence that says why (DESIGN 4: said once). */
import {
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLLIN,
  EVENT_DATA_AT,
  type Libc,
  loadLibc,
} from './libc.js'

export type LoopWish = 'auto' | 'net' | 'epoll'

export type LoopChoice = { ok: true; kind: 'net' | 'epoll'; why: string } | { ok: false; sentence: string }

export function chooseLoop(wish: LoopWish): LoopChoice {
  if (wish === 'net') return { ok: true, kind: 'net', why: 'asked for' }
  const { libc, why } = loadLibc()
  const problem = libc ? selfTest(libc) : why
  if (problem === null)
    return { ok: true, kind: 'epoll', why: wish === 'epoll' ? 'asked for' : 'Linux, and koffi works' }
  if (wish === 'epoll') return { ok: false, sentence: `--loop epoll: ${problem}` }
  return { ok: true, kind: 'net', why: problem }
}

/** Does an event really arrive? A sandbox may forbid what the library offers. */
function selfTest(libc: Libc): string | null {
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
