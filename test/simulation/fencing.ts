/**
 * Fencing in simulated time: the real controller steps, detector, declarations, voters and leases of a tier of three to five
 * nodes, and one arc that somebody acts for. Messages are delayed, lost, or come long after; links are cut in one direction
 * or both; nodes, voters and the controller pause, die and start again, some with a disk and some without; every clock runs
 * at a speed of its own within DRIFT_MAX.
 *
 * What must hold at every moment: of all processes that run, at most one would answer for the arc. When everything is healed:
 * nobody is away, nobody is announced, and exactly one answers.
 */
import { strict as assert } from 'node:assert'
import { nextTopology } from '../../lib/tier/controller.js'
import { DRIFT_MAX, fencingOf, isNewer, type VoterName } from '../../lib/tier/fencing.js'
import { Lease, leaseTerms } from '../../lib/tier/lease.js'
import { Outages } from '../../lib/tier/outages.js'
import type { NodeStatus } from '../../lib/tier/store.js'
import { emptyTopology, type Generation, runningChanges, type Topology } from '../../lib/tier/topology.js'
import { checkTopology } from '../../lib/tier/validate.js'
import { Voter, type Votes } from '../../lib/tier/voter.js'
import { withFenced, withNode, withSettled } from '../../lib/tier/wishes.js'
import { mulberry32 } from '../../lib/transport/simulated.js'
import { TimerHeap } from '../../lib/transport/timers.js'

/** Short, so that much happens in a minute: suspected after 500 ms, leases of 400 ms. */
export const AWAY_AFTER_MS = 1000
const TICK_MS = 10
const LIVE_MS = 600
const LOOK_MS = 30
const STORE = 0

export interface FencingOptions {
  /** Virtual length of the troubled part, ms. */
  lengthMs?: number
  /** Random faults; without them only what the script does happens. */
  faults?: boolean
  nodes?: number
  /** The ring walk from the arc; default: any. */
  walk?: number[]
  /** Default: every second node or so has one. */
  disks?: boolean
  script?: (world: FencingWorld) => void
  trace?: (line: string) => void
}

/** A process with a clock of its own. */
class Process {
  readonly number: number
  readonly rate: number
  readonly offset: number
  alive = true
  paused = false
  /** What came while it was paused. */
  inbox: (() => void)[] = []
  life = 1
  startedAt = 0

  constructor(number: number, rate: number, offset: number) {
    this.number = number
    this.rate = rate
    this.offset = offset
  }

  clock(now: number): number {
    return now * this.rate + this.offset
  }
}

class Member extends Process {
  disk: { votes: Votes | null; known: Topology | null } | null = null
  voter = new Voter()
  lease = new Lease()
  known: Topology | null = null
  beat = 0
  heartbeatAt = 0
  /** First epoch of the tenure that it came to own; -1: none. */
  owns = -1
  askedTake = -1
}

export class FencingWorld {
  readonly random: () => number
  readonly members: Member[] = []
  readonly store: Process
  readonly violations: string[] = []
  now = 0
  topology: Topology = emptyTopology('simulated', 'libmemcached-weighted', 40)
  #outages = new Outages(AWAY_AFTER_MS)
  readonly #live = new Map<string, { status: NodeStatus; until: number }>()
  readonly #events = new TimerHeap()
  readonly #cuts = new Set<string>()
  #held: { from: number; to: number; deliver: () => void }[] = []
  readonly #trace: (line: string) => void
  /** The ring walk from the arc. */
  readonly #walk: number[]
  #spreadAt = 0
  #lookAt = 0
  /** Ticks in which nobody acted, in a row and in all. */
  silentTicks = 0
  changes = 0

  constructor(seed: number, nodes: number, { trace, walk, disks }: FencingOptions) {
    this.random = mulberry32(seed)
    this.#trace = trace ?? (() => {})
    const rate = () => 1 + DRIFT_MAX * (this.random() < 0.3 ? (this.random() < 0.5 ? 1 : -1) : this.random() * 2 - 1)
    this.store = new Process(STORE, rate(), this.random() * 1e6)
    const ranks = Array.from({ length: nodes }, () => this.random())
    this.#walk = walk ?? ranks.map((_, i) => i + 1).sort((a, b) => ranks[a - 1]! - ranks[b - 1]!)
    for (let number = 1; number <= nodes; number++) {
      const member = new Member(number, rate(), this.random() * 1e6)
      if (disks ?? this.random() < 0.5) member.disk = { votes: null, known: null }
      this.members.push(member)
      this.#register(member)
    }
  }

