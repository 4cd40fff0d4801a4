/**
 * `continuum up`: a whole local tier in one command. Starts a coordinator, nodes and a router as processes of their own,
 * keeps them running, and stops them all in the end. The data directory remembers ports and secret, so that the same
 * directory gives the same tier again.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { Command } from 'commander'
import { z } from 'zod'
import { DamagedFile, makeDirectory, readIfThere, writeAtomically } from '../tier/atomic-file.js'
import type { Loop } from '../transport/loop.js'
import { createNetLoop } from '../transport/net.js'
import { Child, type Ready } from './children.js'
import { freePort, probe } from './free-port.js'
import { complain, onEnd, Sentence, say, table } from './output.js'
import { ensureSecret, readSecret } from './secret.js'
import { StoreClient } from './store-client.js'

interface UpValues {
  nodes: string
  port: string
  dataDir?: string
  memoryLimit: string
  threads: string
  loop: string
  verbose: number
  withParent?: boolean
}

const HOST = '127.0.0.1'
const NODES_MAX = 25
const READY_MS = 30_000

export function upCommand(command: Command): void {
  command
    .option('--nodes <n>', 'how many nodes', '3')
    .option('--port <port>', "the router's port, for clients", '11211')
    .option('--data-dir <dir>', 'where the tier remembers itself (default: a directory that is removed at the end)')
    .option('-m, --memory-limit <num>', 'item memory of each node in megabytes', '64')
    .option('-t, --threads <num>', 'worker threads of each node', '2')
    .option('--loop <kind>', 'event loop: auto, net, epoll or uring', 'auto')
    .option('-v, --verbose', 'say what happens; repeat for more', (_, before: number) => before + 1, 0)
    .action((values: UpValues) => runUp(values))
}

async function runUp(values: UpValues): Promise<void> {
  const nodes = wholeNumber('--nodes', values.nodes, 1, NODES_MAX)
  const port = wholeNumber('--port', values.port, 1, 65_535)
  const loop = createNetLoop({ memory: new Uint8Array(0) })
  await probe(loop, { host: HOST, port })
  const temporary = values.dataDir === undefined
  const dataDir = values.dataDir ?? mkdtempSync(join(tmpdir(), 'continuum-'))
  const tier = new LocalTier(loop, values, dataDir)
  const end = async (code: number) => {
    await tier.stop()
    if (temporary) rmSync(dataDir, { recursive: true, force: true })
    process.exit(code)
  }
  tier.onGivenUp = sentence => {
    complain(sentence)
    void end(1)
  }
  onEnd(() => void end(0), values.withParent === true)
  try {
    await tier.start(nodes, port)
  } catch (error) {
    if (tier.stopping) return
    complain(error instanceof Sentence || error instanceof DamagedFile ? error.message : String(error))
    await end(1)
  }
}

/** What a data directory remembers of its tier. */
const portsShape = z.object({ store: z.number().int(), nodes: z.record(z.string(), z.number().int()) })
type Ports = z.infer<typeof portsShape>

class LocalTier {
  readonly #loop: Loop
  readonly #values: UpValues
  readonly #dataDir: string
  readonly #children: Child[] = []
  #secretFile = ''
  stopping = false
  onGivenUp: (sentence: string) => void = () => {}

  constructor(loop: Loop, values: UpValues, dataDir: string) {
    this.#loop = loop
    this.#values = values
    this.#dataDir = dataDir
  }

