/**
 * The generations that are not retired yet, as one picture: the circle cut at every point of every one of their rings
 * ("refined" arcs), and for each piece who the actor was in each generation.
 *
 *   refined arc        |--------|-----|-----------|----|     points[i-1] < hash <= points[i]
 *   generation 7 (base)    B       B        C       C        everything here is settled: the actor of the base owns
 *   generation 8           A       B        A       C        8 is a join of A: it takes two pieces, from B and from C
 *
 * Pure: knows rings and numbers, no store, no messages. Invariants: epochs ascend; a generation of a given epoch never
 * changes; absence (`away`) is part of the picture from the start, and empty until nodes may go away.
 */
import { strict as assert } from 'node:assert'
import type { RouteTable } from '../engine/contract.js'
import { type Dialect, Ring } from '../ketama/index.js'

/** The part of a topology's generation that handoff needs; see lib/tier/topology.ts. */
export interface GenerationSpec {
  epoch: number
  servers: { number: number; host: string; port: number; weight: number }[]
  away: number[]
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

interface Known {
  epoch: number
  ring: Ring
  numbers: number[]
  away: Set<number>
}

/** Rings by what they are made of: the same generation comes again with every revision of the document. */
const rings = new Map<string, Ring>()
const RINGS_KEPT_MAX = 64

function ringOf(spec: GenerationSpec, rule: RingRule): Ring {
  const key = JSON.stringify([rule, spec.servers])
  const known = rings.get(key)
  if (known) return known
  const made = new Ring(
    spec.servers.map(({ host, port, weight }) => ({ host, port, weight })),
    rule,
  )
  if (rings.size >= RINGS_KEPT_MAX) rings.delete(rings.keys().next().value as string)
  rings.set(key, made)
  return made
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
    let low = 0
    let high = this.points.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.points[middle]! < hash) low = middle + 1
      else high = middle
    }
    return low === this.points.length ? 0 : low
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

  /** First epoch of the unbroken run, ending with `epoch`, in which `node` is the actor of the arc. The base's epoch means "since before the picture begins". */
  tenureStart(node: number, epoch: number, arc: number): number {
    let g = this.#indexOf(epoch)
    assert(g >= 0 && this.#actors[g]![arc] === node, 'asked of the actor only')
    while (g > 0 && this.#actors[g - 1]![arc] === node) g--
    return this.#known[g]!.epoch
  }

  /** Everything that `self` takes from others, by generation and source. */
  transfersTo(self: number): TransferPlan[] {
    const plans = new Map<string, TransferPlan>()
    for (let g = 1; g < this.#known.length; g++) {
      const now = this.#actors[g]!
      const old = this.#actors[g - 1]!
      for (let arc = 0; arc < now.length; arc++) {
        if (now[arc] !== self || old[arc] === self) continue
        const plan = { generation: this.#known[g]!.epoch, source: old[arc]!, arcs: 1 }
        const key = `${plan.generation}:${plan.source}`
        const known = plans.get(key)
        if (known) known.arcs++
        else plans.set(key, plan)
      }
    }
    return [...plans.values()]
  }

  /** The engine's view of this picture at `self`. Neighbouring arcs that read the same are merged. */
  routeTable(self: number, isSettled: (generation: number, source: number) => boolean): RouteTable {
    const last = this.#known.length - 1
    const points: number[] = []
    const owners: number[] = []
    const tenures: number[] = []
    const settled: number[] = []
    for (let arc = 0; arc < this.points.length; arc++) {
      const owner = this.#actors[last]![arc]!
      let tenure = 0
      let done = 1
      if (owner === self) {
        let g = last
        while (g > 0 && this.#actors[g - 1]![arc] === self) g--
        if (g > 0) {
          tenure = this.#known[g]!.epoch
          done = isSettled(tenure, this.#actors[g - 1]![arc]!) ? 1 : 0
        }
      }
      const end = points.length - 1
      if (end >= 0 && owners[end] === owner && tenures[end] === tenure && settled[end] === done) {
        points[end] = this.points[arc]!
        continue
      }
      points.push(this.points[arc]!)
      owners.push(owner)
      tenures.push(tenure)
      settled.push(done)
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

  #indexOf(epoch: number): number {
    for (let g = 0; g < this.#known.length; g++) if (this.#known[g]!.epoch === epoch) return g
    return -1
  }
}

/** First node of the walk from the point that is not away (DESIGN 8). */
function actorOf(known: Known, point: number): number {
  const owner = known.ring.indexAt(point)
  const home = known.numbers[owner]!
  if (known.away.size === 0 || !known.away.has(home)) return home
  throw new Error(
    `generation ${known.epoch} declares node ${home} away, which this version does not know how to stand in for`,
  )
}

function mergedPoints(all: readonly Ring[]): Uint32Array {
  const values = new Set<number>()
  for (const ring of all) for (const value of ring.points().values) values.add(value)
  return Uint32Array.from(values).sort()
}
