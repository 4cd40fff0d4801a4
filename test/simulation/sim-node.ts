/**
 * A simulated node: its store, its handoff, and the real hint log (lib/handoff/hint-log.ts) on a disk in memory that may lose
 * its power, be full, or fail. Its wall clock is its own.
 */
import type { Handoff } from '../../lib/handoff/handoff.js'
import { HintLog } from '../../lib/handoff/hint-log.js'
import type { HintDone } from '../../lib/handoff/hint-writer.js'
import type { Hints } from '../../lib/handoff/hints.js'
import { LoggedHints } from '../../lib/handoff/logged-hints.js'
import { MemoryDisk } from '../handoff/memory-disk.js'
import { ModelStore } from './model-store.js'

/** Of simulated wall clocks at the first step, ms since 1970; one step takes so many ms of them. */
const START_MS = 1_800_000_000_000
export const STEP_MS = 40

const SMALL_LIMITS = { segmentBytesMax: 600 }

export interface Ticket {
  go(): void
  refuse(reason: string): void
}

/** Tells which notes it has acknowledged, and which count no more: what was given away may come back by another, as any other value. */
class WatchedHints extends LoggedHints {
  constructor(
    readonly watch: (key: string, done: HintDone) => HintDone,
    readonly buried: (key: string) => void,
  ) {
    super()
  }

  override bury(key: Uint8Array, tombstone: Uint8Array, done: HintDone): void {
    this.buried(Buffer.from(key).toString('latin1'))
    super.bury(key, tombstone, done)
  }

  override note(home: number, key: Uint8Array, generation: number, record: Uint8Array, done: HintDone): void {
    super.note(home, key, generation, record, this.watch(Buffer.from(key).toString('latin1'), done))
  }
}

export class SimNode {
  store = new ModelStore()
  handoff!: Handoff
  hints!: LoggedHints
  log: HintLog | null = null
  incarnation = 0
  /** Counts lives that ended by being declared away. */
  session = 0
  alive = false
  paused = false
  /** Generation in which it stepped aside, to leave its memory in a file; 0: it did not. */
  keptSince = 0
  /** Its memory is in that file, for its next life. */
  isWarm = false
  /** While away or about to be: when it comes back. */
  backAt = 0
  /** Until then everything it does takes longer. */
  slowUntil = 0
  lastTicket = 0
  readonly tickets = new Map<number, Ticket>()
  /** Declared away, it knows the generation that says so before it answers again (fencing). */
  mustKnow = 0
  heldForEpoch: { epoch: number; run: () => void }[] = []
  /** On its disk, written and synced before a picture is given to handoff: the newest generation that any life knew. */
  acted: number | null = null
  readonly disk: MemoryDisk
  /** A loss of power takes what was not synced, unless every entry is. */
  readonly fsync: 'always' | 'never'
  /** Version of the newest write of each key that the log has acknowledged. */
  readonly #noted = new Map<string, bigint>()

  constructor(
    readonly number: number,
    random: () => number,
    private readonly now: () => number,
    /** How far its wall clock is off, ms. */
    public skewMs: number,
  ) {
    this.disk = new MemoryDisk(random)
    this.fsync = random() < 0.5 ? 'always' : 'never'
  }

  wallMs(): number {
    return START_MS + this.now() * STEP_MS + this.skewMs
  }

  /** A new life: the disk is as it was left, and memory is empty unless the last life left it in a file. */
  begin(onEvent: (sentence: string) => void): Hints {
    this.incarnation++
    this.alive = true
    if (!this.isWarm) this.store = new ModelStore(() => Math.floor(this.wallMs() / 1000))
    this.tickets.clear()
    this.heldForEpoch = []
    this.#noted.clear()
    this.log = null
    const watch = (key: string, done: HintDone): HintDone => {
      const { version } = this.store.items.get(key)!
      return failure => {
        if (failure === null) this.#noted.set(key, version)
        done(failure)
      }
    }
    this.hints = new WatchedHints(watch, key => this.#noted.delete(key))
    const seed = Buffer.from(`seed ${this.number} ${this.incarnation}`)
    const { disk, fsync, hints } = this
    const wallClock = () => this.wallMs()
    const options = { disk, tier: 'simulated', seed, wallClock, onEvent, fsync, limits: SMALL_LIMITS }
    HintLog.open(options, (log, problem) => {
      if (log) {
        this.log = log
        hints.attach(log, () => {})
      } else onEvent(String(problem))
    })
    disk.settle()
    return hints
  }

  /** The process, or the machine, ends. */
  crash(power: boolean): void {
    this.alive = false
    this.disk.crash(power && this.fsync === 'always')
  }

  /** Would a later life of this node know the write that memory holds of the key? Not from a log that lost something since. */
  isSafe(name: string): boolean {
    const held = this.store.items.get(name)
    if (!held || this.#noted.get(name) !== held.version) return false
    const key = Buffer.from(name, 'latin1')
    if (this.hints.find(key) < 0) return false
    const { log, hints } = this
    return log?.homes().some(home => !hints.isVoid(home) && log.has(home, key, held.version)) ?? false
  }

  /** Homes whose log at this node lacks something. */
  voidHomes(): number[] {
    return this.log?.losses().map(({ home }) => home) ?? []
  }
}
