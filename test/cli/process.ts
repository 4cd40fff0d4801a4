/** The command line as people use it: a process, its lines, its exit code. Ends what it started. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const SCRIPT = fileURLToPath(new URL('../../bin/continuum.js', import.meta.url))

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

export function run(...args: string[]): Promise<Ended> {
  return ended(spawn(process.execPath, [SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }))
}

function ended(child: ChildProcess): Promise<Ended> {
  const text = { stdout: '', stderr: '' }
  child.stdout?.on('data', bytes => {
    text.stdout += bytes
  })
  child.stderr?.on('data', bytes => {
    text.stderr += bytes
  })
  return new Promise(resolve => child.on('close', code => resolve({ code, ...text })))
}

export interface Running {
  child: ChildProcess
  /** The ready line, parsed. */
  ready: Record<string, unknown>
  end: Promise<Ended>
}

/** Starts a command that stays, and waits for its ready line. */
export async function start(t: Test, ...args: string[]): Promise<Running> {
  const child = spawn(process.execPath, [SCRIPT, ...args, '--json-ready', '--with-parent'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const end = ended(child)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await end
  })
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once('line', resolve)
    void end.then(({ stderr }) => reject(new Error(`ended before it was ready: ${stderr}`)))
  })
  return { child, ready: JSON.parse(line) as Record<string, unknown>, end }
}
