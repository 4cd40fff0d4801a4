/**
 * A simulated tier with the real coordinator, stores and memberships: wishes go through the document, the controller makes
 * the generations, nodes watch; the coordinator is killed and started again from its file.
 */
import { Coordinator } from '../../lib/tier/coordinator.js'
import { EmbeddedClient } from '../../lib/tier/embedded-client.js'
import { MemoryFile } from '../../lib/tier/embedded-store.js'
import { Membership } from '../../lib/tier/membership.js'
import {
  currentGeneration,
  emptyTopology,
  isSettled,
  type Topology,
  unfinishedChanges,
} from '../../lib/tier/topology.js'
import { withDrain, withReweight } from '../../lib/tier/wishes.js'
import type { SimulatedWorld } from '../../lib/transport/simulated.js'
import { CLIENT_PORT, DATA_PORT, PEER_PORT, type Random, RULE, SimNode, type TierUnderTest } from './tier.js'

const HOST = '10.9.9.9'
const PORT = 11_500
const URL = { kind: 'embedded' as const, address: { host: HOST, port: PORT }, text: `embedded://${HOST}:${PORT}` }
const SECRET = 'secret'

export class CoordinatedTier implements TierUnderTest {
  readonly nodes: SimNode[] = []
  readonly #world: SimulatedWorld
  readonly #random: Random
  readonly #file = new MemoryFile()
  readonly #memberships = new Map<SimNode, Membership>()
  readonly #cli: EmbeddedClient
  #coordinator: Coordinator | null = null
  #lives = 0
  #last: Topology

  constructor(world: SimulatedWorld, random: Random, nodes: number) {
    this.#world = world
    this.#random = random
    this.#last = emptyTopology('simulated', RULE.dialect, RULE.pointsPerServer)
    this.#startCoordinator()
    const self = { id: 'cli', incarnation: '1' }
    this.#cli = new EmbeddedClient({ loop: world.loop('10.9.9.1', new Uint8Array(0)), url: URL, secret: SECRET, self })
    for (let number = 1; number <= nodes; number++) {
      const node = new SimNode(world, random, number, (one, epoch) => this.#memberships.get(one)?.reportSettled(epoch))
      node.onStarted = () => this.#join(node)
      this.nodes.push(node)
      node.start()
    }
  }

  get topology(): Topology {
    if (this.#coordinator) this.#last = this.#coordinator.store.value.topology
    return this.#last
  }

  get settled(): boolean {
    const { topology } = this
    const open = this.nodes.some(node => unfinishedChanges(topology, node.id).length > 0)
    return this.#coordinator !== null && topology.epoch > 0 && isSettled(topology) && !open
  }

  get busy(): boolean {
    return this.topology.changes.filter(change => change.state !== 'done').length >= 3
  }

  get epoch(): number {
    return this.topology.epoch
  }

  get servers(): { number: number; weight: number }[] {
    return currentGeneration(this.topology)?.servers ?? []
  }

  /** A wish like the one that the load had in mind; whatever the document refuses is not asked for. */
  change(): void {
    const node = this.nodes[Math.floor(this.#random() * this.nodes.length)]!
    const drain = this.#random() < 0.4
    const weight = 1 + Math.floor(this.#random() * 3)
    this.#cli.read((_, value) => {
      if (!value) return
      const wish = drain ? withDrain(value.topology, node.id) : withReweight(value.topology, node.id, weight)
      if (wish.ok && wish.topology) this.#cli.compareAndSet(value.revision, wish.topology, () => {})
    })
  }

  /** The watch tells it. */
  inform(): void {}

  restartCoordinator(): void {
    if (!this.#coordinator) return
    this.#last = this.topology
    this.#coordinator = null
    this.#world.crash(HOST)
    this.#world.after(20 + this.#random() * 400, () => this.#startCoordinator())
  }

  release(): void {
    for (const node of this.nodes) if (node.alive) node.kill()
    this.#coordinator = null
    this.#world.crash(HOST)
  }

  #startCoordinator(): void {
    this.#lives++
    this.#coordinator = new Coordinator({
      loop: this.#world.loop(HOST, new Uint8Array(0)),
      file: this.#file,
      first: emptyTopology('simulated', RULE.dialect, RULE.pointsPerServer),
      listen: { host: HOST, port: PORT },
      secret: SECRET,
      self: { id: 'coordinator', incarnation: String(this.#lives) },
      onEvent: () => {},
    })
    this.#coordinator.start(
      () => {},
      sentence => {
        throw new Error(sentence)
      },
    )
  }

  #join(node: SimNode): void {
    const loop = this.#world.loop(node.host, new Uint8Array(0))
    const incarnation = String(node.incarnation)
    const store = new EmbeddedClient({ loop, url: URL, secret: SECRET, self: { id: node.id, incarnation } })
    const self = {
      ...{ id: node.id, host: node.host, port: CLIENT_PORT, peerHost: node.host, peerPort: PEER_PORT },
      ...{ dataPort: DATA_PORT, weight: 1, incarnation, standby: node.number === 4 },
    }
    const membership = new Membership({ store, loop, self })
    this.#memberships.set(node, membership)
    node.onActs = epoch => membership.setStatus({ epoch })
    membership.start({
      onTopology: (topology, number) => node.control?.setTopology(topology, number),
      onRefused: sentence => {
        // A coordinator that is down just then: a supervisor would start the node again.
        node.events.push(sentence)
        this.#world.after(200, () => {
          if (node.alive && node.incarnation === Number(incarnation)) this.#join(node)
        })
      },
    })
  }
}
