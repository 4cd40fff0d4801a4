/**
 * Processes of a local tier under `continuum up`: each is this program again, tells its ports in one JSON line, logs on
 * stderr, and is started again with the same words when it dies. Ends only what it started.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Loop, Timer } from '../transport/loop.js'
import { Sentence } from './output.js'

export type Ready = Record<string, unknown>

export interface ChildOptions {
  loop: Loop
  script: string
  name: string
  /** For the next start; what the first start told may fix its ports for later ones. */
  args: string[]
  onLine(name: string, line: string): void
  onEvent(sentence: string): void
  /** It died too often to go on. */
  onGivenUp(sentence: string): void
}

const RESTART_AFTER_MS = 500
/** So many deaths in a row, each within SHORT_LIFE_MS of its start, and something is wrong that a restart does not mend. */
const SHORT_LIVES_MAX = 5
const SHORT_LIFE_MS = 5000
const STOP_MS = 5000

export class Child {
  readonly #options: ChildOptions
  args: string[]
  #process: ChildProcess | null = null
  #startedAt = 0
  #shortLives = 0
  #stopping = false
  #restart: Timer | null = null
  #lastComplaint = ''

  constructor(options: ChildOptions) {
    this.#options = options
    this.args = options.args
  }

  /** Resolves with the ready line; rejects with the child's own sentence when it ends before. */
  start(): Promise<Ready> {
    const { loop, script, name, onLine } = this.#options
    this.#startedAt = loop.now()
    // The child ends when its stdin closes: even a killed parent leaves nothing running.
    const child = spawn(process.execPath, [script, ...this.args, '--json-ready', '--with-parent'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#process = child
    lines(child.stderr).on('line', line => {
      const text = logText(line)
      this.#lastComplaint = text
      onLine(name, text)
    })
    return new Promise((resolve, reject) => {
      let ready = false
      lines(child.stdout).on('line', line => {
        if (ready) onLine(name, line)
        else {
          ready = true
          resolve(JSON.parse(line) as Ready)
        }
      })
      child.on('error', error => reject(new Sentence(`${name} could not be started (${error.message})`)))
      child.on('exit', (code, signal) => {
        if (this.#process === child) this.#process = null
        const how = signal ? `signal ${signal}` : `code ${code}`
        if (ready) this.#died(how)
        else reject(new Sentence(this.#lastComplaint || `${name} ended before it was ready (${how})`))
      })
    })
  }

  #died(how: string): void {
    const { loop, name, onEvent, onGivenUp } = this.#options
    if (this.#stopping) return
    this.#shortLives = loop.now() - this.#startedAt < SHORT_LIFE_MS ? this.#shortLives + 1 : 0
    if (this.#shortLives >= SHORT_LIVES_MAX) {
      onGivenUp(`${name} ended ${SHORT_LIVES_MAX} times in a row (${how}): giving up`)
      return
    }
    onEvent(`${name} ended (${how}), starting it again`)
    this.#restart = loop.setTimer(RESTART_AFTER_MS, () => {
      this.#restart = null
      this.start().then(
        () => onEvent(`${name} is back`),
        (error: Error) => {
          onEvent(error.message)
          this.#died('not ready')
        },
      )
    })
  }

  /** Asks it to end, insists after a while, and resolves when it is gone. */
  stop(): Promise<void> {
    this.#stopping = true
    const { loop } = this.#options
    if (this.#restart) loop.clearTimer(this.#restart)
    const child = this.#process
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
    return new Promise(resolve => {
      const insist = loop.setTimer(STOP_MS, () => child.kill('SIGKILL'))
      child.once('exit', () => {
        loop.clearTimer(insist)
        resolve()
      })
      child.kill('SIGTERM')
    })
  }
}

function lines(stream: Readable): Interface {
  return createInterface({ input: stream })
}

/** A child's log line is JSON; people want its message. */
function logText(line: string): string {
  try {
    const entry: unknown = JSON.parse(line)
    if (typeof entry === 'object' && entry !== null && 'msg' in entry) return String(entry.msg)
  } catch {
    // Not JSON: a sentence as it is.
  }
  return line.replace(/^continuum: /, '')
}
