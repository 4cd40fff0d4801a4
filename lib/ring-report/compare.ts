/**
 * What share of the keys changes owner between two rings, beside what must: server by server. By arcs where both put keys at
 * the same positions, so exactly; by sample keys otherwise.
 */
import { arcShare, matchServers, type Ring, serverText } from '../ketama/index.js'
import { idealShares, type Method, sampleKey } from './shares.js'

export interface ServerChange {
  server: string
  /** Parts of all keys, 0..1; 0 where the server is not in that list. */
  before: number
  after: number
  /** What it gets from others and gives to others; ideally only one of the two is not 0. */
  gets: number
  gives: number
  idealGets: number
  idealGives: number
}

export interface Comparison {
  method: Method
  /** Size of the sample; null for arcs. */
  keys: number | null
  /** Arcs that change owner; null for keys. */
  arcs: number | null
  /** Part of all keys that changes owner, 0..1. */
  moved: number
  /** The least that could, with each server's share as its weight asks. */
  ideal: number
  /** Of the moved: from a server whose ideal share does not shrink, or to one whose does not grow. No need for that. */
  needless: number
  servers: ServerChange[]
}

/** What goes from one server to another, or stays, by index in each list: a part of the circle, or one key. */
type Visit = (before: number, after: number, part: number) => void

export function compareRings(before: Ring, after: Ring, keys: number): Comparison {
  const byArcs = before.comparesTo(after)
  const sameAs = matchServers(before.servers, after.servers)
  const servers = unite(before, after, sameAs)
  const oldShares = new Float64Array(before.servers.length)
  const newShares = new Float64Array(after.servers.length)
  let moved = 0
  let needless = 0
  const visit: Visit = (from, to, part) => {
    oldShares[from]! += part
    newShares[to]! += part
    if (sameAs[to] === from) return
    const [giver, taker] = [servers.ofBefore[from]!, servers.ofAfter[to]!]
    moved += part
    giver.gives += part
    taker.gets += part
    if (!grows(taker) || !shrinks(giver)) needless += part
  }
  const arcs = byArcs ? arcFlows(before, after, visit) : keyFlows(before, after, keys, visit)
  if (byArcs) {
    // The walk saw what moves alone.
    for (const [ring, shares] of [[before, oldShares] as const, [after, newShares] as const]) {
      shares.set(ring.spread().map(({ share }) => share))
    }
  }
  const unit = byArcs ? 1 : 1 / keys
  const rows = servers.all.map(({ server, idealBefore, idealAfter, ...row }) => ({
    server,
    before: row.before < 0 ? 0 : oldShares[row.before]! * unit,
    after: row.after < 0 ? 0 : newShares[row.after]! * unit,
    gets: row.gets * unit,
    gives: row.gives * unit,
    idealGets: Math.max(0, idealAfter - idealBefore),
    idealGives: Math.max(0, idealBefore - idealAfter),
  }))
  const ideal = rows.reduce((sum, row) => sum + row.idealGets, 0)
  const found = byArcs ? { method: 'arcs' as const, keys: null } : { method: 'keys' as const, keys }
  return { ...found, arcs, moved: moved * unit, ideal, needless: needless * unit, servers: rows }
}

interface Row {
  server: string
  /** Index in each list, -1: not there. */
  before: number
  after: number
  gets: number
  gives: number
  idealBefore: number
  idealAfter: number
}

const grows = ({ idealBefore, idealAfter }: Row): boolean => idealAfter - idealBefore > 1e-12
const shrinks = ({ idealBefore, idealAfter }: Row): boolean => idealBefore - idealAfter > 1e-12

function unite(before: Ring, after: Ring, sameAs: Int32Array) {
  const [oldIdeals, newIdeals] = [idealShares(before), idealShares(after)]
  const ofBefore = before.servers.map((server, index): Row => {
    const ideals = { idealBefore: oldIdeals[index]!, idealAfter: 0 }
    return { server: serverText(server), before: index, after: -1, gets: 0, gives: 0, ...ideals }
  })
  const all = [...ofBefore]
  const ofAfter = after.servers.map((server, index): Row => {
    const same = sameAs[index]! < 0 ? undefined : ofBefore[sameAs[index]!]!
    if (same) {
      Object.assign(same, { after: index, idealAfter: newIdeals[index]! })
      return same
    }
    const ideals = { idealBefore: 0, idealAfter: newIdeals[index]! }
    const row = { server: serverText(server), before: -1, after: index, gets: 0, gives: 0, ...ideals }
    all.push(row)
    return row
  })
  return { all, ofBefore, ofAfter }
}

/** Answers the number of arcs. */
function arcFlows(before: Ring, after: Ring, visit: Visit): number {
  const arcs = before.diffColumns(after)
  for (let i = 0; i < arcs.to.length; i++) {
    visit(arcs.before[i]!, arcs.after[i]!, arcShare(arcs.from[i]!, arcs.to[i]!))
  }
  return arcs.to.length
}

function keyFlows(before: Ring, after: Ring, keys: number, visit: Visit): null {
  for (let i = 0; i < keys; i++) {
    const key = sampleKey(i)
    visit(before.indexOf(key), after.indexOf(key), 1)
  }
  return null
}
