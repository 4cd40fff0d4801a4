/** Real processes for tests: each started one is ended by its own id, on every way out; readiness is a line or a port, never a time. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const CONTINUUM = fileURLToPath(new URL('../../bin/continuum.js', import.meta.url))

export interface Started {
  child: ChildProcess
  /** Everything printed so far, both streams. */
  output(): string
  /** Resolves with the output once it matches; rejects with the output when the process ends first. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  ended: Promise<number | null>
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export function start(command: string, args: string[], options: { cwd?: string } = {}): Started {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  running.add(child)
  let text = ''
  const listeners = new Set<() => void>()
  const hear = (bytes: Buffer) => {
    text += bytes.toString()
    for (const listener of [...listeners]) listener()
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const ended = new Promise<number | null>(resolve => {
    child.on('close', code => {
      running.delete(child)
      resolve(code)
    })
    child.on('error', error => {
      text += error.message
      resolve(null)
    })
  })
  const until = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(text)
        if (!match) return
        listeners.delete(look)
        resolve(match)
      }
      listeners.add(look)
      look()
      ended.then(code => reject(new Error(`${command} ended with ${code} before ${pattern}:\n${text}`)))
    })
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (running.has(child)) child.kill(signal)
    return ended
  }
  return { child, output: () => text, until, ended, stop }
}

/** The program's command line, by the Node that runs the tests. */
export const continuum = (...args: string[]): Started => start(process.execPath, [CONTINUUM, ...args])

export function has(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'continuum-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
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
