/** Child processes of an experiment: each tells its ports in a JSON line or opens a port; each is ended by its own id, on every way out. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { removeAtExit } from './leftovers.js'

export const CONTINUUM = fileURLToPath(new URL('../bin/continuum.js', import.meta.url))

/** Of what a child printed, for the sentence when it ends early. */
const OUTPUT_CHARS_MAX = 4000
const STOP_MS = 5000

/** Killed when this process ends, on whatever way that it hears of, unless it has ended before. */
export function endsWithUs(child: ChildProcess): void {
  const hasEnded = removeAtExit(() => child.kill('SIGKILL'))
  child.on('close', hasEnded)
}

export class Process {
  readonly #child: ChildProcess
  readonly #name: string
  readonly #ended: Promise<void>
  #output = ''
  #stopping = false
  /** Somebody waits for it to be ready, and is told why it will not be. */
  #awaited = false

  /** `log`: a file that everything it prints is added to. */
  constructor(name: string, command: string, args: string[], log: string | null = null) {
    this.#name = name
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    endsWithUs(child)
    const hear = (bytes: Buffer) => {
      this.#output = (this.#output + bytes.toString()).slice(-OUTPUT_CHARS_MAX)
      if (log !== null) appendFileSync(log, bytes)
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    this.#ended = new Promise(resolve => {
      child.on('error', error => {
        this.#output += error.message
        resolve()
      })
      child.on('close', (code, signal) => {
        if (!this.#stopping && !this.#awaited)
          process.stderr.write(`${name} ended (${signal ?? code}): ${this.#output.trim()}\n`)
        resolve()
      })
    })
  }

  /** The program's own command line; resolves with what its ready line says. */
  static async continuum(
    name: string,
    args: string[],
    log: string | null = null,
  ): Promise<[Process, Record<string, unknown>]> {
    const child = new Process(name, process.execPath, [CONTINUUM, ...args, '--json-ready'], log)
    return [child, await child.ready()]
  }

  /** What the ready line of `--json-ready` says. */
  async ready(): Promise<Record<string, unknown>> {
    // Lines of its log are JSON as well.
    return JSON.parse(await this.#line(/^\{(?!"level").*\}$/m)) as Record<string, unknown>
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Resolves when all its threads stand still, which on a busy machine they do some time after the signal. */
  async pause(): Promise<void> {
    this.#child.kill('SIGSTOP')
    while (process.platform === 'linux' && !isStopped(this.pid)) await new Promise(resolve => setTimeout(resolve, 1))
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  /** Nothing is said and nothing finished. */
  kill(): Promise<void> {
    this.#stopping = true
    this.#child.kill('SIGKILL')
    return this.#ended
  }

  /** `patienceMs`: what takes longer is killed. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', patienceMs = STOP_MS): Promise<void> {
    this.#stopping = true
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const insist = setTimeout(() => this.#child.kill('SIGKILL'), patienceMs)
    this.#child.kill(signal)
    await this.#ended
    clearTimeout(insist)
  }

  #line(pattern: RegExp): Promise<string> {
    this.#awaited = true
    return new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(this.#output)
        if (!match) return
        this.#child.stdout?.off('data', look)
        this.#awaited = false
        resolve(match[0])
      }
      this.#child.stdout?.on('data', look)
      this.#ended.then(() => reject(new Error(`${this.#name} ended before it was ready: ${this.#output.trim()}`)))
      look()
    })
  }

  /** Resolves when somebody listens there. */
  async listens(port: number): Promise<void> {
    this.#awaited = true
    let isOver = false
    this.#ended.then(() => {
      isOver = true
    })
    while (!(await answers(port))) {
      if (isOver) throw new Error(`${this.#name} ended before it listened: ${this.#output.trim()}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    this.#awaited = false
  }
}

function isStopped(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`)
  return threads.every(thread => /\) T /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')))
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}
