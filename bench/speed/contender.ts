/** A server of a comparison: started on its core, with its backend if it is a router; known by the process that is measured. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CONTINUUM, freePort, Process } from '../processes.js'
import { pinned } from './pinning.js'
import { fillIn, type Template } from './template.js'

export interface Contender {
  name: string
  port: number
  pid: number
  stop(): Promise<void>
}

export interface Cores {
  server: number
  load: number
}

/** `continuum server` with these words after what a comparison needs; later flags win. */
export async function startOurs(args: string, memoryMb: number, cores: Cores): Promise<Contender> {
  const more = args.split(' ').filter(word => word !== '')
  const words = ['server', '-p', '0', '-l', '127.0.0.1', '-t', '1', '-m', String(memoryMb), ...more, '--json-ready']
  const [command, ...rest] = pinned(cores.server, [process.execPath, CONTINUUM, ...words])
  const server = new Process('continuum', command!, rest)
  const { clientPort } = await server.ready()
  return { name: 'continuum', port: Number(clientPort), pid: server.pid, stop: () => server.stop() }
}

/** Our router in front of nodes of ours: the tier's coordinator and the nodes live on the load's core, as a peer's backends do. */
export async function startOurRouter(
  args: string,
  memoryMb: number,
  cores: Cores,
  backends: number,
): Promise<Contender> {
  const started = new Started()
  const directory = started.directory()
  const own = (core: number, ...words: string[]) => {
    const [command, ...rest] = pinned(core, [process.execPath, CONTINUUM, ...words, '--json-ready'])
    return started.add(new Process(`continuum ${words[0]}`, command!, rest))
  }
  return started.orStop(async () => {
    const coordinator = own(cores.load, 'coordinator', '--listen', '127.0.0.1:0', '--data-dir', directory)
    const { store } = await coordinator.ready()
    const node = (core: number, id: string, weight: string, more: string[]) => {
      const join = ['--join', String(store), '--node-id', id, '--weight', weight]
      return own(core, 'server', '-p', '0', '-l', '127.0.0.1', '-t', '1', '-m', String(memoryMb), ...join, ...more)
    }
    for (let i = 1; i <= backends; i++) await node(cores.load, `backend-${i}`, '1', []).ready()
    const more = args.split(' ').filter(word => word !== '')
    const router = node(cores.server, 'router', '0', more)
    const { clientPort } = await router.ready()
    return { name: 'continuum router', port: Number(clientPort), pid: router.pid, stop: () => started.stop() }
  })
}

export async function startPeer(template: Template, memoryMb: number, cores: Cores): Promise<Contender> {
  const started = new Started()
  return started.orStop(async () => {
    const backends: number[] = []
    while (backends.length < template.backends) {
      const backend = await freePort()
      backends.push(backend)
      const words = ['memcached', '-t', '1', '-l', '127.0.0.1', '-p', String(backend), '-m', String(memoryMb)]
      if (process.getuid?.() === 0) words.push('-u', 'nobody')
      const [command, ...rest] = pinned(cores.load, words)
      await started.add(new Process('memcached', command!, rest)).listens(backend)
    }
    const port = await freePort()
    const filled = fillIn(template, {
      port,
      spare: await freePort(),
      memory: memoryMb,
      backends,
      directory: started.directory(),
    })
    const [command, ...rest] = pinned(cores.server, filled)
    const server = started.add(new Process(template.name, command!, rest))
    await server.listens(port)
    return { name: template.name, port, pid: server.pid, stop: () => started.stop() }
  })
}

/** What one contender consists of; ended in the reverse order. */
class Started {
  readonly #processes: Process[] = []
  readonly #directories: string[] = []

  add(process: Process): Process {
    this.#processes.push(process)
    return process
  }

  directory(): string {
    const path = mkdtempSync(join(tmpdir(), 'continuum-bench-'))
    this.#directories.push(path)
    return path
  }

  async orStop<T>(start: () => Promise<T>): Promise<T> {
    try {
      return await start()
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    for (const process of this.#processes.reverse()) await process.stop()
    for (const path of this.#directories) rmSync(path, { recursive: true, force: true })
  }
}
