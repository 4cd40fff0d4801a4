/**
 * What the two planes of a node say to each other. The control plane (main thread: topology, handoff) and each data
 * plane (worker thread: connections, engine turns) exchange these messages in order, and share the engine's memory.
 * In production a PlanePort is a MessagePort plus a wake-up descriptor; in the simulation a queue with virtual delay.
 *
 * Rule that everything here leans on: a message is only a nudge. Who is the authority for a key is decided in shared
 * memory, under the key's lock, by the engine; a late or early message can delay a request, never make it wrong.
 */

import type { TierConfig } from '../protocol/index.js'
import type { TlsSettings } from '../transport/tls.js'
import type { Conn } from './conn-events.js'
import type { NodeFigures } from './tier-stats.js'

/** Where a node of the tier can be reached. `number` is what the engine's route table names owners by: unique, never reused in a tier. */
export interface PeerNode {
  number: number
  id: string
  /** Address that clients use. */
  host: string
  port: number
  /** 0: a router. */
  weight: number
  /** Address of its data links (forwarded requests); workers listen here. */
  dataHost: string
  dataPort: number
  /** Nobody waits for an answer of it. */
  isAway: boolean
}

export interface Opened {
  port: number
  fd?: number | undefined
}

export type ToControl =
  /** The key is this node's by the current ring but not taken yet: take it, then say `granted`. `ticket` is unique per worker. */
  | { type: 'need'; ticket: number; key: Uint8Array }
  /** The key is this node's, but somebody who is away may know more of it: execute this one request, log it, then say `executed`. Not after `until`, by Loop.clock. */
  | { type: 'guard'; ticket: number; key: Uint8Array; bytes: Uint8Array; until: number }
  /** The asker of a ticket is gone; an answer is not wanted any more (the take itself may go on). */
  | { type: 'forget'; ticket: number }
  /** A peer's frame carried a higher epoch than the engine's route: load it. A `route` message follows when it is published. */
  | { type: 'heard'; epoch: number; from: number }
  /** flush_all of the whole tier; the delay is resolved to whole seconds from now, 0 = now. Answered by `done`. */
  | { type: 'flush'; ticket: number; delaySec: number }
  /** The crawler was claimed for these slab classes, from 0 up: the maintainer crawls them. */
  | { type: 'crawl'; classes: number[] }
  /** `stats` of every node of the tier, with these words behind it. Answered by `gathered`, or `refused`. */
  | { type: 'gather'; ticket: number; question: string }
  /** The same of this node alone, which its control plane answers. */
  | { type: 'own'; ticket: number; question: string }
  | {
      type: 'listening'
      /** Of the first client listener; 0 for a unix socket. */
      clientPort: number
      /** In the order of DataPlaneOptions.listen: what other threads of the process need to listen there too. */
      clients: Opened[]
      dataPort: number
      loop: string
      why: string
      dataFd?: number
    }
  /** Somebody wants to watch: bits of STREAMS. Answered by `watching`. */
  | { type: 'watch'; ticket: number; streams: number }
  | { type: 'unwatch'; watcher: number }
  /** A watcher's socket took so many bytes of lines. */
  | { type: 'sent'; watcher: number; bytes: number }
  /** The connections of all threads, as `stats conns` shows them. Answered by `answer`. */
  | { type: 'conns'; ticket: number }
  /** This thread's part of what was asked of all. */
  | { type: 'here'; gathering: number; conns: Conn[] }
  /** The certificates are to be read again. Answered by `answer`. */
  | { type: 'certificates'; ticket: number }
  | { type: 'shutdown'; graceful: boolean }
  /** For the log, at this level of -v. */
  | { type: 'say'; level: number; sentence: string }
  | { type: 'failed'; sentence: string }
  /** Nothing of the life before is left here: no connection, nothing parked. Answers `drop`. */
  | { type: 'dropped' }
  /** The page mover has something to do. */
  | { type: 'pages' }
  | { type: 'stopped' }

export type ToData =
  /** Ticket's key was taken (or turned out to live elsewhere): run the request again from the start; the engine decides. */
  | { type: 'granted'; ticket: number }
  /** The reply to a guarded request, which may go out now. */
  | { type: 'executed'; ticket: number; reply: Uint8Array }
  /** The key could not be taken (or the flush not be confirmed): answer SERVER_ERROR with this reason. */
  | { type: 'refused'; ticket: number; reason: string }
  | { type: 'done'; ticket: number }
  /** The node that was asked comes first. */
  | { type: 'gathered'; ticket: number; nodes: NodeFigures[] }
  /** A new route table is in force; `self` is this node's number, `nodes` are all nodes it can name. Requests held for a `heard` epoch <= epoch go on. `ring`: what clients are told of the newest ring. */
  | { type: 'route'; epoch: number; self: number; nodes: PeerNode[]; ring?: TierConfig }
  /** -Y: who may come in from now on, as digests (lib/server/auth-file.ts). Who is in stays in. */
  | { type: 'credentials'; credentials: readonly Uint8Array[] }
  /** -Z: what new connections are shown from now on. Answered by `here`. */
  | { type: 'certificates'; tls: TlsSettings; gathering: number }
  /** Null: there are too many. */
  | { type: 'watching'; ticket: number; watcher: number | null }
  | { type: 'lines'; watcher: number; lines: Uint8Array }
  /** `ticket` is that of the asker's request if it is one of this plane's. */
  | { type: 'tellConns'; gathering: number; ticket: number }
  | { type: 'answer'; ticket: number; reply: string }
  /** The lease ran out, for this reason, or is there again (null). The fence itself is in shared memory; this is only news. */
  | { type: 'lease'; lapsed: string | null }
  /** The node steps aside, and others act soon: what needs a lease waits for that (`need`), and is not refused. */
  | { type: 'leaving'; isLeaving: boolean }
  /**
   * Another session of the node begins: all connections of clients and nodes are closed, and everything parked dropped. `since`:
   * the generation that began it, so that what other nodes ask by it or a later one stays; null: it cannot be told apart.
   */
  | { type: 'drop'; since: number | null }
  | { type: 'stop' }

/** One side's end of the pair. `post` never blocks; messages arrive in order, on the owner's thread, never synchronously from `post`. */
export interface PlanePort<Out, In> {
  post(message: Out): void
  onMessage: (message: In) => void
}
export type DataPort = PlanePort<ToControl, ToData>
export type ControlPort = PlanePort<ToData, ToControl>
