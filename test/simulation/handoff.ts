/**
 * The pure handoff of several nodes over a seeded network: links with delays that break, topologies that come late or
 * only from peers, changes that start before the last has settled, nodes that restart with empty memory, nodes that go
 * away (paused, or dead with their disk kept) and come back. Requests are served by the model store, forwarded like data
 * links do. One history a seed; checked key by key (oracle.ts).
 */
import { type GenerationSpec, Generations } from '../../lib/handoff/generations.js'
import { Handoff, type HandoffEffects, type Role } from '../../lib/handoff/handoff.js'
import type { Message } from '../../lib/handoff/wire.js'
import { decode, encode } from '../../lib/handoff/wire.js'
import { ModelHints } from './model-hints.js'
import { ModelStore } from './model-store.js'
import { KeyOracle, type Op, type Verb } from './oracle.js'

const RULE = { dialect: 'libmemcached-weighted', pointsPerServer: 4 } as const

export interface HistoryOptions {
  /** Nodes may be killed and restarted with empty memory. */
  restarts?: boolean
  /** Links may break. */
  cuts?: boolean
  /** Nodes go away and come back: paused with their memory, or (`crashes`) dead half of the time, with their disk alone. */
  absence?: 'pauses' | 'crashes'
  steps?: number
  trace?: (line: string) => void
}

