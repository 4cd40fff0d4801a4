/**
 * Real clients, unchanged, in their own languages: each says line by line what it saw (test/interop/clients), and that is the
 * same from memcached, a node on either loop and the router of a tier.
 */
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { LOOPS } from '../transport/place.js'
import { continuum, freePort, has, start } from './processes.js'
import { TierProcesses } from './tier-processes.js'

const HOST = '127.0.0.1'
/** The scripts are no TypeScript and stay where they are: dist/test/interop is three folders below the project. */
const scriptAt = (name: string) => fileURLToPath(new URL(`../../../test/interop/clients/${name}`, import.meta.url))

interface Client {
  /** Debian's package, or what else brings it. */
  name: string
  script: string
  /** The first one that can load the client runs the script. Debian's own Python comes before any other. */
  programs: string[]
  /** Arguments with which the program fails if it cannot load the client. */
  loads: string[]
}

const CLIENTS: Client[] = [
  {
    name: 'python3-pymemcache',
    script: 'python-pymemcache.py',
    programs: ['/usr/bin/python3', 'python3'],
    loads: ['-c', 'import pymemcache'],
  },
  {
    name: 'python3-memcache',
    script: 'python-memcache.py',
    programs: ['/usr/bin/python3', 'python3'],
    loads: ['-c', 'import memcache'],
  },
  { name: 'ruby-dalli', script: 'dalli.rb', programs: ['ruby'], loads: ['-e', 'require "dalli"'] },
  {
    name: 'libcache-memcached-fast-perl',
    script: 'cache-memcached-fast.pl',
    programs: ['perl'],
    loads: ['-MCache::Memcached::Fast', '-e', '1'],
  },
  {
    name: 'php-memcached',
    script: 'php-memcached.php',
    programs: ['php'],
    loads: ['-r', 'exit(extension_loaded("memcached") ? 0 : 1);'],
  },
  { name: 'npm memcached', script: 'node-memcached.mjs', programs: [process.execPath], loads: ['--version'] },
  { name: 'npm memcache-client', script: 'memcache-client.mjs', programs: [process.execPath], loads: ['--version'] },
]

function succeeds(program: string, args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** What the client prints; a client that fails says so in the place where it stopped. */
function transcript(program: string, script: string, port: number): Promise<string> {
  return new Promise(resolve => {
    execFile(program, [script, HOST, String(port)], (error, stdout, stderr) => {
      resolve(error ? `${stdout}ended with ${error.code ?? error.signal}\n${stderr}` : stdout)
    })
  })
}

/** A flush_all is seen by every client of a store, so each store has one client at a time; different stores are used at once. */
t.test('real clients', async t => {
  const stores: { name: string; port: number }[][] = []
  const node = async (loop: string) => {
    const started = continuum('server', '-p', '0', '-l', HOST, '-t', '2', '--loop', loop, '--json-ready')
    t.teardown(() => started.stop())
    const [line] = await started.until(/^\{.*\}$/m)
    stores.push([{ name: `a node on the ${loop} loop`, port: Number(JSON.parse(line).clientPort) }])
  }
  const tier = async () => {
    const processes = new TierProcesses()
    t.teardown(() => processes.stop())
    await processes.coordinator()
    await Promise.all([...['a', 'b', 'c'].map(id => processes.node(id)), processes.node('router', '--weight', '0')])
    await processes.until(view => view.settled && view.nodes.filter(one => one.state === 'up').length === 4)
    stores.push([
      { name: 'the router of a tier', port: processes.ports.get('router')! },
      { name: 'a node of a tier', port: processes.ports.get('a')! },
    ])
  }
  const memcached = async () => {
    if (!has('memcached')) return t.comment('memcached is not installed: its answers are only those on record')
    const port = await freePort()
    const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
    const started = start('memcached', ['-p', String(port), '-l', HOST, '-U', '0', '-vv', ...user])
    t.teardown(() => started.stop())
    await started.until(/server listening/)
    stores.push([{ name: 'memcached', port }])
  }
  await Promise.all([memcached(), ...LOOPS.map(node), tier()])

  for (const client of CLIENTS) {
    const program = client.programs.find(one => succeeds(one, client.loads))
    const skip = program ? false : `${client.name} is not installed`
    await t.test(client.name, { skip }, async t => {
      const script = scriptAt(client.script)
      const expected = readFileSync(scriptAt(`${client.script}.expected`), 'utf8')
      let unable = ''
      const use = async (servers: { name: string; port: number }[]) => {
        for (const { name, port } of servers) {
          const said = await transcript(program!, script, port)
          if (said.startsWith('skip: ')) unable = said.slice('skip: '.length).trimEnd()
          else t.equal(said, expected, name)
        }
      }
      await Promise.all(stores.map(use))
      if (unable) t.pass(unable, { skip: unable })
    })
  }
})
