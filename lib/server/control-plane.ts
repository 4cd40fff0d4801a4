/**
 * The control plane of a node in a tier: topology in, handoff over control links, route tables and grants out to the data
 * planes. Everything runs on one Loop, callbacks only, so that it runs unchanged in the simulated world.
 *
 *   Membership --setTopology--> Handoff --publish--> engine (shared memory)
 *   data planes --need--------> Handoff --take-----> dialed links --> other control planes
 *   accepted links ------------> Handoff (as source)
 *
 * It may not know where topologies are stored nor how threads are made. The two kinds of links are kept apart: this node
 * is the taker on links that it dialed and the source on links that it accepted.
 */
import type { EngineApi } from '../engine/contract.js'
import { prepareRing } from '../handoff/generations.js'
import { Handoff, type HandoffEffects, type Role } from '../handoff/handoff.js'
import type { HintStats } from '../handoff/hint-log.js'
import type { Hints } from '../handoff/hints.js'
import type { TransferProgress } from '../handoff/taker.js'
import { limitsWithin } from '../handoff/throttle.js'
import type { WarmStart } from '../handoff/warm-start.js'
import { decode, encode, type Message } from '../handoff/wire.js'
import { isNewer } from '../tier/fencing.js'
import { hasKept, isKept } from '../tier/kept-memory.js'
import { currentGeneration, type Topology, tierConfigOf } from '../tier/topology.js'
import { decodeVote, encodeVote } from '../tier/vote-wire.js'
import { type Frame, FrameType } from '../transport/frame.js'
import { acceptLink, dialLink, type Link, type LinkIdentity } from '../transport/link.js'
import type { Address, Listener, Loop, Timer } from '../transport/loop.js'
import { comingSources, nextServers } from './coming-change.js'
import { Gather, TEXT_BYTES_MAX } from './gather.js'
import { handoffStats } from './handoff-stats.js'
import { LeaseKeeper, type LeaseKeeperLinks, type LeaseKeeperOptions } from './lease-keeper.js'
import type { ControlPort, ToControl } from './plane.js'
import { isRead } from './request.js'
import { runWhole } from './whole-request.js'

export interface ControlPlaneOptions {
  loop: Loop
  /** The control thread's own engine. */
  engine: EngineApi
  /** One a worker. */
  dataPlanes: ControlPort[]
  identity: LinkIdentity
  secret: string | null
  peerListen: Address
  /** Most that is taken from each source in the background, bytes a second; null: what both ends can bear. */
  migrationRate: number | null
  /** A topology as text (from a peer), checked; null when it is no topology. */
  parseTopology(text: string): Topology | null
  onSettled(epoch: number): void
  /** `hints`: what is kept for others, by the id of their home. */
  onProgress(
    epoch: number,
    progress: (TransferProgress & { sourceId: string })[],
    hints: (Omit<HintStats, 'home'> & { home: string })[],
  ): void
  /** This node's own reply to `stats` with these words behind it. */
  report(words: readonly string[]): string
  /** What is kept on the disk for nodes that are away; none where there is no disk. */
  hints?: Hints
  /** What is remembered of the outages that this node acted in; none where there is no disk. */
  acted?: Acted | null
  /** It begins with what its last life held; null: it begins empty. */
  warm?: WarmStart | null
  /** There is a flush_all: what nodes that stepped aside keep must not come back. Said again until the document says so. */
  onFlushing?(): void
  /** Where nodes can be fenced: store, fence and what was promised. */
  fencing?: Omit<LeaseKeeperOptions, 'loop' | 'onEvent'>
  /** A sentence for the log. */
  onEvent(sentence: string): void
}

/** See acted-file.ts. */
export interface Acted {
  /** Of the lives before; null: it is not known. */
  readonly before: number | null
  isNoted(epoch: number, hasAbsence: boolean): boolean
  /** `then` when a later life will know that this one may have acted by this generation. */
  note(epoch: number, then: () => void): void
}

/** A control link to a node, dialed again and again as long as it is wanted. */
interface Dialed {
  link: Link | null
  open: boolean
  backoffMs: number
  notBefore: number
}

/** A node that dialed us, but that our topology does not know yet: its messages wait until it does. */
interface Stranger {
  link: Link
  incarnation: string
  frames: { epoch: number; message: Message }[]
}

