/**
 * The data plane of one worker: client connections, data links in and out, engine turns, and what the engine hands back.
 * Runs on any Loop; callbacks only. What it may not know: topologies, rings, how a key is taken.
 *
 *   client bytes -> ClientConnection -> engine.run ----------------------------------> replies
 *                                           | forward, take, multi, slow: a Request
 *   peer frame --> PeerConnection ----------+--> execute -> engine.run (one request) -> answer
 *                                                  | forward -> Forwarder -> other node -> answer
 *                                                  | take ----> Parking --need--> control plane --granted--> execute
 *                                                  | guard ---> Parking --guard-> control plane --executed-> answer
 *                                                  | multi ---> multiGet: parts, each by execute or Forwarder
 *                                                  | slow ----> stats, config, flush_all
 */
import { type EngineApi, Stop, type Turn } from '../engine/contract.js'
import { STREAMS } from '../engine/log-reader.js'
import { configReply, type TierConfig, tierConfigText } from '../protocol/index.js'
import { acceptLink, type LinkIdentity } from '../transport/link.js'
import type { Connection, ConnectionHandler, Listener, ListenOptions, Loop, Timer } from '../transport/loop.js'
import type { TlsSettings } from '../transport/tls.js'
import { AdminCommands } from './admin-commands.js'
import type { Credentials } from './auth-file.js'
import { AuthGate } from './auth-gate.js'
import { ClientConnection } from './client-connection.js'
import {
  addrText,
  type CloseReason,
  type Conn,
  type ConnState,
  connClose,
  connNew,
  isUnix,
  numberOf,
} from './conn-events.js'
import { Forwarder } from './forwarder.js'
import { cachedump, crawlerCommand, type LruHost, type LruReply, lruCommand, sizes } from './lru-commands.js'
import { multiGet } from './multi-get.js'
import { Parking } from './parking.js'
import { PeerConnections } from './peer-connection.js'
import type { Pending } from './pending.js'
import type { DataPort, Opened, PeerNode, ToData } from './plane.js'
import { ReplyArena } from './reply-arena.js'
import { isNoreply, type Request, serverError, tokensOf } from './request.js'
import { Silence } from './silence.js'
import { memlimitCommand, slabsCommand } from './slabs-command.js'
import { type SplitGetHost, splitGet } from './split-get.js'
import { clusterConfig, clusterConfigValue, type Facts, statsReply } from './stats-command.js'
import { TierCommands } from './tier-commands.js'
import { WatchConnection } from './watch-connection.js'
import { runWhole } from './whole-request.js'

export interface DataPlaneOptions {
  /** Where clients connect. */
  listen: ListenOptions[]
  /** Where other nodes' workers connect; null: a node alone. */
  dataListen: ListenOptions | null
  identity: LinkIdentity
  secret: string | null
  /** -c: connections of clients of all threads. */
  maxConnections?: number
  /** How many there are, in memory that all threads share; without it this plane is the only one. */
  connections?: Int32Array
  /** -o idle_timeout; 0: nobody is too idle. */
  idleTimeoutSec?: number
  /** -R */
  reqsPerEvent?: number
  /** -Y; null: nobody is asked who they are. */
  credentials?: Credentials | null
  /** Of the node's Fence (fence.ts); null: nothing can be fenced. */
  fence?: Int32Array | null
  /** Longest wait for a key's previous node, or for a link, in ms. Lower fails sooner when a node is stuck. */
  takeTimeoutMs?: number
  facts?: Partial<Facts>
  /** -W and -X turn them off, -A turns it on. */
  watch?: boolean
  dumps?: boolean
  shutdown?: boolean
  /** -o track_sizes */
  tracksSizes?: boolean
}

const TOO_LONG = 'out of memory writing get response'
const INCOMPLETE = 'the request is not complete'
const VALUE = Buffer.from('VALUE ')
const END = Buffer.from('END\r\n')
const EMPTY = Buffer.alloc(0)
const TOO_MANY: Buffer = Buffer.from('ERROR Too many open connections\r\n')
/** How long clients have for their last answers when the server stops, ms. */
const STOP_GRACE_MS = 500
/** An idle connection is noticed after so many ticks of the idle clock, that is after 1 to 1.25 times the limit. */
const IDLE_TICKS = 5
/**
 * What one connection may do before others have their turn, at memcached's default of -R: reads of up to 64 KiB, whose
 * requests the engine executes in one go, and requests worked on outside the engine's own loop (some, as `stats`, are slow).
 */
