/** -P: a file with the process id, there while the process is. One that belongs to somebody else now is not removed. */
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { reasonOf } from '../tier/atomic-file.js'
import { Sentence } from './output.js'

/** Written now, removed when the process ends, on whatever way it does so by itself. */
export function keepPidFile(path: string, warn: (sentence: string) => void): void {
  const before = pidIn(path)
  if (before !== null && before !== process.pid && isRunning(before)) {
    warn(`the pid file ${path} named process ${before}, which is still running`)
  }
  try {
    writeFileSync(path, `${process.pid}\n`)
  } catch (error) {
    throw new Sentence(`the pid file ${path} cannot be written (${reasonOf(error)})`)
  }
  process.on('exit', () => {
    if (pidIn(path) !== process.pid) return
    try {
      unlinkSync(path)
    } catch (error) {
      warn(`the pid file ${path} could not be removed (${reasonOf(error)})`)
    }
  })
}

function pidIn(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim())
    return Number.isInteger(pid) && pid > 0 ? pid : null
  } catch {
    return null
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
