/**
 * A whole tier in one process and in virtual time: real engines, data planes, control planes and handoff on the simulated
 * loop; the topology is driven by a script that may start the next change before the last has settled (chains, back and
 * forth), delivers topologies late, or not at all (then knowledge travels by the peers' messages alone).
 */

import { createArena, resetArena } from '../../lib/engine/arena.js'
import type { Arena, EngineApi } from '../../lib/engine/contract.js'
import { Engine } from '../../lib/engine/engine.js'
import { Generations } from '../../lib/handoff/generations.js'
import { ControlPlane } from '../../lib/server/control-plane.js'
import { DataPlane } from '../../lib/server/data-plane.js'
import type { ControlPort, DataPort, ToControl, ToData } from '../../lib/server/plane.js'
import type { Topology } from '../../lib/tier/topology.js'
import type { SimulatedWorld } from '../../lib/transport/simulated.js'

export type Random = () => number

export const RULE = { dialect: 'libmemcached-weighted', pointsPerServer: 40 } as const
export const CLIENT_PORT = 11211
export const PEER_PORT = 11400
export const DATA_PORT = 11401

/** Arenas are reused: a thousand seeds make thousands of nodes. */
const idle: Arena[] = []
const WORKERS = 2

function takeArena(): Arena {
  const known = idle.pop()
  if (!known)
    return createArena({ memoryLimitMb: 10, threads: WORKERS, versionText: 'simulation', routePointsMax: 1 << 14 })
  resetArena(known)
  return known
}

/** Two ends of a plane port with a virtual delay, in order each way. */
function planePorts(
  world: SimulatedWorld,
  random: Random,
  alive: () => boolean,
): { control: ControlPort; data: DataPort } {
  const lastAt = [0, 0]
  const deliver = (way: 0 | 1, task: () => void) => {
    const at = Math.max(lastAt[way]!, world.now + random() * 2)
    lastAt[way] = at
    world.after(at - world.now, () => {
      if (alive()) task()
    })
  }
  const control: ControlPort = { post: (message: ToData) => deliver(0, () => data.onMessage(message)), onMessage() {} }
  const data: DataPort = { post: (message: ToControl) => deliver(1, () => control.onMessage(message)), onMessage() {} }
  return { control, data }
}

export class SimNode {
  readonly id: string
  readonly number: number
  readonly host: string
  incarnation = 0
  alive = false
  arena: Arena | null = null
  engine: EngineApi | null = null
  control: ControlPlane | null = null
  readonly #world: SimulatedWorld
  readonly #random: Random
  readonly #onSettled: (node: SimNode, epoch: number) => void
  readonly events: string[] = []
  /** Called with each start: gives the node its membership. */
  onStarted: (node: SimNode) => void = () => {}
  /** Called again and again with the epoch that it acts by. */
  onActs: (epoch: number) => void = () => {}

  constructor(world: SimulatedWorld, random: Random, number: number, onSettled: SimNode['settledCallback']) {
    this.#world = world
    this.#random = random
    this.#onSettled = onSettled
    this.number = number
    this.id = `n${number}`
    this.host = `10.0.0.${number}`
  }
  declare settledCallback: (node: SimNode, epoch: number) => void