  // --- the network

  post(from: Process, to: Process, handle: () => void): void {
    const life = to.life
    const arrive = () => {
      if (!to.alive || to.life !== life) return
      if (to.paused) to.inbox.push(arrive)
      else handle()
    }
    const delay = this.random() < 0.05 ? this.random() * 600 : this.random() * 20
    this.after(delay, () => {
      if (!this.#cuts.has(`${from.number}>${to.number}`)) arrive()
      // As TCP does: what was sent may come when the link is there again.
      else if (this.random() < 0.5) this.#held.push({ from: from.number, to: to.number, deliver: arrive })
    })
  }

  after(ms: number, task: () => void): void {
    this.#events.add(this.now + ms, task)
  }

  cut(from: number, to: number): void {
    this.say(`cut ${from}>${to}`)
    this.#cuts.add(`${from}>${to}`)
  }

  heal(from: number, to: number): void {
    if (!this.#cuts.delete(`${from}>${to}`)) return
    const isHeld = (one: { from: number; to: number }) => one.from === from && one.to === to
    for (const { deliver } of this.#held.filter(isHeld)) this.after(this.random() * 20, deliver)
    this.#held = this.#held.filter(one => !isHeld(one))
  }

  healAll(): void {
    for (const pair of [...this.#cuts]) {
      const [from, to] = pair.split('>').map(Number)
      this.heal(from!, to!)
    }
  }

  // --- processes

  pause(process: Process): void {
    this.say(`pause ${process.number}`)
    process.paused = true
  }

  resume(process: Process): void {
    this.say(`resume ${process.number}`)
    process.paused = false
    for (const arrive of process.inbox.splice(0)) arrive()
  }

  kill(process: Process): void {
    this.say(`kill ${process.number}`)
    process.alive = false
    process.paused = false
    process.inbox = []
  }

  /** With what its disk has; a process without one knows nothing. */
  start(process: Process): void {
    this.say(`start ${process.number}`)
    process.alive = true
    process.life++
    process.startedAt = this.now
    if (process === this.store) {
      this.#outages = new Outages(AWAY_AFTER_MS)
      this.#live.clear()
      return
    }
    const member = process as Member
    member.voter = new Voter(member.disk?.votes ?? null)
    member.lease = new Lease()
    Object.assign(member, { known: null, owns: -1, askedTake: -1, beat: 0 })
    const { disk } = member
    if (disk?.known) this.#learn(member, disk.known, false)
  }

  #register(member: Member): void {
    const { number, life } = member
    const outcome = withNode(this.topology, {
      ...{ id: `n${number}`, host: `10.0.0.${number}`, port: 1, peerHost: 'x', peerPort: 1, dataPort: 2 },
      ...{ weight: 1, incarnation: String(life) },
    })
    assert(outcome.ok)
    if (outcome.topology) this.#save(outcome.topology)
  }

  // --- the store and the controller in it

  #save(next: Topology): void {
    const checked = checkTopology(next)
    assert(checked.ok, checked.ok ? '' : checked.problem)
    const last = next.generations.at(-1)
    if (next.epoch > this.topology.epoch) {
      this.changes++
      this.say(`GENERATION ${next.epoch} away [${last?.away}]`)
    }
    this.topology = next
    this.#spread()
  }

  #spread(): void {
    this.#spreadAt = this.now
    const { topology } = this
    for (const member of this.members) this.post(this.store, member, () => this.#learn(member, topology, true))
  }

  #tickStore(): void {
    const { store } = this
    const clock = store.clock(this.now)
    if (!store.alive || store.paused || clock < this.#lookAt) return
    this.#lookAt = clock + LOOK_MS
    for (const [id, { until }] of this.#live) if (until < clock) this.#live.delete(id)
    const live = new Map([...this.#live].map(([id, { status }]) => [id, status]))
    for (let steps = 0; steps < 10; steps++) {
      const { sentences, questions } = this.#outages.look(this.topology, live, clock)
      for (const sentence of sentences) this.say(sentence)
      for (const { voter, request } of questions) {
        const member = this.members[voter - 1]!
        this.post(store, member, () => {
          if (member.voter.promise(request) && member.disk) member.disk.votes = member.voter.votes
          this.post(member, store, () => this.#outages.promised(this.topology, voter, request, store.clock(this.now)))
        })
      }
      const inputs = this.#outages.inputs(this.topology, live, clock, 1000)
      const next = nextTopology(this.topology, live, inputs)
      if (!next) break
      this.#save(next)
    }
    if (this.now - this.#spreadAt > 300) this.#spread()
  }

  // --- members

  #learn(member: Member, topology: Topology, fromStore: boolean): void {
    const { known, number } = member
    if (known && !isNewer(topology, known) && !(fromStore && topology.epoch >= known.epoch)) return
    member.voter.learn(topology, fromStore)
    member.known = topology
    if (member.disk) Object.assign(member.disk, { known: topology, votes: member.voter.votes })
    const terms = leaseTerms(topology, number)
    member.lease.configure(terms)
    const since = fencingOf(topology)?.since ?? 0
    if (member.lease.hasHeld && !terms?.binding) {
      this.post(member, this.store, () => {
        const next = withFenced(this.topology, `n${number}`, since)
        if (next) this.#save(next)
      })
    }
  }

  #tickMember(member: Member): void {
    if (!member.alive || member.paused) return
    const clock = member.clock(this.now)
    if (clock >= member.heartbeatAt) {
      member.heartbeatAt = clock + AWAY_AFTER_MS / 10
      const status = { incarnation: String(member.life), epoch: member.known?.epoch ?? 0, beat: ++member.beat }
      this.post(member, this.store, () => {
        const until = this.store.clock(this.now) + LIVE_MS
        this.#live.set(`n${member.number}`, { status, until })
        if (this.topology.nodes[member.number - 1]!.incarnation !== status.incarnation) this.#register(member)
      })
    }
    if (!member.known) return
    if (member.lease.lapses(clock)) this.say(`lease of ${member.number} ran out: ${member.lease.whyNot()}`)
    const asked = member.lease.ask(clock)
    if (asked) for (const voter of asked.voters) this.#askVoter(member, voter, asked.ask)
    this.#own(member)
    this.#report(member)
  }

  #askVoter(member: Member, voter: VoterName, ask: number): void {
    const { session, voters } = member.lease.terms!
    const request = { node: member.number, session, term: voters.term }
    const back = (from: Process, refusal: string | null, known: Topology | null) =>
      this.post(from, member, () => {
        if (known && isNewer(known, member.known)) this.#learn(member, known, false)
        member.lease.answered(voter, ask, refusal, member.clock(this.now))
      })
    if (voter === 'store') {
      this.post(member, this.store, () => {
        const own = new Voter()
        own.learn(this.topology, true)
        back(this.store, own.vouch(request), this.topology)
      })
      return
    }
    const peer = this.members[voter - 1]!
    if (peer === member) member.lease.answered(voter, ask, member.voter.vouch(request), member.clock(this.now))
    else this.post(member, peer, () => back(peer, peer.voter.vouch(request), peer.known))
  }

  // --- the arc: the first server of the newest generation that is not away, when it has come to own it

  #own(member: Member): void {
    const { known, number } = member
    const generations = known?.generations ?? []
    if (!known || generations.length === 0 || this.#actorOf(generations.at(-1)!) !== number) return
    let start = generations.length - 1
    while (start > 0 && this.#actorOf(generations[start - 1]!) === number) start--
    const { epoch } = generations[start]!
    if (member.owns === epoch) return
    const before = start === 0 ? undefined : this.#actorOf(generations[start - 1]!)
    const { away, lost = [] } = generations.at(-1)!
    if (before === undefined || away.includes(before) || lost.includes(before)) {
      member.owns = epoch
      return
    }
    if (this.now < member.askedTake) return
    member.askedTake = this.now + 100
    const source = this.members[before - 1]!
    this.post(member, source, () => {
      if (isNewer(known, source.known)) this.#learn(source, known, false)
      // It has a picture at least as new as the taker's now, and answers by nothing older.
      this.post(source, member, () => {
        if (member.known?.generations.some(generation => generation.epoch === epoch)) member.owns = epoch
      })
    })
  }

  #report(member: Member): void {
    const { known, number } = member
    if (!known || !member.lease.holds(member.clock(this.now)) || this.random() > 0.05) return
    const newest = known.generations.at(-1)
    if (newest && this.#actorOf(newest) === number && !this.#ownsNow(member)) return
    for (const { epoch, takers, settled } of runningChanges(known)) {
      if (epoch === undefined || !takers?.includes(number) || settled?.includes(number)) continue
      this.post(member, this.store, () => {
        const next = withSettled(this.topology, number, epoch)
        if (next) this.#save(next)
      })
    }
  }

  #ownsNow(member: Member): boolean {
    const generations = member.known?.generations ?? []
    let start = generations.length - 1
    while (start > 0 && this.#actorOf(generations[start - 1]!) === member.number) start--
    return member.owns === generations[start]?.epoch
  }

  #actorOf({ servers, away }: Generation): number | undefined {
    return this.#walk.find(number => !away.includes(number) && servers.some(server => server.number === number))
  }

  acts(member: Member): boolean {
    const newest = member.known?.generations.at(-1)
    if (!member.alive || member.paused || !newest || this.#actorOf(newest) !== member.number) return false
    return this.#ownsNow(member) && member.lease.holds(member.clock(this.now))
  }

  #check(): void {
    const acting = this.members.filter(member => this.acts(member)).map(member => member.number)
    this.silentTicks = acting.length === 0 ? this.silentTicks + 1 : 0
    if (acting.length > 1 && this.violations.length < 5) {
      this.say(`VIOLATION ${acting}`)
      this.violations.push(`at ${this.now} ms nodes ${acting.join(' and ')} act for the same arc`)
    }
  }

  // --- time

  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += TICK_MS
      for (let task = this.#events.takeDue(this.now); task; task = this.#events.takeDue(this.now)) task()
      this.#check()
      this.#tickStore()
      for (const member of this.members) this.#tickMember(member)
      this.#check()
    }
  }

  say(line: string): void {
    this.#trace(`${String(this.now).padStart(6)} ${line}`)
  }
}

/** One history; the same seed gives the same. */
export function fencingHistory(seed: number, options: FencingOptions = {}): { violations: string[]; changes: number } {
  const random = mulberry32(seed ^ 0x5eed)
  const { lengthMs = 30_000, faults = true, nodes = 2 + Math.floor(random() * 4) } = options
  const world = new FencingWorld(seed, nodes, options)
  world.pass(3000)
  options.script?.(world)
  if (faults) {
    for (const end = world.now + lengthMs; world.now < end && world.violations.length === 0; ) {
      fault(world)
      world.pass(50 + random() * 800)
    }
  }
  if (world.violations.length > 0) return { violations: world.violations, changes: world.changes }
  world.healAll()
  for (const process of [world.store, ...world.members]) {
    if (process.paused) world.resume(process)
    if (!process.alive) world.start(process)
  }
  const { violations } = world
  // The longest hold time of a node that came and went, and some more.
  for (const end = world.now + 70_000; world.now < end && unrest(world) !== null; ) world.pass(500)
  const left = unrest(world)
  if (left !== null) violations.push(`in the end ${left}`)
  return { violations, changes: world.changes }
}

function unrest(world: FencingWorld): string | null {
  const node = world.topology.nodes.find(one => one.away || one.declaring || one.state !== 'up')
  if (node) return `node ${node.number} is ${node.declaring ? 'announced' : node.state}`
  const acting = world.members.filter(member => world.acts(member))
  return acting.length === 1 ? null : `${acting.length} nodes act`
}

/**
 * Voters 1 and 2 of three nodes. Node 2 goes away; 1 has promised that, and hears nothing of the store any more, so not of 3
 * either, which votes in the place of 2. Then 1 and 2 are left to each other, and know of no other voters.
 */
export const OLD_VOTERS: FencingOptions = {
  ...{ nodes: 3, walk: [1, 3, 2], disks: true, faults: false },
  script(world) {
    world.pause(world.members[1]!)
    world.cut(STORE, 2)
    world.pass(0.7 * AWAY_AFTER_MS)
    world.cut(STORE, 1)
    world.pass(0.8 * AWAY_AFTER_MS)
    for (const alone of [1, 2]) for (const other of [STORE, 3]) apart(world, alone, other)
    world.resume(world.members[1]!)
    world.pass(4 * AWAY_AFTER_MS)
  },
}

/** Voters 1 and 2 of three nodes, without disks. The store loses sight of 1, and 2 promises; then 2 starts again, and sees 1 alone. */
export const FORGOTTEN_PROMISE: FencingOptions = {
  ...{ nodes: 3, walk: [1, 3, 2], disks: false, faults: false },
  script(world) {
    apart(world, STORE, 1)
    world.pass(0.7 * AWAY_AFTER_MS)
    for (const other of [STORE, 3]) apart(world, 2, other)
    world.kill(world.members[1]!)
    world.pass(20)
    world.start(world.members[1]!)
    world.pass(4 * AWAY_AFTER_MS)
  },
}

function apart(world: FencingWorld, one: number, other: number): void {
  world.cut(one, other)
  world.cut(other, one)
}

/** The store loses sight of a node, which others still see; then one of those starts again, out of the store's sight too. */
function lostTogether(world: FencingWorld, silent: Member, forgetful: Member): void {
  const { random } = world
  const fromStore = (member: Member, is: 'cut' | 'heal') => {
    world[is](member.number, STORE)
    world[is](STORE, member.number)
  }
  fromStore(silent, 'cut')
  const afterMs = AWAY_AFTER_MS * (0.4 + random() * 0.6)
  world.after(afterMs, () => {
    fromStore(forgetful, 'cut')
    if (!forgetful.alive || forgetful.paused) return
    world.kill(forgetful)
    world.after(random() * 100, () => !forgetful.alive && world.start(forgetful))
  })
  world.after(afterMs + 500 + random() * 4000, () => {
    fromStore(silent, 'heal')
    fromStore(forgetful, 'heal')
  })
}

/** Something goes wrong, and is well again a while later. */
function fault(world: FencingWorld): void {
  const { random, members, store } = world
  const everybody = [store, ...members]
  const one = everybody[Math.floor(random() * everybody.length)]!
  const other = everybody[Math.floor(random() * everybody.length)]!
  const ms = random() < 0.5 ? random() * 1000 : random() * 5000
  const kind = random()
  if (kind < 0.3) {
    const both = random() < 0.5
    world.cut(one.number, other.number)
    if (both) world.cut(other.number, one.number)
    world.after(ms, () => {
      world.heal(one.number, other.number)
      world.heal(other.number, one.number)
    })
  } else if (kind < 0.5) {
    // A node, or half of them, on its own.
    const alone = members.filter(member => member === one || random() < 0.25)
    for (const inside of alone) {
      for (const outside of everybody.filter(process => !alone.includes(process as Member))) {
        const oneWay = random() < 0.2
        world.cut(inside.number, outside.number)
        if (!oneWay) world.cut(outside.number, inside.number)
        world.after(ms, () => {
          world.heal(inside.number, outside.number)
          world.heal(outside.number, inside.number)
        })
      }
    }
  } else if (kind < 0.6 && one !== store && other !== store && one !== other) {
    lostTogether(world, one as Member, other as Member)
  } else if (kind < 0.78 && one.alive && !one.paused) {
    world.pause(one)
    world.after(ms, () => one.paused && world.resume(one))
  } else if (one.alive && !one.paused) {
    world.kill(one)
    world.after(random() < 0.5 ? ms * 0.1 : ms, () => !one.alive && world.start(one))
  }
}