const TICK_BUSY_MS = 5
const TICK_IDLE_MS = 200
const PROGRESS_EVERY_MS = 250
const BACKOFF_MIN_MS = 20
const BACKOFF_MAX_MS = 1000
const STRANGER_FRAMES_MAX = 1000
const STRANGERS_MAX = 256
/** Messages of data planes that may want a link at once. */
const NUDGES: ReadonlySet<string> = new Set(['flush', 'gather'])
/** Those that nearly always find it: the next tick of a busy node is soon enough, and a tick for each is work of its own. */
const SOFT_NUDGES: ReadonlySet<string> = new Set(['need', 'guard'])

export class ControlPlane {
  readonly #options: ControlPlaneOptions
  readonly handoff: Handoff
  readonly #gather: Gather
  readonly keeper: LeaseKeeper | null
  /** Data planes that have not dropped everything yet, and what comes then. */
  #dropping: { planes: number; done: () => void } = { planes: 0, done: () => {} }
  /** The newest picture is not in force yet, as this node may not act by it. */
  #waitsForLease = false
  /** Nodes of the picture that comes that a link will be needed to. */
  #coming: number[] = []
  /** Who waits for the first picture to be in force, or to wait for the lease. */
  #starting: (() => void)[] = []
  /** Who waits for a picture of this epoch or a later one to be in force. */
  #enforced: { epoch: number; done: () => void }[] = []
  readonly #dialed = new Map<number, Dialed>()
  readonly #accepted = new Map<number, Link>()
  readonly #strangers = new Map<string, Stranger>()
  readonly #tickets = new Map<number, { plane: number; ticket: number }>()
  readonly #ticketOf = new Map<string, number>()
  /** It steps aside, and nobody acts for it yet; and those who wait for that. */
  #isLeaving = false
  #waitingForOthers: number[] = []
  /** Of guarded requests that were executed, and wait for their log. */
  readonly #replies = new Map<number, Buffer>()
  #lastTicket = 0
  #topology: Topology | null = null
  #self = -1
  #heardEpoch = 0
  #listener: Listener | null = null
  #timer: Timer | null = null
  #due = 0
  #progressAt = 0
  #wasSettled = true
  #stopped = false

