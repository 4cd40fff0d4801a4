/**
 * Who acts for what in a generation: the first node of the ring walk that is not away (DESIGN 8). The controller needs it to
 * name those who take, people to see who stands in. Pure; the nodes themselves have the same walk in lib/handoff.
 */
import { type Points, Ring } from '../ketama/index.js'
import { search } from '../ketama/points.js'
import type { Generation, Topology } from './topology.js'

type Picture = Pick<Generation, 'servers' | 'away'>
type Rule = Pick<Topology, 'dialect' | 'pointsPerServer'>

/** Numbers of the nodes that act for something in `after` that they did not act for in `before`, in the ring's order. */
export function takersBetween(rule: Rule, before: Picture, after: Picture): number[] {
  if (before.servers.length === 0 || after.servers.length === 0) return []
  const gaining = new Set<number>()
  eachArc(rule, before, after, (was, is) => {
    if (was !== is) gaining.add(is)
  })
  return inOrder(after, gaining)
}

/** Numbers of the nodes that act for what has its home at a node that is away. */
export function standIns(rule: Rule, generation: Picture, home: number): number[] {
  const found = new Set<number>()
  if (generation.servers.some(server => server.number === home)) {
    eachArc(rule, { ...generation, away: [] }, generation, (was, is) => {
      if (was === home && is !== home) found.add(is)
    })
  }
  return inOrder(generation, found)
}

function inOrder({ servers }: Picture, numbers: ReadonlySet<number>): number[] {
  return servers.map(server => server.number).filter(number => numbers.has(number))
}

/** Calls with the actors of both pictures for every piece of the circle in which neither changes. */
function eachArc(rule: Rule, one: Picture, other: Picture, visit: (was: number, is: number) => void): void {
  const [a, b] = [new Walk(rule, one), new Walk(rule, other)]
  for (const end of a.points.values) visit(a.actorAt(end), b.actorAt(end))
  for (const end of b.points.values) visit(a.actorAt(end), b.actorAt(end))
}

class Walk {
  readonly points: Points
  /** Actor of the arc that ends at each point. */
  readonly #actors: Int32Array

  constructor({ dialect, pointsPerServer }: Rule, { servers, away }: Picture) {
    const ring = new Ring(
      servers.map(({ host, port, weight }) => ({ host, port, weight })),
      { dialect, pointsPerServer },
    )
    this.points = ring.points()
    const absent = new Set(away)
    const { owners } = this.points
    const size = owners.length
    this.#actors = new Int32Array(size).fill(-1)
    // From the end, twice around: the actor of an arc whose home is away is that of the next arc.
    for (let step = 2 * size - 1; step >= 0; step--) {
      const at = step % size
      const home = servers[owners[at]!]!.number
      this.#actors[at] = absent.has(home) ? this.#actors[(at + 1) % size]! : home
    }
  }

  actorAt(hash: number): number {
    return this.#actors[search(this.points.values, hash)]!
  }
}
