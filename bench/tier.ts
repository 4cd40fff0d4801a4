/**
 * A tier of real processes for experiments: a coordinator and nodes that can be stopped, killed and started again on their
 * ports and folders. Everything in a temporary folder, on 127.0.0.1.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { StoreClient } from '../lib/cli/store-client.js'
import type { TierView } from '../lib/cli/tier-view.js'
import type { Server } from './clients.js'
import type { FaultyNetwork } from './faulty-network.js'
import { temporaryFolder } from './leftovers.js'
import { Process } from './processes.js'

export interface BenchTierOptions {
  threads: number
  loop: string
  memoryMb: number
  /** Folder for what every process prints at -vv; none. */
  logs?: string | null
  /** What nodes reach each other and the coordinator through; none: they do directly. */
  network?: FaultyNetwork
}

const HOST = '127.0.0.1'
const SETTLE_MS_MAX = 600_000
/** How long a coordinator may be away before looking at the tier is given up. */
const PATIENCE_MS = 60_000

export const isUp = (node: { state: string }): boolean => node.state === 'up'

export class BenchTier {
  readonly #options: BenchTierOptions
  readonly #folder = temporaryFolder()
  readonly #processes = new Map<string, Process>()
  /** By id; what is started again takes its old port. */
  readonly #ports = new Map<string, number>()
  #store: StoreClient | null = null

  constructor(options: BenchTierOptions) {
    this.#options = options
  }

  /** Folder of a node's data, which may be prepared before it starts. */
  folderOf(id: string): string {
    return join(this.#folder.path, id)
  }

  get store(): StoreClient {
    if (!this.#store) throw new Error('the tier has not been started')
    return this.#store
  }

  /** Also again, after it was killed. */
  async coordinator(...more: string[]): Promise<void> {
    const folder = join(this.#folder.path, 'coordinator')
    const listen = `${HOST}:${this.#ports.get('coordinator') ?? 0}`
    const ready = await this.#start('coordinator', ['--listen', listen, '--data-dir', folder, ...more])
    this.#ports.set('coordinator', Number(ready.port))
    this.#options.network?.leadsTo('coordinator', [Number(ready.port)])
    this.#store ??= new StoreClient(String(ready.store), null)
  }

  /** Also again, after it was killed. */
  async node(id: string, weight: number, ...more: string[]): Promise<Server> {
    const { threads, loop, memoryMb, logs, network } = this.#options
    const store = `embedded://${HOST}:${network ? await network.open('coordinator', 1) : this.#ports.get('coordinator')}`
    if (network) more.push('--peer-advertise', `${HOST}:${await network.open(id, 2)}`)
    const ready = await this.#start(id, [
      ...['-p', String(this.#ports.get(id) ?? 0), '-l', HOST, '-m', String(memoryMb), '-t', String(threads)],
      ...['--loop', loop, '--join', store, '--node-id', id, '--weight', String(weight)],
      ...['--data-dir', this.folderOf(id), ...(logs ? ['-vv'] : []), ...more],
    ])
    const port = Number(ready.clientPort)
    this.#ports.set(id, port)
    network?.leadsTo(id, [Number(ready.peerPort), Number(ready.dataPort)])
    return { host: HOST, port }
  }

  /** It stands still when this resolves. */
  async pause(id: string): Promise<void> {
    await this.#processes.get(id)?.pause()
  }

  resume(id: string): void {
    this.#processes.get(id)?.resume()
  }

  /** It has ended when this resolves. */
  async kill(id: string): Promise<void> {
    await this.#processes.get(id)?.kill()
  }

  /** SIGTERM: it has ended by itself when this resolves. */
  async end(id: string): Promise<void> {
    await this.#processes.get(id)?.stop()
  }

  async until(isDone: (view: TierView) => boolean, seen: (view: TierView) => void = () => {}): Promise<TierView> {
    const started = Date.now()
    let isLate = false
    const view = await this.store.lookUntil(
      PATIENCE_MS,
      one => isDone(one) || isLate,
      one => {
        isLate = Date.now() - started > SETTLE_MS_MAX
        seen(one)
      },
    )
    if (isLate) throw new Error(`the tier did not settle in ${SETTLE_MS_MAX / 1000} s: ${JSON.stringify(view)}`)
    return view
  }

  async stop(): Promise<void> {
    this.#store?.close()
    // What is stopped does not hear that it should end.
    for (const one of this.#processes.values()) one.resume()
    await Promise.all([...this.#processes.values()].map(one => one.stop()))
    this.#folder.remove()
  }

  async #start(id: string, args: string[]): Promise<Record<string, unknown>> {
    const { logs } = this.#options
    if (logs) mkdirSync(logs, { recursive: true })
    const command = id === 'coordinator' ? 'coordinator' : 'server'
    const [started, ready] = await Process.continuum(id, [command, ...args], logs ? join(logs, `${id}.log`) : null)
    this.#processes.set(id, started)
    return ready
  }
}
