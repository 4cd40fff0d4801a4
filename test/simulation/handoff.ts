/**
 * The pure handoff of several nodes over a seeded network: links with delays that break or pass one way only, topologies that
 * come late or only from peers, changes that start before the last has settled, nodes that are slow, that restart with empty
 * memory, that go away (paused, or dead with their disk kept) and come back; disks that are full, fail, or lose what was not
 * synced; wall clocks that disagree and are set. Requests are served by the model store, forwarded like data links do.
 * One history a seed; checked key by key (oracle.ts).
 *
 * Every event is drawn by a generator of its own (random.ts), so that a failing history can be shrunk (shrink.ts).
 */
import { type GenerationSpec, Generations } from '../../lib/handoff/generations.js'
import { Handoff, type HandoffEffects, type Role } from '../../lib/handoff/handoff.js'
import type { Message } from '../../lib/handoff/wire.js'
import { decode, encode } from '../../lib/handoff/wire.js'
import { Network } from './network.js'
import { KeyOracle, type Op, type Verb } from './oracle.js'
import { drawnFor, mulberry } from './random.js'
import { SimNode, STEP_MS } from './sim-node.js'

const RULE = { dialect: 'libmemcached-weighted', pointsPerServer: 4 } as const

export interface HistoryOptions {
  /** Nodes may be killed and restarted with empty memory. */
  restarts?: boolean
  /** Links may break. */
  cuts?: boolean
  /**
   * Nodes go away and come back: paused with their memory, or (`crashes`) dead half of the time, with their disk alone, or (`asides`) where the
   * tier has settled, most of the time by stepping aside: they are stopped, and their next life has what the last one held.
   */
  absence?: 'pauses' | 'crashes' | 'asides'
  /** Without those that Faults names. */
  without?: readonly FaultName[]
  steps?: number
  trace?: (line: string) => void
  /** What a history is cut down to, to see what it needs to fail. */
  cut?: Cut
}

export interface Cut {
  /** Steps at which nothing is disturbed, and nothing requested. */
  calm: ReadonlySet<number>
  silent: ReadonlySet<number>
  /** Keys that are not asked for. */
  keys: ReadonlySet<string>
  /** The last node never joins. */
  fewerNodes: boolean
}

/** Faults beyond what `restarts`, `cuts` and `absence` allow. */
export const FAULTS = ['disks', 'one-way', 'slow', 'clocks', 'expiry', 'flushes', 'turns'] as const
export type FaultName = (typeof FAULTS)[number]

type Reply = (text: string | null, blind?: boolean) => void
interface Request {
  key: string
  op: Op
  hops: number
  wanted: () => boolean
  reply: Reply
}

export interface History {
  violations: string[]
  requests: number
  takes: number
  steps: number
  /** Steps with a disturbance, and with a request: what may be cut away. */
  disturbed: number[]
  requested: { step: number; key: string }[]
}

/** A flush_all whose node died: so often, and so far apart, it is looked whether all have heard of it. */
const FLUSH_LOOKS_MAX = 50
const FLUSH_LOOK_STEPS = 20
/** One draw of each a step. */
const DISTURB = 1
const REQUEST = 2
/** Every so many messages go through the codec; it has its own tests, and costs most of the time otherwise. */
const CODED_EVERY = 8
/** A restart or a pause takes so many steps at most. */
const ABSENCE_STEPS_MAX = 340
/** How far expiry may be off, ms: a second each time that a value moves, and what clocks were set by meanwhile. */
const EXPIRY_EARLY_MS = 8000
/** And the time that it was on its way to nodes that were paused: twice at most in these histories. */
const EXPIRY_LATE_MS = EXPIRY_EARLY_MS + 2 * ABSENCE_STEPS_MAX * STEP_MS
const CLOCK_SET_MS = 1000
/** A refusal that a client may see, with a reason: the disk of the node that acts takes nothing at all. */
const REFUSED = /^the hint log of node \d+ cannot be written/

export function history(seed: number, options: HistoryOptions = {}): History {
  return new World(seed, options).run()
}

