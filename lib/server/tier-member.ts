/**
 * A node's part in a tier, in the main thread: what it remembers on its disk, its control plane, its membership. Loaded by a node that
 * joins one; a node alone starts without the code of handoff.
 */
import { join } from 'node:path'
import type { Engine } from '../engine/engine.js'
import { LoggedHints } from '../handoff/logged-hints.js'
import { EmbeddedClient } from '../tier/embedded-client.js'
import { Membership } from '../tier/membership.js'
import { NodeFile } from '../tier/node-file.js'
import { parseStoreUrl } from '../tier/store.js'
import type { Topology } from '../tier/topology.js'
import { checkTopology } from '../tier/validate.js'
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
  loop: 'net' | 'epoll'
  /** One a worker thread, in their order. */
  dataPlanes: ControlPort[]
  /** The first host that clients were given. */
  listenHost: string
  dataPort: number
  facts: Omit<Facts, 'now'>
  log: { info(sentence: string): void; warn(sentence: string): void }
  /** The tier does not want this node any more. */
  onRefused(sentence: string): void
}

/** Versions that are written down before they may be given out: one disk write for so many writes of clients. */
const VERSIONS_RESERVED = 1n << 24n

export class TierMember {
  readonly #options: TierMemberOptions
  #control: ControlPlane | null = null
  #membership: Membership | null = null
  #store: EmbeddedClient | null = null
  #timer: NodeJS.Timeout | null = null
  #hintsOpen: Promise<void> | null = null
  #hintFiles: HintFiles | null = null

  constructor(options: TierMemberOptions) {
    this.#options = options
  }

  /** Done when the first topology is in force. The port for other nodes. */
  async join(): Promise<number> {
    const { tier, engine, fence, incarnation, dataPlanes, listenHost, dataPort, facts, log } = this.#options
    const url = parseStoreUrl(tier.storeUrl)
    if (!url.ok) throw new Error(url.sentence)
    const file = tier.dataDir === null ? null : new NodeFile(tier.dataDir)
    const state = file?.load() ?? null
    if (state && state.id !== tier.nodeId) {
      throw new Error(`the data directory ${tier.dataDir} belongs to node "${state.id}", not to "${tier.nodeId}"`)
    }
    if (state) engine.observe(BigInt(state.versionReserved))
    let reserved = 0n
    let newest: Topology | null = state?.topology ?? null
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
        { id: tier.nodeId, incarnation, versionReserved: reserved.toString(), topology: newest, votes },
        written,
      )
    }
    const acted = tier.dataDir === null ? null : await ActedFile.open(tier.dataDir, sentence => log.warn(sentence))
    const loop = createNetLoop({ memory: new Uint8Array(0), direct: this.#options.loop === 'epoll' })
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
    }
    this.#timer = setInterval(() => {
      if (file && engine.version() + VERSIONS_RESERVED / 2n > reserved) save(() => {})
    }, 100)
    this.#membership = new Membership({ store, loop, self, known: state?.topology ?? null })
    await new Promise<void>((resolve, reject) => {
      this.#membership!.start({
        onTopology: (topology, number) => {
          newest = topology
          // A node acts by no topology that a restart would not know of: it could take itself for an owner that it was before.
          save(() => {
            this.#openHints(topology.tier, hints).then(() => {
              control.setTopology(topology, number)
              resolve()
            }, reject)
          })
        },
        onRefused: sentence => {
          reject(new Error(sentence))
          this.#options.onRefused(sentence)
        },
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
