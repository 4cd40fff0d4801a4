/**
 * What an experiment must not leave behind when it is ended before its own end: processes, folders, mounts. Removed when the process
 * exits, also after a signal that asks it to; what was made last goes first. Knows nothing of what it removes.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const

const leftovers = new Set<() => void>()
let isListening = false

function removeAll(): void {
  for (const remove of [...leftovers].reverse()) {
    try {
      remove()
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    }
  }
  leftovers.clear()
}

/** `remove` is called, without waiting for anything, unless the function that is given back was called before. */
export function removeAtExit(remove: () => void): () => void {
  if (!isListening) {
    isListening = true
    process.on('exit', removeAll)
    for (const signal of SIGNALS) process.once(signal, () => process.exit(128 + constants.signals[signal]))
  }
  leftovers.add(remove)
  return () => leftovers.delete(remove)
}

/** A new folder for temporary files, and what removes it before the process exits. */
export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'continuum-bench-'))
  // Processes that were just killed may write for a moment yet.
  const removeNow = () => rmSync(path, { recursive: true, force: true, maxRetries: 10 })
  const keep = removeAtExit(removeNow)
  return {
    path,
    remove() {
      keep()
      removeNow()
    },
  }
}