class World {
  readonly #seed: number
  /** Of the network and the nodes. */
  readonly #random: () => number
  readonly #options: HistoryOptions
  readonly #nodes: SimNode[]
  readonly #network = new Network()
  /** By the step in which they are due. */
  readonly #later = new Map<number, (() => void)[]>()
  /** Steps before it have run. */
  #ran = 0
  readonly #oracles = new Map<string, KeyOracle>()
  readonly #busy = new Set<string>()
  /** Keys lost by an eviction or a crash while an answer was on its way. */
  readonly #overlapped = new Set<string>()
  readonly #settled = new Map<number, Set<number>>()
  readonly #violations: string[] = []
  readonly #disturbed: number[] = []
  readonly #requested: { step: number; key: string }[] = []
  readonly #known = new Map<SimNode, GenerationSpec[]>()
  /** flush_all commands that may still be under way, by the node that was asked. */
  readonly #flushing = new Set<SimNode>()
  #generations: GenerationSpec[] = []
  #pictured: { of: GenerationSpec[]; picture: Generations } | null = null
  #now = 0
  #requests = 0
  #takes = 0
  #messages = 0
  #losses = ''

  constructor(seed: number, options: HistoryOptions) {
    this.#seed = seed
    this.#random = mulberry(seed)
    this.#options = options
    this.#generations = [this.#generation(1, [1, 2, 3])]
    const clock = () => this.#now
    const skew = () => (this.#has('clocks') ? (this.#random() - 0.5) * 120_000 : 0)
    this.#nodes = [1, 2, 3, 4].map(number => new SimNode(number, this.#random, clock, skew()))
    for (const node of this.#nodes) this.#start(node)
    const keys = 3 + Math.floor(this.#random() * 20)
    for (let i = 0; i < keys; i++) this.#oracles.set(`${'k'.repeat(1 + (i % 2))}${i}`, new KeyOracle())
  }

  run(): History {
    const steps = this.#options.steps ?? 1500
    for (; this.#now < steps && this.#violations.length === 0; this.#now++) {
      this.#disturb()
      this.#request()
      this.#advance()
    }
    for (const node of this.#nodes) this.#heal(node)
    const limit = this.#now + 6000
    while (this.#violations.length === 0 && !this.#quiet()) {
      if (this.#now++ > limit) this.#violations.push(`not settled: ${this.#unsettled()}`)
      for (const node of this.#nodes) if (node.backAt > 0) this.#outage(node)
      if (this.#now % 100 === 0) this.#spread(1) // the watch of the topology store tells everybody in the end
      this.#advance()
    }
    this.#readBack()
    return {
      ...{ violations: this.#violations, requests: this.#requests, takes: this.#takes, steps: this.#now },
      ...{ disturbed: this.#disturbed, requested: this.#requested },
    }
  }

  #has(fault: FaultName): boolean {
    return this.#options.cuts === true && !this.#options.without?.includes(fault)
  }

  #say(...words: unknown[]) {
    this.#options.trace?.(`${this.#now} ${words.join(' ')}`)
  }

  #pick<T>(list: readonly T[], random = this.#random): T {
    return list[Math.floor(random() * list.length)]!
  }

  #generation(epoch: number, members: number[], away: number[] = []): GenerationSpec {
    const servers = members.map(number => ({ number, host: `h${number}`, port: 1, weight: 1 }))
    return { epoch, servers, away }
  }

  // --- nodes

  #start(node: SimNode) {
    const hints = node.begin(sentence => this.#say(`n${node.number}: ${sentence}`))
    const life = node.incarnation
    const effects: HandoffEffects = {
      send: (role, peer, message) => this.#send(node, role, peer, message),
      granted: ticket => node.tickets.get(ticket)?.go(),
      blind: ticket => node.tickets.get(ticket)?.go(),
      executed: ticket => node.tickets.get(ticket)?.go(),
      refused: (ticket, reason) => node.tickets.get(ticket)?.refuse(reason),
      flushed: (ticket, failure) =>
        failure === null ? node.tickets.get(ticket)?.go() : node.tickets.get(ticket)?.refuse(failure),
      unpublished: () => {},
      published: epoch => {
        const ready = node.heldForEpoch.filter(held => held.epoch <= epoch)
        node.heldForEpoch = node.heldForEpoch.filter(held => held.epoch > epoch)
        const stillThis = () => node.alive && node.incarnation === life // requests die with the node that holds them
        for (const { run } of ready) this.#after(0, () => stillThis() && run())
      },
      generationSettled: epoch => this.#onSettled(node, life, epoch),
      learned: text => this.#inform(node, this.#documents.get(text)!),
      topologyText: () => this.#document(this.#known.get(node) ?? this.#generations),
      flushLater: () => {},
      flushPendingSec: () => 0,
    }
    const warm = {
      onForgotten: () => {
        for (const key of this.#oracles.keys()) this.#mayBeLost(key)
      },
    }
    node.handoff = new Handoff(node.store, effects, undefined, hints, node.acted, node.isWarm ? warm : null)
    node.isWarm = false
    node.keptSince = 0
    this.#inform(node, this.#generations)
  }

  readonly #documents = new Map<string, GenerationSpec[]>()
  readonly #texts = new Map<GenerationSpec[], string>()

  /** Its text only says which it is: documents are tested elsewhere. */
  #document(generations: GenerationSpec[]): string {
    let text = this.#texts.get(generations)
    if (text === undefined) {
      text = `${this.#texts.size}`
      this.#texts.set(generations, text)
      this.#documents.set(text, generations)
    }
    return text
  }

  #inform(node: SimNode, generations: GenerationSpec[]) {
    if (!node.alive || generations.at(-1)!.epoch < node.handoff.epoch) return
    const known = this.#known.get(node)
    if (known && known[0]!.epoch > generations[0]!.epoch && node.handoff.epoch === generations.at(-1)!.epoch) return
    this.#known.set(node, generations)
    const settled = new Set(
      [...this.#settled].filter(([, numbers]) => numbers.has(node.number)).map(([epoch]) => epoch),
    )
    const members = this.#nodes.map(one => one.number).filter(number => number !== node.number)
    node.acted = Math.max(node.acted ?? 0, generations.at(-1)!.epoch)
    node.handoff.setTopology({
      self: node.number,
      rule: RULE,
      generations,
      settled,
      members,
      keeps: node.keptSince > 0,
    })
  }

  #onSettled(node: SimNode, life: number, epoch: number) {
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
    const picture = this.#picture()
    const open = this.#nodes.flatMap(node =>
      picture.transfersTo(node.number).filter(({ generation }) => !this.#settled.get(generation)?.has(node.number)),
    )
    const firstOpen = Math.min(...open.map(({ generation }) => generation), Number.MAX_SAFE_INTEGER)
    const isOpen = (taker: number, epoch: number) => !this.#settled.get(epoch)?.has(taker)
    const isBase = ({ epoch, away }: GenerationSpec) =>
      epoch < firstOpen && away.length === 0 && picture.mayForgetBefore(epoch, isOpen)
    const base = this.#generations.findLastIndex(isBase)
    if (base > 0) this.#generations = this.#generations.slice(base)
    if (this.#generations.length === before) return
    this.#say('RETIRED, base', this.#generations[0]!.epoch)
    this.#spread(1)
  }

  #picture(): Generations {
    if (this.#pictured?.of !== this.#generations)
      this.#pictured = { of: this.#generations, picture: new Generations(this.#generations, RULE) }
    return this.#pictured.picture
  }

  #spread(share: number, random = this.#random) {
    for (const node of this.#nodes) {
      if (random() < share) this.#after(this.#random() * 60, () => this.#inform(node, this.#generations))
    }
  }

  // --- network

  #after(delay: number, run: () => void) {
    const step = Math.max(this.#now + 1, Math.ceil(this.#now + delay))
    const tasks = this.#later.get(step)
    if (tasks) tasks.push(run)
    else this.#later.set(step, [run])
  }

  /** Something that a node does later: not while it is paused. */
  #afterAt(node: SimNode, delay: number, run: () => void) {
    const life = node.incarnation
    const attempt = () => {
      if (!node.alive || node.incarnation !== life) return
      if (node.paused) this.#after(3, attempt)
      else run()
    }
    this.#after(this.#isSlow(node) ? 10 * delay : delay, attempt)
  }

  #isSlow(node: SimNode): boolean {
    return node.slowUntil > this.#now
  }

  #send(node: SimNode, role: Role, peer: number, message: Message): boolean {
    const link = role === 'taker' ? `${node.number}>${peer}` : `${peer}>${node.number}`
    if (!this.#network.links.has(link)) return false
    const other = this.#nodes[peer - 1]!
    const bytes = ++this.#messages % CODED_EVERY === 0 ? encode(message) : null
    const epoch = node.handoff.spokenEpoch
    if (message.type === 'take') this.#takes++
    const delay = this.#random() * (this.#isSlow(node) ? 60 : 12)
    return this.#network.send(link, node.number, peer, this.#now + delay, () => {
      const there = role === 'taker' ? 'source' : 'taker'
      const came = bytes ? decode(bytes) : message
      if (this.#options.trace && isTold(came)) this.#say(`n${node.number} -> n${peer}`, show(came))
      other.handoff.onMessage(there, node.number, epoch, came)
    })
  }

  #dialAll() {
    for (const node of this.#nodes) {
      if (!node.alive || node.paused) continue
      for (const peer of node.handoff.wantedLinks()) {
        const other = this.#nodes[peer - 1]!
        const link = `${node.number}>${peer}`
        if (this.#network.links.has(link) || !other.alive || other.paused || this.#random() > 0.45) continue
        if (this.#isBlocked(node, other) || this.#isBlocked(other, node)) continue
        this.#network.links.add(link)
        other.handoff.linkUp('source', node.number, String(node.incarnation))
        node.handoff.linkUp('taker', peer, String(other.incarnation))
      }
    }
  }

  #isBlocked(from: SimNode, to: SimNode): boolean {
    return this.#network.isBlocked(from.number, to.number, this.#now)
  }

  #cut(link: string) {
    if (!this.#network.cut(link)) return
    this.#say('CUT', link)
    const [dialer, acceptor] = link.split('>').map(number => this.#nodes[Number(number) - 1]!)
    if (dialer!.alive) dialer!.handoff.linkDown('taker', acceptor!.number)
    if (acceptor!.alive) acceptor!.handoff.linkDown('source', dialer!.number)
  }

  #advance() {
    for (const node of this.#nodes) {
      if (!node.alive || node.paused) continue
      if (this.#now % (this.#isSlow(node) ? 30 : 3) === 0) node.handoff.tick(this.#now, 0)
      if (node.disk.busy > 0 && this.#random() < (this.#isSlow(node) ? 0.1 : 0.7)) node.disk.step()
    }
    if (this.#now % 3 === 0) {
      this.#dialAll()
      this.#noteLosses()
    }
    this.#network.deliver(this.#now, number => !this.#nodes[number - 1]!.paused)
    for (; this.#ran <= this.#now; this.#ran++) {
      const due = this.#later.get(this.#ran)
      this.#later.delete(this.#ran)
      for (const run of due ?? []) run()
    }
  }

  // --- faults and changes

  #disturb() {
    for (const node of this.#nodes) if (node.backAt > 0) this.#outage(node)
    const random = drawnFor(this.#seed, DISTURB, this.#now)
    const r = random()
    if (r >= 0.07 || this.#options.cut?.calm.has(this.#now)) return
    this.#disturbed.push(this.#now)
    if (r < 0.012 && this.#generations.length < (this.#options.absence ? 9 : 5)) this.#change(random)
    else if (r < 0.02 && this.#options.cuts) this.#cut(this.#pick([...this.#network.links, ''], random))
    else if (r < 0.023 && this.#options.restarts) this.#restart(this.#pick(this.#nodes, random), random)
    else if (r < 0.03 && this.#options.absence) this.#leave(this.#pick(this.#nodes, random), random)
    else if (r < 0.05 && this.#options.absence) this.#evict(this.#pick(this.#nodes, random), random)
    else if (r < 0.053 && this.#options.absence && this.#has('disks')) this.#hurtDisk(random)
    else if (r < 0.058 && this.#has('one-way')) this.#block(random)
    else if (r < 0.061 && this.#has('slow')) this.#slow(this.#pick(this.#nodes, random), random)
    else if (r < 0.064 && this.#has('clocks')) this.#setClock(this.#pick(this.#nodes, random), random)
    else if (r < 0.0645 && this.#has('flushes')) this.#flushAll(random)
    else if (r > 0.067 && this.#has('turns')) this.#keepTurns(this.#pick(this.#nodes, random), random)
  }

  /** The disk of one node is full for a while, or takes nothing at all, or removals alone. */
  #hurtDisk(random: () => number) {
    const node = this.#pick(this.#nodes, random)
    const used = [...node.disk.files.values()].reduce((sum, file) => sum + file.length, 0)
    const kind = random()
    const removes = kind < 0.8
    const refused = removes ? ['write'] : ['write', 'sync', 'remove']
    if (kind < 0.7) node.disk.capacity = used + Math.floor(random() * 400)
    else node.disk.broken = operation => refused.includes(operation)
    this.#say(kind < 0.7 ? 'DISK FULL' : removes ? 'DISK TAKES REMOVALS ONLY' : 'DISK BROKEN', node.number)
    this.#after(20 + random() * 150, () => this.#heal(node))
  }

  #heal(node: SimNode) {
    node.disk.capacity = Number.POSITIVE_INFINITY
    node.disk.broken = null
  }

  /** What a sends reaches b; what b sends does not reach a, until it does, or the links break. */
  #block(random: () => number) {
    const from = this.#pick(this.#nodes, random)
    const to = this.#pick(this.#nodes, random)
    if (from === to) return
    const steps = 10 + random() * 120
    this.#say('ONE WAY', `n${from.number} does not reach n${to.number}`)
    this.#network.block(from.number, to.number, this.#now + steps)
    if (random() < 0.6) return
    this.#after(steps * random(), () => {
      this.#cut(`${from.number}>${to.number}`)
      this.#cut(`${to.number}>${from.number}`)
    })
  }

  #slow(node: SimNode, random: () => number) {
    this.#say('SLOW', node.number)
    node.slowUntil = this.#now + 30 + random() * 200
  }

  /** Threads of a node are in the middle of turns, by the route tables that it had: no other one can come into force. */
  #keepTurns(node: SimNode, random: () => number) {
    this.#say('TURNS of', node.number, 'go on')
    const { store } = node
    store.isInTurn = true
    this.#after(1 + random() * 80, () => {
      store.isInTurn = false
    })
  }

  #setClock(node: SimNode, random: () => number) {
    const by = Math.round((random() - 0.5) * CLOCK_SET_MS)
    this.#say('CLOCK', node.number, 'set by', by, 'ms')
    node.skewMs += by
  }

  /** Whoever is asked meanwhile may be answered before it or after it. Where somebody is away it fails, and may be done in part. */
  #flushAll(random: () => number) {
    const up = this.#nodes.filter(node => node.alive && !node.paused)
    if (up.length < this.#nodes.length || this.#flushing.size > 0) return
    const node = this.#pick(up, random)
    this.#say('FLUSH_ALL at', node.number)
    this.#flushing.add(node)
    const quiet = [...this.#oracles.keys()].filter(key => !this.#busy.has(key))
    for (const key of quiet) this.#busy.add(key)
    for (const key of this.#oracles.keys()) this.#mayBeLost(key)
    let open = true
    const over = (done: boolean) => {
      if (!open) return
      open = false
      this.#say('FLUSH_ALL', done ? 'done' : 'failed')
      for (const key of quiet) {
        this.#busy.delete(key)
        this.#oracles.get(key)!.flushed(done)
      }
      for (const key of this.#busy) this.#overlapped.add(key)
    }
    const ticket = ++node.lastTicket
    const end = (done: boolean) => {
      this.#flushing.delete(node)
      over(done)
    }
    node.tickets.set(ticket, { go: () => end(true), refuse: () => end(false) })
    const { handoff } = node
    this.#after(400, () => {
      handoff.forget(ticket)
      over(false)
    })
    node.handoff.flush(ticket, 0)
  }

  /** The one that was asked dies in the midst of it: whoever has heard of it goes on telling others. */
  #abandonFlush(node: SimNode, looks = FLUSH_LOOKS_MAX) {
    if (!this.#flushing.has(node)) return
    const there = this.#nodes.filter(one => one.alive && !one.paused && one !== node)
    if (looks > 0 && new Set(there.map(one => one.store.flushed())).size > 1) {
      this.#after(FLUSH_LOOK_STEPS, () => this.#abandonFlush(node, looks - 1))
      return
    }
    for (const key of this.#busy) this.#overlapped.add(key)
    this.#flushing.delete(node)
  }

  // --- absence

  #leave(node: SimNode, random: () => number) {
    const out = this.#nodes.filter(({ backAt }) => backAt > 0).length
    if (node.backAt > 0 || !node.alive || out >= 2) return
    node.backAt = this.#now + 40 + Math.floor(random() * (ABSENCE_STEPS_MAX - 40))
    if (this.#options.absence === 'asides' && random() < 0.8 && this.#stepAside(node, random)) return
    if (this.#options.absence === 'crashes' && random() < 0.5) {
      this.#kill(node, this.#has('disks') && random() < 0.5)
      return
    }
    this.#say('PAUSE', node.number)
    node.paused = true
  }

  /** Others act for it from now on; it runs on for a while, is stopped, and perhaps started again before they know. */
  #stepAside(node: SimNode, random: () => number): boolean {
    const { servers, away } = this.#generations[0]!
    const members = servers.map(({ number }) => number)
    const others = this.#nodes.filter(one => one !== node && one.backAt === 0 && members.includes(one.number))
    if (this.#generations.length > 1 || away.length > 0 || others.length === 0) return false
    if (!members.includes(node.number)) return false
    this.#say('ASIDE', node.number)
    this.#declare(members, [node.number])
    this.#fence(node)
    node.keptSince = this.#generations.at(-1)!.epoch
    const life = node.incarnation
    const stopIn = 5 + random() * (node.backAt - this.#now - 10)
    const startIn = stopIn + 5 + random() * 200
    this.#after(stopIn, () => {
      if (!node.alive || node.incarnation !== life || node.backAt <= this.#now) return
      this.#stop(node)
      this.#after(startIn - stopIn, () => {
        if (!node.alive && node.incarnation === life && node.backAt > this.#now) this.#start(node)
      })
    })
    return true
  }

  /** What it holds goes to its next life, if that could not miss anything by it. */
  #stop(node: SimNode) {
    const why = node.handoff.epoch < node.keptSince ? 'it does not know yet' : node.handoff.unfinished
    this.#say('STOP', node.number, why ?? 'with its memory in a file')
    if (why !== null) {
      this.#kill(node, false)
      return
    }
    this.#fence(node)
    this.#abandonFlush(node)
    node.crash(false)
    node.isWarm = true
  }

  /** Declared away some time after it fell silent, if it is for long; back when it is there again. */
  #outage(node: SimNode) {
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
  #fence(node: SimNode) {
    this.#disconnect(node)
    for (const ticket of node.tickets.keys()) if (node.alive) node.handoff.forget(ticket)
    node.tickets.clear()
    this.#parked.delete(node)
    node.heldForEpoch = []
    node.session++
    node.mustKnow = this.#generations.at(-1)!.epoch
  }

  #disconnect(node: SimNode) {
    for (const link of this.#network.linksOf(node.number)) this.#cut(link)
    this.#network.cutRequests(node.number)
  }

  #kill(node: SimNode, power: boolean) {
    this.#say('KILL', node.number, power ? 'with its power' : '')
    const inFlight = this.#nodes.some(one => one.alive && one.handoff.source.unconfirmedBytes > 0)
    for (const key of this.#oracles.keys()) {
      const isHeld = node.store.items.has(key) || node.hints.aside(Buffer.from(key, 'latin1')) >= 0
      if (inFlight || (isHeld && !node.isSafe(key))) this.#mayBeLost(key)
    }
    this.#fence(node)
    this.#abandonFlush(node)
    node.crash(power)
  }

  #mayBeLost(key: string) {
    this.#oracles.get(key)!.mayBeLost()
    if (this.#busy.has(key)) this.#overlapped.add(key)
  }

  /** Has the log of a node that stood in lost something, so that what its home remembers of the key does not count? */
  #isVoid(key: string): boolean {
    for (const node of this.#nodes) {
      if (!node.alive) continue
      for (const home of node.voidHomes()) {
        const picture = this.#picture()
        const arc = picture.arcAt(node.store.point(Buffer.from(key)))
        const isCovered = ({ epoch, away }: GenerationSpec) =>
          away.includes(home) && picture.actor(epoch, arc) === node.number
        if (this.#generations.some(isCovered)) return true
      }
    }
    return false
  }

  /** Another log has lost something, or the one that has covers more. */
  #noteLosses() {
    const lossy = this.#nodes.filter(({ alive }) => alive).map(node => `${node.number}: ${node.voidHomes()}`)
    const losses = `${this.#generations.at(-1)!.epoch} ${lossy}`
    if (losses === this.#losses) return
    this.#losses = losses
    this.#say('VOID', losses)
    for (const key of this.#oracles.keys()) if (this.#isVoid(key)) this.#mayBeLost(key)
  }

  #evict(node: SimNode, random: () => number) {
    if (node.store.items.size === 0) return
    const key = this.#pick([...node.store.items.keys()].sort(), random)
    const held = node.store.items.get(key)!
    // A deletion may only go where the log remembers it.
    if (held.value === undefined && !(node.isSafe(key) && node.store.isGuarded(key))) return
    if (held.value !== undefined) this.#mayBeLost(key)
    this.#say('EVICT', key, 'at', node.number)
    node.store.items.delete(key)
  }

  #change(random: () => number) {
    const now = this.#generations.at(-1)!.servers.map(server => server.number)
    const { away } = this.#generations.at(-1)!
    const there = (number: number) => this.#nodes[number - 1]!.alive && this.#nodes[number - 1]!.backAt === 0
    const all = this.#options.cut?.fewerNodes ? [1, 2, 3] : [1, 2, 3, 4]
    const outside = all.filter(number => !now.includes(number) && there(number))
    const staying = now.filter(number => !away.includes(number))
    const next = [...now]
    if (outside.length > 0 && (now.length < 2 || random() < 0.6)) next.push(this.#pick(outside, random))
    else if (staying.length > 1)
      next.splice(next.indexOf(this.#pick(staying.filter(there).concat(staying[0]!), random)), 1)
    else return
    if (next.every(number => away.includes(number))) return
    this.#declare(next, away)
  }

  #restart(node: SimNode, random: () => number) {
    if (!node.alive) return
    this.#say('KILL', node.number)
    this.#disconnect(node)
    this.#parked.delete(node)
    this.#abandonFlush(node)
    node.crash(false)
    for (const key of this.#oracles.keys()) this.#mayBeLost(key)
    this.#after(20 + random() * 60, () => this.#start(node))
  }

  // --- requests

  #request() {
    const random = drawnFor(this.#seed, REQUEST, this.#now)
    if (random() >= 0.5 || this.#options.cut?.silent.has(this.#now)) return
    const keys = [...this.#oracles.keys()]
    const key = this.#pick(keys, random)
    const node = this.#pick(this.#nodes, random)
    if (this.#busy.has(key) || !node.alive || node.paused || this.#options.cut?.keys.has(key)) return
    const verbs: Verb[] = ['get', 'get', 'get', 'set', 'set', 'delete', 'add', 'append', 'replace', 'touch', 'gat']
    const verb = this.#pick(verbs, random)
    const expires = this.#has('expiry') && (verb === 'set' || verb === 'add') && random() < 0.15
    const toLiveSec = expires ? 10 + Math.floor(random() * 40) : null
    this.#requested.push({ step: this.#now, key })
    this.#ask(key, { verb, value: `v${this.#now};`, ...(toLiveSec === null ? {} : { toLiveSec }) }, node)
  }

  #ask(key: string, op: Op, node: SimNode) {
    const oracle = this.#oracles.get(key)!
    this.#busy.add(key)
    this.#requests++
    const askedAt = this.#now
    let open = true
    const over = (text: string | null, blind = false) => {
      if (!open) return
      open = false
      this.#busy.delete(key)
      this.#say(`${op.verb} ${key} ${op.value} at n${node.number}: ${text}${blind ? ' (blind)' : ''}`)
      this.#judge(key, op, askedAt, text, blind)
      if (this.#overlapped.delete(key) || this.#flushing.size > 0 || this.#isVoid(key)) oracle.mayBeLost()
    }
    if (this.#options.restarts || this.#options.absence) this.#after(400, () => over(null)) // its node may die with it
    this.#serve(node, { key, op, hops: 0, wanted: () => open, reply: over })
  }

  #judge(key: string, op: Op, askedAt: number, text: string | null, blind: boolean) {
    const oracle = this.#oracles.get(key)!
    if (op.toLiveSec !== undefined) {
      const from = askedAt * STEP_MS + op.toLiveSec * 1000 - EXPIRY_EARLY_MS
      oracle.expires(op.value, { from, until: this.#now * STEP_MS + op.toLiveSec * 1000 + EXPIRY_LATE_MS })
    }
    oracle.passed(askedAt * STEP_MS, this.#now * STEP_MS)
    if (this.#isVoid(key)) oracle.mayBeLost()
    if (text === null || REFUSED.test(text)) {
      if (this.#options.absence) oracle.unknownOrBlind(op)
      else oracle.unknown(op)
      return
    }
    const wrong = blind ? oracle.answeredBlind(op, text) : oracle.answered(op, text)
    if (wrong) this.#violations.push(`${key}: ${wrong}`)
  }

  /** Requests that wait for a key, in order. */
  readonly #parked = new Map<SimNode, Map<string, Request[]>>()

  #parkedAt(node: SimNode): Map<string, Request[]> {
    let parked = this.#parked.get(node)
    if (!parked) {
      parked = new Map()
      this.#parked.set(node, parked)
    }
    return parked
  }

  #serve(node: SimNode, request: Request) {
    const least = Math.max(1, node.mustKnow)
    if (node.handoff.epoch < least) {
      node.heldForEpoch.push({ epoch: least, run: () => this.#serve(node, request) }) // it is still catching up
      return
    }
    const waiting = this.#parkedAt(node).get(request.key)
    if (waiting) waiting.push(request)
    else this.#execute(node, request)
  }

  /** False: it waits for its key. */
  #execute(node: SimNode, request: Request): boolean {
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

  #guard(node: SimNode, request: Request) {
    const ticket = ++node.lastTicket
    let served: { reply: string; blind: boolean } | null = null
    const { session } = node
    const end = (then: () => void) => {
      node.tickets.delete(ticket)
      this.#afterAt(node, this.#random() * 3, () => node.session === session && then())
    }
    const go = () => end(() => (served ? request.reply(served.reply, served.blind) : this.#serve(node, request)))
    node.tickets.set(ticket, { go, refuse: reason => end(() => this.#refuse(request, reason)) })
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

  #refuse(request: Request, reason: string) {
    if (!REFUSED.test(reason)) this.#violations.push(`refused: ${reason}`)
    request.reply(reason)
  }

  #park(node: SimNode, request: Request) {
    const queue = this.#parkedAt(node).get(request.key) ?? []
    queue.unshift(request)
    this.#parkedAt(node).set(request.key, queue)
    const ticket = ++node.lastTicket
    const { session } = node
    const go = () => {
      node.tickets.delete(ticket)
      this.#afterAt(node, this.#random() * 3, () => {
        if (node.session !== session) return
        const ready = this.#parkedAt(node).get(request.key) ?? []
        this.#parkedAt(node).delete(request.key)
        while (ready.length > 0) {
          if (this.#execute(node, ready.shift()!)) continue
          const parked = this.#parkedAt(node).get(request.key)
          if (!parked) continue // it was refused at once
          parked.push(...ready)
          break
        }
      })
    }
    const refuse = (reason: string) => {
      node.tickets.delete(ticket)
      const waiting = this.#parkedAt(node).get(request.key) ?? []
      this.#parkedAt(node).delete(request.key)
      for (const one of waiting) this.#refuse(one, reason)
    }
    node.tickets.set(ticket, { go, refuse })
    node.handoff.need(ticket, Buffer.from(request.key))
  }

  #forward(node: SimNode, owner: number, request: Request) {
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
    const delay = this.#random() * (this.#isSlow(node) ? 40 : 8)
    this.#network.send(null, node.number, owner, this.#now + delay, arrive)
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

/** Those that only ask again and again are left out of a trace. */
const isTold = (message: Message): boolean =>
  message.type !== 'pull' && message.type !== 'ack' && !(message.type === 'batch' && message.records.length === 0)

const latin = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

/** A message for people: keys and records as the model store writes them. */
function show(message: Message): string {
  const { type, ...rest } = message
  return `${type} ${JSON.stringify(rest, (_name, value) => {
    if (value?.type === 'Buffer') return latin(Uint8Array.from(value.data))
    return value instanceof Uint8Array ? latin(value) : value
  }).replaceAll(/\\u00../g, '.')}`
}
