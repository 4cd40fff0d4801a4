/** `stats handoff`: what a node has still to take and to give, who is away, and what it keeps on its disk for them. */
import type { Handoff } from '../handoff/handoff.js'
import type { HintStats } from '../handoff/hint-log.js'
import { currentGeneration, type Topology } from '../tier/topology.js'

type Line = readonly [name: string, value: string | number]

export interface HandoffFacts {
  handoff: Handoff
  hints: readonly HintStats[]
  topology: Topology | null
}

/** Names in the order shown; a node is named by its id. */
export function handoffStats({ handoff, hints, topology }: HandoffFacts): string {
  const idOf = (number: number) => topology?.nodes.find(node => node.number === number)?.id ?? String(number)
  const transfers = handoff.progress()
  const open = transfers.filter(({ settled }) => !settled)
  const lines: Line[] = [
    ['epoch', handoff.epoch],
    ['generations', topology?.generations.length ?? 0],
    ['settled', handoff.settled ? 1 : 0],
    ['transfers', transfers.length],
    ['transfers_open', open.length],
    ['keys_taken', transfers.reduce((sum, { keys }) => sum + keys, 0)],
    ['bytes_taken', transfers.reduce((sum, { bytes }) => sum + bytes, 0)],
    ['takes_pending', handoff.taker.takesPending],
    ['unconfirmed_bytes', handoff.source.unconfirmedBytes],
    ['away', topology ? (currentGeneration(topology)?.away ?? []).map(idOf).join(',') || 'nobody' : 'nobody'],
    ...open.flatMap(({ generation, source, arcs, fraction }): Line[] => [
      [`from:${idOf(source)}:${generation}:arcs`, arcs],
      [`from:${idOf(source)}:${generation}:percent`, Math.floor(fraction * 100)],
    ]),
    ...hints.flatMap((log): Line[] => [
      [`hints:${idOf(log.home)}:state`, log.state],
      [`hints:${idOf(log.home)}:keys`, log.keys],
      [`hints:${idOf(log.home)}:bytes`, log.bytes],
      [`hints:${idOf(log.home)}:disk_bytes`, log.diskBytes],
      [`hints:${idOf(log.home)}:oldest_seconds`, Math.floor(log.oldestAgeMs / 1000)],
      [`hints:${idOf(log.home)}:left_out`, log.leftOut],
      ...(log.loss
        ? ([[`hints:${idOf(log.home)}:lost_from_generation`, log.loss.fromGeneration]] satisfies Line[])
        : []),
    ]),
  ]
  return `${lines.map(([name, value]) => `STAT ${name} ${value}\r\n`).join('')}END\r\n`
}
