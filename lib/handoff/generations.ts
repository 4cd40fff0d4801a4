/**
 * The generations that are not retired yet, as one picture: the circle cut at every point of every one of their rings
 * ("refined" arcs), and for each piece who the actor was in each generation.
 *
 *   refined arc        |--------|-----|-----------|----|     points[i-1] < hash <= points[i]
 *   generation 7 (base)    B       B        C       C        everything here is settled: the actor of the base owns
 *   generation 8           A       B        A       C        8 is a join of A: it takes two pieces, from B and from C
 *
 * The actor is the first node of the ring walk that is not away: the home, or a stand-in (DESIGN 8).
 *
 * Pure: knows rings and numbers, no store, no messages. Invariants: epochs ascend; a generation of a given epoch never
 * changes; nobody is away in the base, whose actors own what they hold (see lib/tier/controller.ts, who retires).
 */
import { strict as assert } from 'node:assert'
import type { RouteTable } from '../engine/contract.js'
import { type Dialect, Ring } from '../ketama/index.js'
import { search } from '../ketama/points.js'

/** The part of a topology's generation that handoff needs; see lib/tier/topology.ts. */
export interface GenerationSpec {
  epoch: number
  servers: { number: number; host: string; port: number; weight: number }[]
  away: number[]
  /** Given up while they were away: nothing comes from them any more. */
  lost?: number[]
}

export interface RingRule {
  dialect: Dialect
  pointsPerServer: number
}

/** What one node takes from another because of one generation. */
export interface TransferPlan {
  generation: number
  source: number
  arcs: number
}

/** The unbroken run of generations in which one node is the actor of an arc, up to the generation asked about. */
export interface Tenure {
  /** First epoch of it. */
  start: number
  /** Who acted before; null: nobody, it goes back to the base. */
  source: number | null
  /** Epoch of the source's last generation; the base's epoch if there is none. */
  before: number
}

interface Known {
  epoch: number
  ring: Ring
  numbers: number[]
  away: Set<number>
  lost: Set<number>
}

/** How a piece of the circle stands at its actor; the numbers are shared with the engine. */
const UNSETTLED = 0
const SETTLED = 1
const GUARDED = 2

/** Rings by what they are made of: the same generation comes again with every revision of the document. */
const rings = new Map<string, Ring>()
const RINGS_KEPT_MAX = 64
/** The same, without a look at what they are made of: most pictures share their generations with the one before. */
const ringsOfSpecs = new WeakMap<GenerationSpec, { rule: RingRule; ring: Ring }>()

function ringOf(spec: GenerationSpec, rule: RingRule): Ring {
  const kept = ringsOfSpecs.get(spec)
  if (kept?.rule === rule) return kept.ring
  const ring = ringLike(spec, rule)
  ringsOfSpecs.set(spec, { rule, ring })
  return ring
}

function ringLike({ servers }: Pick<GenerationSpec, 'servers'>, rule: RingRule): Ring {
  const plain = servers.map(({ host, port, weight }) => ({ host, port, weight }))
  const key = JSON.stringify([rule, plain])
  const known = rings.get(key)
  if (known) return known
  const made = new Ring(plain, rule)
  if (rings.size >= RINGS_KEPT_MAX) rings.delete(rings.keys().next().value as string)
  rings.set(key, made)
  return made
}

/**
 * The ring of a generation that may come is made now: when it comes all nodes must act by it at the same time, and requests wait for
 * the last one.
 */
export function prepareRing(servers: GenerationSpec['servers'], rule: RingRule): Ring {
  return ringLike({ servers }, rule)
}

export class Generations {
  readonly #known: Known[]
  /** Upper ends of the refined arcs, ascending, distinct. */
  readonly points: Uint32Array
  /** actors[g][i]: node number that is the actor of arc i in the g-th unretired generation. */
  readonly #actors: Uint16Array[]

