/**
 * The shared secret of a tier's peers: read from a file, made by `up`. It is never printed and never logged; sentences
 * name the file alone.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { reasonOf, writeAtomically } from '../tier/atomic-file.js'
import { isLoopback } from '../tier/store.js'
import { Sentence } from './output.js'

const SECRET_BYTES_MAX = 4096

export function readSecret(file: string | undefined, warn: (sentence: string) => void): string | null {
  if (file === undefined) return null
  let text: string
  try {
    if ((statSync(file).mode & 0o077) !== 0)
      warn(`the peer secret file ${file} can be read by others: chmod 600 ${file}`)
    text = readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new Sentence(`the peer secret file ${file} cannot be read (${reasonOf(error)})`)
  }
  if (text === '') throw new Sentence(`the peer secret file ${file} is empty`)
  if (text.length > SECRET_BYTES_MAX)
    throw new Sentence(`the peer secret file ${file} is longer than ${SECRET_BYTES_MAX} bytes`)
  return text
}

/** The tier's secret file in a data directory, made at the first start. */
export function ensureSecret(directory: string): string {
  const file = join(directory, 'peer-secret')
  if (!existsSync(file)) writeAtomically(file, `${randomBytes(32).toString('hex')}\n`, 0o600)
  return file
}

/** Without a secret nobody from another machine may even try. */
export function needsLoopback(what: string, host: string, secret: string | null): void {
  if (secret !== null || isLoopback(host)) return
  throw new Sentence(`${what} ${host}: without --peer-secret-file only loopback addresses (127.0.0.1) may be used`)
}
