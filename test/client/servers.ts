/**
 * Real servers for the client's tests: memcached of Debian, a node of ours, and a tier with a router in front of it; each a
 * process that can be killed, paused and started again on its port.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { continuum, freePort, has, type Started, start } from '../interop/processes.js'
import { TierProcesses } from '../interop/tier-processes.js'

export const HOST = '127.0.0.1'
export const hasMemcached = has('memcached')
/** Why tests with memcached are skipped; false: they run. */
export const withoutMemcached = hasMemcached ? false : 'memcached is not installed'

interface Test {
  teardown(end: () => unknown): void
}

export class Server {
  readonly port: number
  readonly #start: () => Promise<Started>
  #started: Started

  constructor(port: number, started: Started, again: () => Promise<Started>) {
    this.port = port
    this.#started = started
    this.#start = again
  }

  get address(): string {
    return `${HOST}:${this.port}`
  }

  async kill(): Promise<void> {
    await this.#started.stop('SIGKILL')
  }

  /** After `kill`: empty, on the same port. */
  async restart(): Promise<void> {
    this.#started = await this.#start()
  }

  /** Resolves when every thread has stopped: on a busy machine that takes a moment. */
  async pause(): Promise<void> {
    const { child } = this.#started
    child.kill('SIGSTOP')
    const tasks = `/proc/${child.pid}/task`
    const hasStopped = (task: string) =>
      / [Tt] /.test(readFileSync(`${tasks}/${task}/stat`, 'latin1').replace(/^.*\)/, ''))
    await until(() => !existsSync(tasks) || readdirSync(tasks).every(hasStopped))
  }

  resume(): void {
    this.#started.child.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    this.resume()
    await this.#started.stop('SIGKILL')
  }
}

export async function memcached(t: Test, ...flags: string[]): Promise<Server> {
  const port = await freePort()
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const again = async () => {
    const started = start('memcached', ['-p', String(port), '-l', HOST, '-U', '0', '-t', '1', ...user, ...flags])
    await until(() => answers(port))
    return started
  }
  return server(t, port, again)
}

export async function node(t: Test, ...flags: string[]): Promise<Server> {
  const port = await freePort()
  const again = async () => {
    const started = continuum('server', '-p', String(port), '-l', HOST, '-t', '1', '--json-ready', ...flags)
    await started.until(/^\{.*\}$/m)
    return started
  }
  return server(t, port, again)
}

/** A tier of three nodes; gone with the test. */
export async function tier(t: Test): Promise<TierProcesses> {
  const made = new TierProcesses()
  t.teardown(() => made.stop())
  await made.coordinator()
  await Promise.all(['a', 'b', 'c'].map(id => made.node(id)))
  await made.until(view => view.settled && view.nodes.filter(({ state }) => state === 'up').length === 3)
  return made
}

/** The router of a tier of three nodes. */
export async function router(t: Test, of?: TierProcesses): Promise<Server> {
  const behind = of ?? (await tier(t))
  const port = await freePort()
  behind.ports.set('router', port)
  const again = async () => {
    const started = continuum(...behind.nodeArguments('router', '--weight', '0', '--json-ready'))
    await started.until(/^\{.*\}$/m)
    return started
  }
  return server(t, port, again)
}

const answers = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(port, HOST, () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })

async function server(t: Test, port: number, again: () => Promise<Started>): Promise<Server> {
  const made = new Server(port, await again(), again)
  t.teardown(() => made.stop())
  return made
}

/** Waits until it is so; the test's own timeout is the end of patience. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise(resolve => setTimeout(resolve, 5))
}