export function mulberry(seed: number): () => number {
  let s = seed >>> 0
  return () => {
    s = (s + 0x6d2b79f5) >>> 0
    let t = s
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

type Reply = (text: string | null, blind?: boolean) => void
interface Request {
  key: string
  op: Op
  hops: number
  wanted: () => boolean
  reply: Reply
}

/** One direction of an ordered channel: tasks run in order, each some steps after the last. */
class Channel {
  tasks: { at: number; run: () => void }[] = []
  constructor(readonly to: number) {}
  push(at: number, run: () => void) {
    this.tasks.push({ at: Math.max(at, this.tasks.at(-1)?.at ?? 0), run })
  }
}

class Node {
  store = new ModelStore()
  handoff!: Handoff
  incarnation = 0
  /** Counts lives that ended by being declared away. */
  session = 0
  alive = false
  paused = false
  /** While away or about to be: when it comes back. */
  backAt = 0
  readonly disk = new ModelHints()
  lastTicket = 0
  tickets = new Map<number, () => void>()
  /** Declared away, it knows the generation that says so before it answers again (fencing). */
  mustKnow = 0
  heldForEpoch: { epoch: number; run: () => void }[] = []
  /** Requests that wait for a key, in order. */
  parked = new Map<string, Request[]>()
  constructor(readonly number: number) {}
}

export interface History {
  violations: string[]
  requests: number
  takes: number
}

export function history(seed: number, options: HistoryOptions = {}): History {
  return new World(seed, options).run()
}

class World {
  readonly #random: () => number
  readonly #options: HistoryOptions
  readonly #nodes = [1, 2, 3, 4].map(number => new Node(number))
  readonly #channels = new Map<string, Channel>()
  /** Open control links, "dialer>acceptor". */
  readonly #links = new Set<string>()
  readonly #later: { at: number; run: () => void }[] = []
  readonly #oracles = new Map<string, KeyOracle>()
  readonly #busy = new Set<string>()
  /** Keys lost by an eviction or a crash while an answer was on its way. */
  readonly #overlapped = new Set<string>()
  readonly #settled = new Map<number, Set<number>>()
  readonly #violations: string[] = []
  #generations: GenerationSpec[] = []
  #now = 0
  #serial = 0
  #requests = 0
  #takes = 0

  constructor(seed: number, options: HistoryOptions) {
    this.#random = mulberry(seed)
    this.#options = options
    this.#generations = [this.#generation(1, [1, 2, 3])]
    for (const node of this.#nodes) this.#start(node)
    const keys = 3 + Math.floor(this.#random() * 20)
    for (let i = 0; i < keys; i++) this.#oracles.set(`${'k'.repeat(1 + (i % 2))}${i}`, new KeyOracle())
  }

  run(): History {
    const steps = this.#options.steps ?? 1500
    for (; this.#now < steps && this.#violations.length === 0; this.#now++) {
      this.#disturb()
      if (this.#random() < 0.5) this.#request()
      this.#advance()
    }
    const limit = this.#now + 6000
    while (this.#violations.length === 0 && !this.#quiet()) {
      if (this.#now++ > limit) this.#violations.push(`not settled: ${this.#unsettled()}`)
      for (const node of this.#nodes) if (node.backAt > 0) this.#outage(node)
      if (this.#now % 500 === 0) this.#spread(1) // the watch of the topology store tells everybody in the end
      this.#advance()
    }
    this.#readBack()
    return { violations: this.#violations, requests: this.#requests, takes: this.#takes }
  }

  #say(...words: unknown[]) {
    this.#options.trace?.(`${this.#now} ${words.join(' ')}`)
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!
  }

  #generation(epoch: number, members: number[], away: number[] = []): GenerationSpec {
    const servers = members.map(number => ({ number, host: `h${number}`, port: 1, weight: 1 }))
    return { epoch, servers, away }
  }

  // --- nodes

  #start(node: Node) {
    node.incarnation++
    node.alive = true
    node.store = new ModelStore()
    node.tickets.clear()
    node.parked.clear()
    node.heldForEpoch = []
    const life = node.incarnation
    node.disk.restart((delay, run) => this.#afterAt(node, delay, run), this.#random)
    const effects: HandoffEffects = {
      send: (role, peer, message) => this.#send(node, role, peer, message),
      granted: ticket => node.tickets.get(ticket)?.(),
      blind: ticket => node.tickets.get(ticket)?.(),
      executed: ticket => node.tickets.get(ticket)?.(),
      refused: (_ticket, reason) => this.#violations.push(`refused: ${reason}`),
      flushed: (ticket, failure) => (failure ? this.#violations.push(failure) : node.tickets.get(ticket)?.()),
      published: epoch => {
        const ready = node.heldForEpoch.filter(held => held.epoch <= epoch)
        node.heldForEpoch = node.heldForEpoch.filter(held => held.epoch > epoch)
        const stillThis = () => node.alive && node.incarnation === life // requests die with the node that holds them
        for (const { run } of ready) this.#after(0, () => stillThis() && run())
      },
      generationSettled: epoch => this.#onSettled(node, life, epoch),
      learned: text => this.#inform(node, JSON.parse(text) as GenerationSpec[]),
      topologyText: () => JSON.stringify(this.#known.get(node) ?? this.#generations),
      flushLater: () => {},
      flushPendingSec: () => 0,
    }
    node.handoff = new Handoff(node.store, effects, undefined, node.disk)
    this.#inform(node, this.#generations)
  }

  readonly #known = new Map<Node, GenerationSpec[]>()

  #inform(node: Node, generations: GenerationSpec[]) {
    if (!node.alive || generations.at(-1)!.epoch < node.handoff.epoch) return
    const known = this.#known.get(node)
    if (known && known[0]!.epoch > generations[0]!.epoch && node.handoff.epoch === generations.at(-1)!.epoch) return
    this.#known.set(node, generations)
    const settled = new Set(
      [...this.#settled].filter(([, numbers]) => numbers.has(node.number)).map(([epoch]) => epoch),
    )
    const members = this.#nodes.map(one => one.number).filter(number => number !== node.number)
    node.handoff.setTopology({ self: node.number, rule: RULE, generations, settled, members })
  }

  #onSettled(node: Node, life: number, epoch: number) {
    const numbers = this.#settled.get(epoch) ?? new Set()
    this.#settled.set(epoch, numbers)
    if (numbers.has(node.number)) return
    this.#after(this.#random() * 20, () => {
      if (!node.alive || node.incarnation !== life || numbers.has(node.number)) return
      numbers.add(node.number)
      this.#retire()
    })
  }

  /** The base moves on to a generation in which nobody is away, when all up to it have been taken (see the controller). */
  #retire() {
    const before = this.#generations.length
    const picture = new Generations(this.#generations, RULE)
    const open = this.#nodes.flatMap(node =>
      picture.transfersTo(node.number).filter(({ generation }) => !this.#settled.get(generation)?.has(node.number)),
    )
    const firstOpen = Math.min(...open.map(({ generation }) => generation), Number.MAX_SAFE_INTEGER)
    const base = this.#generations.findLastIndex(({ epoch, away }) => epoch < firstOpen && away.length === 0)
    if (base > 0) this.#generations = this.#generations.slice(base)
    if (this.#generations.length === before) return
    this.#say('RETIRED, base', this.#generations[0]!.epoch)
    this.#spread(1)
  }

  #spread(share: number) {
    for (const node of this.#nodes) {
      if (this.#random() < share) this.#after(this.#random() * 60, () => this.#inform(node, this.#generations))
    }
  }

  // --- network

  #after(delay: number, run: () => void) {
    this.#later.push({ at: this.#now + delay, run })
  }

  /** Something that a node does later: not while it is paused. */
  #afterAt(node: Node, delay: number, run: () => void) {
    const life = node.incarnation
    const attempt = () => {
      if (!node.alive || node.incarnation !== life) return
      if (node.paused) this.#after(3, attempt)
      else run()
    }
    this.#after(delay, attempt)
  }

  #channel(name: string, to: number): Channel {
    let channel = this.#channels.get(name)
    if (!channel) {
      channel = new Channel(to)
      this.#channels.set(name, channel)
    }
    return channel
  }

  #send(node: Node, role: Role, peer: number, message: Message): boolean {
    const link = role === 'taker' ? `${node.number}>${peer}` : `${peer}>${node.number}`
    if (!this.#links.has(link)) return false
    const other = this.#nodes[peer - 1]!
    const bytes = encode(message)
    const epoch = node.handoff.epoch
    if (message.type === 'take') this.#takes++
    this.#channel(`${link} ${role}`, peer).push(this.#now + this.#random() * 12, () => {
      const there = role === 'taker' ? 'source' : 'taker'
      const came = decode(bytes)
      if (this.#options.trace) this.#say(`n${node.number} -> n${peer}`, show(came))
      other.handoff.onMessage(there, node.number, epoch, came)
    })
    return true
  }

  #dialAll() {
    for (const node of this.#nodes) {
      if (!node.alive || node.paused) continue
      for (const peer of node.handoff.wantedLinks()) {
        const other = this.#nodes[peer - 1]!
        const link = `${node.number}>${peer}`
        if (this.#links.has(link) || !other.alive || other.paused || this.#random() > 0.2) continue
        this.#links.add(link)
        other.handoff.linkUp('source', node.number, String(node.incarnation))
        node.handoff.linkUp('taker', peer, String(other.incarnation))
      }
    }
  }

  #cut(link: string) {
    if (!this.#links.delete(link)) return
    this.#say('CUT', link)
    for (const role of ['taker', 'source']) this.#channels.delete(`${link} ${role}`)
    const [dialer, acceptor] = link.split('>').map(number => this.#nodes[Number(number) - 1]!)
    if (dialer!.alive) dialer!.handoff.linkDown('taker', acceptor!.number)
    if (acceptor!.alive) acceptor!.handoff.linkDown('source', dialer!.number)
  }

  #advance() {
    for (const node of this.#nodes)
      if (node.alive && !node.paused && this.#now % 3 === 0) node.handoff.tick(this.#now, 0)
    this.#dialAll()
    for (const channel of [...this.#channels.values()]) {
      const isPaused = () => this.#nodes[channel.to - 1]!.paused
      while (channel.tasks[0] && channel.tasks[0].at <= this.#now && !isPaused()) channel.tasks.shift()!.run()
    }
    if (!this.#later.some(task => task.at <= this.#now)) return
    const due = this.#later.filter(task => task.at <= this.#now)
    for (const task of due) this.#later.splice(this.#later.indexOf(task), 1)
    for (const { run } of due) run()
  }

  // --- faults and changes

  #disturb() {
    for (const node of this.#nodes) if (node.backAt > 0) this.#outage(node)
    const r = this.#random()
    if (r < 0.012 && this.#generations.length < (this.#options.absence ? 9 : 5)) this.#change()
    else if (r < 0.02 && this.#options.cuts) this.#cut(this.#pick([...this.#links, '']))
    else if (r < 0.023 && this.#options.restarts) this.#restart(this.#pick(this.#nodes))
    else if (r < 0.03 && this.#options.absence) this.#leave(this.#pick(this.#nodes))
    else if (r < 0.05 && this.#options.absence) this.#evict(this.#pick(this.#nodes))
  }

  // --- absence

  #leave(node: Node) {
    const out = this.#nodes.filter(({ backAt }) => backAt > 0).length
    if (node.backAt > 0 || !node.alive || out >= 2) return
    node.backAt = this.#now + 40 + Math.floor(this.#random() * 300)
    if (this.#options.absence === 'crashes' && this.#random() < 0.5) {
      this.#kill(node)
      return
    }
    this.#say('PAUSE', node.number)
    node.paused = true
  }

  /** Declared away some time after it fell silent, if it is for long; back when it is there again. */
  #outage(node: Node) {
    const newest = this.#generations.at(-1)!
    const isAway = newest.away.includes(node.number)
    const members = newest.servers.map(({ number }) => number)
    if (this.#now < node.backAt) {
      const others = members.filter(number => !newest.away.includes(number) && number !== node.number)
      if (isAway || !members.includes(node.number) || this.#now < node.backAt - 250 || others.length === 0) return
      if (this.#random() > 0.03) return
      this.#declare(members, [...newest.away, node.number])
      this.#fence(node)
      return
    }
    this.#say('BACK', node.number)
    node.backAt = 0
    node.paused = false
    const away = newest.away.filter(number => number !== node.number)
    if (isAway) {
      this.#declare(members, away)
      node.mustKnow = this.#generations.at(-1)!.epoch
    }
    if (node.alive) this.#inform(node, this.#generations)
    else this.#start(node)
  }

  #declare(members: number[], away: number[]) {
    const epoch = this.#generations.at(-1)!.epoch + 1
    this.#generations = [...this.#generations, this.#generation(epoch, members, away)]
    this.#say('GENERATION', epoch, members, 'away', away)
    this.#spread(0.7)
    this.#retire()
  }

  /** Its old life ends: its links, and all requests that wait there. */
  #fence(node: Node) {
    for (const link of [...this.#links]) if (link.split('>').includes(String(node.number))) this.#cut(link)
    for (const channel of [...this.#channels.keys()]) {
      if (channel.startsWith('data') && channel.includes(`n${node.number}`)) this.#channels.delete(channel)
    }
    for (const ticket of node.tickets.keys()) if (node.alive) node.handoff.forget(ticket)
    node.tickets.clear()
    node.parked.clear()
    node.heldForEpoch = []
    node.session++
    node.mustKnow = this.#generations.at(-1)!.epoch
  }

  #kill(node: Node) {
    this.#say('KILL', node.number)
    const inFlight = this.#nodes.some(one => one.alive && one.handoff.source.unconfirmedBytes > 0)
    for (const key of this.#oracles.keys()) {
      const held = node.store.items.get(key)
      if (inFlight || (held && !node.disk.has(key, held.version))) this.#mayBeLost(key)
    }
    this.#fence(node)
    node.alive = false
  }

  #mayBeLost(key: string) {
    this.#oracles.get(key)!.mayBeLost()
    if (this.#busy.has(key)) this.#overlapped.add(key)
  }

  #evict(node: Node) {
    if (node.store.items.size === 0) return
    const key = this.#pick([...node.store.items.keys()])
    const held = node.store.items.get(key)!
    // A deletion may only go where the log remembers it.
    if (held.value === undefined && !(node.disk.has(key, held.version) && node.store.isGuarded(key))) return
    if (held.value !== undefined) this.#mayBeLost(key)
    this.#say('EVICT', key, 'at', node.number)
    node.store.items.delete(key)
  }

  #change() {
    const now = this.#generations.at(-1)!.servers.map(server => server.number)
    const { away } = this.#generations.at(-1)!
    const there = (number: number) => this.#nodes[number - 1]!.alive && this.#nodes[number - 1]!.backAt === 0
    const outside = this.#nodes.map(node => node.number).filter(number => !now.includes(number) && there(number))
    const staying = now.filter(number => !away.includes(number))
    const next = [...now]
    if (outside.length > 0 && (now.length < 2 || this.#random() < 0.6)) next.push(this.#pick(outside))
    else if (staying.length > 1) next.splice(next.indexOf(this.#pick(staying.filter(there).concat(staying[0]!))), 1)
    else return
    if (next.every(number => away.includes(number))) return
    this.#declare(next, away)
  }

  #restart(node: Node) {
    if (!node.alive) return
    this.#say('KILL', node.number)
    for (const link of [...this.#links]) if (link.split('>').includes(String(node.number))) this.#cut(link)
    for (const channel of [...this.#channels.keys()]) {
      if (channel.startsWith('data') && channel.includes(`n${node.number}`)) this.#channels.delete(channel)
    }
    node.alive = false
    for (const key of this.#oracles.keys()) this.#mayBeLost(key)
    this.#after(20 + this.#random() * 60, () => this.#start(node))
  }

  // --- requests

  #request() {
    const idle = [...this.#oracles.keys()].filter(key => !this.#busy.has(key))
    const up = this.#nodes.filter(node => node.alive && !node.paused)
    if (idle.length === 0 || up.length === 0) return
    const verbs: Verb[] = ['get', 'get', 'get', 'set', 'set', 'delete', 'add', 'append', 'replace', 'touch', 'gat']
    this.#ask(this.#pick(idle), { verb: this.#pick(verbs), value: `v${++this.#serial};` }, this.#pick(up))
  }

  #ask(key: string, op: Op, node: Node) {
    const oracle = this.#oracles.get(key)!
    this.#busy.add(key)
    this.#requests++
    let open = true
    const over = (text: string | null, blind = false) => {
      if (!open) return
      open = false
      this.#busy.delete(key)
      this.#say(`${op.verb} ${key} ${op.value} at n${node.number}: ${text}${blind ? ' (blind)' : ''}`)
      if (text === null && this.#options.absence) oracle.unknownOrBlind(op)
      else if (text === null) oracle.unknown(op)
      else {
        const wrong = blind ? oracle.answeredBlind(op, text) : oracle.answered(op, text)
        if (wrong) this.#violations.push(`${key}: ${wrong}`)
      }
      if (this.#overlapped.delete(key)) oracle.mayBeLost()
    }
    if (this.#options.restarts || this.#options.absence) this.#after(400, () => over(null)) // its node may die with it
    this.#serve(node, { key, op, hops: 0, wanted: () => open, reply: over })
  }

  #serve(node: Node, request: Request) {
    const least = Math.max(1, node.mustKnow)
    if (node.handoff.epoch < least) {
      node.heldForEpoch.push({ epoch: least, run: () => this.#serve(node, request) }) // it is still catching up
      return
    }
    const waiting = node.parked.get(request.key)
    if (waiting) waiting.push(request)
    else this.#execute(node, request)
  }

  /** False: it waits for its key. */
  #execute(node: Node, request: Request): boolean {
    if (!request.wanted()) return true
    const served = node.store.serve(request.key, request.op)
    if (served.stop === 'done') {
      this.#say(`${request.op.verb} ${request.key} ${request.op.value} executed by n${node.number}: ${served.reply}`)
      request.reply(served.reply)
    } else if (served.stop === 'forward') this.#forward(node, served.owner, request)
    else if (served.stop === 'guard') this.#guard(node, request)
    else {
      this.#park(node, request)
      return false
    }
    return true
  }

  #guard(node: Node, request: Request) {
    const ticket = ++node.lastTicket
    let served: { reply: string; blind: boolean } | null = null
    node.tickets.set(ticket, () => {
      node.tickets.delete(ticket)
      const { session } = node
      this.#afterAt(node, this.#random() * 3, () => {
        if (node.session !== session) return
        if (served) request.reply(served.reply, served.blind)
        else this.#serve(node, request)
      })
    })
    const writes = request.op.verb !== 'get' && request.op.verb !== 'gets'
    const execute = (blind: boolean) => {
      this.#say(`${request.op.verb} ${request.key} ${request.op.value} executed by n${node.number}, guarded`)
      if (!request.wanted()) return true
      const isInformed = node.store.isInformed(request.key) // since it was found to be blind
      served = { reply: node.store.serveGuarded(request.key, request.op), blind: blind && !isInformed }
      return true
    }
    node.handoff.guard(ticket, { key: Buffer.from(request.key), writes, execute })
  }

  #park(node: Node, request: Request) {
    const queue = node.parked.get(request.key) ?? []
    queue.unshift(request)
    node.parked.set(request.key, queue)
    const ticket = ++node.lastTicket
    const { session } = node
    node.tickets.set(ticket, () => {
      node.tickets.delete(ticket)
      this.#afterAt(node, this.#random() * 3, () => {
        if (node.session !== session) return
        const ready = node.parked.get(request.key) ?? []
        node.parked.delete(request.key)
        while (ready.length > 0) {
          if (this.#execute(node, ready.shift()!)) continue
          node.parked.get(request.key)!.push(...ready)
          break
        }
      })
    })
    node.handoff.need(ticket, Buffer.from(request.key))
  }

  #forward(node: Node, owner: number, request: Request) {
    const to = this.#nodes[owner - 1]!
    const epoch = node.handoff.epoch
    const topology = this.#known.get(node)!
    if (request.hops > 12 && !this.#options.absence) {
      this.#violations.push(`too many hops for ${request.key}`)
      return
    }
    const arrive = () => {
      if (!to.alive) return
      if (epoch > to.handoff.epoch) {
        to.heldForEpoch.push({ epoch, run: () => this.#serve(to, { ...request, hops: request.hops + 1 }) })
        this.#after(this.#random() * 10, () => this.#inform(to, topology))
      } else this.#serve(to, { ...request, hops: request.hops + 1 })
    }
    this.#channel(`data n${node.number} n${owner}`, owner).push(this.#now + this.#random() * 8, arrive)
  }

  // --- the end

  #quiet(): boolean {
    return (
      this.#generations.length === 1 &&
      this.#busy.size === 0 &&
      this.#nodes.every(node => node.alive && !node.paused && node.handoff.settled)
    )
  }

  #unsettled(): string {
    const nodes = this.#nodes.map(
      node => `n${node.number} ${node.alive} e${node.handoff.epoch} ${node.handoff.settled}`,
    )
    return `${this.#generations.map(one => one.epoch)} busy ${[...this.#busy]} ${nodes.join(', ')}`
  }

  #readBack() {
    if (this.#violations.length > 0) return
    for (const key of this.#oracles.keys()) this.#ask(key, { verb: 'get', value: '' }, this.#pick(this.#nodes))
    for (const limit = this.#now + 1000; this.#busy.size > 0 && this.#now < limit; this.#now++) this.#advance()
    if (this.#busy.size > 0) this.#violations.push(`no answer for ${[...this.#busy]}`)
    for (const key of this.#oracles.keys()) {
      const holders = this.#nodes.filter(node => node.store.items.get(key)?.value !== undefined)
      if (holders.length > 1)
        this.#violations.push(`${key} is held by ${holders.map(node => `n${node.number}`).join(' and ')}`)
    }
  }
}

const latin = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

/** A message for people: keys and records as the model store writes them. */
function show(message: Message): string {
  const { type, ...rest } = message
  return `${type} ${JSON.stringify(rest, (_name, value) => {
    if (value instanceof Uint8Array) return latin(value)
    return value?.type === 'Buffer' ? latin(Uint8Array.from(value.data)) : value
  }).replaceAll('\\"', "'")}`
}
