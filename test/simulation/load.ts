/**
 * One seeded history of a whole simulated tier: clients on every node (old list, new list, router: whoever is asked), one
 * request at a time for each key, joins, drains and reweights meanwhile, perhaps node restarts; then everything settles and
 * every key is read back. Checked reply by reply (oracle.ts).
 */
import { SimulatedWorld } from '../../lib/transport/simulated.js'
import { SimClient } from './client.js'
import { CoordinatedTier } from './coordinated.js'
import { KeyOracle, type Op, type Verb } from './oracle.js'
import { mulberry } from './random.js'
import { type SimNode, SimTier, type TierUnderTest } from './tier.js'

export interface TierHistoryOptions {
  /** Nodes may be killed and come back with empty memory. */
  restarts?: boolean
  flushes?: boolean
  /** The real coordinator and memberships, killed and restarted at times; one change at a time. */
  coordinator?: boolean
  durationMs?: number
  trace?: (line: string) => void
}

export interface TierHistory {
  violations: string[]
  requests: number
  errors: number
}

export const MODES = {
  /** Changes that overlap, chains, back and forth; topologies that come late or only from peers. */
  plain: {},
  /** The same, and nodes that come back with empty memory. */
  restarts: { restarts: true },
  /** The real coordinator and memberships, the coordinator killed and restarted. */
  coordinator: { coordinator: true, durationMs: 2500 },
  /** And nodes restarted too. */
  both: { coordinator: true, restarts: true, durationMs: 2500 },
} as const
export type Mode = keyof typeof MODES

const NODES = 4
const CLIENTS = 6
const SETTLE_LIMIT_MS = 60_000
const VERBS: Verb[] = [
  'get',
  'get',
  'get',
  'gets',
  'set',
  'set',
  'set',
  'delete',
  'add',
  'append',
  'replace',
  'incr',
  'touch',
  'gat',
]

export function tierHistory(seed: number, options: TierHistoryOptions = {}): TierHistory {
  return new Run(seed, options).run()
}

class Run {
  readonly #random: () => number
  readonly #options: TierHistoryOptions
  readonly #world: SimulatedWorld
  readonly #tier: TierUnderTest
  readonly #oracles = new Map<string, KeyOracle>()
  readonly #busy = new Set<string>()
  readonly #clients: { node: SimNode; client: SimClient }[] = []
  readonly #history: TierHistory = { violations: [], requests: 0, errors: 0 }
  #serial = 0
  #flushing = false
  /** Keys whose request under way overlaps a flush_all or a crash: it may have been done before or after that. */
  readonly #overlapping = new Set<string>()

