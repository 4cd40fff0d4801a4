/**
 * The C library's socket calls through koffi, for Linux on x64 and arm64. Pointers are plain integers: `addressOf` tells
 * where a byte array begins, and callers add offsets; neither shared memory nor the backing store of a Buffer ever moves.
 * Every call returns what the system call returned; -1 means: look at `errno()`. No policy here.
 */
import { createRequire } from 'node:module'

export interface Libc {
  socket(domain: number, type: number, protocol: number): number
  socketpair(domain: number, type: number, protocol: number, pair: number): number
  setsockopt(fd: number, level: number, option: number, value: number, length: number): number
  getsockopt(fd: number, level: number, option: number, value: number, length: number): number
  bind(fd: number, address: number, length: number): number
  listen(fd: number, backlog: number): number
  accept4(fd: number, address: number, length: number, flags: number): number
  connect(fd: number, address: number, length: number): number
  getsockname(fd: number, address: number, length: number): number
  recv(fd: number, address: number, length: number, flags: number): number
  send(fd: number, address: number, length: number, flags: number): number
  read(fd: number, address: number, length: number): number
  write(fd: number, address: number, length: number): number
  close(fd: number): number
  dup(fd: number): number
  madvise(address: number, length: number, advice: number): number
  eventfd(initial: number, flags: number): number
  epollCreate(flags: number): number
  epollControl(epoll: number, operation: number, fd: number, event: number): number
  epollWait(epoll: number, events: number, eventsMax: number, timeoutMs: number): number
  /** io_uring_setup(2), by its number: the C library has no function for it. */
  uringSetup(entries: number, parameters: number): number
  /** io_uring_enter(2) without a signal mask. */
  uringEnter(fd: number, submit: number, complete: number, flags: number): number
  /** The descriptor's memory from `offset` on, shared with whoever else has it; null: it cannot be had. */
  mapShared(fd: number, offset: number, length: number): Mapping | null
  munmap(address: number, length: number): number
  errno(): number
  /** Where the array's first byte lies. The array must not be one that the garbage collector moves (over 64 bytes it never is). */
  addressOf(bytes: Uint8Array): number
}

/** Memory of the system's in this process; not to be touched after `munmap`. */
export interface Mapping {
  address: number
  bytes: ArrayBuffer
}

/** Constants of Linux, the same on x64 and arm64. */
export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const SOCK_STREAM = 1
export const SOCK_NONBLOCK = 0x800
export const SOCK_CLOEXEC = 0x80000
export const SOL_SOCKET = 1
export const SO_REUSEADDR = 2
export const SO_ERROR = 4
export const SO_LINGER = 13
export const SO_REUSEPORT = 15
export const IPPROTO_TCP = 6
export const IPPROTO_IPV6 = 41
export const IPV6_V6ONLY = 26
export const TCP_NODELAY = 1
/** madvise: the pages' contents are not needed any more, their memory goes back to the system. */
export const MADV_DONTNEED = 4
const PROT_READ_WRITE = 3
const MAP_SHARED_POPULATE = 0x8001
/** System calls' numbers, the same on x64 and arm64. */
const URING_SETUP = 425
const URING_ENTER = 426
const SIGNALS_BYTES = 8
const MAP_FAILED = 2n ** 64n - 1n
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40
export const MSG_NOSIGNAL = 0x4000
export const EFD_NONBLOCK = 0x800
export const EFD_CLOEXEC = 0x80000
export const EPOLL_CLOEXEC = 0x80000
export const EPOLL_CTL_ADD = 1
export const EPOLL_CTL_DEL = 2
export const EPOLL_CTL_MOD = 3
export const EPOLLIN = 1
export const EPOLLOUT = 4
export const EPOLLERR = 8
export const EPOLLHUP = 16
/** struct epoll_event: the mask, then what the caller gave, packed on x64 alone. */
export const EVENT_BYTES = process.arch === 'x64' ? 12 : 16
export const EVENT_DATA_AT = process.arch === 'x64' ? 4 : 8

export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  ENOTDIR: 20,
  ENFILE: 23,
  EMFILE: 24,
  EROFS: 30,
  EPIPE: 32,
  ENOSYS: 38,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  EINPROGRESS: 115,
} as const

