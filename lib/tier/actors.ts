/**
 * Who takes and who stands in, by a document's generations. The controller needs it to name those who take, people to see who
 * stands in. Pure; who acts for what is handoff's to say (lib/handoff/generations.ts).
 */
import { type GenerationSpec, Generations } from '../handoff/generations.js'
import type { Generation, Topology } from './topology.js'

type Picture = Pick<Generation, 'servers' | 'away'>
type Rule = Pick<Topology, 'dialect' | 'pointsPerServer'>

/** By the array that a document has: every look of the controller asks for the same one. */
const pictures = new WeakMap<readonly GenerationSpec[], Generations>()

export function pictureOf(rule: Rule, generations: readonly GenerationSpec[]): Generations {
  let picture = pictures.get(generations)
  if (!picture) {
    picture = new Generations(generations, { dialect: rule.dialect, pointsPerServer: rule.pointsPerServer })
    pictures.set(generations, picture)
  }
  return picture
}

/** Numbers of the nodes that act for something in `after` that they did not act for in `before`, in the ring's order. */
export function takersBetween(rule: Rule, before: Picture, after: Picture): number[] {
  if (before.servers.length === 0 || after.servers.length === 0) return []
  const picture = pictureOf(rule, [
    { ...before, epoch: 1 },
    { ...after, epoch: 2 },
  ])
  return inOrder(after, picture.takers(2))
}

/** Numbers of the nodes that act for what has its home at a node that is away. */
export function standIns(rule: Rule, generation: Picture, home: number): number[] {
  if (!generation.servers.some(server => server.number === home)) return []
  return inOrder(generation, pictureOf(rule, [{ ...generation, epoch: 1 }]).standIns(home))
}

function inOrder({ servers }: Picture, numbers: ReadonlySet<number>): number[] {
  return servers.map(server => server.number).filter(number => numbers.has(number))
}
