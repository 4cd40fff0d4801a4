/** The two systems that change shape in the experiment: a tier, and memcached processes that know nothing of each other. */
import type { TierView } from '../lib/cli/tier-view.js'
import { withDrain } from '../lib/tier/wishes.js'
import type { Server } from './clients.js'
import { freePort, Process } from './processes.js'
import { BenchTier, isUp } from './tier.js'

export type Kind = 'add' | 'drain'

export interface SystemOptions {
  kind: Kind
  threads: number
  loop: string
  memoryMb: number
  onProgress(text: string): void
}

export interface System {
  readonly name: string
  /** The lists of clients before and after the change. */
  before: Server[]
  after: Server[]
  /** One address that answers for every key, if there is such a thing. */
  router: Server | null
  start(): Promise<void>
  /** From here on `after` is right. */
  change(): Promise<void>
  /** The change is over; `waitedMs` is how long a system takes that does not know of it. */
  settled(waitedMs: number): Promise<void>
  /** What the nodes say of themselves after the change, for the report. */
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const NODES = 3

export class TierSystem implements System {
  readonly name = 'continuum'
  before: Server[] = []
  after: Server[] = []
  router: Server | null = null
  readonly #options: SystemOptions
  readonly #tier: BenchTier

  constructor(options: SystemOptions) {
    this.#options = options
    this.#tier = new BenchTier(options)
  }

  async start(): Promise<void> {
    await this.#tier.coordinator()
    const count = this.#options.kind === 'drain' ? NODES + 1 : NODES
    for (let i = 1; i <= count; i++) this.before.push(await this.#tier.node(`n${i}`, 1))
    this.router = await this.#tier.node('router', 0)
    await this.#until(view => view.settled && view.nodes.length === count + 1 && view.nodes.every(isUp))
    this.after = this.before.slice(0, NODES)
  }

  async change(): Promise<void> {
    if (this.#options.kind === 'add') {
      this.after = [...this.before, await this.#tier.node(`n${NODES + 1}`, 1)]
      return
    }
    await this.#tier.store.wish(topology => withDrain(topology, `n${NODES + 1}`))
  }

  async settled(): Promise<void> {
    const id = `n${NODES + 1}`
    const isOver =
      this.#options.kind === 'add'
        ? (view: TierView) => view.nodes.some(node => node.id === id && isUp(node))
        : (view: TierView) => view.nodes.every(node => node.id !== id || node.state === 'gone' || node.weight === 0)
    await this.#until(view => view.settled && isOver(view) && view.changes.every(change => change.state === 'done'))
  }

  async stop(): Promise<void> {
    await this.#tier.stop()
  }

  async #until(isDone: (view: TierView) => boolean): Promise<void> {
    await this.#tier.until(isDone, view => this.#options.onProgress(progressText(view)))
  }
}

function progressText(view: TierView): string {
  const running = view.changes.find(change => change.state === 'running')
  const keys = (running?.migrations ?? []).reduce((sum, { keys }) => sum + keys, 0)
  return running ? `generation ${view.epoch}: ${keys} keys moved` : `generation ${view.epoch}`
}

export class MemcachedSystem implements System {
  readonly name = 'memcached'
  before: Server[] = []
  after: Server[] = []
  readonly router = null
  readonly #options: SystemOptions
  readonly #processes: Process[] = []

  constructor(options: SystemOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const count = this.#options.kind === 'drain' ? NODES + 1 : NODES
    for (let i = 0; i < count; i++) this.before.push(await this.#node())
    this.after = this.before.slice(0, NODES)
  }

  async change(): Promise<void> {
    if (this.#options.kind === 'add') this.after = [...this.before, await this.#node()]
  }

  settled(waitedMs: number): Promise<void> {
    return new Promise(resolve => setTimeout(resolve, waitedMs))
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map(one => one.stop()))
  }

  async #node(): Promise<Server> {
    const { threads, memoryMb } = this.#options
    const port = await freePort()
    const asRoot = process.getuid?.() === 0 ? ['-u', 'root'] : []
    const args = ['-p', String(port), '-U', '0', '-l', HOST, '-m', String(memoryMb), '-t', String(threads), ...asRoot]
    const node = new Process('memcached', 'memcached', args)
    this.#processes.push(node)
    await node.listens(port)
    return { host: HOST, port }
  }
}
