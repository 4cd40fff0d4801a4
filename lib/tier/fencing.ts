/**
 * Fencing (DESIGN 8, "Who may act when nodes are cut off") as far as it is written in the topology document: who votes, for
 * how long a vouch is good, which sessions are over. Pure.
 *
 *   voters = the store and up to four named nodes. A majority of them must vouch for a node within leaseMs: then it may act.
 *   session = numbers what a node is vouched for as. A node is declared away in three steps:
 *
 *     declaring {session s} written --> a majority promises: no vouch for s --> one lease later: generation with it in `away`
 *              \--heard again before: session s+1, `declaring` gone                                 |
 *                                                     it returns: generation without, session s+1 --+
 *
 * A promise is about a session, not about an incarnation: a process that is started again while it is cut off reads the
 * session it had from its disk, and is refused like the one before.
 *
 * The set of voters changes in two steps, as two sets without a common majority could contradict each other: the new set is
 * written beside the old one (`previous`), and everything that needs a majority needs one of each; when a majority of the
 * old set has promised not to vouch by it any more, and one lease has passed, the old set goes.
 */
import type { TierNode, Topology } from './topology.js'

/** One set of voters. The store has a vote in every set. */
export interface Voters {
  /** Grows by one with every set. */
  term: number
  /** Numbers of the named nodes. */
  named: number[]
  /** How long a vouch by this set is good, ms, on the clock of the node that asked, from the moment it asked. */
  leaseMs: number
}

export interface Fencing extends Voters {
  /** False: nobody needs a lease. The rest stays, as terms and serials must only grow. */
  active: boolean
  /** Term with which it became active: nodes report that they act by leases by naming it. */
  since: number
  /** The set before, until nobody can act by it any more. */
  previous?: Voters
  /** Grows with every change of what stands here and of the nodes' sessions: which of two documents of one epoch is newer. */
  serial: number
}

/** The fencing in force; null: nobody needs a lease. */
export function fencingOf({ fencing }: Topology): Fencing | null {
  return fencing?.active ? fencing : null
}

export const STORE_VOTER = 'store'
/** A named node's number, or the store. */
export type VoterName = number | typeof STORE_VOTER

export const NAMED_MAX = 4
export const LEASE_MIN_MS = 200
export const LEASE_MAX_MS = 600_000

/**
 * Clocks of two machines may run at speeds that differ by so much; quartz is a thousand times better, and NTP slews by
 * 0.05%. A clock that stands still while its machine is suspended is outside of it: see docs/ARCHITECTURE.md.
 */
export const DRIFT_MAX = 0.01
/** Timers and clocks of whole milliseconds. */
const GRAIN_MS = 5

/** How long to wait on any clock until leases of `leaseMs` that were asked for before are over on every clock. */
export function leaseOverMs(leaseMs: number): number {
  return Math.ceil((leaseMs * (1 + DRIFT_MAX)) / (1 - DRIFT_MAX)) + GRAIN_MS
}

export function votersOf({ named }: Pick<Voters, 'named'>): VoterName[] {
  return [STORE_VOTER, ...named]
}

export function majorityOf(voters: Pick<Voters, 'named'>): number {
  return Math.floor((voters.named.length + 1) / 2) + 1
}

export function isMajority(voters: Voters, has: (voter: VoterName) => boolean): boolean {
  return votersOf(voters).filter(has).length >= majorityOf(voters)
}

/** The sets of which a majority each is needed. */
export function votingSets(fencing: Fencing): Voters[] {
  return fencing.previous ? [fencing, fencing.previous] : [fencing]
}

/** Session that a node is vouched for as. */
export function sessionOf(node: Pick<TierNode, 'session'>): number {
  return node.session ?? 0
}

/** The highest session of a node that nobody may vouch for any more, as the document says it; -1: none is. */
export function overSession(node: TierNode): number {
  const isOver = node.declaring !== undefined || node.away !== undefined
  return isOver ? sessionOf(node) : sessionOf(node) - 1
}

/** Of two documents, is `one` the newer? Within an epoch only what fencing changed is ordered. */
export function isNewer(one: Topology, other: Topology | null): boolean {
  if (!other || one.epoch !== other.epoch) return one.epoch > (other?.epoch ?? 0)
  return (one.fencing?.serial ?? 0) > (other.fencing?.serial ?? 0)
}

/** A document whose fencing says something new. */
export function nextSerial(topology: Topology): Topology {
  const { fencing } = topology
  return fencing ? { ...topology, fencing: { ...fencing, serial: fencing.serial + 1 } } : topology
}
