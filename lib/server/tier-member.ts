/**
 * A node's part in a tier, in the main thread: what it remembers on its disk, its control plane, its membership. Loaded by a node that
 * joins one; a node alone starts without the code of handoff.
 */
import { join } from 'node:path'
import type { Engine } from '../engine/engine.js'
import { LoggedHints } from '../handoff/logged-hints.js'
import { dropAll } from '../handoff/warm-start.js'
import { EmbeddedClient } from '../tier/embedded-client.js'
import { type MemoryOwner, ownerOf, whyNotBelieved } from '../tier/kept-memory.js'
import { Membership } from '../tier/membership.js'
import { actedBy, NodeFile } from '../tier/node-file.js'
import { parseStoreUrl } from '../tier/store.js'
import type { Topology } from '../tier/topology.js'
import { checkTopology } from '../tier/validate.js'
import type { LoopPick } from '../transport/choose.js'
import type { Address } from '../transport/loop.js'
import { createNetLoop } from '../transport/net.js'
import { ActedFile } from './acted-file.js'
import { ControlPlane } from './control-plane.js'
import type { Fence } from './fence.js'
import { type HintFiles, openHintLog } from './hint-files.js'
import type { ControlPort } from './plane.js'
import { type Facts, statsReply } from './stats-command.js'

export interface NodeTierOptions {
  storeUrl: string
  nodeId: string
  weight: number
  advertise: Address | null
  peerHost: string
  peerPort: number
  /** Where others reach `peerPort`, and at the next port the data links, if not where this node listens. */
  peerAdvertise: Address | null
  dataDir: string | null
  secret: string | null
  standby: boolean
  /** See ControlPlaneOptions. */
  migrationRate: number | null
}

export interface TierMemberOptions {
  tier: NodeTierOptions
  engine: Engine
  fence: Fence
  incarnation: string
  /** Of the workers. */
  loop: LoopPick
  /** One a worker thread, in their order. */
  dataPlanes: ControlPort[]
  /** The first host that clients were given. */
  listenHost: string
  dataPort: number
  facts: Omit<Facts, 'now'>
  /** It can leave what it holds in a file. */
  keepsMemory: boolean
  /** The life whose memory it has; null: it begins empty. */
  memoryOf: string | null
  log: { info(sentence: string): void; warn(sentence: string): void }
  /** The tier does not want this node any more. */
  onRefused(sentence: string): void
}

/** Versions that are written down before they may be given out: one disk write for so many writes of clients. */
const VERSIONS_RESERVED = 1n << 24n

/** How long the topology store may take to say whether a memory file may be believed. */
const BELIEF_MS = 5000

/** Whether a memory file of this node may be believed, as far as disk and topology store know: see whyNotBelieved. */
export async function memoryJudge(tier: NodeTierOptions): Promise<(owner: MemoryOwner | null) => string | null> {
  const url = parseStoreUrl(tier.storeUrl)
  const state = tier.dataDir === null ? null : new NodeFile(tier.dataDir).load()
  if (!url.ok) return () => url.sentence
  const loop = createNetLoop({ memory: new Uint8Array(0) })
  const self = { id: `${tier.nodeId}-memory`, incarnation: '0' }
  const store = new EmbeddedClient({ loop, url: url.url, secret: tier.secret, self, requestTimeoutMs: BELIEF_MS })
  const document = await new Promise<Topology | null>(resolve =>
    store.read((_, value) => resolve(value?.topology ?? null)),
  )
  store.close()
  loop.stop()
  return owner => whyNotBelieved(owner, tier.nodeId, state, document)
}

export class TierMember {
  readonly #options: TierMemberOptions
  #control: ControlPlane | null = null
  #membership: Membership | null = null
  #store: EmbeddedClient | null = null
  #timer: NodeJS.Timeout | null = null
  #hintsOpen: Promise<void> | null = null
  #hintFiles: HintFiles | null = null
  #newest: Topology | null = null
  /** Writes the state file; the sentence says why it could not. */
  #save: (then: (problem: string | null) => void) => void = then => then('it is in no tier yet')

  constructor(options: TierMemberOptions) {
    this.#options = options
  }

