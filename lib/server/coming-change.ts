/**
 * What a change of the ring will need, before it is in force: the ring, drawn, and links to the nodes that keys will come from. All nodes
 * act by a new generation at about the same time, and requests wait for the last one. Knows topologies, opens nothing.
 */
import type { GenerationSpec } from '../handoff/generations.js'
import { serversAfter } from '../tier/controller.js'
import type { Topology } from '../tier/topology.js'

type Servers = GenerationSpec['servers']

/** Servers of the ring that the next queued change makes; empty: nothing is queued, or nobody is left. */
export function nextServers(topology: Topology): Servers {
  const queued = topology.changes.find(change => change.state === 'queued')
  return queued ? serversAfter(topology, queued) : []
}

/** Nodes that `self` may have to take from by the newest generation. What is too many costs a link. */
export function comingSources(topology: Topology, self: number): number[] {
  const [before, newest] = topology.generations.slice(-2)
  if (!before || !newest) return []
  const weightIn = (servers: Servers, one: number) => servers.find(({ number }) => number === one)?.weight ?? 0
  const weight = weightIn(newest.servers, self)
  if (weight === 0) return []
  const gains = weight > weightIn(before.servers, self)
  const loses = (number: number) => weightIn(newest.servers, number) < weightIn(before.servers, number)
  return before.servers.map(({ number }) => number).filter(number => number !== self && (gains || loses(number)))
}
