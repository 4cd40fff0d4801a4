/**
 * Data planes without control planes: real engines and data planes on a simulated or net loop, the other side of their
 * port played by the test; and a raw client that sends any bytes and keeps what comes back.
 */
import { createArena } from '../../lib/engine/arena.js'
import { Engine } from '../../lib/engine/engine.js'
import { DataPlane, type DataPlaneOptions } from '../../lib/server/data-plane.js'
import type { DataPort, PeerNode, ToControl, ToData } from '../../lib/server/plane.js'
import type { Address, Connection, ConnectionHandler, Loop } from '../../lib/transport/loop.js'
import { createNetLoop } from '../../lib/transport/net.js'
import { SimulatedWorld } from '../../lib/transport/simulated.js'

export const CLIENT_PORT = 11211
const DATA_PORT = 11401

export class TestNode {
  readonly host: string
  readonly number: number
  readonly engine: Engine
  /** The control thread's own engine: publishes routes. */
  readonly control: Engine
  readonly plane: DataPlane
  readonly port: DataPort
  readonly heard: ToControl[] = []
  /** What the control plane does with a message; by default nothing. */
  onControl: (message: ToControl) => void = () => {}
  clientPort = 0

  constructor(loop: (engine: Engine) => Loop, number: number, host: string, options: Partial<DataPlaneOptions> = {}) {
    this.number = number
    this.host = host
    const arena = createArena({ memoryLimitMb: 64, threads: 1, versionText: 'test', routePointsMax: 1 << 10 })
    this.engine = new Engine(arena, 0)
    this.control = new Engine(arena, 1)
    this.port = {
      post: message => {
        this.heard.push(message)
        own.soon(() => this.onControl(message))
      },
      onMessage() {},
    }
    const own = loop(this.engine)
    this.plane = new DataPlane({
      loop: own,
      engine: this.engine,
      port: this.port,
      options: {
        listen: [{ host, port: own.kind === 'simulated' ? CLIENT_PORT : 0 }],
        dataListen: own.kind === 'simulated' ? { host, port: DATA_PORT } : null,
        identity: { id: `n${number}`, incarnation: '1' },
        secret: 'secret',
        takeTimeoutMs: 5000,
        ...options,
      },
    })
    this.plane.start()
  }

  tell(message: ToData): void {
    this.port.onMessage(message)
  }

  posted<T extends ToControl['type']>(type: T): Extract<ToControl, { type: T }>[] {
    return this.heard.filter(message => message.type === type) as Extract<ToControl, { type: T }>[]
  }

  stat(name: string): number {
    return Number(this.engine.stats().get(name) ?? -1)
  }
}

export class RawClient implements ConnectionHandler {
  readonly connection: Connection
  readonly #received: Buffer[] = []
  #output: Buffer = Buffer.alloc(0)
  #connected = false
  /** Takes nothing from the socket while true. */
  deaf = false
  size = 0
  closed = false

  constructor(loop: Loop, to: Address) {
    this.connection = loop.connect(to, this)
  }

