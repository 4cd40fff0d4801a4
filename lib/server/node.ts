/**
 * A node as a process: the arena, the worker threads with their data planes, and, in a tier, the control plane with its
 * membership in the main thread. Ordinary asynchronous code; nothing here is on the path of a request.
 *
 *   startNode -> arena -> worker 0 listens -> the other workers listen on the same ports -> [tier: register, first topology]
 */
import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { createArena, resetArena } from '../engine/arena.js'
import type { Arena, EngineOptions } from '../engine/contract.js'
import { Engine } from '../engine/engine.js'
import { LogReader, PREFIXES, STREAMS } from '../engine/log-reader.js'
import type { MemoryOwner } from '../tier/kept-memory.js'
import { chooseLoop, type LoopPick } from '../transport/choose.js'
import type { Address, ListenOptions } from '../transport/loop.js'
import { giveBackMemory } from '../transport/memory.js'
import { createNetLoop } from '../transport/net.js'
import { createWay, eventPort, SharedPort } from '../transport/plane-port.js'
import { addressesOf } from '../transport/resolve.js'
import type { TlsSettings } from '../transport/tls.js'
import { freeUnixPath, removeUnixPath, unixPathIdentity } from '../transport/unix-path.js'
import { createBell, createWaker } from '../transport/waker.js'
import { readAuthFile } from './auth-file.js'
import type { DataPlaneOptions } from './data-plane.js'
import { Fence } from './fence.js'
import type { ServerOptions } from './flags.js'
import type { ListenPlace, UnixPlace } from './listen-flags.js'
import { Maintainer } from './maintainer.js'
import { loadMemory, ofNodeAlone, saveMemory } from './memory-file.js'
import { PageMover } from './page-mover.js'
import type { ControlPort, Opened, ToControl, ToData } from './plane.js'
import { toControlForm, toDataForm } from './plane-forms.js'
import { ProcessCommands } from './process-commands.js'
import type { Facts } from './stats-command.js'
import type { NodeTierOptions, TierMember } from './tier-member.js'
import { readTlsFiles, type TlsFiles } from './tls-files.js'
import { VERSION_TEXT } from './version.js'
import { Watchers } from './watchers.js'
import type { WorkerData } from './worker.js'

/** The part of a logger that is used here. */
export interface NodeLog {
  /** At -vvv. */
  trace(sentence: string): unknown
  /** At -vv. `levelThen`: the verbosity when it happened, if that is not now. */
  debug(sentence: string, levelThen?: number): unknown
  info(sentence: string): void
  warn(sentence: string): void
}

export interface NodeOptions {
  server: ServerOptions
  tier: NodeTierOptions | null
  log: NodeLog
  /**
   * The ports are open; connections wait in them. What must happen before anything else does, as becoming another user;
   * when it throws, the node does not start.
   */
  onListening?: (ears: Ears) => void
}

/** Where a running node listens for clients. */
export interface Ears {
  tcp: Address[]
  udp: Address[]
  unix: UnixPlace | null
}

export interface RunningNode {
  /** The first TCP port; 0: a unix socket alone. */
  clientPort: number
  ears: Ears
  peerPort: number
  dataPort: number
  loop: LoopPick
  why: string
  /** Reads again what may have changed on the disk: users, certificates. What cannot be read stays as it was. */
  reload(): void
  /** 0 to 3: -v, or what the verbosity command said last. */
  verbosity(): number
  /** `graceful`: what is held goes to the memory file (-e), if there is one. */
  stop(graceful?: boolean): Promise<void>
  /** Something after which the node cannot go on; at most once. */
  onFatal(callback: (sentence: string) => void): void
}

const STOP_LIMIT_MS = 3000
/** Chunks that the page mover looks at in one step when the node is about to be saved. */
const SAVE_SLICE = 1024
const NOBODY = 65_535
/** What -vvv says besides; connections are told from -vv on. */
const TRACED = STREAMS.fetchers | STREAMS.mutations | STREAMS.deletions | STREAMS.evictions | STREAMS.sysevents
const TRACED_FROM = 3
/** cache_memlimit may raise -m to so many times of it, or so many megabytes, as far as that can be addressed: room that costs nothing until it is used. */
const MEMORY_GROWS_TO = 4
const MEMORY_GROWS_TO_MB = 1024

export async function startNode(options: NodeOptions): Promise<RunningNode> {
  return new NodeProcess(options).start()
}

type Listening = Extract<ToControl, { type: 'listening' }>

