/**
 * The users of -Y: lines of user:password, read by the control plane, known to the data planes as digests alone. Sentences
 * name the file and the line, never what is in it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { reasonOf } from '../tier/atomic-file.js'

/** One digest a user; goes to worker threads. */
export type Credentials = readonly Uint8Array[]

export type AuthFile = { ok: true; credentials: Credentials } | { ok: false; sentence: string }

/** memcached's limits (PROTOCOL D2). */
const USERS_MAX = 8
const LINE_MAX = 255

export function readAuthFile(path: string): AuthFile {
  let lines: string[]
  try {
    lines = readFileSync(path, 'latin1').split('\n')
  } catch (error) {
    return { ok: false, sentence: `the auth file ${path} cannot be read (${reasonOf(error)})` }
  }
  const credentials: Uint8Array[] = []
  for (const [index, text] of lines.entries()) {
    const line = text.replace(/\r$/, '')
    if (line === '') continue
    const wrong = (what: string): AuthFile => ({
      ok: false,
      sentence: `the auth file ${path}: line ${index + 1} ${what}`,
    })
    const at = line.indexOf(':')
    if (at < 1) return wrong('is not user:password')
    if (line.length > LINE_MAX) return wrong(`is longer than ${LINE_MAX} bytes`)
    if (credentials.length === USERS_MAX) return wrong(`is one user too many, ${USERS_MAX} fit`)
    credentials.push(digestOf(Buffer.from(line.slice(0, at), 'latin1'), Buffer.from(line.slice(at + 1), 'latin1')))
  }
  if (credentials.length === 0) return { ok: false, sentence: `the auth file ${path} names no user` }
  return { ok: true, credentials }
}

/** Takes as long for any user and any password. */
export function isKnown(credentials: Credentials, user: Uint8Array, password: Uint8Array): boolean {
  const given = digestOf(user, password)
  let known = false
  for (const digest of credentials) if (timingSafeEqual(digest, given)) known = true
  return known
}

/** The length keeps "a" with "b:c" apart from "a:b" with "c". */
function digestOf(user: Uint8Array, password: Uint8Array): Uint8Array {
  return createHash('sha256').update(`${user.length}:`).update(user).update(':').update(password).digest()
}
