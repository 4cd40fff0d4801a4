/** The proxies between the processes of an experiment: who dialed, what is cut, what is held back and comes late. */
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { FaultyNetwork } from '../../bench/faulty-network.js'
import { encodeFrame, FrameType } from '../../lib/transport/frame.js'

const HOST = '127.0.0.1'

const hello = (id: string): Buffer =>
  encodeFrame({ type: FrameType.hello, hops: 0, id: 0, epoch: 0, payload: Buffer.from(JSON.stringify({ id })) })

/** Node `b`, which keeps what it hears and says it back. */
async function listening(t: Test, network: FaultyNetwork): Promise<{ port: number; heard(): string }> {
  let text = ''
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    socket.on('data', bytes => {
      text += bytes.toString('latin1')
      socket.write(bytes)
    })
  })
  t.teardown(() => {
    network.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await new Promise<void>(resolve => server.listen(0, HOST, resolve))
  const address = server.address()
  if (!address || typeof address !== 'object') throw new Error('no port')
  network.leadsTo('b', [address.port])
  return { port: await network.open('b', 1), heard: () => text }
}

class Dialed {
  text = ''
  readonly closed: Promise<void>
  readonly socket: Socket

  constructor(t: Test, port: number, id: string) {
    this.socket = connect(port, HOST)
    this.socket.write(hello(id))
    this.socket.on('error', () => {})
    this.socket.on('data', bytes => {
      this.text += bytes.toString('latin1')
    })
    this.closed = new Promise(resolve => this.socket.once('close', () => resolve()))
    t.teardown(() => this.socket.destroy())
  }

  async says(word: string): Promise<void> {
    this.socket.write(word)
    await until(() => this.text.includes(word))
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(resolve => setImmediate(resolve))
}

t.test('everything gets through, to the same port again', async t => {
  const network = new FaultyNetwork()
  const { port, heard } = await listening(t, network)
  const a = new Dialed(t, port, 'a')
  await a.says('one')
  t.match(heard(), /"id":"a".*one/)
  t.equal(await network.open('b', 1), port)
})

t.test('cut: the connections of the two are closed, and new ones', async t => {
  const network = new FaultyNetwork()
  const { port } = await listening(t, network)
  const a = new Dialed(t, port, 'a')
  const c = new Dialed(t, port, 'c')
  await a.says('one')
  await c.says('two')
  network.cut('b', 'a')
  await a.closed
  await new Dialed(t, port, 'a').closed
  await c.says('three')
  network.heal()
  await new Dialed(t, port, 'a').says('four')
})

t.test('stalled: one direction is held back, and delivered when it is healed', async t => {
  const network = new FaultyNetwork()
  const { port, heard } = await listening(t, network)
  const a = new Dialed(t, port, 'a')
  const c = new Dialed(t, port, 'c')
  await a.says('one')
  network.stall('b', 'a')
  a.socket.write('two')
  await until(() => heard().includes('two'))
  await c.says('three')
  t.notMatch(a.text, 'two', 'the answer is held back')
  network.heal()
  await until(() => a.text.includes('two'))
  network.stall('a', 'b')
  a.socket.write('four')
  const late = new Dialed(t, port, 'a')
  await c.says('five')
  t.notMatch(heard(), 'four', 'the other direction')
  network.heal()
  await a.says('six')
  await late.says('seven')
  t.match(heard(), /four[\s\S]*six/, 'in order')
})