  constructor(seed: number, options: TierHistoryOptions) {
    this.#random = mulberry(seed)
    this.#options = options
    this.#world = new SimulatedWorld(seed)
    this.#tier = options.coordinator
      ? new CoordinatedTier(this.#world, this.#random, NODES)
      : new SimTier(this.#world, this.#random, NODES, [1, 2, 3])
    const keys = 5 + Math.floor(this.#random() * 60)
    for (let i = 0; i < keys; i++) this.#oracles.set(`key:${i}`, new KeyOracle())
    for (let i = 0; i < CLIENTS; i++) {
      const node = this.#tier.nodes[i % NODES]!
      const loop = this.#world.loop(`10.1.0.${i}`, new Uint8Array(1 << 16))
      this.#clients.push({
        node,
        client: new SimClient(loop, { host: node.host, port: node.clientPort(this.#random) }),
      })
    }
  }

  run(): TierHistory {
    const { durationMs = 1500 } = this.#options
    this.#every(
      4,
      () => this.#world.now < durationMs,
      () => this.#load(),
    )
    this.#every(
      120,
      () => this.#world.now < durationMs,
      () => this.#disturb(),
    )
    this.#runUntil(
      () => this.#world.now >= durationMs && this.#busy.size === 0,
      durationMs + SETTLE_LIMIT_MS,
      'an answer',
    )
    this.#every(
      500,
      () => true,
      () => {
        for (const node of this.#tier.nodes) if (node.alive) this.#tier.inform(node)
      },
    )
    const quiet = () => this.#tier.settled && this.#tier.nodes.every(node => node.alive && node.control?.settled)
    this.#runUntil(quiet, this.#world.now + SETTLE_LIMIT_MS, 'a settled tier')
    for (const key of this.#oracles.keys()) this.#ask(key, { verb: 'get', value: '' })
    this.#runUntil(() => this.#busy.size === 0, this.#world.now + SETTLE_LIMIT_MS, 'the last answers')
    this.#tier.release()
    return this.#history
  }

  #say(...words: unknown[]): void {
    this.#options.trace?.(`${this.#world.now.toFixed(1)} ${words.join(' ')}`)
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!
  }

  #every(ms: number, goOn: () => boolean, task: () => void): void {
    this.#world.after(this.#random() * ms * 2, () => {
      if (!goOn()) return
      task()
      this.#every(ms, goOn, task)
    })
  }

  #runUntil(done: () => boolean, limit: number, what: string): void {
    const { violations } = this.#history
    while (violations.length === 0 && !done()) {
      if (this.#world.now > limit) violations.push(`waited in vain for ${what}; busy: ${[...this.#busy].join(' ')}`)
      else if (!this.#world.step()) violations.push(`nothing happens any more, no ${what}`)
    }
  }

  #load(): void {
    const idle = [...this.#oracles.keys()].filter(key => !this.#busy.has(key))
    if (idle.length > 0) this.#ask(this.#pick(idle), { verb: this.#pick(VERBS), value: this.#value() })
  }

  #value(): string {
    const serial = ++this.#serial
    if (this.#random() < 0.3) return String(serial) // a number, for incr
    const size = this.#random() < 0.02 ? 40_000 : Math.floor(this.#random() * 40)
    return `v${serial};${'x'.repeat(size)}`
  }

  #ask(key: string, op: Op): void {
    const free = this.#clients.filter(({ node, client }) => node.alive && !client.busy)
    if (free.length === 0) {
      if (op.verb === 'get' && op.value === '') this.#world.after(5, () => this.#ask(key, op))
      return
    }
    const { node, client } = this.#pick(free)
    const oracle = this.#oracles.get(key)!
    this.#busy.add(key)
    if (this.#flushing) this.#overlapping.add(key)
    this.#history.requests++
    this.#say(`> ${op.verb} ${key} ${op.value.slice(0, 12)} at ${node.id}`)
    client.request(key, op, reply => {
      this.#busy.delete(key)
      const overlapped = this.#overlapping.delete(key)
      if (overlapped) oracle.mayBeLost()
      this.#say(`< ${op.verb} ${key} ${op.value.slice(0, 12)} at ${node.id}: ${reply?.slice(0, 40)}`)
      if (reply === null || reply.startsWith('SERVER_ERROR')) {
        this.#history.errors++
        oracle.unknown(op)
        if (!this.#options.restarts) this.#history.violations.push(`${key}: ${op.verb} at ${node.id} failed: ${reply}`)
        return
      }
      const wrong = oracle.answered(op, reply)
      if (overlapped) oracle.mayBeLost()
      if (wrong) this.#history.violations.push(`${key} at ${node.id}: ${wrong.slice(0, 300)}`)
    })
  }

  #disturb(): void {
    const r = this.#random()
    if (r < 0.6 && !this.#tier.busy) this.#change()
    else if (r < 0.75 && this.#options.restarts) this.#restart(this.#pick(this.#tier.nodes))
    else if (r < 0.8 && this.#options.flushes) this.#flush()
    else if (r > 0.8 && this.#tier.restartCoordinator) this.#tier.restartCoordinator()
  }

  #change(): void {
    if (this.#tier.servers.length === 0) return
    const now = this.#tier.servers.map(({ number, weight }) => ({ number, weight }))
    const outside = this.#tier.nodes.filter(node => node.alive && !now.some(({ number }) => number === node.number))
    const r = this.#random()
    if (outside.length > 0 && (now.length === 1 || r < 0.5)) now.push({ number: this.#pick(outside).number, weight: 1 })
    else if (now.length > 1 && r < 0.8) now.splice(Math.floor(this.#random() * now.length), 1)
    else this.#pick(now).weight = 1 + Math.floor(this.#random() * 4)
    this.#say('GENERATION', this.#tier.epoch + 1, now.map(({ number, weight }) => `n${number}*${weight}`).join(' '))
    this.#tier.change(now)
  }

  #restart(node: SimNode): void {
    if (!node.alive) return
    this.#say('KILL', node.id)
    node.kill()
    for (const oracle of this.#oracles.values()) oracle.mayBeLost()
    for (const key of this.#busy) this.#overlapping.add(key) // done there, and its answer still on the way
    this.#world.after(50 + this.#random() * 300, () => {
      this.#say('START', node.id)
      node.start()
      this.#tier.inform(node)
    })
  }

  /** Concurrent requests may land on either side of it; what was acknowledged before is gone. */
  #flush(): void {
    const free = this.#clients.filter(({ node, client }) => node.alive && !client.busy)
    if (free.length === 0 || this.#flushing) return
    this.#flushing = true
    const quiet = [...this.#oracles.keys()].filter(key => !this.#busy.has(key))
    for (const key of this.#busy) this.#overlapping.add(key)
    for (const key of quiet) this.#busy.add(key)
    this.#say('> flush_all')
    this.#pick(free).client.command('flush_all\r\n', reply => {
      this.#say('< flush_all', reply)
      this.#flushing = false
      for (const [key, oracle] of this.#oracles) oracle.flushed(reply === 'OK' && quiet.includes(key))
      for (const key of quiet) this.#busy.delete(key)
      if (reply !== 'OK' && !this.#options.restarts) this.#history.violations.push(`flush_all: ${reply}`)
    })
  }
}
