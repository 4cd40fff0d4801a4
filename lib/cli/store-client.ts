/** The topology store as the commands like it: promises, and sentences thrown. Control plane only, on Node's own loop. */
import { EmbeddedClient } from '../tier/embedded-client.js'
import { type NodeStatus, parseStoreUrl, type TopologyStore, type Versioned } from '../tier/store.js'
import type { Topology } from '../tier/topology.js'
import type { Outcome } from '../tier/wishes.js'
import type { Loop } from '../transport/loop.js'
import { createNetLoop } from '../transport/net.js'
import { Sentence } from './output.js'
import { type TierView, tierView } from './tier-view.js'

const ANSWER_MS = 3000
const PAUSE_MS = 200

export class StoreClient {
  readonly #loop: Loop
  readonly #store: TopologyStore

  constructor(url: string, secret: string | null) {
    const parsed = parseStoreUrl(url)
    if (!parsed.ok) throw new Sentence(parsed.sentence)
    this.#loop = createNetLoop({ memory: new Uint8Array(0) })
    const self = { id: 'cli', incarnation: String(process.pid) }
    this.#store = new EmbeddedClient({ loop: this.#loop, url: parsed.url, secret, self, requestTimeoutMs: ANSWER_MS })
  }

  read(): Promise<Versioned> {
    return new Promise((resolve, reject) =>
      this.#store.read((error, value) => (value ? resolve(value) : reject(new Sentence(error ?? 'no document')))),
    )
  }

  statuses(): Promise<Map<string, NodeStatus>> {
    return new Promise((resolve, reject) =>
      this.#store.statuses((error, live) => (error === null ? resolve(live) : reject(new Sentence(error)))),
    )
  }

  compareAndSet(revision: number, topology: Topology): Promise<boolean> {
    return new Promise((resolve, reject) =>
      this.#store.compareAndSet(revision, topology, (error, done) =>
        error === null ? resolve(done) : reject(new Sentence(error)),
      ),
    )
  }

  /** Writes a wish; somebody else's write in between means: ask it again of what stands there now. Throws why it is refused. */
  async wish<T>(asked: (topology: Topology) => Outcome<T>): Promise<{ topology: Topology | null } & T> {
    for (;;) {
      const { revision, topology } = await this.read()
      const outcome = asked(topology)
      if (!outcome.ok) throw new Sentence(outcome.sentence)
      if (outcome.topology === null || (await this.compareAndSet(revision, outcome.topology))) return outcome
    }
  }

  async look(): Promise<TierView> {
    const [value, live] = await Promise.all([this.read(), this.statuses()])
    return tierView(value, live)
  }

  /** Looks again and again until `isDone`. A store that is away is waited for this long: it may be starting again. */
  async lookUntil(
    patienceMs: number,
    isDone: (view: TierView) => boolean,
    seen?: (view: TierView) => void,
  ): Promise<TierView> {
    let lostAt: number | null = null
    for (;;) {
      try {
        const view = await this.look()
        lostAt = null
        seen?.(view)
        if (isDone(view)) return view
      } catch (error) {
        lostAt ??= this.#loop.now()
        if (this.#loop.now() - lostAt >= patienceMs) throw error
      }
      await this.pause(PAUSE_MS)
    }
  }

  pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      this.#loop.setTimer(ms, resolve)
    })
  }

  close(): void {
    this.#store.close()
    this.#loop.stop()
  }
}