interface Thread {
  worker: Worker
  port: ControlPort
  /** Messages of the control plane go through it once that exists. */
  forControl: ((message: ToControl) => void) | null
  stopped: Promise<void>
  /** When it has ended: it rings no more. */
  close(): void
}

/** This side of what a thread and the control thread have between them. */
interface Joint {
  port: ControlPort
  shared: WorkerData['shared']
  close(): void
}

class NodeProcess {
  readonly #options: NodeOptions
  readonly #threads: Thread[] = []
  readonly #startedAt = Math.floor(Date.now() / 1000)
  #fatal: ((sentence: string) => void) | null = null
  #fatalSentence: string | null = null
  #stopping = false
  readonly #fence = new Fence()
  #member: TierMember | null = null
  #maintainer: Maintainer | null = null
  #pageMover: PageMover | null = null
  #commands: ProcessCommands | null = null
  #loop: LoopPick = 'net'
  #udpPort = 0
  #watchers: Watchers | null = null
  #unix: { path: string; identity: number } | null = null
  #memory: Arena | null = null
  /** It goes on with what the memory file had. */
  #isWarm = false
  /** In a tier: the life that wrote that file. */
  #memoryOf: string | null = null

  constructor(options: NodeOptions) {
    this.#options = options
  }

  async start(): Promise<RunningNode> {
    const { server, tier, log } = this.#options
    // Before onListening: a process that became another user may not read its own code any more.
    const member = tier ? await import('./tier-member.js') : null
    const choice = chooseLoop(server.tls ? 'net' : server.loop)
    if (!choice.ok) throw new Error(choice.sentence)
    this.#loop = choice.kind
    const hasFile = server.memoryFile !== null && existsSync(server.memoryFile)
    const judge = tier && member && hasFile ? await member.memoryJudge(tier) : ofNodeAlone
    const options: EngineOptions = {
      memoryLimitMb: server.memoryLimitMb,
      memoryReserveMb: Math.max(MEMORY_GROWS_TO * server.memoryLimitMb, MEMORY_GROWS_TO_MB),
      itemSizeMax: server.itemSizeMax,
      ...(server.slabs.chunkMax === null ? {} : { slabChunkMax: server.slabs.chunkMax }),
      growthFactor: server.factor,
      chunkSizeMin: server.chunkSizeMin,
      threads: server.threads + (server.udp.length > 0 ? 1 : 0),
      evictions: server.evictions,
      cas: server.cas,
      flushEnabled: server.flush,
      logBytes: server.workerLogBytes,
      debug: server.debugCommands,
      ...(server.prefixDelimiter === null ? {} : { prefixDelimiter: server.prefixDelimiter }),
      hashPower: server.lru.hashPower,
      versionText: VERSION_TEXT,
    }
    const arena = this.#arena(options, judge)
    const engine = new Engine(arena, arena.options.threads)
    engine.setTime(Date.now() / 1000)
    engine.setVerbosity(Math.min(TRACED_FROM, server.verbosity))
    if (server.prefixDelimiter !== null) engine.wantStreams(PREFIXES)
    this.#commands = this.#processCommands(engine)
    if (this.#isWarm) engine.resetStats()
    engine.housekeeping.tune(server.lru.settings)
    engine.pages.setAutomove(server.slabs.automove)
    const loop = createNetLoop({ memory: new Uint8Array(0) })
    this.#maintainer = new Maintainer({ engine, loop, hashExpands: server.lru.hashExpands })
    // Until the first topology is in force every request waits: none may be answered as if this node were alone.
    if (tier) {
      const nobody = { points: Uint32Array.of(0), owners: Uint16Array.of(NOBODY), tenures: Uint32Array.of(0) }
      engine.publish({ epoch: 0, self: NOBODY - 1, ...nobody, settled: Uint8Array.of(1) })
    }
    const incarnation = String(BigInt(Date.now()) * 1000n + BigInt(randomInt(1000)))
    try {
      const { ports, ears } = await this.#startThreads(arena, choice.kind, incarnation)
      const release = (offset: number, length: number) => giveBackMemory(engine.bytes, offset, length)
      this.#pageMover = new PageMover({ loop, engine, release })
      this.#pageMover.start()
      this.#options.onListening?.(ears)
      this.#maintainer.start()
      const clientPort = ears.tcp[0]?.port ?? 0
      const running = {
        clientPort,
        ears,
        peerPort: 0,
        dataPort: ports.dataPort,
        loop: choice.kind,
        why: server.tls ? 'TLS needs it' : choice.why,
        reload: () => this.#reload(),
        verbosity: () => engine.verbosity(),
        stop: (graceful = false) => this.stop(graceful),
        onFatal: (callback: (sentence: string) => void) => {
          this.#fatal = callback
          if (this.#fatalSentence !== null) callback(this.#fatalSentence)
        },
      }
      if (tier && member) {
        this.#member = new member.TierMember({
          ...{ tier, engine, fence: this.#fence, incarnation, log },
          loop: this.#loop,
          dataPlanes: this.#threads.map(controlPort),
          listenHost: server.listen[0]?.host ?? tier.peerHost,
          dataPort: ports.dataPort,
          keepsMemory: server.memoryFile !== null,
          memoryOf: this.#memoryOf,
          facts: { ...this.#facts(), certificatesAt: this.#startedAt, port: clientPort, backlog: server.backlog },
          onRefused: sentence => this.#fail(sentence),
        })
        running.peerPort = await this.#member.join()
      }
      log.info(`loop ${choice.kind}: ${running.why}`)
      return running
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop(graceful = false): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    this.#member?.stop()
    this.#pageMover?.stop()
    this.#maintainer?.stop()
    this.#watchers?.stop()
    this.#tellAll({ type: 'stop' })
    const all = Promise.all(this.#threads.map(thread => thread.stopped))
    const limit = new Promise(resolve => setTimeout(resolve, STOP_LIMIT_MS).unref())
    await Promise.race([all, limit])
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
    for (const thread of this.#threads) thread.close()
    await this.#member?.closeFiles()
    await this.#leave(graceful)
    if (this.#unix && !removeUnixPath(this.#unix.path, this.#unix.identity)) {
      this.#options.log.warn(`the unix socket ${this.#unix.path} could not be removed`)
    }
  }

  /** Filled from the memory file, where there is one that fits. */
  #arena(options: EngineOptions, whyNot: (owner: MemoryOwner | null) => string | null): Arena {
    const { server, log } = this.#options
    const arena = createArena(options)
    this.#memory = arena
    if (server.memoryFile === null) return arena
    const started = performance.now()
    const loaded = loadMemory(arena, server.memoryFile, whyNot)
    if (loaded && 'refused' in loaded) {
      log.warn(loaded.refused)
      resetArena(arena)
    } else if (loaded) {
      this.#isWarm = true
      this.#memoryOf = loaded.owner?.incarnation ?? null
      const seconds = ((performance.now() - started) / 1000).toFixed(2)
      log.info(`${loaded.bytes} bytes of memory were read back from ${server.memoryFile} in ${seconds} s`)
    }
    return arena
  }

  /**
   * A node of a tier leaves only what it may find again: when it has stepped aside for that, and then however it is stopped. Anything
   * else of a tier is handed over, or lost.
   */
  async #leave(graceful: boolean): Promise<void> {
    const { server, tier, log } = this.#options
    if (server.memoryFile === null) return
    if (!tier) {
      if (graceful) this.#save(null)
      return
    }
    const isWanted = graceful || this.#member?.leavesMemory === true
    const owner = (await this.#member?.leave()) ?? 'it is in no tier yet'
    if (typeof owner === 'object') this.#save(owner)
    else if (isWanted) log.warn(`nothing is left in ${server.memoryFile}: ${owner}`)
  }

  #save(owner: MemoryOwner | null): void {
    const { server, log } = this.#options
    if (server.memoryFile === null || !this.#memory) return
    const engine = new Engine(this.#memory, this.#memory.options.threads)
    // A page that is half moved would be nobody's.
    while (engine.pages.isMoving && engine.pages.moveSlice(SAVE_SLICE) !== 'rest') {}
    const problem = saveMemory(this.#memory, server.memoryFile, Date.now() / 1000, VERSION_TEXT, owner)
    if (problem !== null) log.warn(problem)
    else log.info(`what was held is in ${server.memoryFile}`)
  }

  #reload(): void {
    if (this.#stopping) return
    const { server, log } = this.#options
    const auth = server.authFile === null ? null : readAuthFile(server.authFile)
    const refused = server.tls ? this.#commands?.refreshCertificates(() => {}) : null
    if (auth?.ok) this.#tellAll({ type: 'credentials', credentials: auth.credentials })
    else if (auth) log.warn(`${auth.sentence}: the users stay as they were`)
    if (refused) log.warn(`${refused}: the certificates stay as they were`)
    log.info('users and certificates were read again')
  }

  #certificates(): TlsFiles {
    const { tls } = this.#options.server
    return tls ? readTlsFiles(tls) : { ok: false, sentence: 'there is no TLS here' }
  }

  #processCommands(engine: Engine): ProcessCommands {
    const reader = new LogReader(engine.arena)
    this.#watchers = new Watchers({ engine, reader, bufferBytes: this.#options.server.watcherLogBytes })
    const { log } = this.#options
    const trace = (words: string) => {
      // The verbosity command goes to 2 at most, as memcached's does: there is no way back.
      if (engine.verbosity() < TRACED_FROM) return false
      log.trace(words)
      return true
    }
    if (engine.verbosity() >= TRACED_FROM) this.#watchers.overhear(TRACED, trace)
    return new ProcessCommands({
      watchers: this.#watchers,
      planes: () => this.#threads.length,
      post: (plane, message) => this.#threads[plane]!.port.post(message),
      certificates: () => this.#certificates(),
      // As memcached does; who started the node decides what the signals mean.
      shutdown: graceful => process.kill(process.pid, graceful ? 'SIGUSR1' : 'SIGINT'),
    })
  }

  #tellAll(message: ToData): void {
    for (const { port } of this.#threads) port.post(message)
  }

  #fail(sentence: string): void {
    if (this.#stopping || this.#fatalSentence !== null) return
    this.#fatalSentence = sentence
    this.#fatal?.(sentence)
  }

  // --- data planes

  #facts(): Omit<Facts, 'port' | 'backlog' | 'now' | 'certificatesAt'> {
    const { server } = this.#options
    const { threads, maxConnections, dumps, lru } = server
    return {
      ...{ server, version: VERSION_TEXT, loop: this.#loop, udpPort: this.#udpPort, threads, maxConnections },
      ...{ startedAt: this.#startedAt, dumps, tracksSizes: lru.tracksSizes },
    }
  }

  async #startThreads(arena: Arena, kind: LoopPick, incarnation: string): Promise<{ ports: Listening; ears: Ears }> {
    const { server, tier } = this.#options
    const shared = server.threads > 1
    const identity = { id: tier?.nodeId ?? 'alone', incarnation }
    const auth = server.authFile === null ? null : readAuthFile(server.authFile)
    if (auth && !auth.ok) throw new Error(auth.sentence)
    const files = server.tls ? readTlsFiles(server.tls) : null
    if (files && !files.ok) throw new Error(files.sentence)
    const listen = await this.#places(shared, files?.tls ?? null)
    const options: DataPlaneOptions = {
      listen,
      dataListen: tier ? { host: tier.peerHost, port: tier.peerPort === 0 ? 0 : tier.peerPort + 1, shared } : null,
      identity,
      secret: tier?.secret ?? null,
      maxConnections: server.maxConnections,
      connections: new Int32Array(new SharedArrayBuffer(4)),
      idleTimeoutSec: server.idleTimeoutSec,
      reqsPerEvent: server.reqsPerEvent,
      credentials: auth?.credentials ?? null,
      watch: server.watch,
      fence: tier ? this.#fence.words : null,
      dumps: server.dumps,
      shutdown: server.shutdown,
      tracksSizes: server.lru.tracksSizes,
      facts: this.#facts(),
    }
    // Before TCP: whoever is let in there finds the other port open.
    const udp = server.udp.length > 0 ? await this.#startDatagrams(arena, options) : []
    this.#udpPort = udp[0]?.port ?? 0
    options.facts = this.#facts()
    // The permissions of a unix socket's file are right from its first moment on.
    const mask = server.unix ? process.umask(~server.unix.mode & 0o777) : null
    const ports = await this.#startThread(arena, kind, 0, options).finally(() => {
      if (mask !== null) process.umask(mask)
    })
    if (server.unix) this.#unix = { path: server.unix.path, identity: unixPathIdentity(server.unix.path) }
    const { dataListen } = options
    const second = {
      ...options,
      listen: listen.map((place, i) => joined(place, kind, ports.clients[i]!)),
      dataListen: dataListen && joined(dataListen, kind, { port: ports.dataPort, fd: ports.dataFd }),
    }
    const others = Array.from({ length: server.threads - 1 }, (_, i) => this.#startThread(arena, kind, i + 1, second))
    await Promise.all(others)
    const tcp = listen.flatMap(({ host, path }, i) =>
      path === undefined ? [{ host, port: ports.clients[i]!.port }] : [],
    )
    return { ports, ears: { tcp, udp, unix: server.unix } }
  }

  /** Datagrams have a thread of their own, always on the net loop: they are rare, and epoll's threads are not slowed. */
  async #startDatagrams(arena: Arena, options: DataPlaneOptions): Promise<Address[]> {
    const { server } = this.#options
    const places = await addressed(server.udp)
    const listen = places.map(({ host, port }) => ({ host, port, udp: true, ipv6Only: true }))
    const { clients } = await this.#startThread(arena, 'net', server.threads, { ...options, listen, dataListen: null })
    return listen.map(({ host }, i) => ({ host, port: clients[i]!.port }))
  }

  /** Every place as the loops want it: names looked up, the way of a unix socket free. */
  async #places(shared: boolean, tls: TlsSettings | null): Promise<ListenOptions[]> {
    const { listen, unix, backlog } = this.#options.server
    const places: ListenOptions[] = (await addressed(listen)).map(({ host, port, isPlain }) => ({
      ...{ host, port, backlog, shared, ipv6Only: true },
      ...(tls && !isPlain ? { tls } : {}),
    }))
    if (!unix) return places
    const problem = await freeUnixPath(unix.path)
    if (problem !== null) throw new Error(problem)
    return [...places, { host: '', port: 0, path: unix.path, backlog, shared }]
  }

  #startThread(arena: Arena, loop: LoopPick, thread: number, options: DataPlaneOptions): Promise<Listening> {
    const { port1, port2 } = new MessageChannel()
    const { port, shared, close } = joint(port1, loop)
    const workerData: WorkerData = { arena, thread, loop, shared, port: port2, options }
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData,
      transferList: [port2],
      // What a request allocates dies young; a larger nursery would only be memory of the node.
      resourceLimits: { maxYoungGenerationSizeMb: 3 },
    })
    let hasStopped = () => {}
    const stopped = new Promise<void>(resolve => {
      hasStopped = resolve
    })
    const entry: Thread = { worker, port, forControl: null, stopped, close }
    const plane = this.#threads.push(entry) - 1
    return new Promise((resolve, reject) => {
      worker.on('error', error => {
        reject(error)
        this.#fail(`worker thread ${thread} failed: ${error instanceof Error ? error.stack : String(error)}`)
      })
      worker.on('exit', () => {
        hasStopped()
        this.#fail(`worker thread ${thread} ended`)
      })
      port.onMessage = message => {
        if (message.type === 'listening') resolve(message)
        else if (message.type === 'failed') reject(new Error(message.sentence))
        else if (message.type === 'stopped') hasStopped()
        else if (message.type === 'say') this.#options.log.debug(message.sentence, message.level)
        else if (message.type === 'crawl') this.#maintainer?.crawl(message.classes)
        else if (message.type === 'pages') this.#pageMover?.wake()
        else if (!this.#commands?.onMessage(plane, message)) entry.forControl?.(message)
      }
    })
  }
}