/** Did nothing go wrong but that it cannot be done now? */
export function isForNow(errno: number): boolean {
  return errno === Errno.EAGAIN || errno === Errno.EINTR
}

export function errnoName(errno: number): string {
  return Object.entries(Errno).find(([, number]) => number === errno)?.[0] ?? `error ${errno}`
}

type Koffi = typeof import('koffi')
type Loaded = { libc: Libc; why: null } | { libc: null; why: string }

/** Per thread: koffi is loaded by each worker that needs it. */
let loaded: Loaded | null = null

/** The C library, or one sentence that says why not and what would help. */
export function loadLibc(): Loaded {
  loaded ??= load()
  return loaded
}

function load(): Loaded {
  if (process.platform !== 'linux')
    return { libc: null, why: `epoll is a Linux interface, this is ${process.platform}` }
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    return { libc: null, why: `the epoll loop knows x64 and arm64, this is ${process.arch}` }
  }
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi
    return { libc: bindCalls(koffi), why: null }
  } catch (error) {
    const first = (error as Error).message.split('\n')[0]
    return { libc: null, why: `the package koffi does not load (${first}): install it with "npm install koffi"` }
  }
}

function bindCalls(koffi: Koffi): Libc {
  const library = koffi.load(null)
  const mmap = library.func('void *mmap(uint64_t, size_t, int, int, int, int64_t)')
  const setup = library.func('syscall', 'int64_t', ['int64_t', 'uint32_t', 'uint64_t'])
  const enter = library.func('syscall', 'int64_t', [
    'int64_t',
    'int',
    'uint32_t',
    'uint32_t',
    'uint32_t',
    'uint64_t',
    'size_t',
  ])
  const memcpy = library.func('size_t memcpy(void *, void *, size_t)')
  return {
    socket: library.func('int socket(int, int, int)'),
    socketpair: library.func('int socketpair(int, int, int, uint64_t)'),
    setsockopt: library.func('int setsockopt(int, int, int, uint64_t, uint32_t)'),
    getsockopt: library.func('int getsockopt(int, int, int, uint64_t, uint64_t)'),
    bind: library.func('int bind(int, uint64_t, uint32_t)'),
    listen: library.func('int listen(int, int)'),
    accept4: library.func('int accept4(int, uint64_t, uint64_t, int)'),
    connect: library.func('int connect(int, uint64_t, uint32_t)'),
    getsockname: library.func('int getsockname(int, uint64_t, uint64_t)'),
    recv: library.func('int64_t recv(int, uint64_t, size_t, int)'),
    send: library.func('int64_t send(int, uint64_t, size_t, int)'),
    read: library.func('int64_t read(int, uint64_t, size_t)'),
    write: library.func('int64_t write(int, uint64_t, size_t)'),
    close: library.func('int close(int)'),
    dup: library.func('int dup(int)'),
    madvise: library.func('int madvise(uint64_t, size_t, int)'),
    eventfd: library.func('int eventfd(unsigned int, int)'),
    epollCreate: library.func('epoll_create1', 'int', ['int']),
    epollControl: library.func('epoll_ctl', 'int', ['int', 'int', 'int', 'uint64_t']),
    epollWait: library.func('epoll_wait', 'int', ['int', 'uint64_t', 'int', 'int']),
    uringSetup: (entries, parameters) => Number(setup(URING_SETUP, entries, parameters)),
    uringEnter: (fd, submit, complete, flags) =>
      Number(enter(URING_ENTER, fd, submit, complete, flags, 0, SIGNALS_BYTES)),
    mapShared(fd, offset, length) {
      const pointer = mmap(0, length, PROT_READ_WRITE, MAP_SHARED_POPULATE, fd, offset)
      const address = koffi.address(pointer)
      return address === MAP_FAILED ? null : { address: Number(address), bytes: koffi.view(pointer, length) }
    },
    munmap: library.func('int munmap(uint64_t, size_t)'),
    errno: () => koffi.errno(),
    addressOf: bytes => Number(memcpy(bytes, bytes, 0)),
  }
}