  start(): void {
    this.alive = true
    this.incarnation++
    const life = this.incarnation
    const stillThis = () => this.alive && this.incarnation === life
    const arena = takeArena()
    this.arena = arena
    const engine = new Engine(arena, WORKERS)
    this.engine = engine
    engine.setTime(this.#world.wallClock())
    const nobody = { points: Uint32Array.of(0), owners: Uint16Array.of(65535), tenures: Uint32Array.of(0) }
    engine.publish({ epoch: 0, self: this.number, ...nobody, settled: Uint8Array.of(1) })
    const ports: ControlPort[] = []
    const identity = { id: this.id, incarnation: String(life) }
    for (let worker = 0; worker < WORKERS; worker++) {
      const { control, data } = planePorts(this.#world, this.#random, stillThis)
      ports.push(control)
      const workerEngine = new Engine(arena, worker)
      const plane = new DataPlane({
        loop: this.#world.loop(this.host, workerEngine.bytes),
        engine: workerEngine,
        port: data,
        options: {
          listen: [{ host: this.host, port: CLIENT_PORT + worker }],
          dataListen: { host: this.host, port: DATA_PORT + worker },
          identity,
          secret: 'secret',
          takeTimeoutMs: 20_000,
        },
      })
      plane.start()
    }
    this.control = new ControlPlane({
      loop: this.#world.loop(this.host, new Uint8Array(1 << 17)),
      engine,
      migrationRate: null,
      dataPlanes: ports,
      identity,
      secret: 'secret',
      peerListen: { host: this.host, port: PEER_PORT },
      parseTopology: text => JSON.parse(text) as Topology,
      onSettled: epoch => this.#onSettled(this, epoch),
      onProgress: epoch => this.onActs(epoch),
      report: () => '',
      onEvent: sentence => this.events.push(sentence),
    })
    this.control.start(
      () => {},
      sentence => {
        throw new Error(sentence)
      },
    )
    this.onStarted(this)
  }

  /** The process is gone with its memory; its host's connections break. */
  kill(): void {
    this.alive = false
    this.#world.crash(this.host)
    if (this.arena) idle.push(this.arena)
    this.arena = null
    this.engine = null
    this.control = null
  }

  clientPort(random: Random): number {
    return CLIENT_PORT + Math.floor(random() * WORKERS)
  }
}

/** What a load needs of a tier, however its topology is driven. */
export interface TierUnderTest {
  readonly nodes: SimNode[]
  readonly settled: boolean
  /** Changes that may be asked for at once are few. */
  readonly busy: boolean
  readonly servers: { number: number; weight: number }[]
  readonly epoch: number
  change(servers: { number: number; weight: number }[]): void
  inform(node: SimNode): void
  /** Only where there is one. */
  restartCoordinator?(): void
  release(): void
}

export class SimTier implements TierUnderTest {
  readonly nodes: SimNode[] = []
  topology: Topology
  readonly #world: SimulatedWorld
  readonly #random: Random
  readonly #settled = new Map<number, Set<number>>()

  constructor(world: SimulatedWorld, random: Random, nodes: number, members: number[]) {
    this.#world = world
    this.#random = random
    for (let number = 1; number <= nodes; number++) {
      this.nodes.push(new SimNode(world, random, number, (node, epoch) => this.#onSettled(node, epoch)))
    }
    this.topology = {
      format: 1,
      tier: 'simulated',
      ...RULE,
      epoch: 1,
      nodes: this.nodes.map(({ number, id, host }) => ({
        ...{ id, number, host, port: CLIENT_PORT, peerHost: host, peerPort: PEER_PORT, dataPort: DATA_PORT },
        ...{ weight: 1, incarnation: '1', state: 'up' as const },
      })),
      generations: [{ epoch: 1, servers: members.map(number => this.#server(number, 1)), away: [] }],
      changes: [],
    }
    for (const node of this.nodes) {
      node.start()
      node.control?.setTopology(this.topology, node.number)
    }
  }

  get settled(): boolean {
    return this.topology.generations.length === 1
  }

  get busy(): boolean {
    return this.topology.generations.length >= 4
  }

  get epoch(): number {
    return this.topology.epoch
  }

  get servers(): { number: number; weight: number }[] {
    return this.topology.generations.at(-1)!.servers
  }

  /** The next generation. Some nodes hear of it late, some only from their peers. */
  change(servers: { number: number; weight: number }[]): void {
    const epoch = this.topology.epoch + 1
    const generation = { epoch, servers: servers.map(({ number, weight }) => this.#server(number, weight)), away: [] }
    this.topology = { ...this.topology, epoch, generations: [...this.topology.generations, generation] }
    this.#spread(0.7)
    this.#retire()
  }

  /** The coordinator tells a node that starts what it knows. */
  inform(node: SimNode): void {
    node.control?.setTopology(this.#document(), node.number)
  }

  #server(number: number, weight: number) {
    const { host } = this.nodes[number - 1]!
    return { number, host, port: CLIENT_PORT, weight }
  }

  #document(): Topology {
    const changes = [...this.#settled].map(([epoch, numbers], index) => ({
      ...{ id: index + 1, kind: 'join' as const, node: '', weight: 1, state: 'running' as const },
      ...{ epoch, settled: [...numbers] },
    }))
    return { ...this.topology, changes }
  }

  #spread(share: number): void {
    for (const node of this.nodes) {
      if (this.#random() >= share) continue
      this.#world.after(this.#random() * 300, () => {
        if (node.alive) this.inform(node)
      })
    }
  }

  #onSettled(node: SimNode, epoch: number): void {
    let numbers = this.#settled.get(epoch)
    if (!numbers) {
      numbers = new Set()
      this.#settled.set(epoch, numbers)
    }
    if (numbers.has(node.number)) return
    const life = node.incarnation
    this.#world.after(this.#random() * 50, () => {
      if (!node.alive || node.incarnation !== life) return
      numbers.add(node.number)
      this.#retire()
    })
  }

  /** The oldest generations go once every taker of the next one has taken everything. */
  #retire(): void {
    const before = this.topology.generations.length
    while (this.topology.generations.length > 1) {
      const [base, next] = this.topology.generations
      const picture = new Generations([base!, next!], RULE)
      const takers = this.nodes.map(node => node.number).filter(number => picture.transfersTo(number).length > 0)
      const done = this.#settled.get(next!.epoch) ?? new Set()
      if (!takers.every(taker => done.has(taker))) break
      this.topology = { ...this.topology, generations: this.topology.generations.slice(1) }
    }
    if (this.topology.generations.length !== before) this.#spread(1)
  }

  release(): void {
    for (const node of this.nodes) if (node.alive) node.kill()
  }
}