  constructor(specs: readonly GenerationSpec[], rule: RingRule) {
    assert(specs.length > 0, 'at least one generation')
    this.#known = specs.map(spec => ({
      epoch: spec.epoch,
      ring: ringOf(spec, rule),
      numbers: spec.servers.map(server => server.number),
      away: new Set(spec.away),
      lost: new Set(spec.lost),
    }))
    for (let g = 1; g < specs.length; g++) assert(specs[g]!.epoch > specs[g - 1]!.epoch, 'epochs ascend')
    this.points = mergedPoints(this.#known.map(known => known.ring))
    this.#actors = this.#known.map(known => Uint16Array.from(this.points, point => actorOf(known, point)))
  }

  get base(): number {
    return this.#known[0]!.epoch
  }

  get epoch(): number {
    return this.#known.at(-1)!.epoch
  }

  /** Index of the refined arc of a hash: first point >= hash, wrapping. */
  arcAt(hash: number): number {
    return search(this.points, hash)
  }

  /** Node number of the actor of `epoch` at an arc; undefined for a retired or unknown epoch. */
  actor(epoch: number, arc: number): number | undefined {
    const g = this.#indexOf(epoch)
    return g < 0 ? undefined : this.#actors[g]![arc]
  }

  /** The epoch just before `epoch` in the picture; undefined for the base. */
  before(epoch: number): number | undefined {
    return this.#known[this.#indexOf(epoch) - 1]?.epoch
  }

  /** The tenure of `node` that reaches `epoch`, of which it must be the actor. */
  tenure(node: number, epoch: number, arc: number): Tenure {
    const first = this.#tenureStart(node, this.#indexOf(epoch), arc)
    const before = this.#known[Math.max(0, first - 1)]!.epoch
    return { start: this.#known[first]!.epoch, source: first === 0 ? null : this.#actors[first - 1]![arc]!, before }
  }

  /** The last epoch of the tenure of `node` that `epoch` belongs to; null: it is not the actor of that epoch. */
  lastOfTenure(node: number, epoch: number, arc: number): number | null {
    let g = this.#indexOf(epoch)
    if (g < 0 || this.#actors[g]![arc] !== node) return null
    while (this.#actors[g + 1]?.[arc] === node) g++
    return this.#known[g]!.epoch
  }

  /** Is anybody away in any generation of the picture? */
  get hasAbsence(): boolean {
    return this.#known.some(({ away }) => away.size > 0)
  }

  /** Is the node away in the newest generation? */
  isAwayNow(node: number): boolean {
    return this.#known.at(-1)!.away.has(node)
  }

  /** Has the node been given up, so that nobody takes from it any more? */
  isLost(node: number): boolean {
    return this.#known.at(-1)!.lost.has(node)
  }

  /** Was the node away in every, or in any, generation of a run of epochs? */
  wasAway(node: number, from: number, to: number, how: 'every' | 'some'): boolean {
    const run = this.#known.filter(({ epoch }) => epoch >= from && epoch <= to)
    return how === 'every' ? run.every(({ away }) => away.has(node)) : run.some(({ away }) => away.has(node))
  }

  /** Everybody but `self` who has been away in any generation of the picture. */
  everAway(self: number): Set<number> {
    const all = new Set(this.#known.flatMap(({ away }) => [...away]))
    all.delete(self)
    return all
  }

  /** Has the node been away in any generation of the picture? */
  wasEverAway(node: number): boolean {
    return this.#known.some(({ away }) => away.has(node))
  }

  /**
   * The node that must be waited for before all that the actor `self` of `epoch` should know of an arc can be taken: the
   * first one met, walking back from tenure to tenure, that `isHeldBack` names; it is told with which generation the next tenure began. Null:
   * nothing of that kind is in the way.
   */
  heldBackBy(
    self: number,
    epoch: number,
    arc: number,
    isHeldBack: (node: number, next: number) => boolean,
  ): number | null {
    for (let tenure = this.tenure(self, epoch, arc); tenure.source !== null; ) {
      if (isHeldBack(tenure.source, tenure.start)) return tenure.source
      tenure = this.tenure(tenure.source, tenure.before, arc)
    }
    return null
  }

  /**
   * As heldBackBy, for a write in the tenure of `self` that reaches `epoch`: in whose log it belongs. Of several the first that was
   * away in this tenure: because of it `self` may have written without asking, and by its log it is judged what may be lost.
   */
  logFor(self: number, epoch: number, arc: number, isHeldBack: (node: number) => boolean): number | null {
    const { start } = this.tenure(self, epoch, arc)
    const last = this.lastOfTenure(self, epoch, arc)!
    const wasAway = (node: number) => isHeldBack(node) && this.wasAway(node, start, last, 'some')
    return this.heldBackBy(self, epoch, arc, wasAway) ?? this.heldBackBy(self, epoch, arc, isHeldBack)
  }

  /** Nodes that are away and must be waited for by `self`, the actor of the newest generation, on some arc. */
  absentBefore(self: number): Set<number> {
    const found = new Set<number>()
    if (this.#known.at(-1)!.away.size === 0) return found
    for (let arc = 0; arc < this.points.length; arc++) {
      if (this.#actors.at(-1)![arc] !== self) continue
      const home = this.heldBackBy(self, this.epoch, arc, node => this.isAwayNow(node))
      if (home !== null) found.add(home)
    }
    return found
  }

  /**
   * Everything that `self` takes from others, by generation and source. Not what it kept for a node that was away all the
   * time and acts again: that node knows itself what it knew.
   */
  transfersTo(self: number): TransferPlan[] {
    const plans = new Map<string, TransferPlan>()
    for (let g = 1; g < this.#known.length; g++) {
      const now = this.#actors[g]!
      const old = this.#actors[g - 1]!
      for (let arc = 0; arc < now.length; arc++) {
        if (now[arc] !== self || old[arc] === self || this.#isKeptFor(old[arc]!, self, g, arc)) continue
        const plan = { generation: this.#known[g]!.epoch, source: old[arc]!, arcs: 1 }
        const key = `${plan.generation}:${plan.source}`
        const known = plans.get(key)
        if (known) known.arcs++
        else plans.set(key, plan)
      }
    }
    return [...plans.values()]
  }

  /** Numbers of the nodes that take something because of `epoch`, as in transfersTo. */
  takers(epoch: number): Set<number> {
    const g = this.#indexOf(epoch)
    const found = new Set<number>()
    if (g < 1) return found
    const now = this.#actors[g]!
    const old = this.#actors[g - 1]!
    for (let arc = 0; arc < now.length; arc++) {
      const taker = now[arc]!
      if (taker !== old[arc] && !found.has(taker) && !this.#isKeptFor(old[arc]!, taker, g, arc)) found.add(taker)
    }
    return found
  }

  /**
   * May the generations before `base` be forgotten? Not while somebody still takes keys of an arc for which a node acted, before
   * that, which has been away: what the taker wrote meanwhile without asking it has to stay in the taker's log, and is known
   * to belong there by these generations alone. `isOpen`: has this node something to take because of that generation?
   */
  mayForgetBefore(base: number, isOpen: (taker: number, epoch: number) => boolean): boolean {
    if (!this.hasAbsence) return true
    const first = this.#indexOf(base)
    const away = new Set(this.#known.flatMap(known => [...known.away]))
    for (let g = first + 1; g < this.#known.length; g++) {
      const now = this.#actors[g]!
      const old = this.#actors[g - 1]!
      const { epoch } = this.#known[g]!
      for (let arc = 0; arc < now.length; arc++) {
        const taker = now[arc]!
        if (taker === old[arc] || !isOpen(taker, epoch) || this.#isKeptFor(old[arc]!, taker, g, arc)) continue
        if (this.#forgets(away, first, g, arc)) return false
      }
    }
    return true
  }

  /** Has one of `nodes` acted for the arc before the generation `first`, and not from there to `g`? */
  #forgets(nodes: ReadonlySet<number>, first: number, g: number, arc: number): boolean {
    for (let before = 0; before < first; before++) {
      const node = this.#actors[before]![arc]!
      if (!nodes.has(node)) continue
      let stays = false
      for (let later = first; later < g; later++) stays ||= this.#actors[later]![arc] === node
      if (!stays) return true
    }
    return false
  }

  /** Numbers of the nodes that act in the newest generation for what has its home at `home`, which is away. */
  standIns(home: number): Set<number> {
    const known = this.#known.at(-1)!
    const found = new Set<number>()
    this.points.forEach((point, arc) => {
      const actor = this.#actors.at(-1)![arc]!
      if (actor !== home && known.numbers[known.ring.indexAt(point)] === home) found.add(actor)
    })
    return found
  }

  /**
   * The engine's view of this picture at `self`. Neighbouring arcs that read the same are merged. An unsettled arc for
   * which somebody must be waited for (see heldBackBy) is guarded: the engine alone may read there, but not write. So is a
   * settled one as long as a log may hold older writes of its keys: what follows them must be logged as well.
   */
  routeTable(
    self: number,
    isSettled: (generation: number, source: number) => boolean,
    isLogged: (node: number) => boolean = () => false,
  ): RouteTable {
    const last = this.#known.length - 1
    const points: number[] = []
    const owners: number[] = []
    const tenures: number[] = []
    const settled: number[] = []
    for (let arc = 0; arc < this.points.length; arc++) {
      const owner = this.#actors[last]![arc]!
      let tenure = 0
      let state = SETTLED
      if (owner === self) {
        const g = this.#tenureStart(self, last, arc)
        if (g > 0) {
          tenure = this.#known[g]!.epoch
          const isOpen = !isSettled(tenure, this.#actors[g - 1]![arc]!)
          const isHeldBack = (node: number) => isLogged(node) || (isOpen && this.isAwayNow(node))
          if (this.heldBackBy(self, this.epoch, arc, isHeldBack) !== null) state = GUARDED
          else if (isOpen) state = UNSETTLED
        }
      }
      const end = points.length - 1
      if (end >= 0 && owners[end] === owner && tenures[end] === tenure && settled[end] === state) {
        points[end] = this.points[arc]!
        continue
      }
      points.push(this.points[arc]!)
      owners.push(owner)
      tenures.push(tenure)
      settled.push(state)
    }
    return {
      epoch: this.epoch,
      self,
      points: Uint32Array.from(points),
      owners: Uint16Array.from(owners),
      tenures: Uint32Array.from(tenures),
      settled: Uint8Array.from(settled),
    }
  }

  /** Did `self`, from epoch `start` on, only stand in on this arc until `home` acted again, and so never take it from there? */
  isKept(home: number, self: number, start: number, arc: number): boolean {
    return this.#isKeptFor(home, self, this.#indexOf(start), arc)
  }

  /** As isKept, of the tenure of `self` that reaches `epoch`, and whoever acted before. */
  isKeptOf(self: number, epoch: number, arc: number): boolean {
    const { start, source } = this.tenure(self, epoch, arc)
    return source !== null && this.isKept(source, self, start, arc)
  }

  /** Was `self`, from generation g on, a stand-in for `home` until `home` acted again, never having been there meanwhile? */
  #isKeptFor(home: number, self: number, g: number, arc: number): boolean {
    for (; g < this.#known.length && this.#actors[g]![arc] === self; g++) {
      if (!this.#known[g]!.away.has(home)) return false
    }
    return g < this.#known.length && this.#actors[g]![arc] === home
  }

  #tenureStart(node: number, g: number, arc: number): number {
    assert(g >= 0 && this.#actors[g]![arc] === node, 'asked of the actor only')
    while (g > 0 && this.#actors[g - 1]![arc] === node) g--
    return g
  }

  #indexOf(epoch: number): number {
    for (let g = 0; g < this.#known.length; g++) if (this.#known[g]!.epoch === epoch) return g
    return -1
  }
}

/** First node of the walk from the point that is not away (DESIGN 8). */
function actorOf(known: Known, point: number): number {
  const home = known.numbers[known.ring.indexAt(point)]!
  if (!known.away.has(home)) return home
  const { values, owners } = known.ring.points()
  const start = search(values, point)
  for (let step = 1; step < values.length; step++) {
    const next = known.numbers[owners[(start + step) % values.length]!]!
    if (!known.away.has(next)) return next
  }
  throw new Error(`generation ${known.epoch} declares every node of its ring away`)
}

function mergedPoints(all: readonly Ring[]): Uint32Array {
  const values = new Set<number>()
  for (const ring of all) for (const value of ring.points().values) values.add(value)
  return Uint32Array.from(values).sort()
}
