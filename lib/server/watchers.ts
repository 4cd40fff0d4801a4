/**
 * Who watches what (PROTOCOL D11), for a whole process: reads what the threads wrote down, makes lines of it and hands
 * them to the threads where the watchers are connected. Runs beside the data planes, never in their way.
 *
 *   threads' rings -> LogReader -> lines -> per watcher: in its thread's hands, at most `bufferBytes` -> its socket
 *                                                    \-> no room: skipped, and told once there is room again
 */
import type { EngineApi } from '../engine/contract.js'
import type { LogEntry, LogReader } from '../engine/log-reader.js'
import { logLine, logWords, skippedLine } from './log-lines.js'

/** memcached's limit (PROTOCOL D2). */
export const WATCHERS_MAX = 20
/** The rings are looked at this often, ms: at once again while there is something, more and more rarely when not. */
const PAUSE_MIN_MS = 1
const PAUSE_MAX_MS = 64
/** A watcher whose buffer is nearly full gets no line longer than this, and what tells how many were skipped. */
const LINE_MAX = 2048

interface Watcher {
  readonly id: number
  readonly streams: number
  /** Sees entries above this number only. */
  readonly after: bigint
  send(lines: Buffer): void
  /** Bytes that its thread has and the socket did not take yet. */
  unsent: number
  skipped: number
  lines: string[]
  bytes: number
}

/** The process's own log. */
interface Listener {
  readonly streams: number
  take(words: string): boolean
}

export interface WatchersOptions {
  /** The control thread's own. */
  engine: EngineApi
  reader: LogReader
  /** -o watcher_logbuf_size */
  bufferBytes: number
}

export class Watchers {
  readonly #options: WatchersOptions
  readonly #watchers = new Map<number, Watcher>()
  #listener: Listener | null = null
  #lastId = 0
  #timer: NodeJS.Timeout | null = null
  #pauseMs = PAUSE_MIN_MS

  constructor(options: WatchersOptions) {
    this.#options = options
  }

  /** A number for the watcher; null: there are too many. */
  add(streams: number, send: (lines: Buffer) => void): number | null {
    if (this.#watchers.size >= WATCHERS_MAX) return null
    const { engine } = this.#options
    const id = ++this.#lastId
    const watcher = { id, streams, after: engine.logged(), send, unsent: 0, skipped: 0, lines: [], bytes: 0 }
    this.#watchers.set(id, watcher)
    engine.count('log_watchers', 1)
    engine.wantStreams(streams)
    this.#pauseMs = PAUSE_MIN_MS
    this.#schedule()
    return id
  }

  remove(id: number): void {
    if (!this.#watchers.delete(id)) return
    this.#options.engine.count('log_watchers', -1)
    this.#dropStreams()
  }

  #dropStreams(): void {
    let wanted = this.#listener?.streams ?? 0
    for (const { streams } of this.#watchers.values()) wanted |= streams
    this.#options.engine.dropStreams(STREAM_BITS & ~wanted)
  }

  /** One more who hears, without a place among the watchers, until `take` answers false. */
  overhear(streams: number, take: (words: string) => boolean): void {
    this.#listener = { streams, take }
    this.#options.engine.wantStreams(streams)
    this.#schedule()
  }

  /** The socket of a watcher took so many bytes. */
  sent(id: number, bytes: number): void {
    const watcher = this.#watchers.get(id)
    if (watcher) watcher.unsent -= bytes
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#listener) this.#readAll()
    this.#watchers.clear()
    this.#listener = null
  }

  #schedule(): void {
    if (this.#timer || (this.#watchers.size === 0 && !this.#listener)) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      const count = this.#readAll()
      this.#pauseMs = count > 0 ? PAUSE_MIN_MS : Math.min(this.#pauseMs * 2, PAUSE_MAX_MS)
      this.#schedule()
    }, this.#pauseMs)
  }

  #readAll(): number {
    const { engine, reader } = this.#options
    const count = reader.read(entry => {
      this.#tell(entry)
      let line: string | null = null
      for (const watcher of this.#watchers.values()) {
        if ((watcher.streams & entry.stream) === 0 || entry.number <= watcher.after) continue
        line ??= logLine(entry)
        this.#give(watcher, line)
      }
    })
    engine.count('log_worker_written', count)
    engine.count('log_worker_dropped', reader.dropped())
    for (const watcher of this.#watchers.values()) this.#flush(watcher)
    return count
  }

  #tell(entry: LogEntry): void {
    if (!this.#listener || (this.#listener.streams & entry.stream) === 0) return
    if (this.#listener.take(logWords(entry))) return
    this.#listener = null
    this.#dropStreams()
  }

  #give(watcher: Watcher, line: string): void {
    const { engine, bufferBytes } = this.#options
    const waiting = watcher.unsent + watcher.bytes
    if (waiting > 0 && waiting + line.length + LINE_MAX > bufferBytes) {
      watcher.skipped++
      engine.count('log_watcher_skipped', 1)
      return
    }
    const lines = watcher.skipped > 0 ? skippedLine(watcher.skipped) + line : line
    watcher.skipped = 0
    watcher.lines.push(lines)
    watcher.bytes += lines.length
    engine.count('log_watcher_sent', 1)
  }

  #flush(watcher: Watcher): void {
    if (watcher.bytes === 0) return
    const bytes = Buffer.from(watcher.lines.join(''), 'latin1')
    watcher.lines = []
    watcher.unsent += bytes.length
    watcher.bytes = 0
    watcher.send(bytes)
  }
}

/** All that `watch` can ask for; figures by prefix are somebody else's. */
const STREAM_BITS = 0xffff
