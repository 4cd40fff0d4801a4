/** Batches of calls against the real io_uring, the ways in which a system may not have it, and a loop that holds what it sends. */
import t, { type Test } from 'tap'
import { BATCH_CALLS, CALLS_LEAST } from '../../lib/transport/batch.js'
import { CallRing } from '../../lib/transport/call-ring.js'
import { EpollLoop } from '../../lib/transport/epoll.js'
import { EpollConnection } from '../../lib/transport/epoll-connection.js'
import { AF_UNIX, Errno, type Libc, loadLibc, SOCK_CLOEXEC, SOCK_STREAM } from '../../lib/transport/libc.js'
import type { Connection, Listener } from '../../lib/transport/loop.js'
import { LOOPS, play } from './place.js'
import { handler, listen } from './scene-parts.js'

const { libc } = loadLibc()
const skip = !LOOPS.includes('uring') && 'no io_uring here'

function openRing(t: Test, changes: Partial<Libc> = {}): { ring: CallRing; bytes: Uint8Array; at: number } {
  const ring = CallRing.open({ ...libc!, ...changes }, 8)
  if (typeof ring === 'string') throw new Error(ring)
  t.teardown(() => ring.close())
  const bytes = new Uint8Array(4096)
  return { ring, bytes, at: libc!.addressOf(bytes) }
}

function socketPair(t: Test): [number, number] {
  const pair = new Int32Array(64)
  libc!.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, libc!.addressOf(new Uint8Array(pair.buffer)))
  const [one, other] = [pair[0]!, pair[1]!]
  t.teardown(() => [one, other].forEach(fd => void libc!.close(fd)))
  return [one, other]
}

t.test('calls are made in their order, each with a result of its own', { skip }, t => {
  const { ring, bytes, at } = openRing(t)
  const [one, other] = socketPair(t)
  bytes.set(Buffer.from('abcdef'))
  for (let round = 0; round < 1000; round++) {
    ring.send(one, at, 4)
    ring.send(one, at + 4, 2)
    ring.recv(other, at + 100, 5)
    ring.recv(other, at + 200, 100)
    ring.recv(other, at + 300, 100)
    ring.send(9999, at, 1)
    t.equal(ring.count, 6)
    ring.submit()
    const results = [0, 1, 2, 3, 4, 5].map(i => ring.result(i))
    const text = Buffer.from(bytes.subarray(100, 105)).toString() + String.fromCharCode(bytes[200]!)
    if (text !== 'abcdef' || results.join() !== `4,2,5,1,${-Errno.EAGAIN},-9`) t.fail(`${round}: ${results} ${text}`)
  }
  t.equal(ring.count, 0)
  t.end()
})

t.test('a peer that is gone is an error of its call alone', { skip }, t => {
  const { ring, at } = openRing(t)
  const [one, other] = socketPair(t)
  const [alive] = socketPair(t)
  const dead = libc!.dup(other)
  libc!.close(dead)
  ring.send(dead, at, 1)
  ring.send(alive, at, 1)
  ring.send(one, at, 1)
  ring.submit()
  t.same(
    [0, 1, 2].map(i => ring.result(i)),
    [-9, 1, 1],
  )
  t.end()
})

t.test('what the kernel does not look at comes back as not for now, and the next ones are made', { skip }, t => {
  let limit = 2
  let interrupted = 0
  const uringEnter: Libc['uringEnter'] = (fd, submit, complete, flags) => {
    if (interrupted++ % 2 === 0) return -1
    return limit < 0 ? -1 : libc!.uringEnter(fd, Math.min(submit, limit), complete, flags)
  }
  let errno: number = Errno.EINTR
  const { ring, at } = openRing(t, { uringEnter, errno: () => errno })
  const [one] = socketPair(t)
  const sendThree = () => {
    for (let i = 0; i < 3; i++) ring.send(one, at, 1 + i)
    ring.submit()
    return [0, 1, 2].map(i => ring.result(i))
  }
  for (let round = 0; round < 20; round++) t.same(sendThree(), [1, 2, -Errno.EAGAIN])
  limit = 3
  t.same(sendThree(), [1, 2, 3])
  errno = Errno.ENOMEM
  t.same(sendThree(), [-Errno.EAGAIN, -Errno.EAGAIN, -Errno.EAGAIN])
  errno = Errno.EINTR
  t.same(sendThree(), [1, 2, 3])
  t.end()
})

t.test(
  'a system without io_uring is told in a sentence, and the loop makes its calls one by one',
  { skip: !libc && 'no libc' },
  t => {
    const refused: Libc = { ...libc!, uringSetup: () => -1, errno: () => Errno.EPERM }
    t.equal(CallRing.open(refused, 8), 'the system does not let this process use io_uring (EPERM)')
    const loop = new EpollLoop(refused, { memory: new Uint8Array(new SharedArrayBuffer(4096)), batches: true })
    t.equal(loop.kind, 'epoll')
    loop.stop()
    loop.run()
    t.end()
  },
)

t.test('a memory of more than 2 GiB has batches too', { skip }, t => {
  const memory = new Uint8Array(new SharedArrayBuffer(2 ** 31 + 65_536))
  const loop = new EpollLoop(libc!, { memory, ahead: { offset: 2 ** 31, length: 65_536 }, batches: true })
  t.equal(loop.kind, 'uring')
  loop.stop()
  loop.run()
  const ahead = { offset: 0, length: 65_535 }
  t.throws(() => new EpollLoop(libc!, { memory, ahead, batches: true }), /65535 bytes are too few for 32 slots/)
  t.end()
})

