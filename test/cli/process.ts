/** The command line as people use it: a process, its lines, its exit code. Ends what it started. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const SCRIPT = fileURLToPath(new URL('../../bin/continuum.js', import.meta.url))

/** A folder with a short path: that of a unix socket has room for 107 bytes. Gone after the test. */
export function shortFolder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'c-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

export function run(...args: string[]): Promise<Ended> {
  return runWith({}, ...args)
}

/** By a Node.js with options of its own. */
export function runBy(nodeOptions: string[], ...args: string[]): Promise<Ended> {
  return ended(spawn(process.execPath, [...nodeOptions, SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }))
}

export function runWith(env: Record<string, string>, ...args: string[]): Promise<Ended> {
  const options = { env: { ...process.env, ...env } }
  return ended(spawn(process.execPath, [SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'pipe'], ...options }))
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
export function start(t: Test, ...args: string[]): Promise<Running> {
  return startWith(t, {}, ...args)
}

export async function startWith(t: Test, env: Record<string, string>, ...args: string[]): Promise<Running> {
  const child = spawn(process.execPath, [SCRIPT, ...args, '--json-ready', '--with-parent'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
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