  get text(): string {
    return Buffer.concat(this.#received).toString('latin1')
  }

  /** At least one answer came, and none is cut in the middle of a line or of a list. */
  get whole(): boolean {
    const { text } = this
    return text.endsWith('\r\n') && (!text.startsWith('VALUE') || text.endsWith('END\r\n'))
  }

  /** What came so far, forgotten by that. */
  take(): string {
    const { text } = this
    this.#received.length = 0
    this.size = 0
    return text
  }

  send(bytes: string | Buffer): void {
    this.#output = Buffer.concat([this.#output, typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes])
    if (this.#connected) this.onWritable()
  }

  onConnect(): void {
    this.#connected = true
    this.onWritable()
  }

  onWritable(): void {
    if (this.#output.length === 0 || this.connection.closed) return
    this.#output = this.#output.subarray(this.connection.write(this.#output))
  }

  onReadable(connection: Connection): void {
    if (this.deaf) {
      connection.pauseReading()
      return
    }
    for (let bytes = connection.read(); bytes; bytes = connection.read()) {
      if (bytes.length === 0) {
        connection.close()
        return
      }
      this.#received.push(Buffer.from(bytes))
      this.size += bytes.length
    }
  }

  onClose(): void {
    this.closed = true
  }
}

/** Where a node alone can be tried: a virtual network, and real sockets. */
export interface Place {
  name: string
  node(options?: Partial<DataPlaneOptions>): Promise<TestNode>
  client(node: TestNode): RawClient
  until(condition: () => boolean, what: string): Promise<void>
  stop(): void
}

export function simulatedPlace(seed = 1): Place {
  const world = new SimulatedWorld(seed)
  let hosts = 0
  const until = async (condition: () => boolean, what: string) => {
    if (!world.runUntil(condition, 20_000)) throw new Error(`never came: ${what}`)
  }
  return {
    name: 'simulated',
    until,
    async node(options) {
      const host = `10.0.0.${++hosts}`
      const node = new TestNode(engine => world.loop(host, engine.bytes), 1, host, options)
      await until(() => node.posted('listening').length > 0, 'listening')
      return node
    },
    client: node => new RawClient(world.loop('10.1.0.1'), { host: node.host, port: CLIENT_PORT }),
    stop() {},
  }
}

export function netPlace(): Place {
  const loops: Loop[] = []
  const netLoop = (memory: Uint8Array) => {
    const loop = createNetLoop({ memory })
    loops.push(loop)
    return loop
  }
  const clientLoop = netLoop(new Uint8Array(1 << 16))
  const until = async (condition: () => boolean, what: string) => {
    const end = Date.now() + 20_000
    while (!condition()) {
      if (Date.now() > end) throw new Error(`never came: ${what}`)
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  return {
    name: 'net',
    until,
    async node(options) {
      const node = new TestNode(engine => netLoop(engine.bytes), 1, '127.0.0.1', options)
      await until(() => node.posted('listening').length > 0, 'listening')
      node.clientPort = node.posted('listening')[0]!.clientPort
      return node
    },
    client: node => new RawClient(clientLoop, { host: node.host, port: node.clientPort }),
    stop: () => {
      for (const loop of loops) loop.stop()
    },
  }
}

/** Several data planes in one simulated world, and route tables by halves of the circle. */
export class TestTier {
  readonly world: SimulatedWorld
  readonly nodes: TestNode[]
  #clients = 0

  constructor(count: number, seed = 1, options: Partial<DataPlaneOptions> = {}) {
    this.world = new SimulatedWorld(seed)
    this.nodes = Array.from({ length: count }, (_, i) => {
      const host = `10.0.0.${i + 1}`
      return new TestNode(engine => this.world.loop(host, engine.bytes), i + 1, host, options)
    })
    this.until(() => this.nodes.every(node => node.posted('listening').length > 0), 'listening')
  }

  client(node: TestNode): RawClient {
    return new RawClient(this.world.loop(`10.1.0.${++this.#clients}`), { host: node.host, port: CLIENT_PORT })
  }

  until(condition: () => boolean, what: string): void {
    if (!this.world.runUntil(condition, 30_000)) throw new Error(`never came: ${what}`)
  }

  get peers(): PeerNode[] {
    return this.nodes.map(({ number, host }) => ({
      ...{ number, id: `n${number}`, host, port: CLIENT_PORT, weight: 1, dataHost: host, dataPort: DATA_PORT },
      isAway: false,
    }))
  }

  /** In force at one node: owners of equal arcs, from point 0 on; `toTake`: this node's arcs are not settled. */
  publish(node: TestNode, epoch: number, owners: number[], toTake = false, peers: PeerNode[] = this.peers): void {
    const share = Math.floor(2 ** 32 / owners.length)
    const points = Uint32Array.from(owners, (_, i) => (i === owners.length - 1 ? 0xffffffff : share * (i + 1) - 1))
    const settled = Uint8Array.from(owners, owner => (owner === node.number && toTake ? 0 : 1))
    const tenures = Uint32Array.from(owners, () => epoch)
    node.control.publish({ epoch, self: node.number, points, owners: Uint16Array.from(owners), tenures, settled })
    node.tell({ type: 'route', epoch, self: node.number, nodes: peers })
  }

  publishAll(epoch: number, owners: number[]): void {
    for (const node of this.nodes) this.publish(node, epoch, owners)
  }

  /** The n-th key whose point lies in arc `arc` of `arcs`. */
  key(arc: number, arcs: number, n = 0): string {
    const share = 2 ** 32 / arcs
    for (let i = 0, found = 0; ; i++) {
      const point = this.nodes[0]!.engine.point(Buffer.from(`key${i}`))
      if (Math.floor(point / share) === arc && found++ === n) return `key${i}`
    }
  }
}

export const set = (key: string, value: string): string => `set ${key} 0 0 ${value.length}\r\n${value}\r\n`
export const value = (key: string, data: string): string => `VALUE ${key} 0 ${data.length}\r\n${data}\r\n`