t.test('memory that cannot be mapped is no ring, and nothing stays open', { skip }, t => {
  let closed = -1
  const close = (fd: number) => {
    closed = fd
    return libc!.close(fd)
  }
  t.equal(CallRing.open({ ...libc!, mapShared: () => null, close }, 8), 'io_uring cannot be mapped here')
  t.ok(closed > 2)
  let maps = 0
  const mapShared: Libc['mapShared'] = (fd, at, length) => (maps++ === 0 ? libc!.mapShared(fd, at, length) : null)
  let unmapped = 0
  const munmap = (address: number, length: number) => {
    unmapped++
    return libc!.munmap(address, length)
  }
  t.equal(CallRing.open({ ...libc!, mapShared, munmap }, 8), 'io_uring cannot be mapped here')
  t.equal(unmapped, 1)
  t.end()
})

for (const isForbidden of [false, true]) {
  const name = isForbidden
    ? 'do not leave when the guard says no, and their connections are closed'
    : 'leave when the guard says yes'
  t.test(`guarded sends ${name}; others leave`, { skip }, async t => {
    const count = BATCH_CALLS + 8
    let asked = 0
    const problem = await play('uring', (place, done) => {
      place.server.guardSends(() => {
        asked++
        return !isForbidden
      })
      place.server.memory.set(Buffer.from('guarded.'), 64)
      const answer = (connection: Connection, guarded: boolean) => {
        connection.read()
        if (connection.send(64, 8, guarded) !== 8) done('a short send')
      }
      let accepted = 0
      const greet = () => {
        const guarded = accepted++ % 2 === 0
        return handler({ onReadable: connection => answer(connection, guarded) })
      }
      let heard = 0
      let closed = 0
      const tally = () => {
        if (heard + closed < count) return
        const wanted = isForbidden ? count / 2 : count
        done(heard === wanted && asked > 0 ? null : `${heard} answers, ${closed} ends, asked ${asked} times`)
      }
      const start = ({ port }: Listener) => {
        const clients: Connection[] = []
        const speak = () => {
          for (const client of clients) client.write(Buffer.from('x'))
        }
        let connected = 0
        for (let i = 0; i < count; i++) {
          const onReadable = (connection: Connection) => {
            const part = connection.read()
            if (!part) return
            if (part.length > 0) heard++
            else closed++
            connection.close()
            tally()
          }
          const onConnect = () => {
            if (++connected === count) place.client.setTimer(5, speak)
          }
          clients.push(place.client.connect({ host: place.host, port }, handler({ onConnect, onReadable })))
        }
      }
      listen(place, {}, greet, start, done)
    })
    t.equal(problem, null)
  })
}

t.test('sends leave in the order in which they were made, large ones too', { skip }, t => {
  const left: number[] = []
  let entered = 0
  const send: Libc['send'] = (fd, at, length, flags) => {
    left.push(length)
    return libc!.send(fd, at, length, flags)
  }
  const uringEnter: Libc['uringEnter'] = (fd, submit, complete, flags) => {
    left.push(...Array(submit).fill(0))
    entered++
    return libc!.uringEnter(fd, submit, complete, flags)
  }
  const loop = new EpollLoop({ ...libc!, send, uringEnter }, { memory: new Uint8Array(100_000), batches: true })
  const one = new EpollConnection(loop, libc!.dup(socketPair(t)[0]), { host: '', port: 0 }, handler({}), false)
  const other = new EpollConnection(loop, libc!.dup(socketPair(t)[0]), { host: '', port: 0 }, handler({}), false)
  one.send(0, 1)
  t.same(left, [], 'held')
  other.write(Buffer.alloc(9000))
  t.same(left.splice(0), [1, 9000])
  one.send(0, 2)
  other.send(0, 3)
  one.send(0, 4)
  t.same(left.splice(0), [2, 3], 'the same connection once more')
  for (let more = 1; more < CALLS_LEAST; more++) {
    const next = new EpollConnection(loop, libc!.dup(socketPair(t)[0]), { host: '', port: 0 }, handler({}), false)
    next.send(0, 6)
  }
  t.equal(entered, 0)
  loop.stop()
  loop.run()
  t.equal(entered, 1)
  t.same(left, Array(CALLS_LEAST).fill(0), 'all at once')
  t.end()
})

t.test('a close in the midst of a large write does not change what is written', { skip }, t => {
  const loop = new EpollLoop(libc!, { memory: new Uint8Array(100_000), batches: true })
  const open = (fd: number) => new EpollConnection(loop, libc!.dup(fd), { host: '', port: 0 }, handler({}), false)
  const [one, oneFar] = socketPair(t)
  const [other, otherFar] = socketPair(t)
  const bytes = new Uint8Array(20_000)
  const at = libc!.addressOf(bytes)
  loop.guardSends(() => false)
  const cut = open(one)
  libc!.write(oneFar, at, 9000)
  cut.send(0, 10, true)
  t.equal(open(other).write(new Uint8Array(9000).fill(7)), 9000)
  t.equal(cut.closed, true)
  t.equal(Number(libc!.read(otherFar, at, 20_000)), 9000)
  t.ok(bytes.subarray(0, 9000).every(byte => byte === 7))
  loop.stop()
  loop.run()
  t.end()
})
