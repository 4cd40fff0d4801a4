/**
 * -d: the command starts itself again in a session of its own and ends when that child is ready, or with the child's
 * sentence. The child tells which on a pipe, descriptor 3, named to it by the environment:
 *
 *   "ready\n" line    it runs; the line is what it would have printed
 *   sentence          it could not start
 *   nothing           it died
 */
import { spawn } from 'node:child_process'
import { closeSync, writeSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { divertComplaints, Sentence } from './output.js'

const REPORT_TO = 'CONTINUUM_DAEMON_REPORT'
const PIPE = 3
const READY = 'ready\n'

/** The line of the child that runs now. */
export function startDaemon(isTalkative: boolean): Promise<string> {
  // As memcached: who asked for a log keeps it; nobody else keeps the terminal.
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', 'ignore', isTalkative ? 'inherit' : 'ignore', 'pipe'],
    env: { ...process.env, [REPORT_TO]: String(PIPE) },
  })
  return new Promise((resolve, reject) => {
    let report = ''
    let how = ''
    child.on('error', error => reject(new Sentence(`the daemon could not be started (${error.message})`)))
    child.on('exit', (code, signal) => {
      how = signal ? `signal ${signal}` : `code ${code}`
    })
    const pipe = child.stdio[PIPE] as Readable
    pipe.setEncoding('utf8').on('data', (text: string) => {
      report += text
    })
    // A child that is ready closes its end; one that dies before, too.
    pipe.on('end', () => {
      child.unref()
      if (report.startsWith(READY)) resolve(report.slice(READY.length))
      else if (report !== '') reject(new Sentence(report))
      else child.on('close', () => reject(new Sentence(`the daemon ended before it was ready (${how})`)))
    })
  })
}

/** In the child: how to tell its parent that it is ready; null in any other process. */
export function daemonReport(): ((line: string) => void) | null {
  if (process.env[REPORT_TO] !== String(PIPE)) return null
  // Whatever this process starts itself is no daemon's child.
  delete process.env[REPORT_TO]
  divertComplaints(sentence => void writeSync(PIPE, sentence))
  return line => {
    divertComplaints(null)
    writeSync(PIPE, `${READY}${line}`)
    closeSync(PIPE)
  }
}