  async start(count: number, port: number): Promise<void> {
    makeDirectory(this.#dataDir)
    this.#secretFile = ensureSecret(this.#dataDir)
    const ids = Array.from({ length: count }, (_, index) => nodeName(index))
    const known = this.#loadPorts()
    const ports = await this.#nodePorts(ids, port, known)
    const store = await this.#startCoordinator(known?.store ?? 0)
    const url = `embedded://${HOST}:${store}`
    this.#savePorts({ store, nodes: { ...known?.nodes, ...ports } })
    await Promise.all([
      ...ids.map(id => this.#startNode(id, url, ports[id]!, 1)),
      this.#startNode('router', url, port, 0),
    ])
    await this.#settle(url, ids)
    say(this.#welcome(url, port, ports))
  }

  /** Nodes first, so that none of them sees its coordinator go. */
  async stop(): Promise<void> {
    this.stopping = true
    const [coordinator, ...nodes] = this.#children
    await Promise.all(nodes.map(node => node.stop()))
    await coordinator?.stop()
  }

  // --- ports

  /** port + 1 and so on; a port that somebody else has is replaced by any free one, but not once it is part of a ring. */
  async #nodePorts(ids: string[], port: number, known: Ports | null): Promise<Record<string, number>> {
    const ports: Record<string, number> = {}
    const taken = new Set(Object.values(known?.nodes ?? {}))
    for (const [index, id] of ids.entries()) {
      const before = known?.nodes[id]
      const wanted = before ?? port + 1 + index
      if (before !== undefined) await probe(this.#loop, { host: HOST, port: before })
      const free =
        before ??
        (taken.has(wanted) || wanted > 65_535 ? null : await freePort(this.#loop, { host: HOST, port: wanted }))
      ports[id] = free ?? (await probe(this.#loop, { host: HOST, port: 0 }))
      taken.add(ports[id])
    }
    return ports
  }

  get #portsFile(): string {
    return join(this.#dataDir, 'up.json')
  }

  #loadPorts(): Ports | null {
    const text = readIfThere(this.#portsFile)
    if (text === null) return null
    try {
      return portsShape.parse(JSON.parse(text))
    } catch {
      throw new Sentence(`the file ${this.#portsFile} is damaged: it should name the ports of the tier`)
    }
  }

  #savePorts(ports: Ports): void {
    writeAtomically(this.#portsFile, `${JSON.stringify(ports, null, 1)}\n`)
  }

  // --- processes

  async #startCoordinator(port: number): Promise<number> {
    const args = (at: number) => [
      ...['coordinator', '--listen', `${HOST}:${at}`, '--data-dir', this.#directory('coordinator'), '--tier', 'local'],
      ...['--peer-secret-file', this.#secretFile, ...this.#verbosity()],
    ]
    const child = this.#child('coordinator', args(port))
    const ready = await child.start()
    const told = portOf(ready, 'port')
    // Nodes know the store by this port: a restarted coordinator must be there again.
    child.args = args(told)
    return told
  }

  #startNode(id: string, url: string, port: number, weight: number): Promise<Ready> {
    return this.#child(id, [
      ...['server', '-l', HOST, '-p', String(port), '--loop', this.#values.loop],
      ...['-m', weight === 0 ? '8' : this.#values.memoryLimit, '-t', this.#values.threads],
      ...['--join', url, '--node-id', id, '--weight', String(weight), '--data-dir', this.#directory(id)],
      ...['--peer-secret-file', this.#secretFile, ...this.#verbosity()],
    ]).start()
  }

  #child(name: string, args: string[]): Child {
    const child = new Child({
      loop: this.#loop,
      script: process.argv[1]!,
      name,
      args,
      onLine: (from, line) => process.stderr.write(`[${from}] ${line}\n`),
      onEvent: sentence => complain(sentence),
      onGivenUp: sentence => this.onGivenUp(sentence),
    })
    this.#children.push(child)
    return child
  }

  #directory(name: string): string {
    return join(this.#dataDir, name)
  }

  #verbosity(): string[] {
    return Array.from({ length: this.#values.verbose }, () => '-v')
  }

  async #settle(url: string, ids: string[]): Promise<void> {
    const store = new StoreClient(url, readSecret(this.#secretFile, complain))
    const until = this.#loop.now() + READY_MS
    try {
      await store.lookUntil(READY_MS, view => {
        const up = view.nodes.filter(node => ids.includes(node.id) && node.alive && node.state !== 'joining')
        if (this.#loop.now() > until) throw new Sentence(`the tier did not settle within ${READY_MS / 1000} s`)
        return view.settled && up.length === ids.length
      })
    } finally {
      store.close()
    }
  }

  #welcome(url: string, port: number, ports: Record<string, number>): string {
    const command = `node ${relative(process.cwd(), process.argv[1]!)}`
    const access = `--peer-secret-file ${this.#secretFile}`
    const next = nodeName(Object.keys(ports).length)
    const rows = [
      ['router', `${HOST}:${port}`, 'clients connect here: any memcached client'],
      ...Object.entries(ports).map(([id, at]) => [id, `${HOST}:${at}`, 'node of weight 1; answers for every key too']),
      ['store', url, 'topology, kept by the coordinator'],
    ]
    return [
      `${table(['', 'address', ''], rows)}\n`,
      `write and read   printf 'set hello 0 0 5\\r\\nworld\\r\\nget hello\\r\\nquit\\r\\n' | nc ${HOST} ${port}`,
      `add a node       ${command} server -l ${HOST} -p 0 --join ${url} --node-id ${next} --data-dir ${this.#directory(next)} ${access}`,
      `look at it       ${command} tier status --tier ${url} ${access}`,
      `take a node out  ${command} tier drain ${next} --tier ${url} ${access}`,
      'stop             Ctrl-C',
    ].join('\n')
  }
}

/** a, b, c ... */
function nodeName(index: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + index)
}

function portOf(ready: Ready, name: string): number {
  const port = ready[name]
  if (typeof port !== 'number') throw new Sentence(`a process told no ${name}`)
  return port
}

function wholeNumber(what: string, text: string, min: number, max: number): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= min && number <= max))
    throw new Sentence(`${what} ${text}: must be a whole number from ${min} to ${max}`)
  return number
}