  constructor(options: ControlPlaneOptions) {
    this.#options = options
    const { engine } = options
    const effects: HandoffEffects = {
      send: (role, peer, message) => this.#send(role, peer, message),
      granted: ticket => this.#answer(ticket, one => ({ type: 'granted', ticket: one })),
      blind: ticket => effects.granted(ticket), // by now the engine says that it is guarded
      executed: ticket => this.#executed(ticket),
      refused: (ticket, reason) => this.#answer(ticket, one => ({ type: 'refused', ticket: one, reason })),
      flushed: (ticket, failure) =>
        this.#answer(ticket, one =>
          failure === null ? { type: 'done', ticket: one } : { type: 'refused', ticket: one, reason: failure },
        ),
      published: epoch => this.#onPublished(epoch),
      unpublished: () => this.#tickSoon(TICK_BUSY_MS),
      generationSettled: epoch => options.onSettled(epoch),
      learned: text => this.#learn(text),
      topologyText: () => (this.#topology ? JSON.stringify(this.#topology) : null),
      flushLater: delaySec => engine.flushAt(delaySec === 0 ? 0 : Math.floor(options.loop.wallClock()) + delaySec),
      flushPendingSec: () => Math.max(0, engine.flushPendingAt() - Math.floor(options.loop.wallClock())),
    }
    this.#gather = new Gather({
      members: () => this.#members(),
      send: (member, message) => this.#send('taker', member, message),
      done: (ticket, question, texts) => this.#gathered(ticket, question, texts),
      refused: effects.refused,
    })
    const { migrationRate, hints } = options
    const limits = migrationRate === null ? undefined : limitsWithin(migrationRate)
    this.handoff = new Handoff(engine, effects, limits, hints, options.acted?.before ?? null, options.warm ?? null)
    const { fencing, loop, onEvent } = options
    this.keeper = fencing ? new LeaseKeeper({ ...fencing, loop, onEvent }, this.#keeperLinks()) : null
    options.dataPlanes.forEach((port, plane) => {
      port.onMessage = message => this.#onPlane(plane, message)
    })
  }

  /** Listens for control links of other nodes. */
  start(onListening: (port: number) => void, onError: (sentence: string) => void): void {
    const { loop, peerListen } = this.#options
    loop.listen(
      peerListen,
      connection => {
        const { identity, secret } = this.#options
        return acceptLink(connection, loop, { self: identity, secret, accepts: ['control'] }, this.#acceptedCallbacks())
      },
      listener => {
        this.#listener = listener
        this.#schedule(TICK_IDLE_MS)
        onListening(listener.port)
      },
      onError,
    )
  }

  stop(): void {
    this.#stopped = true
    this.keeper?.stop()
    if (this.#timer) this.#options.loop.clearTimer(this.#timer)
    this.#listener?.close()
    for (const { link } of this.#dialed.values()) link?.close()
    for (const link of this.#accepted.values()) link.close()
    for (const { link } of this.#strangers.values()) link.close()
  }

  /** A topology that will be set once this node may act by it: links that it will need are dialed meanwhile. */
  prepare(topology: Topology, self: number): void {
    if (this.#stopped || topology.epoch <= this.handoff.epoch) return
    this.#coming = comingSources(topology, self)
    if (this.#coming.length > 0) this.#tickSoon()
  }

  /** A topology from the store, or from a peer that knew it first. Older ones than what is known are ignored. */
  setTopology(topology: Topology, self: number, fromStore = true): void {
    if (this.#stopped || (this.#topology && topology.epoch < this.#topology.epoch)) return
    this.#topology = topology
    this.#self = self
    // First: by a route that is in force before the lease is asked for, the node could act without one.
    this.keeper?.setTopology(topology, self, fromStore)
    this.#options.engine.setTime(this.#options.loop.wallClock())
    this.#putInForce()
    this.#adoptStrangers()
    this.#voidKept()
    this.#noteLeaving()
    this.#tickSoon()
  }

  #noteLeaving(): void {
    const node = this.#topology?.nodes.find(({ number }) => number === this.#self)
    const isActing = !node?.away || this.handoff.epoch < node.away.epoch
    const isLeaving = isActing && node?.kept?.incarnation === this.#options.identity.incarnation
    if (isLeaving === this.#isLeaving) return
    this.#isLeaving = isLeaving
    for (const port of this.#options.dataPlanes) port.post({ type: 'leaving', isLeaving })
    for (const ticket of this.#waitingForOthers.splice(0))
      this.#answer(ticket, one => ({ type: 'granted', ticket: one }))
  }

  #need(ticket: number, key: Uint8Array): void {
    if (this.#isLeaving) this.#waitingForOthers.push(ticket)
    else this.handoff.need(ticket, key)
  }

  /** A flush_all does not wait for a node that left its memory and is stopped, once the document says that it must not be believed. */
  #voidKept(): void {
    if (this.handoff.flushing && this.#topology && hasKept(this.#topology)) this.#options.onFlushing?.()
  }

  /** A picture in which this node acts again has to wait until it was vouched for. */
  #putInForce(): void {
    const topology = this.#topology
    const newest = topology && currentGeneration(topology)
    if (!newest) return
    const self = this.#self
    const acts = newest.servers.some(({ number }) => number === self) && !newest.away.includes(self)
    this.#waitsForLease = acts && (this.keeper?.awaitsSession === true || this.#dropping.planes > 0)
    if (this.#waitsForLease) this.#hasBegun()
    if (this.#waitsForLease || this.#stopped) return
    const { acted } = this.#options
    const hasAbsence = topology.generations.some(({ away }) => away.length > 0)
    if (acted && !acted.isNoted(newest.epoch, hasAbsence)) {
      // What is known by then is looked at anew.
      acted.note(newest.epoch, () => this.#putInForce())
      return
    }
    const kept = topology.nodes.filter(isKept)
    const isVoid = (number: number) => kept.some(node => node.number === number && node.kept!.isVoid)
    const rule = { dialect: topology.dialect, pointsPerServer: topology.pointsPerServer }
    const settled = new Set<number>()
    for (const change of topology.changes) {
      if (change.epoch !== undefined && change.settled?.includes(self)) settled.add(change.epoch)
    }
    this.handoff.setTopology({
      self,
      rule,
      generations: topology.generations,
      settled,
      members: this.#members().filter(number => !isVoid(number)),
      keeps: kept.some(({ number }) => number === self),
    })
    const next = nextServers(topology)
    if (next.length > 0) prepareRing(next, rule)
    this.#tickSoon()
  }

  /** `done` when a picture is in force, or cannot be for now: the tier has no ring yet, or this node may not act yet. */
  whenBegun(done: () => void): void {
    const epoch = this.#topology?.epoch ?? 0
    this.#starting.push(done)
    if (this.#waitsForLease || this.handoff.epoch >= epoch) this.#hasBegun()
  }

  #hasBegun(): void {
    for (const done of this.#starting.splice(0)) done()
  }

  #onVouchedFor(done: () => void): void {
    this.#enforced.push({ epoch: this.#topology?.epoch ?? 0, done })
    if (this.#waitsForLease) this.#putInForce()
    this.#enforce(this.handoff.epoch)
  }

  #enforce(epoch: number): void {
    const due = this.#enforced.filter(one => one.epoch <= epoch)
    this.#enforced = this.#enforced.filter(one => one.epoch > epoch)
    for (const { done } of due) done()
  }

  /** The generation in which this node came back last; null: it is in none, or its session is younger than that. */
  #sessionBegan(): number | null {
    const generations = this.#topology?.generations ?? []
    const last = generations.findLastIndex(({ away }) => away.includes(this.#self))
    return last < 0 ? null : (generations[last + 1]?.epoch ?? null)
  }

  /** What a later life could not know from this one's memory alone, as half a sentence; null: nothing. */
  get unfinished(): string | null {
    if (this.#topology === null || this.handoff.epoch !== this.#topology.epoch) return 'a generation is not in force'
    if (this.#options.engine.flushPendingAt() > 0) return 'a flush_all is still to come'
    return this.handoff.unfinished
  }

  get settled(): boolean {
    return this.handoff.settled
  }

  // --- data planes

  #onPlane(plane: number, message: ToControl): void {
    if (message.type === 'need') this.#need(this.#ticket(plane, message.ticket), message.key)
    else if (message.type === 'guard') this.#guard(this.#ticket(plane, message.ticket), message)
    else if (message.type === 'forget') this.#forget(plane, message.ticket)
    else if (message.type === 'flush') {
      this.handoff.flush(this.#ticket(plane, message.ticket), message.delaySec)
      this.#voidKept()
    } else if (message.type === 'own')
      this.#gathered(this.#ticket(plane, message.ticket), message.question, new Map(), [])
    else if (message.type === 'gather') this.#gather.start(this.#ticket(plane, message.ticket), message.question)
    else if (message.type === 'heard') this.#heard(message.epoch)
    else if (message.type === 'dropped' && --this.#dropping.planes === 0) this.#dropping.done()
    if (NUDGES.has(message.type)) this.#tickSoon()
    else if (SOFT_NUDGES.has(message.type)) this.#tickSoon(TICK_BUSY_MS)
  }

  #ticket(plane: number, ticket: number): number {
    const own = ++this.#lastTicket
    this.#tickets.set(own, { plane, ticket })
    this.#ticketOf.set(`${plane}:${ticket}`, own)
    return own
  }

  #forget(plane: number, ticket: number): void {
    const own = this.#ticketOf.get(`${plane}:${ticket}`)
    if (own === undefined) return
    this.handoff.forget(own)
    this.#replies.delete(own)
    this.#tickets.delete(own)
    this.#ticketOf.delete(`${plane}:${ticket}`)
  }

  #answer(own: number, message: (ticket: number) => Parameters<ControlPort['post']>[0]): void {
    this.#replies.delete(own) // also of a request that was executed, and refused as its log failed
    const asked = this.#tickets.get(own)
    if (!asked) return
    this.#tickets.delete(own)
    this.#ticketOf.delete(`${asked.plane}:${asked.ticket}`)
    this.#options.dataPlanes[asked.plane]!.post(message(asked.ticket))
  }

  // --- guarded requests

  #guard(own: number, { key, bytes, until }: Extract<ToControl, { type: 'guard' }>): void {
    const { engine, loop } = this.#options
    const request = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.handoff.guard(own, {
      key,
      writes: !isRead(request),
      execute: () => {
        // Granted again, it is refused where it waits.
        if (loop.clock() >= until) return false
        engine.setTime(loop.wallClock())
        engine.executesGuarded(true)
        const run = runWhole(engine, request)
        engine.executesGuarded(false)
        if (!Buffer.isBuffer(run)) return false
        this.#replies.set(own, run)
        return true
      },
    })
  }

  #executed(own: number): void {
    const reply = this.#replies.get(own) ?? Buffer.alloc(0)
    this.#answer(own, ticket => ({ type: 'executed', ticket, reply }))
  }

  #onPublished(epoch: number): void {
    // First: with the route, data planes begin what peers have asked by it, and must find that this node may act.
    this.#enforce(epoch)
    this.#hasBegun()
    this.#coming = []
    this.#announceRoute(epoch)
    this.#noteLeaving()
  }

  #announceRoute(epoch: number): void {
    const newest = this.#topology?.generations.find(generation => generation.epoch === epoch)
    const nodes = (this.#topology?.nodes ?? []).map(node => ({
      number: node.number,
      id: node.id,
      host: node.host,
      port: node.port,
      weight: node.weight,
      dataHost: node.peerHost,
      dataPort: node.dataPort,
      // One that stepped aside passes on what it was asked for, as long as it runs.
      isAway: newest?.away.includes(node.number) === true && !isKept(node),
    }))
    const config = this.#topology ? tierConfigOf(this.#topology) : null
    const ring = config ? { ring: config } : {}
    for (const port of this.#options.dataPlanes) port.post({ type: 'route', epoch, self: this.#self, nodes, ...ring })
    this.#reportProgress()
    const settled = this.handoff.settled
    if (settled !== this.#wasSettled) {
      this.#wasSettled = settled
      this.#options.onEvent(settled ? `generation ${epoch} is settled here` : `generation ${epoch}: taking keys`)
    }
  }

  // --- figures of the tier

  #members(): number[] {
    const nodes = this.#topology?.nodes ?? []
    return nodes.filter(node => node.number !== this.#self && node.state !== 'gone').map(node => node.number)
  }

  #gathered(own: number, question: string, texts: ReadonlyMap<number, string>, members = this.#members()): void {
    const figures = (number: number, text: string | null) => {
      const {
        id = '',
        host = '',
        port = 0,
        weight = 0,
      } = this.#topology?.nodes.find(one => one.number === number) ?? {}
      return { id, host, port, weight, text }
    }
    const others = members.map(number => figures(number, texts.get(number) ?? null))
    const nodes = [figures(this.#self, this.#report(question)), ...others]
    this.#answer(own, ticket => ({ type: 'gathered', ticket, nodes }))
  }

  #report(question: string): string {
    if (question !== 'handoff') return this.#options.report(wordsOf(question))
    const hints = this.#options.hints?.stats ?? []
    return handoffStats({ handoff: this.handoff, hints, topology: this.#topology })
  }

  /** Questions about figures and their answers need no generation. False: the link should be cut. */
  #onMessage(role: Role, peer: number, epoch: number, message: Message): boolean {
    if (message.type === 'told') this.#gather.told(peer, message.id, message.text)
    else if (message.type === 'ask') {
      const text = this.#report(message.question)
      if (text.length <= TEXT_BYTES_MAX) this.#send(role, peer, { type: 'told', id: message.id, text })
    } else return this.handoff.onMessage(role, peer, epoch, message)
    return true
  }

  // --- knowledge

  /** Somebody acts by a newer generation: ask everybody that can be asked; the topology store may tell first. */
  #heard(epoch: number): void {
    if (epoch <= this.handoff.epoch) return
    this.#heardEpoch = Math.max(this.#heardEpoch, epoch)
    this.#askAround()
    this.#tickSoon()
  }

  #askAround(): void {
    for (const [peer, { open }] of this.#dialed) if (open) this.#send('taker', peer, { type: 'tell' })
    for (const peer of this.#accepted.keys()) this.#send('source', peer, { type: 'tell' })
  }

  #learn(text: string): void {
    const topology = this.#options.parseTopology(text)
    if (!topology) {
      this.#options.onEvent('a peer sent something that is no topology')
      return
    }
    const self = topology.nodes.find(node => node.id === this.#options.identity.id)
    if (self && isNewer(topology, this.#topology)) this.setTopology(topology, self.number, false)
  }

  // --- fencing

  #keeperLinks(): LeaseKeeperLinks {
    return {
      send: (member, ask, vote) => {
        const dialed = this.#dialed.get(member)
        return dialed?.open === true && dialed.link!.send(FrameType.vote, ask, this.handoff.epoch, encodeVote(vote))
      },
      learn: text => this.#learn(text),
      dropAll: done => {
        this.#dropping = { planes: this.#options.dataPlanes.length, done }
        for (const port of this.#options.dataPlanes) port.post({ type: 'drop', since: this.#sessionBegan() })
      },
      vouched: done => this.#onVouchedFor(done),
      tellPlanes: lapsed => {
        for (const port of this.#options.dataPlanes) port.post({ type: 'lease', lapsed })
      },
    }
  }

  /** Also of a node that this topology does not know yet: a promise is about its number. */
  #onVouch(link: Link, frame: Frame): void {
    const vote = decodeVote(frame.payload)
    if (vote?.type !== 'vouch') link.close()
    else if (this.keeper) link.send(FrameType.vote, frame.id, this.handoff.epoch, encodeVote(this.keeper.answer(vote)))
  }

  #onVouched(link: Link, member: number, frame: Frame): void {
    const vote = decodeVote(frame.payload)
    if (vote?.type !== 'vouched') link.close()
    else this.keeper?.answered(member, frame.id, vote)
  }

  // --- links

  #send(role: Role, peer: number, message: Message): boolean {
    const dialed = this.#dialed.get(peer)
    const link = role === 'source' ? this.#accepted.get(peer) : dialed?.open ? dialed.link : null
    if (!link?.open) return false
    link.send(FrameType.handoff, 0, this.handoff.spokenEpoch, encode(message))
    return true
  }

  #acceptedCallbacks() {
    return {
      onOpen: (link: Link, peer: LinkIdentity) => this.#onAccepted(link, peer),
      onFrame: (link: Link, frame: Frame) => this.#onAcceptedFrame(link, frame),
      onRefused: (sentence: string) => this.#options.onEvent(`a control link was refused: ${sentence}`),
      onClose: (link: Link) => this.#onAcceptedClosed(link),
    }
  }

  #onAccepted(link: Link, peer: LinkIdentity): void {
    const number = this.#numberOf(peer.id)
    if (number !== undefined) {
      this.#becomeSource(number, link, peer.incarnation)
      return
    }
    if (this.#strangers.size >= STRANGERS_MAX) {
      link.close()
      return
    }
    this.#strangers.get(peer.id)?.link.close()
    this.#strangers.set(peer.id, { link, incarnation: peer.incarnation, frames: [] })
    link.send(FrameType.handoff, 0, this.handoff.epoch, encode({ type: 'tell' }))
  }

  #becomeSource(number: number, link: Link, incarnation: string): void {
    const earlier = this.#accepted.get(number)
    this.#accepted.set(number, link)
    if (earlier && earlier !== link) {
      this.handoff.linkDown('source', number)
      earlier.close()
    }
    this.handoff.linkUp('source', number, incarnation)
    if (this.#heardEpoch > this.handoff.epoch) this.#send('source', number, { type: 'tell' })
  }

  #onAcceptedFrame(link: Link, frame: Frame): void {
    if (frame.type === FrameType.vote) {
      this.#onVouch(link, frame)
      return
    }
    const message = this.#decode(link, frame)
    if (!message) return
    for (const [number, accepted] of this.#accepted) {
      if (accepted !== link) continue
      if (!this.#onMessage('source', number, frame.epoch, message)) link.close()
      return
    }
    for (const stranger of this.#strangers.values()) {
      if (stranger.link !== link) continue
      if (message.type === 'topology') this.#learn(message.text)
      else if (stranger.frames.length < STRANGER_FRAMES_MAX) stranger.frames.push({ epoch: frame.epoch, message })
      else link.close()
      return
    }
  }

  #onAcceptedClosed(link: Link): void {
    for (const [number, accepted] of this.#accepted) {
      if (accepted !== link) continue
      this.#accepted.delete(number)
      this.handoff.linkDown('source', number)
    }
    for (const [id, stranger] of this.#strangers) if (stranger.link === link) this.#strangers.delete(id)
  }

  #adoptStrangers(): void {
    for (const [id, { link, incarnation, frames }] of [...this.#strangers]) {
      const number = this.#numberOf(id)
      if (number === undefined) continue
      this.#strangers.delete(id)
      this.#becomeSource(number, link, incarnation)
      for (const { epoch, message } of frames) {
        if (!this.#onMessage('source', number, epoch, message)) link.close()
      }
    }
  }

  #dial(peer: number, state: Dialed): void {
    const { loop, identity, secret } = this.#options
    const node = this.#topology?.nodes.find(one => one.number === peer)
    if (!node) return
    const down = (link: Link | null) => {
      if (link !== null && state.link !== link) return
      state.link = null
      if (state.open) this.handoff.linkDown('taker', peer)
      state.open = false
      state.notBefore = loop.now() + state.backoffMs
      state.backoffMs = Math.min(BACKOFF_MAX_MS, state.backoffMs * 2)
    }
    const address = { host: node.peerHost, port: node.peerPort }
    state.link = dialLink(
      loop,
      address,
      { self: identity, secret, purpose: 'control' },
      {
        onOpen: (link, remote) => {
          if (remote.id !== node.id) {
            this.#options.onEvent(`${address.host}:${address.port} is node ${remote.id}, not ${node.id}`)
            link.close()
            return
          }
          state.open = true
          state.backoffMs = BACKOFF_MIN_MS
          this.handoff.linkUp('taker', peer, remote.incarnation)
          this.#gather.linkUp(peer)
          if (this.#heardEpoch > this.handoff.epoch) this.#send('taker', peer, { type: 'tell' })
        },
        onFrame: (link, frame) => {
          if (frame.type === FrameType.vote) {
            this.#onVouched(link, peer, frame)
            return
          }
          const message = this.#decode(link, frame)
          if (message && !this.#onMessage('taker', peer, frame.epoch, message)) link.close()
        },
        onRefused: sentence => {
          this.#options.onEvent(`node ${node.id} refused a control link: ${sentence}`)
          state.backoffMs = BACKOFF_MAX_MS
        },
        onClose: link => down(link),
      },
    )
  }

  #decode(link: Link, frame: Frame): Message | null {
    try {
      return frame.type === FrameType.handoff ? decode(frame.payload) : null
    } catch (error) {
      this.#options.onEvent(`a control link was cut: ${(error as Error).message}`)
      link.close()
      return null
    }
  }

  #numberOf(id: string): number | undefined {
    return this.#topology?.nodes.find(node => node.id === id)?.number
  }

  // --- time

  #tickSoon(afterMs = 0): void {
    if (!this.#stopped && this.#listener) this.#schedule(afterMs)
  }

  #schedule(afterMs: number): void {
    const { loop } = this.#options
    const due = loop.now() + afterMs
    if (this.#timer) {
      if (this.#due <= due) return
      loop.clearTimer(this.#timer)
    }
    this.#due = due
    this.#timer = loop.setTimer(afterMs, () => {
      this.#timer = null
      this.#tick()
    })
  }

  #tick(): void {
    if (this.#stopped) return
    const { loop, engine } = this.#options
    const now = loop.now()
    const lagMs = Math.max(0, now - this.#due)
    engine.setTime(loop.wallClock())
    const wanted = this.handoff.wantedLinks()
    for (const member of this.#gather.wanted()) wanted.add(member)
    if (this.#heardEpoch > this.handoff.epoch) for (const node of this.#topology?.nodes ?? []) wanted.add(node.number)
    for (const number of this.#coming) wanted.add(number)
    wanted.delete(this.#self)
    const voters = this.keeper?.wantedLinks() ?? []
    for (const peer of new Set([...wanted, ...voters])) {
      let state = this.#dialed.get(peer)
      if (!state) {
        state = { link: null, open: false, backoffMs: BACKOFF_MIN_MS, notBefore: 0 }
        this.#dialed.set(peer, state)
      }
      if (!state.link && now >= state.notBefore) this.#dial(peer, state)
    }
    this.handoff.tick(now, lagMs)
    this.#gather.tick(now)
    if (now >= this.#progressAt) {
      this.#progressAt = now + PROGRESS_EVERY_MS
      this.#reportProgress()
      if (this.#heardEpoch > this.handoff.epoch) this.#askAround()
    }
    this.#schedule(this.handoff.settled && wanted.size === 0 ? TICK_IDLE_MS : TICK_BUSY_MS)
  }

  #reportProgress(): void {
    const nodes = this.#topology?.nodes ?? []
    const idOf = (number: number) => nodes.find(node => node.number === number)?.id ?? String(number)
    const named = this.handoff.progress().map(transfer => ({ ...transfer, sourceId: idOf(transfer.source) }))
    const hints = this.#options.hints?.stats.map(({ home, ...rest }) => ({ ...rest, home: idOf(home) })) ?? []
    this.#options.onProgress(this.handoff.epoch, named, hints)
  }
}

const wordsOf = (question: string): string[] => question.split(' ').filter(word => word !== '')
