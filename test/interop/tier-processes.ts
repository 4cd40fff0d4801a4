/** A tier of real processes for tests: coordinator and nodes that can be killed and started again on their ports and folders. */
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { StoreClient } from '../../lib/cli/store-client.js'
import type { TierView } from '../../lib/cli/tier-view.js'
import { continuum, type Started, temporaryFolder } from './processes.js'

const HOST = '127.0.0.1'
/** How long a store that was killed may be away before looking at it is given up, ms. */
const PATIENCE_MS = 60_000

export class TierProcesses {
  readonly #folder = temporaryFolder()
  readonly #running = new Map<string, Started>()
  /** Client ports, by id; a node that is started again takes its old one. */
  readonly ports = new Map<string, number>()
  #store: StoreClient | null = null
  #storePort = 0

  get storeUrl(): string {
    return `embedded://${HOST}:${this.#storePort}`
  }

  async coordinator(...more: string[]): Promise<void> {
    const listen = `${HOST}:${this.#storePort}`
    const ready = await this.#start('coordinator', [
      ...['coordinator', '--listen', listen, '--data-dir', join(this.#folder.path, 'coordinator')],
      ...more,
    ])
    this.#storePort = Number(ready.port)
    this.#store ??= new StoreClient(this.storeUrl, null)
  }

  async node(id: string, ...more: string[]): Promise<void> {
    const ready = await this.#start(id, this.nodeArguments(id, ...more))
    this.ports.set(id, Number(ready.clientPort))
  }

  /** As `node`, by the very same command as before, with -p 0: its data directory knows the port. */
  async sameNode(id: string, ...more: string[]): Promise<void> {
    this.ports.delete(id)
    await this.node(id, ...more)
  }

  nodeArguments(id: string, ...more: string[]): string[] {
    return [
      ...['server', '-p', String(this.ports.get(id) ?? 0), '-l', HOST, '-m', '128', '-t', '2'],
      ...['--join', this.storeUrl, '--node-id', id, '--data-dir', join(this.#folder.path, id), ...more],
    ]
  }

  /** SIGKILL: nothing is said, nothing is finished. */
  async kill(id: string): Promise<void> {
    await this.#running.get(id)?.stop('SIGKILL')
    this.#running.delete(id)
  }

  /** SIGTERM, and its end. */
  async end(id: string): Promise<void> {
    await this.#running.get(id)?.stop('SIGTERM')
    this.#running.delete(id)
  }

  /** What it has printed, while it runs. */
  output(id: string): string {
    return this.#running.get(id)?.output() ?? ''
  }

  signal(id: string, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#running.get(id)?.child.kill(signal)
  }

  /** One command on a connection of its own: its answer, or nothing when none came within `limitMs`, or the connection was closed. */
  askOnce(id: string, command: string, limitMs = 5000): Promise<string> {
    return new Promise(resolve => {
      const socket = connect(this.ports.get(id)!, HOST)
      let text = ''
      const done = () => {
        clearTimeout(limit)
        socket.destroy()
        resolve(text)
      }
      const limit = setTimeout(done, limitMs)
      socket.on('data', bytes => {
        text += bytes.toString('latin1')
        if (/(^|\r\n)(END|STORED|VERSION .*|[A-Z]+_ERROR .*)\r\n$/.test(text)) done()
      })
      socket.on('error', () => {})
      socket.on('close', done)
      socket.write(command)
    })
  }

  until(isDone: (view: TierView) => boolean): Promise<TierView> {
    if (!this.#store) throw new Error('no coordinator yet')
    return this.#store.lookUntil(PATIENCE_MS, isDone)
  }

  async stop(): Promise<void> {
    this.#store?.close()
    await Promise.all([...this.#running.values()].map(one => one.stop('SIGKILL')))
    this.#folder.remove()
  }

  async #start(id: string, args: string[]): Promise<Record<string, unknown>> {
    const started = continuum(...args, '--json-ready')
    this.#running.set(id, started)
    // The log is JSON as well.
    const [line] = await started.until(/^\{(?!"level").*\}$/m)
    return JSON.parse(line) as Record<string, unknown>
  }
}

/** One connection; a request at a time. */
export class TextClient {
  readonly #socket: Socket
  #text = ''
  #marks = 0
  #waiting: { complete(text: string): boolean; resolve(text: string): void; reject(error: Error): void } | null = null

  constructor(port: number) {
    this.#socket = connect(port, HOST)
    this.#socket.setNoDelay(true)
    this.#socket.on('data', bytes => {
      this.#text += bytes.toString('latin1')
      this.#look()
    })
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => this.#waiting?.reject(new Error('the connection was closed')))
  }

  /** Sends many commands at once; resolves with their answers, up to that of the miss that is asked for behind them. */
  async all(commands: string): Promise<string> {
    const mark = `O${++this.#marks}`
    const end = `EN ${mark}\r\n`
    const text = await this.#ask(`${commands}mg the-end-of-it ${mark}\r\n`, answer => answer.endsWith(end))
    return text.slice(0, -end.length)
  }

  /** Values of the keys that were found. */
  async read(keys: string[]): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    for (let at = 0; at < keys.length; at += 100) {
      const part = keys.slice(at, at + 100)
      const text = await this.#ask(`get ${part.join(' ')}\r\n`, answer =>
        /(^|\r\n)(END|[A-Z]+_ERROR .*)\r\n$/.test(answer),
      )
      if (!text.endsWith('END\r\n')) throw new Error(`unexpected answer: ${text.slice(-200)}`)
      for (const [, key, value] of text.matchAll(/VALUE (\S+) \d+ \d+\r\n(.*)\r\n/g)) found.set(key!, value!)
    }
    return found
  }

  close(): void {
    this.#socket.destroy()
  }

  #ask(sent: string, complete: (text: string) => boolean): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting = { complete, resolve, reject }
      this.#socket.write(sent)
    })
  }

  #look(): void {
    const waiting = this.#waiting
    if (!waiting?.complete(this.#text)) return
    this.#waiting = null
    const text = this.#text
    this.#text = ''
    waiting.resolve(text)
  }
}