const REQS_PER_EVENT = 20
const READS_PER_EVENT = 8
const STEPS_PER_EVENT = 128
/** Datagrams that are worked on at once. */
const DATAGRAMS_MAX = 1024
const NOBODY: ConnectionHandler = { onReadable() {}, onWritable() {}, onClose() {} }
/** A generation that was heard of and has not come is asked for again after this, ms. */
const HEARD_AGAIN_MS = 1000
/** Of 1 ms each: clients that come back at once must not keep a node from returning. */
const DROP_LOOKS_MAX = 1000

/** What the plane asks of a client's connection, whoever handles it. */
interface Client {
  readonly idleTicks: number
  readonly connection: Connection
  readonly state: ConnState
  /** Loop time of its last event, ms. */
  readonly activeAt: number
  shut(): void
  kick(): void
}

export class DataPlane {
  readonly loop: Loop
  readonly engine: EngineApi
  readonly #port: DataPort
  readonly #options: DataPlaneOptions
  readonly #forwarder: Forwarder
  readonly #parking: Parking
  readonly #peers: PeerConnections
  readonly #admin: AdminCommands
  readonly #tier: TierCommands
  readonly #watchers = new Map<number, WatchConnection>()
  readonly silence: Silence
  readonly arena = new ReplyArena()
  readonly #listeners: Listener[] = []
  readonly #clients = new Set<Client>()
  readonly #places: { number: number; place: ListenOptions; port: number }[] = []
  readonly #startedAt: number
  /** Unix seconds; when the certificates were read last. */
  #certificatesAt: number
  readonly #lru: LruHost
  readonly #splitHost: SplitGetHost
  #nodes: PeerNode[] = []
  /** What clients are told of the newest ring; null outside a tier. */
  #ring: TierConfig | null = null
  #self = -1
  #clientPort = 0
  /** Connections are closed at once, and so many have been: see #drop. */
  #dropping = false
  #refused = 0
  #heard = 0
  #heardAt = 0
  #credentials: Credentials | null
  #stopping = false
  #grace: Timer | null = null
  readonly #connections: Int32Array
  readonly readsPerEvent: number
  readonly stepsPerEvent: number
  /** Steps of the idle clock; stands still when nobody is too idle. */
  idleTick = 0