  /** Done when the first topology is in force. The port for other nodes. */
  async join(): Promise<number> {
    const { tier, engine, fence, incarnation, dataPlanes, listenHost, dataPort, facts, log } = this.#options
    const { keepsMemory, memoryOf } = this.#options
    const url = parseStoreUrl(tier.storeUrl)
    if (!url.ok) throw new Error(url.sentence)
    const file = tier.dataDir === null ? null : new NodeFile(tier.dataDir)
    const state = file?.load() ?? null
    if (state && state.id !== tier.nodeId) {
      throw new Error(`the data directory ${tier.dataDir} belongs to node "${state.id}", not to "${tier.nodeId}"`)
    }
    if (state) engine.observe(BigInt(state.versionReserved))
    let reserved = 0n
    /** What the disk has of the last document, and documents that are on their way to it: none overtakes another. */
    let known: string | null = null
    let waiting = 0
    this.#newest = state?.topology ?? null
    /** `then` comes once it is on the disk, or cannot be: then the node goes on, and a restart may find less. */
    const save = (then: (problem: string | null) => void) => {
      reserved = engine.version() + VERSIONS_RESERVED
      if (!file) return then(null)
      const written = (problem: string | null) => {
        if (problem !== null) log.warn(problem)
        then(problem)
      }
      const votes = control.keeper?.votes ?? null
      file.save(
        { id: tier.nodeId, incarnation, versionReserved: reserved.toString(), topology: this.#newest, votes },
        written,
      )
    }
    this.#save = save
    const forgot = (keys: number, why: string) =>
      log.warn(`${keys} keys that were held before the restart are dropped: ${why}`)
    const acted = tier.dataDir === null ? null : await ActedFile.open(tier.dataDir, sentence => log.warn(sentence))
    const loop = createNetLoop({ memory: new Uint8Array(0), direct: this.#options.loop !== 'net' })
    const hints = new LoggedHints()
    const identity = { id: tier.nodeId, incarnation }
    const store = new EmbeddedClient({ loop, url: url.url, secret: tier.secret, self: identity })
    this.#store = store
    const control = new ControlPlane({
      loop,
      engine,
      dataPlanes,
      identity,
      secret: tier.secret,
      migrationRate: tier.migrationRate,
      peerListen: { host: tier.peerHost, port: tier.peerPort },
      parseTopology: text => {
        const checked = checkTopology(JSON.parse(text) as unknown)
        return checked.ok ? checked.value : null
      },
      onSettled: epoch => this.#membership?.reportSettled(epoch),
      onProgress: (epoch, progress, kept) =>
        this.#membership?.setStatus({
          epoch,
          progress: progress.map(({ generation, sourceId, source: _, settled: __, ...rest }) => ({
            ...rest,
            epoch: generation,
            source: sourceId,
          })),
          hints: kept.map(({ home, keys, bytes, oldestAgeMs, state, leftOut, loss }) => ({
            ...{ home, keys, bytes, oldestAgeMs, state, leftOut },
            ...(loss ? { lost: { fromGeneration: loss.fromGeneration, why: loss.why.slice(0, 200) } } : {}),
          })),
        }),
      report: words => String(statsReply(words, engine, { ...facts, now: loop.wallClock() }) ?? ''),
      hints,
      acted,
      warm:
        memoryOf === null ? null : { onForgotten: keys => forgot(keys, 'nobody said whether there was a flush_all') },
      onFlushing: () => this.#membership?.voidKept(),
      fencing: {
        store,
        fence,
        // A file that says nothing of votes is from before there were any: nothing was promised.
        votes: state && (state.votes ?? { termMin: 0, promises: [] }),
        saveVotes: (_, done) => save(problem => done(problem === null)),
        onFenced: since => this.#membership?.reportFenced(since),
      },
      onEvent: sentence => log.info(sentence),
    })
    this.#control = control
    const peerPort = await new Promise<number>((resolve, reject) =>
      control.start(resolve, sentence => reject(new Error(sentence))),
    )
    const host = tier.advertise?.host ?? (isWildcard(listenHost) ? tier.peerHost : listenHost)
    const reached = tier.peerAdvertise
    const self = {
      id: tier.nodeId,
      host,
      port: tier.advertise?.port ?? facts.port,
      peerHost: reached?.host ?? tier.peerHost,
      peerPort: reached?.port ?? peerPort,
      dataPort: reached ? reached.port + 1 : dataPort,
      weight: tier.weight,
      incarnation,
      standby: tier.standby,
      keeps: keepsMemory && tier.dataDir !== null,
    }
    this.#timer = setInterval(() => {
      if (file && engine.version() + VERSIONS_RESERVED / 2n > reserved) save(() => {})
    }, 100)
    this.#membership = new Membership({ store, loop, self, known: state?.topology ?? null, memoryOf })
    await new Promise<void>((resolve, reject) => {
      this.#membership!.start({
        onTopology: (topology, number) => {
          this.#newest = topology
          const acting = actedBy(topology, tier.nodeId)
          control.prepare(topology, number)
          // A node acts by no topology that a restart would not know of: it could take itself for an owner that it was before.
          const isKnown = waiting === 0 && acting === known
          const keep: typeof save = isKnown ? then => then(null) : save
          waiting++
          keep(problem => {
            waiting--
            known = problem === null ? acting : null
            this.#openHints(topology.tier, hints).then(() => {
              control.setTopology(topology, number)
              control.whenBegun(resolve)
            }, reject)
          })
        },
        onRefused: sentence => {
          reject(new Error(sentence))
          this.#options.onRefused(sentence)
        },
        onForgotten: why => forgot(dropAll(engine), why),
        onError: sentence => log.warn(sentence),
      })
    })
    return peerPort
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer)
    this.#membership?.stop()
    this.#control?.stop()
    this.#store?.close()
  }

  /** It has stepped aside, and its memory is waited for. */
  get leavesMemory(): boolean {
    return typeof this.#owner() === 'object'
  }

  /**
   * Whose the memory is that this node leaves when it ends, once its disk says the same; or half a sentence why it leaves none that could be
   * believed. When it has stopped.
   */
  async leave(): Promise<MemoryOwner | string> {
    const owner = this.#owner()
    const unfinished = this.#control?.unfinished ?? null
    if (typeof owner === 'string') return owner
    if (unfinished !== null) return unfinished
    const problem = await new Promise<string | null>(resolve => this.#save(resolve))
    return problem ?? owner
  }

  #owner(): MemoryOwner | string {
    const { tier, incarnation } = this.#options
    return ownerOf(this.#newest, tier.nodeId, incarnation)
  }

  /** When nobody writes any more. */
  async closeFiles(): Promise<void> {
    await this.#hintFiles?.close()
  }

  /** Once, when the tier's name is known: a log of another tier is not believed. */
  #openHints(tier: string, hints: LoggedHints): Promise<void> {
    const { dataDir } = this.#options.tier
    this.#hintsOpen ??= (async () => {
      if (dataDir === null) return
      const onEvent = (sentence: string) => this.#options.log.warn(sentence)
      const { log, files } = await openHintLog(join(dataDir, 'hints'), { tier, onEvent })
      this.#hintFiles = files
      await new Promise<void>(resolve => hints.attach(log, resolve))
    })()
    return this.#hintsOpen
  }
}

const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::'
