/** -U: requests and replies in datagrams (PROTOCOL D12), to a real process. */
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LOOPS } from '../transport/place.js'
import { startWith } from './process.js'
import { ask } from './raw-client.js'

const HOST = '127.0.0.1'
const PAYLOAD = 1392

interface Datagram {
  id: number
  number: number
  total: number
  text: string
}

function framed(id: number, text: string, total = 1): Buffer {
  const header = Buffer.from([id >> 8, id & 255, 0, 0, total >> 8, total & 255, 0, 0])
  return Buffer.concat([header, Buffer.from(text, 'latin1')])
}

class UdpClient {
  readonly #socket = createSocket('udp4')
  readonly #got: Datagram[] = []
  readonly #port: number
  #look: () => void = () => {}

  constructor(t: Test, port: number) {
    this.#port = port
    t.teardown(() => this.#socket.close())
    this.#socket.on('message', bytes => {
      const [id, number, total] = [bytes.readUInt16BE(0), bytes.readUInt16BE(2), bytes.readUInt16BE(4)]
      if (bytes.length > PAYLOAD + 8) throw new Error(`a datagram of ${bytes.length} bytes`)
      this.#got.push({ id, number, total, text: bytes.toString('latin1', 8) })
      this.#look()
    })
  }

  send(bytes: Buffer): void {
    this.#socket.send(bytes, this.#port, HOST)
  }

  /** The reply to a request, put together. */
  ask(id: number, text: string): Promise<{ text: string; datagrams: number }> {
    this.send(framed(id, text))
    return new Promise(resolve => {
      this.#look = () => {
        const parts = this.#got.filter(datagram => datagram.id === id)
        if (parts.length === 0 || parts.length < parts[0]!.total) return
        parts.sort((a, b) => a.number - b.number)
        this.#got.length = 0
        resolve({ text: parts.map(part => part.text).join(''), datagrams: parts.length })
      }
      this.#look()
    })
  }
}

for (const loop of LOOPS) {
  t.test(`datagrams beside TCP on ${loop}`, async t => {
    const file = join(t.testdir(), 'ports')
    const env = { MEMCACHED_PORT_FILENAME: file }
    const args = ['server', '-m', '16', '-t', '1', '-p', '-1', '-U', '-1', '--loop', loop]
    const { child, ready, end } = await startWith(t, env, ...args)
    const [, udpPlace] = ready.places as string[]
    const port = Number(/^udp:127\.0\.0\.1:(\d+)$/.exec(udpPlace!)?.[1])
    t.equal(readFileSync(file, 'utf8'), `TCP INET: ${ready.clientPort}\nUDP INET: ${port}\n`)
    const tcp = (text: string, end?: string) => ask(t, { host: HOST, port: Number(ready.clientPort) }, text, end)
    const client = new UdpClient(t, port)

    t.same(await client.ask(1, 'set a 7 0 3\r\none\r\n'), { text: 'STORED\r\n', datagrams: 1 })
    t.equal(await tcp('get a\r\n', 'END\r\n'), 'VALUE a 7 3\r\none\r\nEND\r\n', 'one store')
    t.equal((await client.ask(65_535, 'get a\r\n')).text, 'VALUE a 7 3\r\none\r\nEND\r\n')
    t.equal(
      (await client.ask(2, 'mn\r\nversion\r\nnonsense\r\n')).text.replace(/VERSION .*/, 'VERSION'),
      'MN\r\nVERSION\r\nERROR\r\n',
    )
    t.match((await client.ask(3, 'stats\r\n')).text, /^STAT pid \d+\r\n(.*\r\n)*END\r\n$/)

    for (const length of [1, 1360, PAYLOAD, 50_000, 400_000]) {
      const value = 'v'.repeat(length)
      t.equal(await tcp(`set long 0 0 ${length}\r\n${value}\r\n`), 'STORED\r\n')
      const expected = `VALUE long 0 ${length}\r\n${value}\r\nEND\r\n`
      const reply = length > 50_000 ? null : await client.ask(4 + (length % 1000), 'get long\r\n')
      // What is longer than the socket's buffers is lost in part, as it is with memcached; the server lives.
      if (!reply) client.send(framed(9, 'get long\r\n'))
      else t.same(reply, { text: expected, datagrams: Math.ceil(expected.length / PAYLOAD) })
    }

    client.send(framed(10, 'set part 0 0 5\r\nab'))
    client.send(framed(11, 'mn\r\n', 2))
    client.send(Buffer.from([0, 1, 2]))
    client.send(Buffer.alloc(8))
    client.send(framed(12, 'set quiet 0 0 1 noreply\r\nq\r\n'))
    t.equal((await client.ask(13, 'get part quiet\r\n')).text, 'VALUE quiet 0 1\r\nq\r\nEND\r\n')
    t.match(await tcp('stats\r\n', 'END\r\n'), /STAT curr_connections 1\r\n/, 'datagrams take no place')
    child.kill('SIGTERM')
    t.same(await end.then(({ code, stderr }) => ({ code, stderr })), { code: 0, stderr: '' })
  })
}
