/** A hint log on a disk in memory, and beside it what it must know: for tests and for histories from a seed. */
import { strict as assert } from 'node:assert'
import { decodeRecord, encodeRecord } from '../../lib/engine/record.js'
import { type FoundHint, HintLog, type HintLogOptions } from '../../lib/handoff/hint-log.js'
import { MemoryDisk } from './memory-disk.js'

export const START_MS = 1_800_000_000_000

export interface Hint {
  key: string
  /** null: a tombstone. */
  value: string | null
  version: bigint
  toLiveSec?: number
}

export function recordOf({ key, value, version, toLiveSec }: Hint): Uint8Array {
  const bytes = value === null ? null : Buffer.from(value)
  const rest = { flags: 0, toLiveSec: toLiveSec ?? null, fetched: false, active: false }
  return encodeRecord({ key: Buffer.from(key), value: bytes, version, ...rest })
}

/** A log whose disk does everything at once when asked to. */
export class Bench {
  readonly disk: MemoryDisk
  readonly events: string[] = []
  readonly options: Partial<HintLogOptions>
  nowMs = START_MS
  log!: HintLog

  constructor(random: () => number, options: Partial<HintLogOptions> = {}) {
    this.disk = new MemoryDisk(random)
    this.options = options
    this.open()
  }

  open(): void {
    let opened: HintLog | null = null
    const options: HintLogOptions = {
      ...{ disk: this.disk, tier: 'test', seed: Buffer.from('seed'), wallClock: () => this.nowMs },
      ...{ onEvent: (sentence: string) => this.events.push(sentence), ...this.options },
    }
    HintLog.open(options, (log, problem) => {
      assert.equal(problem, null)
      opened = log
    })
    this.disk.settle()
    assert(opened, 'opening ends')
    this.log = opened
  }

  /** What `done` said; undefined: nothing yet. */
  append(home: number, hint: Hint, generation = 8): { failure?: string | null } {
    const said: { failure?: string | null } = {}
    this.log.append(home, { generation, record: recordOf(hint) }, failure => {
      said.failure = failure
    })
    return said
  }

  /** The same, on the disk at once. */
  put(home: number, hint: Hint, generation = 8): void {
    const said = this.append(home, hint, generation)
    this.disk.settle()
    assert.equal(said.failure, null)
  }

  find(key: string): FoundHint | null {
    return this.log.find(Buffer.from(key))
  }

  /** The value; 'deleted', 'handed', 'lost', or 'unknown'. */
  look(key: string): string {
    const found = this.find(key)
    if (found?.state !== 'held') return found?.state ?? 'unknown'
    const answer: { record?: Uint8Array | null; problem?: string | null } = {}
    this.log.read(Buffer.from(key), (record, problem) => Object.assign(answer, { record, problem }))
    this.disk.settle()
    if (answer.problem) return 'lost'
    const value = decodeRecord(answer.record!).value
    return value ? Buffer.from(value).toString() : 'deleted'
  }

  replay(home: number, max = 10): string[] {
    const seen: string[] = []
    for (let from = 0, end = false; !end; ) {
      this.log.replay(home, from, max, part => {
        assert(part.hints.length <= max)
        for (const { key, record } of part.hints) {
          const value = decodeRecord(record).value
          seen.push(`${Buffer.from(key)}=${value ? Buffer.from(value) : 'deleted'}`)
        }
        from = part.next
        end = part.end
      })
      this.disk.settle()
    }
    return seen
  }
}