  constructor({
    loop,
    engine,
    port,
    options,
  }: { loop: Loop; engine: EngineApi; port: DataPort; options: DataPlaneOptions }) {
    this.loop = loop
    this.engine = engine
    this.#port = port
    this.#options = options
    this.silence = new Silence({ loop, words: options.fence ?? null })
    loop.guardSends(() => this.silence.mayReply())
    loop.onAhead(
      (offset, length) => engine.lookAhead(offset, length),
      () => engine.lookAtAll(),
    )
    this.#startedAt = loop.wallClock()
    this.#certificatesAt = this.#startedAt
    this.#credentials = options.credentials ?? null
    this.#connections = options.connections ?? new Int32Array(1)
    const share = (options.reqsPerEvent ?? REQS_PER_EVENT) / REQS_PER_EVENT
    this.readsPerEvent = Math.max(1, Math.round(share * READS_PER_EVENT))
    this.stepsPerEvent = Math.max(1, Math.round(share * STEPS_PER_EVENT))
    const count = (name: string, by: number) => engine.count(name, by)
    const timeoutMs = options.takeTimeoutMs ?? 5000
    const { identity, secret } = options
    const heard = (epoch: number, from: number) => this.heard(epoch, from)
    this.#forwarder = new Forwarder({
      ...{ loop, identity, secret, timeoutMs, epoch: () => engine.epoch(), count, heard },
      again: request => this.#again(request),
    })
    this.#parking = new Parking({
      ...{ loop, timeoutMs, count },
      need: (ticket, key) => port.post({ type: 'need', ticket, key }),
      guard: (ticket, key, bytes, leftMs) =>
        port.post({ type: 'guard', ticket, key, bytes, until: loop.clock() + leftMs }),
      mayAnswer: request => this.#mayAnswer(request),
      forget: ticket => port.post({ type: 'forget', ticket }),
      execute: request => this.execute(request),
    })
    this.#peers = new PeerConnections(this, this.#parking)
    const { watch = true, dumps = true, shutdown = false, tracksSizes = false } = options
    this.#admin = new AdminCommands({ engine, port, watch, dumps, shutdown, conns: asker => this.#conns(asker) })
    this.#lru = {
      ...{ engine, dumps, tracksSizes, now: () => loop.wallClock() },
      crawl: classes => port.post({ type: 'crawl', classes }),
    }
    this.#splitHost = {
      ...{ bytes: engine.bytes, txBytes: engine.tx.length, engine: engine.splitGet, arena: this.arena, self: -1 },
      reaches: owner => this.#forwarder.isOpen(owner),
      forwardFrom: (owner, part, offset, length) => this.forwardFrom(owner, part, offset, length),
      execute: part => this.execute(part),
    }
    this.#tier = new TierCommands({
      port,
      nextTicket: () => this.#parking.nextTicket(),
      wallClock: () => loop.wallClock(),
      ownStats: words => this.#stats(words),
    })
    port.onMessage = message => this.#onMessage(message)
    engine.setTime(loop.wallClock())
  }

  /** Listens, and says so to the control plane. */
  start(): void {
    this.#watchIdle()
    const { listen, dataListen, identity, secret } = this.#options
    const clients: Opened[] = listen.map(() => ({ port: 0 }))
    const data: { dataPort: number; dataFd?: number } = { dataPort: 0 }
    let open = listen.length + (dataListen ? 1 : 0)
    const done = () => {
      if (--open > 0) return
      this.#clientPort = clients[0]?.port ?? 0
      this.#port.post({
        ...{ type: 'listening', clientPort: this.#clientPort, clients, ...data, loop: this.loop.kind, why: '' },
      })
    }
    const failed = (sentence: string) => this.#port.post({ type: 'failed', sentence })
    const keep = (listener: Listener & { fd?: number | undefined }) => {
      this.#listeners.push(listener)
      return listener
    }
    listen.forEach((place, i) => {
      this.loop.listen(
        place,
        connection => (place.udp ? this.#datagram(connection) : this.#accept(connection)),
        listener => {
          const { port, fd } = keep(listener)
          clients[i] = { port, fd }
          // Threads that join a place are no listeners of their own for whoever looks from outside.
          if (!place.joins && place.fd === undefined) this.#places.push({ number: fd ?? 0, place, port })
          done()
        },
        failed,
      )
    })
    if (!dataListen) return
    this.loop.listen(
      dataListen,
      connection => acceptLink(connection, this.loop, { self: identity, secret, accepts: ['data'] }, this.#peers),
      listener => {
        const { port, fd } = keep(listener)
        Object.assign(data, { dataPort: port, dataFd: fd })
        done()
      },
      failed,
    )
  }

  /** Each turn of a connection begins with it: the engine's time is the loop's. */
  newTurn(connection = 0): void {
    this.engine.setTime(this.loop.wallClock())
    this.engine.setConnection(connection)
  }

  // --- requests

  /** Runs one whole request; its answer comes now or later. */
  execute(request: Request): void {
    const { engine } = this
    if (this.silence.isSilent && this.#refusesSilently(request)) return
    this.newTurn(request.connection)
    const run = runWhole(engine, request.bytes)
    if (Buffer.isBuffer(run)) {
      if (this.#mayAnswer(request)) request.answer(run)
      return
    }
    const { turn, parts, isTooLong } = run
    if (parts.length === 0) this.dispatch(turn, request)
    else if (!this.#mayAnswer(request)) return
    else if (turn.stop === Stop.multi) this.#goOnElsewhere(turn, request, parts)
    else request.answer(serverError(request, isTooLong ? TOO_LONG : INCOMPLETE))
  }

  #mayAnswer(request: Request): boolean {
    if (this.silence.isSilent || this.silence.mayReply()) return true
    if (request.cut) request.cut()
    else request.answer(serverError(request, 'this node may not answer for its keys any more'))
    return false
  }

  #refusesSilently(request: Request): boolean {
    return this.silence.refuses(request, {
      owner: key => this.ownerElsewhere(key),
      forward: (owner, one) => {
        this.#peers.noteForward(one, this.engine.epoch())
        this.#forwarder.send(owner, one)
      },
      park: (key, one) => this.#parking.park(key, one),
      multi: (one, local) => this.#multi(one, local),
    })
  }

  #multi(request: Request, local: (part: Request) => void): void {
    multiGet(request, {
      keys: (line, from, to, each) => this.engine.ownersOfKeys(line, from, to, each),
      self: this.#self,
      arena: this.arena,
      local,
      forward: (owner, part) => this.#forwarder.send(owner, part),
    })
  }

  /** A client's get of many keys, which lies in the engine's memory. False: it is to be dispatched. */
  splitGet(request: Pending, offset: number, length: number): boolean {
    return splitGet(request, offset, length, this.#splitHost)
  }

  /** The route changed in the middle of a long get: the keys that are left are asked for where they live now. */
  #goOnElsewhere(turn: Turn, whole: Request, parts: Buffer[]): void {
    const { requestOffset, requestLength } = turn
    const rest: Request = {
      bytes: Buffer.from(this.engine.bytes.slice(requestOffset, requestOffset + requestLength).buffer),
      hops: whole.hops,
      ...(whole.until === undefined ? {} : { until: whole.until }),
      dropped: false,
      cancel: null,
      answer: reply => {
        if (rest.dropped) return
        whole.cancel = null
        const isList = reply.subarray(0, 6).equals(VALUE) || reply.equals(END)
        whole.answer(isList ? Buffer.concat([...parts, reply]) : reply)
      },
    }
    whole.cancel = () => {
      rest.dropped = true
      rest.cancel?.()
    }
    this.dispatch(turn, rest)
  }

  /** A request that the engine gave back. */
  dispatch(turn: Turn, request: Request): void {
    switch (turn.stop) {
      case Stop.forward:
        this.#peers.noteForward(request, turn.epoch)
        this.#forwarder.send(turn.owner, request)
        return
      case Stop.take: {
        const key = this.engine.bytes.slice(turn.keyOffset, turn.keyOffset + turn.keyLength)
        this.#parking.park(key, request)
        return
      }
      case Stop.guard: {
        const key = this.engine.bytes.slice(turn.keyOffset, turn.keyOffset + turn.keyLength)
        this.#parking.guard(key, request)
        return
      }
      case Stop.multi:
        this.#multi(request, part => this.execute(part))
        return
      case Stop.slow:
        this.#slow(request)
        return
      default:
        request.answer(serverError(request, INCOMPLETE))
    }
  }

  /** Would the key's request be forwarded right now? Its owner, or null. For pipelining on a client's connection. */
  ownerElsewhere(key: Uint8Array): number | null {
    if (this.engine.epoch() === 0) return null
    const owner = this.engine.ownerOf(key, 0, key.length)
    return owner === this.#self ? null : owner
  }

  get self(): number {
    return this.#self
  }

  /** Would a request for that node go out at once? */
  reaches(owner: number): boolean {
    return this.#forwarder.isOpen(owner)
  }

  /** Passes on a client's request that lies in the engine's memory, to a node that it `reaches`. */
  forwardFrom(owner: number, request: Request, offset: number, length: number): void {
    this.#forwarder.sendFrom(owner, request, this.engine.bytes, offset, length)
  }

  forward(owner: number, request: Request): void {
    this.#forwarder.send(owner, request)
  }

  /** Somebody acts by a newer generation: the control plane must load it. Said once, and again if it does not come. */
  heard(epoch: number, from: number): void {
    if (epoch <= this.engine.epoch()) return
    const now = this.loop.now()
    if (epoch <= this.#heard && now < this.#heardAt + HEARD_AGAIN_MS) return
    this.#heard = epoch
    this.#heardAt = now
    this.#port.post({ type: 'heard', epoch, from })
  }

  /** Number of the node with this id, -1 when the route does not name it. */
  numberOf(id: string | undefined): number {
    return this.#nodes.find(node => node.id === id)?.number ?? -1
  }

  /** A request that had not been sent yet when the route changed. */
  #again(request: Request): void {
    if (request.dropped) return
    // It waited for a node that is not asked any more; whoever is asked now has the whole time, unless another node set the limit.
    if (request.hops === 0) delete request.until
    this.execute(request)
  }

  // --- slow commands

  #slow(request: Request): void {
    const words = tokensOf(request.bytes).map(token => token.toString('latin1'))
    if (this.#admin.run(request, words)) return
    if (words[0] === 'lru') this.#lruCommand(request, words)
    else if (words[0] === 'lru_crawler') {
      this.#answer(request, crawlerCommand(words, this.#lru, request.pipelined === true))
    } else if (words[0] === 'slabs') this.#pages(request, slabsCommand(words.slice(1), this.engine.pages))
    else if (words[0] === 'cache_memlimit') this.#pages(request, memlimitCommand(words.slice(1), this.engine.pages))
    else if (words[0] === 'stats' && words[1] === 'sizes') this.#answer(request, sizes(this.#lru))
    else if (words[0] === 'stats' && words[1] === 'cachedump') request.answer(cachedump(words.slice(2), this.#lru))
    else if (words[0] === 'stats') this.#tier.stats(request, words.slice(1))
    else if (words[0] === 'flush_all') this.#tier.flush(request, words)
    else if (words[0] === 'config' && words[1] === 'get') request.answer(this.#config(words[2]))
    else if (words[0] === 'get') {
      const { length } = this.#nodes
      request.answer(length > 0 ? clusterConfigValue(words[1]!, this.#nodes, this.engine.epoch()) : END)
    } else request.answer(Buffer.from('ERROR\r\n'))
  }

  #config(what: string | undefined): Buffer {
    if (what === 'cluster' && this.#nodes.length > 0) return clusterConfig(this.#nodes, this.engine.epoch())
    if (what === 'continuum' && this.#ring) return configReply('continuum', tierConfigText(this.#ring))
    return Buffer.from('ERROR\r\n')
  }

  #lruCommand(request: Request, words: string[]): void {
    const reply = lruCommand(words, this.#lru)
    request.answer(isNoreply(request.bytes) ? EMPTY : reply)
  }

  #answer(request: Request, reply: LruReply): void {
    if (Buffer.isBuffer(reply)) request.answer(reply)
    else if (request.answerInParts) request.answerInParts(reply)
    else {
      reply.close()
      request.answer(Buffer.from('ERROR\r\n'))
    }
  }

  /** What was asked of the page mover is the control thread's to do. */
  #pages(request: Request, reply: string): void {
    if (reply === 'OK') this.#port.post({ type: 'pages' })
    request.answer(isNoreply(request.bytes) ? EMPTY : Buffer.from(`${reply}\r\n`))
  }

  #stats(words: readonly string[]): Buffer {
    const facts: Facts = {
      startedAt: this.#startedAt,
      // The engine's seconds: a test may have moved them.
      now: this.engine.now(),
      maxConnections: this.#options.maxConnections ?? 1024,
      threads: 1,
      version: 'continuum',
      loop: this.loop.kind,
      certificatesAt: this.#certificatesAt,
      server: null,
      udpPort: 0,
      port: this.#clientPort,
      backlog: this.#options.listen[0]?.backlog ?? 1024,
      dumps: this.#lru.dumps,
      tracksSizes: this.#lru.tracksSizes,
      fence: this.silence.stats,
      ...this.#options.facts,
    }
    return statsReply(words, this.engine, facts) ?? Buffer.from('ERROR\r\n')
  }

  // --- control plane

  #onMessage(message: ToData): void {
    if (this.#admin.onMessage(message)) return
    if (message.type === 'lines') this.#watchers.get(message.watcher)?.show(message.lines)
    else if (message.type === 'granted') this.#parking.granted(message.ticket)
    else if (message.type === 'executed') this.#parking.executed(message.ticket, message.reply)
    else if (message.type === 'refused') {
      if (!this.#tier.refused(message.ticket, message.reason)) this.#parking.refused(message.ticket, message.reason)
    } else if (message.type === 'done') this.#tier.done(message.ticket)
    else if (message.type === 'gathered') this.#tier.done(message.ticket, message.nodes)
    else if (message.type === 'route') this.#onRoute(message)
    else if (message.type === 'credentials') this.#credentials = message.credentials
    else if (message.type === 'certificates') this.#renew(message.tls, message.gathering)
    else if (message.type === 'lease') this.silence.tell(message.lapsed)
    else if (message.type === 'leaving') this.silence.leaves(message.isLeaving)
    else if (message.type === 'drop') this.#drop(message.since)
    else if (message.type === 'stop') this.stop()
  }

  #renew(tls: TlsSettings, gathering: number): void {
    for (const listener of this.#listeners) listener.renew?.(tls)
    this.#certificatesAt = this.loop.wallClock()
    this.#port.post({ type: 'here', gathering, conns: [] })
  }

  /**
   * Everything of the session before goes; the fence is closed until all planes have said so. Also what is connected and not
   * accepted yet: a process that stood still has a queue of connections whose clients gave up long ago, with their requests in
   * them. It is over when a turn of the loop has brought none.
   */
  #drop(since: number | null): void {
    const before = [...this.#clients]
    for (const client of before) client.kick()
    this.#peers.cut(since)
    this.#dropping = true
    let looks = 0
    let refused = -1
    const look = () => {
      const isQuiet = refused === this.#refused || looks++ >= DROP_LOOKS_MAX
      refused = this.#refused
      if (!isQuiet || before.some(client => this.#clients.has(client))) {
        this.loop.setTimer(1, look)
        return
      }
      this.#dropping = false
      this.#port.post({ type: 'dropped' })
    }
    look()
  }

  #onRoute({ epoch, self, nodes, ring }: Extract<ToData, { type: 'route' }>): void {
    this.#self = self
    this.#splitHost.self = self
    this.#nodes = nodes
    this.#ring = ring ?? null
    this.#forwarder.setNodes(nodes)
    this.#peers.onRoute(epoch)
    this.#tier.onRoute(self, nodes)
  }

  // --- connections

  #accept(connection: Connection): ConnectionHandler {
    const { maxConnections = 1024 } = this.#options
    this.engine.count('total_connections', 1)
    if (this.#dropping) {
      this.#refused++
      this.engine.count('rejected_connections', 1)
      connection.close()
      return { onReadable() {}, onWritable() {}, onClose() {} }
    }
    // The place is taken first: another thread may be accepting at the same moment.
    if (this.#stopping || Atomics.add(this.#connections, 0, 1) >= maxConnections) {
      if (!this.#stopping) Atomics.sub(this.#connections, 0, 1)
      this.engine.count('rejected_connections', 1)
      return refuse(connection)
    }
    this.engine.count('curr_connections', 1)
    this.#tell(connection, () => connNew(connection), 'new client connection')
    return this.#credentials ? this.#gate(connection) : this.#enter(connection)
  }

  #enter(connection: Connection): ClientConnection {
    const client = new ClientConnection(this, connection, reason => this.#clientGone(client, reason))
    this.#clients.add(client)
    return client
  }

  /** The client's connection shows lines from now on. */
  startWatching(client: ClientConnection, watcher: number): void {
    const { connection } = client
    const watching = new WatchConnection({
      connection,
      onSent: bytes => this.#port.post({ type: 'sent', watcher, bytes }),
      onGone: reason => {
        this.#watchers.delete(watcher)
        this.#port.post({ type: 'unwatch', watcher })
        this.#clientGone(watching, reason)
      },
    })
    watching.activeAt = client.activeAt
    this.#clients.delete(client)
    this.#clients.add(watching)
    this.#watchers.set(watcher, watching)
    connection.handler = watching
    connection.resumeReading()
    if (this.#stopping) watching.shut()
  }

  /** A datagram takes no place of a connection; when too many are under way, it is lost like any other. */
  #datagram(connection: Connection): ConnectionHandler {
    if (this.#stopping || this.#clients.size >= DATAGRAMS_MAX) {
      this.engine.count('requests_dropped', 1)
      connection.destroy()
      return NOBODY
    }
    const client: ClientConnection = new ClientConnection(this, connection, () => this.#gone(client), false)
    this.#clients.add(client)
    return client
  }

  #gate(connection: Connection): ConnectionHandler {
    const gate: AuthGate = new AuthGate({
      connection,
      credentials: () => this.#credentials ?? [],
      count: (name, by) => this.engine.count(name, by),
      tick: () => this.idleTick,
      now: () => this.loop.now(),
      onGone: reason => this.#clientGone(gate, reason),
      onKnown: rest => {
        this.#clients.delete(gate)
        const client = this.#enter(connection)
        connection.handler = client
        client.goOnFrom(rest)
        if (this.#stopping) client.shut()
      },
    })
    this.#clients.add(gate)
    return gate
  }

  #watchIdle(): void {
    const { idleTimeoutSec = 0 } = this.#options
    if (idleTimeoutSec === 0 || this.#stopping) return
    this.loop.setTimer((idleTimeoutSec * 1000) / (IDLE_TICKS - 1), () => {
      this.idleTick++
      for (const client of this.#clients) {
        if (client.idleTicks < IDLE_TICKS) continue
        this.engine.count('idle_kicks', 1)
        client.kick()
      }
      this.#watchIdle()
    })
  }

  stop(): void {
    if (this.#stopping) return
    this.#stopping = true
    for (const listener of this.#listeners) listener.close()
    for (const client of [...this.#clients]) client.shut()
    if (this.#clients.size === 0) this.#stopped()
    else this.#grace = this.loop.setTimer(STOP_GRACE_MS, () => this.#stopped())
  }

  /** For watchers, and for the log at -vv. */
  #tell(connection: Connection, line: () => string, words: string): void {
    if (this.engine.streams() & STREAMS.connevents) {
      this.newTurn(numberOf(connection))
      this.engine.noteText(STREAMS.connevents, line())
    }
    if (this.engine.verbosity() < 2) return
    this.#port.post({ type: 'say', level: 2, sentence: `<${numberOf(connection)} ${words}` })
  }

  /** As `stats conns` shows them. */
  #conns(asker: number | undefined): Conn[] {
    const now = this.loop.now()
    const conns: Conn[] = this.#places.map(({ number, place, port }) => ({
      number,
      addr:
        place.path !== undefined
          ? `unix:${place.path}`
          : addrText({ host: place.host, port }, place.udp ? 'udp' : 'tcp'),
      listenAddr: null,
      state: place.udp ? 'conn_read' : 'conn_listening',
      idleSec: Math.max(0, Math.floor(this.loop.wallClock() - this.#startedAt)),
      isUdp: place.udp === true,
    }))
    for (const { connection, state, activeAt } of this.#clients) {
      const { remote, local } = connection
      const number = numberOf(connection)
      const path = this.#options.listen.find(place => place.path !== undefined)?.path
      conns.push({
        number,
        addr: isUnix(remote) ? 'unix:' : addrText(remote, 'tcp'),
        listenAddr: isUnix(remote) ? `unix:${path}` : addrText(local, 'tcp'),
        state: number === asker ? 'conn_parse_cmd' : state,
        idleSec: Math.max(0, Math.floor((now - activeAt) / 1000)),
        isUdp: false,
      })
    }
    return conns
  }

  #clientGone(client: Client, reason: CloseReason): void {
    const { connection } = client
    this.#tell(connection, () => connClose(connection, reason), 'connection closed')
    Atomics.sub(this.#connections, 0, 1)
    this.engine.count('curr_connections', -1)
    this.#gone(client)
  }

  #gone(client: Client): void {
    this.#clients.delete(client)
    if (!this.#grace || this.#clients.size > 0) return
    this.loop.clearTimer(this.#grace)
    this.#stopped()
  }

  #stopped(): void {
    this.#grace = null
    this.#forwarder.stop()
    this.#peers.stop()
    this.#port.post({ type: 'stopped' })
    this.loop.soon(() => this.loop.stop())
  }
}

/** PROTOCOL D1: one line, then the connection is closed. */
function refuse(connection: Connection): ConnectionHandler {
  let left = TOO_MANY
  const say = () => {
    left = left.subarray(connection.write(left))
    if (left.length === 0) connection.close()
  }
  say()
  return { onReadable: () => connection.pauseReading(), onWritable: say, onClose() {} }
}
