/** Loops in real worker threads: messages while a loop blocks, clients from outside, a port shared by threads, ends. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { MessageChannel, Worker } from 'node:worker_threads'
import t from 'tap'
import { chooseLoop, type LoopPick } from '../../lib/transport/choose.js'
import { createWay, eventPort, SharedPort, type ThreadPort } from '../../lib/transport/plane-port.js'
import { type Bell, createBell, createWaker } from '../../lib/transport/waker.js'
import { LOOPS } from './place.js'
import { type FromThread, fromThreadForm, type ThreadData, type ToThread, toThreadForm } from './thread-messages.js'

class Thread {
  readonly worker: Worker
  readonly messages: ThreadPort<ToThread, FromThread>
  readonly #heard: FromThread[] = []
  #bell: Bell | null = null
  #waiting: ((message: FromThread) => void) | null = null

  constructor(kind: LoopPick, listen: ThreadData['listen'] = { port: 0 }) {
    const { port1, port2 } = new MessageChannel()
    let shared: ThreadData['shared'] = null
    if (kind === 'net') this.messages = eventPort(port1)
    else {
      const waker = createWaker()
      const [toThread, fromThread] = [createWay(), createWay()]
      const ways = { out: toThread, in: fromThread, outForm: toThreadForm, inForm: fromThreadForm }
      const own = new SharedPort<ToThread, FromThread>({ port: port1, ...ways, wake: waker.wake })
      const bell = createBell(() => own.take())
      shared = { wakeFd: waker.fd, bellFd: bell.fd, toThread, fromThread }
      this.messages = own
      this.#bell = bell
    }
    const workerData: ThreadData = { port: port2, shared, batches: kind === 'uring', listen }
    this.worker = new Worker(new URL('./thread.js', import.meta.url), {
      ...{ workerData, transferList: [port2] },
      // Without what tap loads into the test itself.
      execArgv: [],
    })
    this.messages.onMessage = message => {
      const waiting = this.#waiting
      this.#waiting = null
      if (waiting) waiting(message)
      else this.#heard.push(message)
    }
    this.worker.once('exit', () => {
      port1.close()
      this.#bell?.close()
    })
  }

  next(): Promise<FromThread> {
    const heard = this.#heard.shift()
    return heard ? Promise.resolve(heard) : new Promise(resolve => (this.#waiting = resolve))
  }

  async listening(): Promise<{ port: number; fd: number | undefined }> {
    const message = await this.next()
    if (message.type !== 'listening') throw new Error(JSON.stringify(message))
    return message
  }

  async stop(): Promise<void> {
    const exit = once(this.worker, 'exit')
    this.messages.post({ type: 'stop' })
    await exit
  }
}

async function gather(socket: Socket): Promise<string> {
  let got = ''
  for await (const part of socket) got += String(part)
  return got
}

for (const kind of LOOPS) {
  t.test(kind, async t => {
    const thread = new Thread(kind)
    const { port } = await thread.listening()

    for (let number = 0; number < 200; number++) thread.messages.post({ type: 'ping', number })
    for (let number = 0; number < 200; number++) {
      const message = await thread.next()
      if (message.type !== 'pong' || message.number !== number) t.same(message, { type: 'pong', number })
    }
    t.pass('two hundred messages there and back, in order')

    // Some of them have no short form, and there are more than a ring holds.
    const texts = Array.from({ length: 20_000 }, (_, i) => (i % 97 === 0 ? `long ${i}` : ''))
    texts.forEach((text, number) => {
      thread.messages.post(text === '' ? { type: 'ping', number } : { type: 'ping', number, text })
    })
    for (let number = 0; number < texts.length; number++) {
      const message = await thread.next()
      const text = texts[number]!
      const wanted: FromThread = text === '' ? { type: 'pong', number } : { type: 'pong', number, text }
      if (message.type !== 'pong' || message.number !== number || message.text !== wanted.text) t.same(message, wanted)
    }
    t.pass('twenty thousand at once, short and long ones, in order')

    const half = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    half.end('bytes, then the end at once')
    t.equal(await gather(half), 'bytes, then the end at once', 'who ends its side still gets its answer')

    const idle = connect({ port, host: '127.0.0.1' })
    await once(idle, 'connect')
    idle.resetAndDestroy()
    const after = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    after.end('still here')
    t.equal(await gather(after), 'still here', 'a reset harms nobody else')

    const left = connect({ port, host: '127.0.0.1' })
    left.write('x')
    await once(left, 'data')
    left.resume()
    const gone = once(left, 'close')
    await thread.stop()
    await gone
    t.pass('stop ends the thread and its connections')
  })

  t.test(`${kind}: an error thrown by a handler ends the thread in plain sight`, async t => {
    const thread = new Thread(kind)
    await thread.listening()
    const error = once(thread.worker, 'error') as Promise<[Error]>
    thread.messages.post({ type: 'throw' })
    t.match((await error)[0].message, /thrown on purpose/)
  })

  t.test(`${kind}: threads share a port, others find it taken`, async t => {
    const first = new Thread(kind, { port: 0, shared: true })
    const { port, fd } = await first.listening()
    const listen = kind === 'net' ? { port, shared: true, fd: fd! } : { port, shared: true, joins: true }
    const second = new Thread(kind, listen)
    t.equal((await second.listening()).port, port)
    const answers = Array.from({ length: 50 }, (_, i) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      socket.end(`client ${i}`)
      return gather(socket)
    })
    t.same(
      await Promise.all(answers),
      answers.map((_, i) => `client ${i}`),
    )
    const stranger = new Thread(kind, { port, shared: true })
    t.same(await stranger.next(), { type: 'failed', sentence: `port ${port} on 127.0.0.1 is taken` })
    await stranger.stop()
    await first.stop()
    const last = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    last.end('after the first has gone')
    t.equal(await gather(last), 'after the first has gone')
    await second.stop()
  })

  t.test(`${kind}: a port that another program holds is taken, shared or not`, async t => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    for (const shared of [false, true]) {
      const thread = new Thread(kind, { port, shared })
      t.same(await thread.next(), { type: 'failed', sentence: `port ${port} on 127.0.0.1 is taken` })
      await thread.stop()
    }
    server.close()
  })
}

t.test('a process can exit while a thread of it blocks', { skip: LOOPS.length < 2 && 'no epoll here' }, async t => {
  const script = `
    const { MessageChannel, Worker } = await import('node:worker_threads')
    const { createBell, createWaker } = await import(${JSON.stringify(new URL('../../lib/transport/waker.js', import.meta.url).href)})
    const { createWay } = await import(${JSON.stringify(new URL('../../lib/transport/plane-port.js', import.meta.url).href)})
    const { port1, port2 } = new MessageChannel()
    const bell = createBell(() => process.exit(7))
    const shared = { wakeFd: createWaker().fd, bellFd: bell.fd, toThread: createWay(), fromThread: createWay() }
    const workerData = { port: port2, shared, batches: false, listen: { port: 0 } }
    const url = new URL(${JSON.stringify(new URL('./thread.js', import.meta.url).href)})
    new Worker(url, { workerData, transferList: [port2], execArgv: [] })
  `
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 })
  await t.rejects(run, { code: 7 })
})

t.test('the choice of a loop is explained in one sentence', async t => {
  t.same(chooseLoop('net'), { ok: true, kind: 'net', why: 'asked for' })
  const auto = chooseLoop('auto')
  t.ok(auto.ok && auto.why.length > 0)
  for (const kind of ['epoll', 'uring'] as const) {
    const choice = chooseLoop(kind)
    if (LOOPS.includes(kind)) t.same(choice, { ok: true, kind, why: 'asked for' })
    else t.match(choice, { ok: false, sentence: new RegExp(`^--loop ${kind}: .`) })
  }
})
