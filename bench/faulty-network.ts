/**
 * The network between the processes of an experiment: a TCP proxy before each node's peer ports and before the coordinator, which
 * knows who dialed, by the first frame of a link, and can be told what does not get through.
 *
 *   dialer --hello {id}--> [ proxy of `to` ] ------> node `to`         cut: connections are closed, new ones at once
 *                    <------ each direction by itself ------>           stalled: nothing is forwarded; open ends stay open
 *
 * What a stalled direction has taken in it delivers when it is healed, however late: as a network may whose packets are sent again.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { FRAME_HEADER_BYTES } from '../lib/transport/frame.js'

const HOST = '127.0.0.1'
/** As lib/transport/link.ts: more than that is no hello. */
const HELLO_BYTES_MAX = 4096
const ATTEMPTS_MAX = 100

/** One direction of a connection. */
interface Flow {
  from: Socket
  to: Socket
  sender: string
  receiver: string
}

interface Proxy {
  /** The first port of its own; null: it does not listen yet. */
  opened: Promise<number> | null
  servers: Server[]
  /** Real ports, in the order of the proxy's own; none: connections are closed. */
  targets: number[]
}

export class FaultyNetwork {
  readonly #proxies = new Map<string, Proxy>()
  readonly #flows = new Set<Flow>()
  readonly #sockets = new Set<Socket>()
  readonly #cut = new Set<string>()
  readonly #stalled = new Set<string>()

  /** Listens for `id` on so many ports in a row, and gives the first; again: the same one. */
  open(id: string, count: number): Promise<number> {
    const proxy = this.#proxyOf(id)
    // Several nodes that start together ask for the coordinator's.
    proxy.opened ??= this.#listen(proxy, id, count)
    return proxy.opened
  }

  async #listen(proxy: Proxy, id: string, count: number): Promise<number> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      proxy.servers = Array.from({ length: count }, (_, i) =>
        createServer({ allowHalfOpen: true, noDelay: true }, socket => this.#accept(socket, id, i)),
      )
      try {
        const port = await listen(proxy.servers[0]!, 0)
        for (let i = 1; i < count; i++) await listen(proxy.servers[i]!, port + i)
        return port
      } catch {
        for (const server of proxy.servers) server.close() // the next port was taken
      }
    }
    throw new Error(`no ${count} free ports in a row were found`)
  }

  leadsTo(id: string, ports: number[]): void {
    this.#proxyOf(id).targets = ports
  }

  /** Both directions, whoever dialed. */
  cut(one: string, other: string): void {
    this.#cut.add(way(one, other)).add(way(other, one))
    for (const flow of this.#flows) if (this.#isCut(flow)) flow.from.destroy()
  }

  /** What `sender` says does not arrive at `receiver`, whoever dialed. */
  stall(sender: string, receiver: string): void {
    this.#stalled.add(way(sender, receiver))
    for (const flow of this.#flows) this.#regulate(flow)
  }

  heal(): void {
    this.#cut.clear()
    this.#stalled.clear()
    for (const flow of this.#flows) this.#regulate(flow)
  }

  close(): void {
    for (const { servers } of this.#proxies.values()) for (const server of servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #proxyOf(id: string): Proxy {
    const known = this.#proxies.get(id)
    if (known) return known
    const proxy: Proxy = { opened: null, servers: [], targets: [] }
    this.#proxies.set(id, proxy)
    return proxy
  }

  #isCut({ sender, receiver }: Pick<Flow, 'sender' | 'receiver'>): boolean {
    return this.#cut.has(way(sender, receiver))
  }

  /** Bytes are read as long as they may go on. */
  #regulate({ from, to, sender, receiver }: Flow): void {
    if (this.#stalled.has(way(sender, receiver)) || to.writableNeedDrain) from.pause()
    else from.resume()
  }

  #accept(dialed: Socket, to: string, index: number): void {
    let hello = Buffer.alloc(0)
    this.#keep(dialed)
    const hangUp = () => dialed.destroy()
    dialed.once('end', hangUp)
    const hear = (bytes: Buffer) => {
      hello = Buffer.concat([hello, bytes])
      const id = dialerOf(hello)
      if (id === undefined) return
      dialed.off('data', hear)
      dialed.off('end', hangUp)
      const target = this.#proxyOf(to).targets[index]
      if (id === null || target === undefined || this.#isCut({ sender: id, receiver: to })) {
        dialed.destroy()
        return
      }
      const socket = connect({ host: HOST, port: target, noDelay: true, allowHalfOpen: true })
      this.#keep(socket)
      this.#join({ from: socket, to: dialed, sender: to, receiver: id })
      this.#join({ from: dialed, to: socket, sender: id, receiver: to }, hello)
    }
    dialed.on('data', hear)
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
  }

  #join(flow: Flow, first: Buffer = Buffer.alloc(0)): void {
    const { from, to } = flow
    this.#flows.add(flow)
    // What came already is put back, so that a stalled direction holds it too.
    if (first.length > 0) from.unshift(first)
    from.on('data', bytes => {
      to.write(bytes)
      this.#regulate(flow)
    })
    to.on('drain', () => this.#regulate(flow))
    from.on('end', () => to.end())
    from.on('close', () => {
      this.#flows.delete(flow)
      to.destroy()
    })
    this.#regulate(flow)
  }
}

const way = (sender: string, receiver: string): string => `${sender} ${receiver}`

/** Undefined: not all of the first frame is there; null: it is no hello. */
function dialerOf(bytes: Buffer): string | null | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined
  const length = bytes.readUInt32LE(0)
  if (length > HELLO_BYTES_MAX) return null
  if (bytes.length < length) return undefined
  try {
    const { id } = JSON.parse(bytes.toString('utf8', FRAME_HEADER_BYTES, length)) as { id?: unknown }
    return typeof id === 'string' ? id : null
  } catch {
    return null
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, HOST, () => {
      const address = server.address()
      if (address && typeof address === 'object') resolve(address.port)
      else reject(new Error('no port'))
    })
  })
}