/** A worker as the control plane sees it. */
function controlPort(thread: Thread): ControlPort {
  const port: ControlPort = { post: message => thread.port.post(message), onMessage() {} }
  thread.forControl = message => port.onMessage(message)
  return port
}

/** A thread whose loop blocks hears of messages by a descriptor, and of most of them by shared memory. */
function joint(port: MessagePort, loop: LoopPick): Joint {
  if (loop === 'net') return { port: eventPort<ToData, ToControl>(port), shared: null, close: () => port.close() }
  const [toControl, toData] = [createWay(), createWay()]
  const waker = createWaker()
  const ways = { out: toData, in: toControl, outForm: toDataForm, inForm: toControlForm }
  const own = new SharedPort<ToData, ToControl>({ port, ...ways, wake: waker.wake })
  const bell = createBell(() => own.take())
  const close = () => {
    port.close()
    bell.close()
  }
  return { port: own, shared: { wakeFd: waker.fd, bellFd: bell.fd, toControl, toData }, close }
}

/** A name may mean several addresses: each is a place. */
async function addressed(places: readonly ListenPlace[]): Promise<ListenPlace[]> {
  const all = await Promise.all(places.map(({ host }) => addressesOf(host)))
  return places.flatMap((place, i) => all[i]!.map(host => ({ ...place, host })))
}

/** The same place for another thread: by the port, or by the descriptor where a port cannot be bound twice. */
function joined(place: ListenOptions, kind: LoopPick, { port, fd }: Opened): ListenOptions {
  const byDescriptor = (kind === 'net' || place.path !== undefined) && fd !== undefined
  return byDescriptor ? { ...place, fd } : { ...place, port, shared: true, joins: true }
}
